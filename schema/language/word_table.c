#include "schema/language/word_table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOT_COUNT = 64 };
#define COUNT_LIMIT ((size_t)1 << 31)

typedef struct table_entry {
    size_t begin; /* in pool */
    uint32_t length;
    uint32_t hash; /* half of it: compared before the text, and enough to find a new slot */
    uint64_t occurrences;
} table_entry;

struct bp_word_table {
    char *pool;
    size_t pool_length, pool_capacity;
    table_entry *entries;
    size_t count, capacity;
    uint32_t *slots; /* open addressing: number + 1, 0 free; a power of two, at most half full */
    size_t slot_count;
    uint64_t seed;
};

bp_status bp_word_table_create(bp_word_table **out, uint64_t seed, bp_error *error)
{
    bp_word_table *table = calloc(1, sizeof *table);
    if (table)
        table->slots = calloc(FIRST_SLOT_COUNT, sizeof *table->slots);
    if (!table || !table->slots) {
        free(table);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a table of words");
    }
    table->slot_count = FIRST_SLOT_COUNT;
    table->seed = seed;
    *out = table;
    return BP_OK;
}

void bp_word_table_free(bp_word_table *table)
{
    if (!table)
        return;
    free(table->pool);
    free(table->entries);
    free(table->slots);
    free(table);
}

static uint32_t hash_text(const bp_word_table *table, const char *text, size_t length)
{
    const uint64_t factor = table->seed | 1;
    uint64_t hash = table->seed ^ length;
    for (size_t at = 0; at < length; at += 8) {
        uint64_t word = 0;
        memcpy(&word, text + at, length - at < 8 ? length - at : 8);
        hash = (hash ^ word) * factor;
        hash ^= hash >> 29;
    }
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(hash >> 32);
}

/* The slot that holds the text, or the free one where it belongs. Of the hash the high bits are the
 * best mixed, but a table beyond 2^32 slots does not exist. */
static size_t find_slot(const bp_word_table *table, uint32_t hash, const char *text, size_t length)
{
    const size_t mask = table->slot_count - 1;
    size_t slot = hash & mask;
    while (table->slots[slot] != 0) {
        const table_entry *entry = &table->entries[table->slots[slot] - 1];
        if (entry->hash == hash && entry->length == length &&
            memcmp(table->pool + entry->begin, text, length) == 0)
            break;
        slot = (slot + 1) & mask;
    }
    return slot;
}

static bool grow_slots(bp_word_table *table)
{
    const size_t slot_count = table->slot_count * 2, mask = slot_count - 1;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return false;
    for (size_t index = 0; index < table->count; index++) {
        size_t slot = table->entries[index].hash & mask;
        while (slots[slot] != 0)
            slot = (slot + 1) & mask;
        slots[slot] = (uint32_t)index + 1;
    }
    free(table->slots);
    table->slots = slots;
    table->slot_count = slot_count;
    return true;
}

static bool grow_pool(bp_word_table *table, size_t more)
{
    if (more <= table->pool_capacity - table->pool_length)
        return true;
    size_t capacity = table->pool_capacity ? table->pool_capacity * 2 : 4096;
    while (capacity - table->pool_length < more)
        capacity *= 2; /* texts are in memory already, so this does not overflow */
    char *pool = realloc(table->pool, capacity);
    if (!pool)
        return false;
    table->pool = pool;
    table->pool_capacity = capacity;
    return true;
}

static bool grow_entries(bp_word_table *table)
{
    if (table->count < table->capacity)
        return true;
    const size_t capacity = table->capacity ? table->capacity * 2 : 64;
    table_entry *entries = realloc(table->entries, capacity * sizeof *entries);
    if (!entries)
        return false;
    table->entries = entries;
    table->capacity = capacity;
    return true;
}

bp_status bp_word_table_add(bp_word_table *table, uint32_t *out_index, const char *text,
                            size_t length, bp_error *error)
{
    if (length > UINT32_MAX || table->count >= COUNT_LIMIT)
        return bp_error_set(error, BP_TOO_LARGE, NULL,
                            "too many different words, or too long ones");
    const uint32_t hash = hash_text(table, text, length);
    size_t slot = find_slot(table, hash, text, length);
    if (table->slots[slot] == 0) {
        bool ok = grow_pool(table, length) && grow_entries(table);
        if (ok && (table->count + 1) * 2 > table->slot_count) {
            ok = grow_slots(table);
            if (ok)
                slot = find_slot(table, hash, text, length);
        }
        if (!ok)
            return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a table of words");
        if (length > 0)
            memcpy(table->pool + table->pool_length, text, length);
        table->entries[table->count++] =
            (table_entry){.begin = table->pool_length, .length = (uint32_t)length, .hash = hash};
        table->pool_length += length;
        table->slots[slot] = (uint32_t)table->count;
    }
    const uint32_t index = table->slots[slot] - 1;
    table->entries[index].occurrences++;
    if (out_index)
        *out_index = index;
    return BP_OK;
}

uint32_t bp_word_table_find(const bp_word_table *table, const char *text, size_t length)
{
    const uint32_t slot =
        table->slots[find_slot(table, hash_text(table, text, length), text, length)];
    return slot != 0 ? slot - 1 : BP_WORD_NONE;
}

size_t bp_word_table_count(const bp_word_table *table)
{
    return table->count;
}

size_t bp_word_table_memory(const bp_word_table *table)
{
    return sizeof *table + table->pool_capacity + table->capacity * sizeof *table->entries +
           table->slot_count * sizeof *table->slots;
}

size_t bp_word_table_bytes(const bp_word_table *table)
{
    return table->pool_length;
}

const char *bp_word_table_text(const bp_word_table *table, uint32_t index, size_t *out_length)
{
    const table_entry *entry = &table->entries[index];
    *out_length = entry->length;
    return table->pool + entry->begin;
}

uint64_t bp_word_table_occurrences(const bp_word_table *table, uint32_t index)
{
    return table->entries[index].occurrences;
}

int bp_word_table_compare(const bp_word_table *table, uint32_t a, uint32_t b)
{
    const table_entry *x = &table->entries[a], *y = &table->entries[b];
    const size_t common = x->length < y->length ? x->length : y->length;
    /* The order of UTF-8 bytes is the order of code points. */
    const int order = common ? memcmp(table->pool + x->begin, table->pool + y->begin, common) : 0;
    return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}
