#include "server/job/job_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Index of the first entry with an id of at least `id`. */
static size_t place_of(const bp_job_table *table, int64_t id)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (table->entries[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bp_job_entry *bp_job_table_find(const bp_job_table *table, int64_t id)
{
    const size_t place = place_of(table, id);
    return place < table->count && table->entries[place]->id == id ? table->entries[place] : NULL;
}

bp_job_entry *bp_job_table_add(bp_job_table *table, int64_t id)
{
    if (table->count == table->capacity) {
        const size_t capacity = table->capacity ? 2 * table->capacity : 16;
        bp_job_entry **entries = realloc(table->entries, capacity * sizeof *entries);
        if (!entries)
            return NULL;
        table->entries = entries;
        table->capacity = capacity;
    }
    bp_job_entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return NULL;
    entry->id = id;
    const size_t place = place_of(table, id);
    assert(place == table->count || table->entries[place]->id != id);
    memmove(table->entries + place + 1, table->entries + place,
            (table->count - place) * sizeof(bp_job_entry *));
    table->entries[place] = entry;
    table->count++;
    return entry;
}

void bp_job_table_remove(bp_job_table *table, int64_t id)
{
    const size_t place = place_of(table, id);
    assert(place < table->count && table->entries[place]->id == id);
    free(table->entries[place]);
    table->count--;
    memmove(table->entries + place, table->entries + place + 1,
            (table->count - place) * sizeof(bp_job_entry *));
}

void bp_job_table_done(bp_job_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->entries[i]);
    free(table->entries);
    *table = (bp_job_table){0};
}

static const struct {
    const char *text;
    bool finished;
} states[] = {
#define STATE_ROW(name, state_text, is_finished) {state_text, is_finished},
    BP_JOB_STATE_LIST(STATE_ROW)
#undef STATE_ROW
};

const char *bp_job_state_text(bp_job_state state)
{
    return states[state].text;
}

bool bp_job_state_is_finished(bp_job_state state)
{
    return states[state].finished;
}

bool bp_job_state_find(bp_job_state *out, const char *text)
{
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(states[i].text, text) == 0) {
            *out = (bp_job_state)i;
            return true;
        }
    return false;
}
