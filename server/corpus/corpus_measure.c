#include "server/corpus/corpus_measure.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/job/job_rows.h"
#include "server/corpus/corpus_loader.h"
#include "server/corpus/vector_table.h"
#include "server/dataset/datasets_state.h"

enum { ENTRY_COUNT = 16, CACHE_BYTES = 64 * 1024 * 1024 };

/* What the answer depends on. Compared as bytes: made from zeros. */
typedef struct corpus_key {
    char sha256[BP_SHA256_TEXT_SIZE];
    bp_vocabulary_rule rule;
    double fraction[BP_CORPUS_PART_COUNT];    /* shares of the training set; 0: none */
    uint64_t seed;                            /* of sentences that are drawn; else 0 */
    char vectors_sha256[BP_SHA256_TEXT_SIZE]; /* of the embedding's; empty: there are none */
    /* Of characters, which all parts must have: parts of their own, and whose vocabulary it is. */
    char part_sha256[2][BP_SHA256_TEXT_SIZE];
    char source[192];
} corpus_key;

typedef struct cache_entry {
    corpus_key key;
    uint64_t used; /* when last; 0: the entry is empty */
    bp_vocabulary *vocabulary;
    bp_corpus_counts counts;
    uint64_t vector_words;
} cache_entry;

struct bp_corpus_cache {
    pthread_mutex_t mutex;
    uint64_t clock;
    cache_entry entries[ENTRY_COUNT];
};

bp_corpus_cache *bp_corpus_cache_create(void)
{
    bp_corpus_cache *cache = calloc(1, sizeof *cache);
    if (cache)
        pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

static void drop(cache_entry *entry)
{
    bp_vocabulary_free(entry->vocabulary);
    memset(entry, 0, sizeof *entry);
}

void bp_corpus_cache_free(bp_corpus_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        drop(&cache->entries[i]);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

static bool is_tagging(const bp_job_spec *spec)
{
    return spec->task == BP_TASK_TAGGING;
}

bp_corpus_request bp_corpus_request_of(const bp_job_spec *spec)
{
    bp_corpus_request request = {.rule = spec->corpus.rule,
                                 .seed = spec->training.seed,
                                 .width = spec->corpus.window_width,
                                 .memory_bytes = BP_CORPUS_MEMORY_BYTES};
    const bp_job_part *const parts[] = {
        [BP_CORPUS_VALIDATION] = &spec->validation, [BP_CORPUS_TEST] = &spec->test};
    request.dataset[BP_CORPUS_TRAINING] = spec->dataset;
    request.sha256[BP_CORPUS_TRAINING] = spec->dataset_sha256;
    for (size_t i = BP_CORPUS_VALIDATION; i < BP_CORPUS_PART_COUNT; i++) {
        request.dataset[i] = parts[i]->dataset;
        request.sha256[i] = parts[i]->dataset ? parts[i]->sha256 : NULL;
        request.fraction[i] = parts[i]->dataset ? 0 : parts[i]->fraction;
    }
    return request;
}

static bool takes_shares(const bp_corpus_request *request)
{
    return request->fraction[BP_CORPUS_VALIDATION] > 0 || request->fraction[BP_CORPUS_TEST] > 0;
}

static void key_of(corpus_key *out, const bp_job_spec *spec, const bp_corpus_request *request)
{
    memset(out, 0, sizeof *out);
    memcpy(out->sha256, spec->dataset_sha256, sizeof out->sha256);
    out->rule.unit = request->rule.unit;
    out->rule.lowercase = request->rule.lowercase;
    out->rule.padded = request->rule.padded;
    out->rule.min_count = request->rule.min_count;
    out->rule.max_count = request->rule.max_count;
    memcpy(out->fraction, request->fraction, sizeof out->fraction);
    out->seed = is_tagging(spec) && takes_shares(request) ? request->seed : 0;
    if (spec->vectors.dataset)
        memcpy(out->vectors_sha256, spec->vectors.sha256, sizeof out->vectors_sha256);
    if (request->rule.unit != BP_UNIT_CHARACTER)
        return;
    if (spec->validation.dataset)
        memcpy(out->part_sha256[0], spec->validation.sha256, sizeof out->part_sha256[0]);
    if (spec->test.dataset)
        memcpy(out->part_sha256[1], spec->test.sha256, sizeof out->part_sha256[1]);
    snprintf(out->source, sizeof out->source, "%s %llu %lld %llu",
             spec->initial_model ? spec->initial_model : "",
             (unsigned long long)spec->initial_version, (long long)spec->initial_job,
             (unsigned long long)spec->initial_checkpoint);
}

/* Keys are zeroed before they are filled and copied as bytes, so that their gaps are equal too. */
static bool is_same(const corpus_key *a, const corpus_key *b)
{
    const unsigned char *bytes_of_a = (const unsigned char *)a;
    return memcmp(bytes_of_a, (const unsigned char *)b, sizeof *a) == 0;
}

/* Under the mutex. NULL: there is none. */
static cache_entry *find(bp_corpus_cache *cache, const corpus_key *key)
{
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        if (cache->entries[i].used && is_same(&cache->entries[i].key, key)) {
            cache->entries[i].used = ++cache->clock;
            return &cache->entries[i];
        }
    return NULL;
}

static cache_entry *oldest(bp_corpus_cache *cache)
{
    cache_entry *entry = &cache->entries[0];
    for (size_t i = 1; i < ENTRY_COUNT; i++)
        if (cache->entries[i].used < entry->used)
            entry = &cache->entries[i];
    return entry;
}

static size_t cached_bytes(const bp_corpus_cache *cache)
{
    size_t bytes = 0;
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        if (cache->entries[i].vocabulary)
            bytes += bp_vocabulary_bytes(cache->entries[i].vocabulary);
    return bytes;
}

/* Lets go of what was not used for longest until so many bytes more are within the limit; of everything for
 * one that is larger, which must be found all the same by whoever asks next. */
static void make_room(bp_corpus_cache *cache, size_t bytes)
{
    while (cached_bytes(cache) > 0 && cached_bytes(cache) + bytes > CACHE_BYTES) {
        cache_entry *least = NULL;
        for (size_t i = 0; i < ENTRY_COUNT; i++)
            if (cache->entries[i].used && (!least || cache->entries[i].used < least->used))
                least = &cache->entries[i];
        drop(least);
    }
}

static void keep(bp_corpus_cache *cache, const corpus_key *key, bp_vocabulary *vocabulary,
                 const bp_corpus_counts *counts, uint64_t vector_words)
{
    pthread_mutex_lock(&cache->mutex);
    if (!find(cache, key)) {
        make_room(cache, bp_vocabulary_bytes(vocabulary));
        cache_entry *entry = oldest(cache);
        drop(entry);
        memcpy(&entry->key, key, sizeof *key);
        entry->used = ++cache->clock;
        entry->vocabulary = bp_vocabulary_share(vocabulary);
        entry->counts = *counts;
        entry->vector_words = vector_words;
    }
    pthread_mutex_unlock(&cache->mutex);
}

static void answer(bp_corpus_measure *out, bp_vocabulary *vocabulary,
                   const bp_corpus_counts *counts, uint64_t vector_words)
{
    *out = (bp_corpus_measure){.vocabulary = bp_vocabulary_share(vocabulary),
                               .training_rows = counts->rows[BP_CORPUS_TRAINING],
                               .validation_rows = counts->rows[BP_CORPUS_VALIDATION],
                               .test_rows = counts->rows[BP_CORPUS_TEST],
                               .training_entities = counts->entities[BP_CORPUS_TRAINING],
                               .validation_entities = counts->entities[BP_CORPUS_VALIDATION],
                               .test_entities = counts->entities[BP_CORPUS_TEST],
                               .vector_words = vector_words};
}

bool bp_corpus_recall(bp_corpus_measure *out, bp_datasets *datasets, const bp_job_spec *spec,
                      bp_vocabulary *vocabulary)
{
    const bp_corpus_request request = bp_corpus_request_of(spec);
    bp_corpus_cache *cache = datasets->corpora;
    corpus_key key;
    if (vocabulary && request.rule.unit == BP_UNIT_WORD && !is_tagging(spec)) {
        answer(out, vocabulary, &(bp_corpus_counts){.rows = {0}}, 0);
        return true;
    }
    key_of(&key, spec, &request);
    pthread_mutex_lock(&cache->mutex);
    const cache_entry *entry = find(cache, &key);
    if (entry)
        answer(out, vocabulary ? vocabulary : entry->vocabulary, &entry->counts,
               entry->vector_words);
    pthread_mutex_unlock(&cache->mutex);
    return entry != NULL;
}

bp_status bp_corpus_read(bp_corpus_measure *out, bp_datasets *datasets, const bp_job_spec *spec,
                         bp_vocabulary *vocabulary, bool (*cancelled)(void *context), void *context,
                         bp_error *error)
{
    const bp_corpus_request request = bp_corpus_request_of(spec);
    bp_vocabulary *made = NULL;
    bp_corpus_counts counts = {.rows = {0}};
    size_t vector_words = 0;
    corpus_key key;
    bp_status status = bp_corpus_vocabulary(&made, datasets, &request, cancelled, context, error);
    if (status == BP_OK && is_tagging(spec))
        status = bp_corpus_count(&counts, datasets, &request, cancelled, context, error);
    if (status == BP_OK && request.rule.unit == BP_UNIT_CHARACTER &&
        (vocabulary || spec->corpus.validation_count > 0 || spec->corpus.test_count > 0))
        status = bp_corpus_check_characters(datasets, &request, vocabulary ? vocabulary : made,
                                            cancelled, context, error);
    if (status == BP_OK && spec->vectors.dataset)
        status = bp_vectors_visit(&vector_words, datasets, &spec->vectors, made, NULL, NULL,
                                  cancelled, context, error);
    if (status == BP_OK) {
        key_of(&key, spec, &request);
        keep(datasets->corpora, &key, made, &counts, vector_words);
        answer(out, vocabulary ? vocabulary : made, &counts, vector_words);
    }
    bp_vocabulary_free(made);
    return status;
}
