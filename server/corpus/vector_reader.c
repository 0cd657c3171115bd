#include "server/corpus/vector_reader.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema/language/word_splitter.h"

enum { BYTES = 64 * 1024 };

struct bp_vector_reader {
    const bp_dataset_info *info;
    bool (*cancelled)(void *context);
    void *context;
    bp_column_reader files[BP_VECTORS_COLUMN_COUNT];
    uint64_t word;       /* the next one's number */
    uint64_t bytes_read; /* of the words' file */
    size_t held, at;
    char bytes[BYTES];
};

static bp_status damaged(const bp_vector_reader *reader, bp_error *error)
{
    return bp_error_set(error, BP_CORRUPT, NULL, "the files of the data set \"%s\" do not agree",
                        reader->info->name);
}

bp_status bp_vector_reader_open(bp_vector_reader **out, const char *directory,
                                const bp_dataset_info *info, bool verify,
                                bool (*cancelled)(void *context), void *context, bp_error *error)
{
    assert(info->kind == BP_DATASET_VECTORS && info->column_count == BP_VECTORS_COLUMN_COUNT);
    bp_vector_reader *reader = malloc(sizeof *reader);
    if (!reader)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for reading vectors");
    memset(reader, 0, offsetof(bp_vector_reader, bytes));
    reader->info = info;
    reader->cancelled = cancelled;
    reader->context = context;
    bp_status status = BP_OK;
    for (size_t i = 0; i < BP_VECTORS_COLUMN_COUNT; i++)
        reader->files[i].file = -1;
    for (size_t i = 0; i < BP_VECTORS_COLUMN_COUNT && status == BP_OK; i++) {
        status = bp_column_reader_open(&reader->files[i], directory, &info->columns[i], error);
        if (status == BP_OK && verify)
            status = bp_column_reader_verify(&reader->files[i], cancelled, context, error);
    }
    if (status != BP_OK) {
        bp_vector_reader_free(reader);
        return status;
    }
    *out = reader;
    return BP_OK;
}

void bp_vector_reader_free(bp_vector_reader *reader)
{
    if (!reader)
        return;
    for (size_t i = 0; i < BP_VECTORS_COLUMN_COUNT; i++)
        bp_column_reader_close(&reader->files[i]);
    free(reader);
}

bp_status bp_vector_reader_seek(bp_vector_reader *reader, uint64_t word, bp_error *error)
{
    const uint64_t place = word / BP_PLACES_STRIDE;
    const bp_column_info *columns = reader->info->columns;
    int64_t pair[2];
    assert(word < columns[BP_VECTORS_COLUMN].row_count);
    if (place >= columns[BP_PLACES_COLUMN].row_count)
        return damaged(reader, error);
    bp_status status =
        bp_column_reader_read(&reader->files[BP_PLACES_COLUMN], pair, place, 1, error);
    if (status != BP_OK)
        return status;
    if (pair[0] != (int64_t)(place * BP_PLACES_STRIDE) || pair[1] < 0 ||
        (uint64_t)pair[1] >= columns[BP_WORDS_COLUMN].row_count)
        return damaged(reader, error);
    reader->word = (uint64_t)pair[0];
    reader->bytes_read = (uint64_t)pair[1];
    reader->held = reader->at = 0;
    bool more = true;
    bp_text text;
    while (status == BP_OK && more && reader->word < word)
        status = bp_vector_reader_next(reader, &text, &more, error);
    return status;
}

/* Moves what is left to the front and reads on. */
static bp_status fill(bp_vector_reader *reader, bp_error *error)
{
    const uint64_t left = reader->info->columns[BP_WORDS_COLUMN].row_count - reader->bytes_read;
    const size_t kept = reader->held - reader->at;
    const size_t count = left < BYTES - kept ? (size_t)left : BYTES - kept;
    if (reader->cancelled && reader->cancelled(reader->context))
        return bp_error_set(error, BP_CANCELLED, NULL, "cancelled");
    memmove(reader->bytes, reader->bytes + reader->at, kept);
    reader->at = 0;
    reader->held = kept + count;
    const uint64_t from = reader->bytes_read;
    reader->bytes_read += count;
    return bp_column_reader_read(&reader->files[BP_WORDS_COLUMN], reader->bytes + kept, from, count,
                                 error);
}

bp_status bp_vector_reader_next(bp_vector_reader *reader, bp_text *out, bool *out_more,
                                bp_error *error)
{
    *out_more = reader->word < reader->info->columns[BP_VECTORS_COLUMN].row_count;
    if (!*out_more)
        return BP_OK;
    const char *end = memchr(reader->bytes + reader->at, '\n', reader->held - reader->at);
    if (!end) {
        const bp_status status = fill(reader, error);
        if (status != BP_OK)
            return status;
        end = memchr(reader->bytes, '\n', reader->held);
    }
    const char *from = reader->bytes + reader->at;
    if (!end || end == from || end - from > BP_WORD_LIMIT)
        return damaged(reader, error);
    *out = (bp_text){from, (size_t)(end - from)};
    reader->at += (size_t)(end - from) + 1;
    reader->word++;
    return BP_OK;
}

bp_status bp_vector_reader_numbers(bp_vector_reader *reader, double *out, bp_error *error)
{
    const size_t dimension = reader->info->columns[BP_VECTORS_COLUMN].width;
    assert(reader->word > 0);
    const bp_status status =
        bp_column_reader_read(&reader->files[BP_VECTORS_COLUMN], out, reader->word - 1, 1, error);
    if (status != BP_OK)
        return status;
    for (size_t i = 0; i < dimension; i++)
        if (!isfinite(out[i]))
            return damaged(reader, error);
    return BP_OK;
}
