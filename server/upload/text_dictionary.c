#include "server/upload/text_dictionary.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

typedef struct dictionary_entry {
    size_t begin, length; /* in pool */
    uint32_t rank;
} dictionary_entry;

struct bp_text_dictionary {
    char *pool;
    size_t pool_length, pool_capacity;
    dictionary_entry *entries;
    size_t count, capacity;
    uint32_t *slots; /* open addressing: index + 1, 0 free; a power of two, at most half full */
    size_t slot_count;
    uint64_t seed, factor; /* random, so that nobody can prepare texts that collide */
};

bp_status bp_text_dictionary_create(bp_text_dictionary **out, bp_error *error)
{
    bp_text_dictionary *dictionary = calloc(1, sizeof *dictionary);
    if (dictionary) {
        dictionary->slot_count = 64;
        dictionary->slots = calloc(dictionary->slot_count, sizeof *dictionary->slots);
    }
    if (!dictionary || !dictionary->slots) {
        free(dictionary);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a column's texts");
    }
    uint64_t random[2] = {1, 2};
    if (getrandom(random, sizeof random, GRND_NONBLOCK) != sizeof random)
        random[0] ^= (uintptr_t)dictionary; /* as good as a hash needs */
    dictionary->seed = random[0];
    dictionary->factor = random[1] | 1;
    *out = dictionary;
    return BP_OK;
}

void bp_text_dictionary_free(bp_text_dictionary *dictionary)
{
    if (!dictionary)
        return;
    free(dictionary->pool);
    free(dictionary->entries);
    free(dictionary->slots);
    free(dictionary);
}

static uint64_t hash_text(const bp_text_dictionary *dictionary, const char *text, size_t length)
{
    uint64_t hash = dictionary->seed ^ length;
    for (size_t i = 0; i < length; i += 8) {
        uint64_t word = 0;
        memcpy(&word, text + i, length - i < 8 ? length - i : 8);
        hash = (hash ^ word) * dictionary->factor;
        hash ^= hash >> 29;
    }
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

/* The slot that holds the text, or the free one where it belongs. */
static size_t find_slot(const bp_text_dictionary *dictionary, const char *text, size_t length)
{
    const size_t mask = dictionary->slot_count - 1;
    size_t slot = (size_t)hash_text(dictionary, text, length) & mask;
    while (dictionary->slots[slot] != 0) {
        const dictionary_entry *entry = &dictionary->entries[dictionary->slots[slot] - 1];
        if (entry->length == length && memcmp(dictionary->pool + entry->begin, text, length) == 0)
            break;
        slot = (slot + 1) & mask;
    }
    return slot;
}

static bool grow_slots(bp_text_dictionary *dictionary)
{
    uint32_t *slots = calloc(dictionary->slot_count * 2, sizeof *slots);
    if (!slots)
        return false;
    free(dictionary->slots);
    dictionary->slots = slots;
    dictionary->slot_count *= 2;
    for (size_t i = 0; i < dictionary->count; i++) {
        const dictionary_entry *entry = &dictionary->entries[i];
        slots[find_slot(dictionary, dictionary->pool + entry->begin, entry->length)] =
            (uint32_t)i + 1;
    }
    return true;
}

static bool grow(void **at, size_t *capacity, size_t needed, size_t item_bytes)
{
    if (needed <= *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 64;
    while (wanted < needed)
        wanted *= 2;
    void *grown = realloc(*at, wanted * item_bytes);
    if (!grown)
        return false;
    *at = grown;
    *capacity = wanted;
    return true;
}

bp_status bp_text_dictionary_add(bp_text_dictionary *dictionary, const char *text, size_t length,
                                 bp_error *error)
{
    size_t slot = find_slot(dictionary, text, length);
    if (dictionary->slots[slot] != 0)
        return BP_OK;
    void *pool = dictionary->pool, *entries = dictionary->entries;
    bool ok = grow(&pool, &dictionary->pool_capacity, dictionary->pool_length + length, 1);
    dictionary->pool = pool;
    ok = ok &&
         grow(&entries, &dictionary->capacity, dictionary->count + 1, sizeof *dictionary->entries);
    dictionary->entries = entries;
    if (ok && (dictionary->count + 1) * 2 > dictionary->slot_count) {
        ok = grow_slots(dictionary);
        slot = find_slot(dictionary, text, length);
    }
    if (!ok)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a column's texts");
    memcpy(dictionary->pool + dictionary->pool_length, text, length);
    dictionary->entries[dictionary->count] =
        (dictionary_entry){.begin = dictionary->pool_length, .length = length};
    dictionary->pool_length += length;
    dictionary->slots[slot] = (uint32_t)++dictionary->count;
    return BP_OK;
}

size_t bp_text_dictionary_count(const bp_text_dictionary *dictionary)
{
    return dictionary->count;
}

size_t bp_text_dictionary_bytes(const bp_text_dictionary *dictionary)
{
    return dictionary->pool_length;
}

static int compare_entries(const void *a, const void *b, void *context)
{
    const bp_text_dictionary *dictionary = context;
    const dictionary_entry *x = &dictionary->entries[*(const uint32_t *)a];
    const dictionary_entry *y = &dictionary->entries[*(const uint32_t *)b];
    const size_t common = x->length < y->length ? x->length : y->length;
    /* The order of UTF-8 bytes is the order of code points. */
    const int order = memcmp(dictionary->pool + x->begin, dictionary->pool + y->begin, common);
    return order != 0 ? order : (x->length > y->length) - (x->length < y->length);
}

bp_status bp_text_dictionary_sort(bp_text_dictionary *dictionary, char ***out_texts,
                                  bp_error *error)
{
    const size_t count = dictionary->count;
    uint32_t *order = malloc((count + 1) * sizeof *order);
    char **texts = calloc(count + 1, sizeof *texts);
    bool ok = order && texts;
    if (ok) {
        for (size_t i = 0; i < count; i++)
            order[i] = (uint32_t)i;
        qsort_r(order, count, sizeof *order, compare_entries, dictionary);
    }
    for (size_t i = 0; i < count && ok; i++) {
        dictionary_entry *entry = &dictionary->entries[order[i]];
        entry->rank = (uint32_t)i;
        texts[i] = strndup(dictionary->pool + entry->begin, entry->length);
        ok = texts[i] != NULL;
    }
    free(order);
    if (!ok) {
        for (size_t i = 0; texts && i < count; i++)
            free(texts[i]);
        free(texts);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a column's texts");
    }
    *out_texts = texts;
    return BP_OK;
}

uint32_t bp_text_dictionary_rank(const bp_text_dictionary *dictionary, const char *text,
                                 size_t length)
{
    const uint32_t index = dictionary->slots[find_slot(dictionary, text, length)];
    assert(index != 0);
    return dictionary->entries[index - 1].rank;
}
