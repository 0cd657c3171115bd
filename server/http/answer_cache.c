#include "server/http/answer_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Pollers of a job differ by at most some ten groups of points a second; at most 8 MiB in all. */
enum { SLOT_COUNT = 32, TEXT_BYTES = 256 << 10 };

struct bp_shared_text {
    atomic_uint references;
    size_t size;
    char *bytes;
};

typedef struct slot {
    bp_page_key key;
    bp_shared_text *text; /* NULL: free */
    uint64_t used;        /* when, as a count */
} slot;

struct bp_answer_cache {
    pthread_mutex_t mutex; /* guards all below */
    uint64_t uses;
    slot slots[SLOT_COUNT];
};

bp_shared_text *bp_shared_text_create(char *bytes, size_t size)
{
    bp_shared_text *text = malloc(sizeof *text);
    if (!text) {
        free(bytes);
        return NULL;
    }
    atomic_init(&text->references, 1);
    text->size = size;
    text->bytes = bytes;
    return text;
}

const char *bp_shared_text_bytes(const bp_shared_text *text, size_t *out_size)
{
    *out_size = text->size;
    return text->bytes;
}

void bp_shared_text_release(void *pointer)
{
    bp_shared_text *text = pointer;
    if (!text || atomic_fetch_sub(&text->references, 1) != 1)
        return;
    free(text->bytes);
    free(text);
}

bp_status bp_answer_cache_create(bp_answer_cache **out, bp_error *error)
{
    bp_answer_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for answers");
    pthread_mutex_init(&cache->mutex, NULL);
    *out = cache;
    return BP_OK;
}

void bp_answer_cache_free(bp_answer_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < SLOT_COUNT; i++)
        bp_shared_text_release(cache->slots[i].text);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

bp_shared_text *bp_answer_cache_find(bp_answer_cache *cache, const bp_page_key *key)
{
    bp_shared_text *found = NULL;
    pthread_mutex_lock(&cache->mutex);
    for (size_t i = 0; i < SLOT_COUNT && !found; i++) {
        slot *at = &cache->slots[i];
        if (!at->text || memcmp(&at->key, key, sizeof *key) != 0)
            continue;
        found = at->text;
        atomic_fetch_add(&found->references, 1);
        at->used = ++cache->uses;
    }
    pthread_mutex_unlock(&cache->mutex);
    return found;
}

void bp_answer_cache_add(bp_answer_cache *cache, const bp_page_key *key, bp_shared_text *text)
{
    if (text->size > TEXT_BYTES)
        return;
    atomic_fetch_add(&text->references, 1);
    pthread_mutex_lock(&cache->mutex);
    slot *oldest = &cache->slots[0];
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        slot *at = &cache->slots[i];
        /* Two threads may have made the same one. */
        if (at->text && memcmp(&at->key, key, sizeof *key) == 0) {
            oldest = at;
            break;
        }
        if (at->used < oldest->used)
            oldest = at;
    }
    bp_shared_text *old = oldest->text;
    *oldest = (slot){.key = *key, .text = text, .used = ++cache->uses};
    pthread_mutex_unlock(&cache->mutex);
    bp_shared_text_release(old);
}
