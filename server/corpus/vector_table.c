#include "server/corpus/vector_table.h"

#include <stdlib.h>
#include <string.h>

#include "schema/language/utf8.h"
#include "server/corpus/vector_reader.h"
#include "server/dataset/datasets_state.h"

static bool is_text(const bp_text *word, const char *text)
{
    return word->length == strlen(text) && memcmp(word->at, text, word->length) == 0;
}

/* -1: more or less than one character, or one that is not in the vocabulary. */
static int32_t find_character(const bp_vocabulary *vocabulary, const bp_text *word)
{
    bp_utf8 utf8 = {0};
    size_t at = 0;
    while (at < word->length &&
           bp_utf8_take(&utf8, (unsigned char)word->at[at++]) == BP_UTF8_INSIDE)
        ;
    return at == word->length && utf8.pending == 0 ? bp_vocabulary_character(vocabulary, utf8.code)
                                                   : -1;
}

/* The entry that a word is, -1: none. What is not in the vocabulary is no vector of the unknown token, unless it is
 * that by name. */
static int32_t find_entry(const bp_vocabulary *vocabulary, const bp_text *word)
{
    if (bp_vocabulary_unit(vocabulary) == BP_UNIT_CHARACTER)
        return find_character(vocabulary, word);
    const int32_t id = bp_vocabulary_word(vocabulary, word->at, word->length);
    return id != bp_vocabulary_unknown(vocabulary) || is_text(word, BP_UNKNOWN_TOKEN) ? id : -1;
}

typedef struct visit {
    const bp_vocabulary *vocabulary;
    bp_vector_reader *reader;
    bool *seen;      /* (entries) */
    double *numbers; /* (dimension) */
    bp_vector_function *take;
    void *context;
    size_t count;
} visit;

static bp_status visit_all(visit *v, bp_error *error)
{
    bp_status status = BP_OK;
    bp_text word;
    bool more = true;
    while (status == BP_OK) {
        status = bp_vector_reader_next(v->reader, &word, &more, error);
        if (status != BP_OK || !more)
            break;
        const int32_t id = find_entry(v->vocabulary, &word);
        if (id < 0 || v->seen[id])
            continue;
        v->seen[id] = true;
        v->count++;
        if (!v->take)
            continue;
        status = bp_vector_reader_numbers(v->reader, v->numbers, error);
        if (status == BP_OK)
            v->take(v->context, id, v->numbers);
    }
    return status;
}

bp_status bp_vectors_visit(size_t *out_count, bp_datasets *datasets, const bp_job_part *vectors,
                           const bp_vocabulary *vocabulary, bp_vector_function *take,
                           void *take_context, bool (*cancelled)(void *context), void *context,
                           bp_error *error)
{
    bp_dataset_info *info = NULL;
    visit v = {.vocabulary = vocabulary, .take = take, .context = take_context};
    bp_status status = bp_datasets_find(&info, datasets, vectors->dataset, vectors->sha256, error);
    if (status == BP_OK && info->kind != BP_DATASET_VECTORS)
        status = bp_error_set(error, BP_CORRUPT, NULL, "the data set \"%s\" has no vectors",
                              vectors->dataset);
    if (status == BP_OK) {
        v.seen = calloc(bp_vocabulary_count(vocabulary), sizeof *v.seen);
        v.numbers = calloc(info->columns[BP_VECTORS_COLUMN].width + 1, sizeof *v.numbers);
        if (!v.seen || !v.numbers)
            status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for vectors");
    }
    if (status == BP_OK)
        status = bp_vector_reader_open(&v.reader, bp_store_directory(datasets->store), info,
                                       take != NULL, cancelled, context, error);
    if (status == BP_OK)
        status = visit_all(&v, error);
    bp_vector_reader_free(v.reader);
    free(v.seen);
    free(v.numbers);
    bp_dataset_info_free(info);
    if (status == BP_OK)
        *out_count = v.count;
    return status;
}
