#include "server/corpus/tagged_reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schema/language/word_splitter.h"

enum { BYTES = 64 * 1024, TAGS = 16 * 1024, SENTENCES = 4096 };

struct bp_tagged_reader {
    const bp_dataset_info *info;
    bool (*cancelled)(void *context);
    void *context;
    bp_column_reader files[BP_TAGGED_COLUMN_COUNT];

    uint64_t token;    /* the next one's number */
    uint64_t sentence; /* the next one's number */

    uint64_t bytes_read; /* of the tokens' file */
    size_t bytes_held, bytes_at;
    uint64_t tags_read;
    size_t tags_held, tags_at;
    uint64_t sentences_read;
    size_t sentences_held, sentences_at;
    char bytes[BYTES];
    uint32_t tags[TAGS];
    int64_t sentences[2 * SENTENCES];
};

static bp_status damaged(const bp_tagged_reader *reader, bp_error *error)
{
    return bp_error_set(error, BP_CORRUPT, NULL, "the files of the data set \"%s\" do not agree",
                        reader->info->name);
}

bp_status bp_tagged_reader_open(bp_tagged_reader **out, const char *directory,
                                const bp_dataset_info *info, bool (*cancelled)(void *context),
                                void *context, bp_error *error)
{
    assert(info->kind == BP_DATASET_TAGGED && info->column_count == BP_TAGGED_COLUMN_COUNT);
    bp_tagged_reader *reader = malloc(sizeof *reader);
    if (!reader)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for reading sentences");
    reader->info = info;
    reader->cancelled = cancelled;
    reader->context = context;
    bp_status status = BP_OK;
    for (size_t i = 0; i < BP_TAGGED_COLUMN_COUNT; i++)
        reader->files[i].file = -1;
    for (size_t i = 0; i < BP_TAGGED_COLUMN_COUNT && status == BP_OK; i++) {
        status = bp_column_reader_open(&reader->files[i], directory, &info->columns[i], error);
        if (status == BP_OK)
            status = bp_column_reader_verify(&reader->files[i], cancelled, context, error);
    }
    if (status != BP_OK) {
        bp_tagged_reader_free(reader);
        return status;
    }
    bp_tagged_reader_rewind(reader);
    *out = reader;
    return BP_OK;
}

void bp_tagged_reader_free(bp_tagged_reader *reader)
{
    if (!reader)
        return;
    for (size_t i = 0; i < BP_TAGGED_COLUMN_COUNT; i++)
        bp_column_reader_close(&reader->files[i]);
    free(reader);
}

void bp_tagged_reader_rewind(bp_tagged_reader *reader)
{
    reader->token = reader->sentence = 0;
    reader->bytes_read = reader->tags_read = reader->sentences_read = 0;
    reader->bytes_held = reader->bytes_at = 0;
    reader->tags_held = reader->tags_at = 0;
    reader->sentences_held = reader->sentences_at = 0;
}

/* Rows of a column from *read on, as many as are there up to `most`, into out. */
static bp_status fill(bp_tagged_reader *reader, size_t column, void *out, uint64_t *read,
                      size_t *held, size_t most, bp_error *error)
{
    const uint64_t left = reader->info->columns[column].row_count - *read;
    const size_t count = left < most ? (size_t)left : most;
    bp_status status = bp_column_reader_read(&reader->files[column], out, *read, count, error);
    *read += count;
    *held += count;
    return status;
}

/* The next token's text, which ends with a line end in the bytes. */
static bp_status take_text(bp_tagged_reader *reader, bp_text *out, bp_error *error)
{
    const char *from = reader->bytes + reader->bytes_at;
    size_t left = reader->bytes_held - reader->bytes_at;
    const char *end = memchr(from, '\n', left);
    if (!end) {
        memmove(reader->bytes, from, left);
        reader->bytes_at = 0;
        reader->bytes_held = left;
        bp_status status = fill(reader, BP_TOKENS_COLUMN, reader->bytes + left, &reader->bytes_read,
                                &reader->bytes_held, BYTES - left, error);
        if (status != BP_OK)
            return status;
        from = reader->bytes;
        end = memchr(from, '\n', reader->bytes_held);
    }
    if (!end || end == from || end - from > BP_WORD_LIMIT)
        return damaged(reader, error);
    *out = (bp_text){from, (size_t)(end - from)};
    reader->bytes_at += (size_t)(end - from) + 1;
    return BP_OK;
}

static bp_status take_tag(bp_tagged_reader *reader, uint32_t *out, bp_error *error)
{
    if (reader->tags_at == reader->tags_held) {
        reader->tags_at = reader->tags_held = 0;
        if (reader->cancelled && reader->cancelled(reader->context))
            return bp_error_set(error, BP_CANCELLED, NULL, "cancelled");
        bp_status status = fill(reader, BP_TAGS_COLUMN, reader->tags, &reader->tags_read,
                                &reader->tags_held, TAGS, error);
        if (status != BP_OK)
            return status;
    }
    *out = reader->tags[reader->tags_at++];
    return *out < reader->info->columns[BP_TAGS_COLUMN].category_count ? BP_OK
                                                                       : damaged(reader, error);
}

/* Whether a sentence begins with the next token. */
static bp_status begins_sentence(bp_tagged_reader *reader, bool *out, bp_error *error)
{
    *out = false;
    if (reader->sentences_at == reader->sentences_held) {
        reader->sentences_at = reader->sentences_held = 0;
        bp_status status = fill(reader, BP_SENTENCES_COLUMN, reader->sentences,
                                &reader->sentences_read, &reader->sentences_held, SENTENCES, error);
        if (status != BP_OK || reader->sentences_held == 0)
            return status;
    }
    *out = reader->sentences[2 * reader->sentences_at] == (int64_t)reader->token;
    reader->sentences_at += *out;
    reader->sentence += *out;
    return BP_OK;
}

bp_status bp_tagged_reader_next(bp_tagged_reader *reader, bp_tagged_token *out, bool *out_more,
                                bp_error *error)
{
    *out_more = reader->token < reader->info->columns[BP_TAGS_COLUMN].row_count;
    if (!*out_more)
        return reader->sentence == reader->info->corpus.sentence_count ? BP_OK
                                                                       : damaged(reader, error);
    bp_tagged_token token = {.sentence = 0};
    bp_status status = take_text(reader, &token.text, error);
    if (status == BP_OK)
        status = take_tag(reader, &token.tag, error);
    if (status == BP_OK)
        status = begins_sentence(reader, &token.first, error);
    if (status == BP_OK && reader->sentence == 0)
        status = damaged(reader, error);
    if (status != BP_OK)
        return status;
    token.sentence = reader->sentence - 1;
    reader->token++;
    *out = token;
    return BP_OK;
}
