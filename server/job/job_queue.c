#include "server/job/job_queue.h"

#include <assert.h>
#include <stdlib.h>

#include "server/job/job_table.h"

bool bp_job_queue_reserve(bp_job_queue *queue, size_t count)
{
    if (count <= queue->capacity)
        return true;
    size_t capacity = queue->capacity ? 2 * queue->capacity : 16;
    if (capacity < count)
        capacity = count;
    bp_job_entry **entries = realloc(queue->entries, capacity * sizeof(bp_job_entry *));
    if (!entries)
        return false;
    queue->entries = entries;
    queue->capacity = capacity;
    return true;
}

static bool goes_before(const bp_job_entry *a, const bp_job_entry *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->id < b->id;
}

static void put(bp_job_queue *queue, size_t place, bp_job_entry *entry)
{
    queue->entries[place] = entry;
    entry->queue_place = place + 1;
}

/* Moves an entry from a free place to where it belongs. */
static void settle(bp_job_queue *queue, size_t place, bp_job_entry *entry)
{
    while (place > 0 && goes_before(entry, queue->entries[(place - 1) / 2])) {
        put(queue, place, queue->entries[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * place + 1;
        if (child + 1 < queue->count &&
            goes_before(queue->entries[child + 1], queue->entries[child]))
            child++;
        if (child >= queue->count || !goes_before(queue->entries[child], entry))
            break;
        put(queue, place, queue->entries[child]);
        place = child;
    }
    put(queue, place, entry);
}

void bp_job_queue_add(bp_job_queue *queue, bp_job_entry *entry)
{
    assert(queue->count < queue->capacity && entry->queue_place == 0);
    const size_t place = queue->count++;
    queue->entries[place] = entry;
    settle(queue, place, entry);
}

void bp_job_queue_remove(bp_job_queue *queue, bp_job_entry *entry)
{
    if (entry->queue_place == 0)
        return;
    const size_t place = entry->queue_place - 1;
    entry->queue_place = 0;
    bp_job_entry *last = queue->entries[--queue->count];
    if (last != entry)
        settle(queue, place, last);
}

bp_job_entry *bp_job_queue_first(const bp_job_queue *queue)
{
    return queue->count > 0 ? queue->entries[0] : NULL;
}

void bp_job_queue_done(bp_job_queue *queue)
{
    free(queue->entries);
    *queue = (bp_job_queue){0};
}
