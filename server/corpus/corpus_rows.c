/* The files are not verified here, so nothing in them is believed: whatever does not fit is corrupt. */
#include "server/corpus/corpus_rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json/stored.h"
#include "server/corpus/vector_reader.h"
#include "server/dataset/column_file.h"

enum { BLOCK_BYTES = 64 * 1024 };

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for rows");
}

static bp_status damaged(const bp_dataset_info *info, bp_error *error)
{
    return bp_error_set(error, BP_CORRUPT, NULL, "a file of the data set \"%s\" is damaged",
                        info->name);
}

static bp_status append_text(json_t *list, const char *text, size_t length,
                             const bp_dataset_info *info, bp_error *error)
{
    json_t *string = json_stringn(text, length);
    if (!string) /* as good as always: not UTF-8 */
        return damaged(info, error);
    return json_array_append_new(list, string) == 0 ? BP_OK : no_memory(error);
}

/* ---- lines of a text ---- */

typedef struct line_source {
    const bp_dataset_info *info;
    bp_column_reader text, lines;
    char *block;     /* (BLOCK_BYTES) */
    uint64_t begin;  /* of the block in the text */
    size_t held, at; /* bytes in the block; of them, taken */
    char *line;      /* (BP_SHOWN_LINE_BYTES) */
    size_t length;
    bool cut;
} line_source;

/* The next bytes, at least one unless the text is at its end. */
static bp_status fill(line_source *source, bp_error *error)
{
    const uint64_t size = source->info->columns[BP_TEXT_COLUMN].row_count;
    if (source->at < source->held)
        return BP_OK;
    source->begin += source->held;
    const uint64_t left = size - source->begin;
    source->held = left < BLOCK_BYTES ? (size_t)left : (size_t)BLOCK_BYTES;
    source->at = 0;
    return bp_column_reader_read(&source->text, source->block, source->begin, source->held, error);
}

/* Goes to the last line of the index that is not after `line`; *out_line is that line. */
static bp_status seek_line(line_source *source, uint64_t line, uint64_t *out_line, bp_error *error)
{
    const bp_column_info *text = &source->info->columns[BP_TEXT_COLUMN];
    uint64_t low = 0, high = source->info->columns[BP_LINES_COLUMN].row_count;
    int64_t pair[2] = {0, 0}, found[2] = {0, 0};
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        bp_status status = bp_column_reader_read(&source->lines, pair, middle, 1, error);
        if (status != BP_OK)
            return status;
        if (pair[0] < 0 || pair[1] < 0 || (uint64_t)pair[1] >= text->row_count)
            return damaged(source->info, error);
        if ((uint64_t)pair[0] <= line) {
            memcpy(found, pair, sizeof found);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    source->begin = (uint64_t)found[1];
    source->held = source->at = 0;
    *out_line = (uint64_t)found[0];
    return BP_OK;
}

/* Passes over the rest of a line: the index makes it less than BP_LINES_STRIDE_BYTES to any line. */
static bp_status skip_line(line_source *source, bp_error *error)
{
    bp_status status;
    while ((status = fill(source, error)) == BP_OK && source->held > 0) {
        const char *from = source->block + source->at;
        const char *end = memchr(from, '\n', source->held - source->at);
        source->at = end ? source->at + (size_t)(end - from) + 1 : source->held;
        if (end)
            break;
    }
    return status;
}

/* Takes the line at hand, or the beginning of it, into source->line. */
static bp_status take_line(line_source *source, bp_error *error)
{
    bp_status status;
    source->length = 0;
    source->cut = false;
    while ((status = fill(source, error)) == BP_OK && source->held > 0) {
        const char *from = source->block + source->at;
        const char *end = memchr(from, '\n', source->held - source->at);
        size_t count = end ? (size_t)(end - from) : source->held - source->at;
        const size_t room = BP_SHOWN_LINE_BYTES - source->length;
        source->cut = count > room;
        count = count < room ? count : room;
        memcpy(source->line + source->length, from, count);
        source->length += count;
        source->at += count + (end && !source->cut);
        if (end || source->cut)
            break;
    }
    /* Not in the middle of a character: continuation bytes go, and then what began it. */
    if (source->cut) {
        while (source->length > 0 && (source->line[source->length - 1] & 0xc0) == 0x80)
            source->length--;
        if (source->length > 0 && (source->line[source->length - 1] & 0x80))
            source->length--;
    }
    return status;
}

static bp_status append_lines(json_t *rows, line_source *source, uint64_t offset, uint64_t count,
                              bp_error *error)
{
    uint64_t line = 0;
    size_t bytes = 0;
    bp_status status = seek_line(source, offset, &line, error);
    for (; status == BP_OK && line < offset; line++)
        status = skip_line(source, error);
    for (uint64_t i = 0; status == BP_OK && i < count && bytes < BP_SHOWN_BYTES; i++) {
        json_t *row = json_array();
        status =
            json_array_append_new(rows, row) == 0 ? take_line(source, error) : no_memory(error);
        if (status == BP_OK)
            status = append_text(row, source->line, source->length, source->info, error);
        bytes += source->length;
        if (source->cut)
            break;
    }
    return status;
}

static bp_status text_rows(json_t *rows, const char *directory, const bp_dataset_info *info,
                           uint64_t offset, uint64_t count, bp_error *error)
{
    line_source source = {.info = info, .text = {.file = -1}, .lines = {.file = -1}};
    source.block = malloc(BLOCK_BYTES);
    source.line = malloc(BP_SHOWN_LINE_BYTES);
    bp_status status = source.block && source.line ? BP_OK : no_memory(error);
    if (status == BP_OK)
        status =
            bp_column_reader_open(&source.text, directory, &info->columns[BP_TEXT_COLUMN], error);
    if (status == BP_OK)
        status =
            bp_column_reader_open(&source.lines, directory, &info->columns[BP_LINES_COLUMN], error);
    if (status == BP_OK)
        status = append_lines(rows, &source, offset, count, error);
    bp_column_reader_close(&source.text);
    bp_column_reader_close(&source.lines);
    free(source.block);
    free(source.line);
    return status;
}

/* ---- sentences ---- */

typedef struct sentence_source {
    const bp_dataset_info *info;
    bp_column_reader files[BP_TAGGED_COLUMN_COUNT];
} sentence_source;

/* One sentence: tokens [first, first + count), which lie in the bytes given. */
static bp_status append_sentence(json_t *rows, const sentence_source *source, const char *bytes,
                                 size_t byte_count, const uint32_t *tags, size_t count,
                                 bp_error *error)
{
    const bp_dataset_info *info = source->info;
    const bp_column_info *tag_info = &info->columns[BP_TAGS_COLUMN];
    json_t *tokens = json_array(), *names = json_array(), *row = json_array();
    bp_status status = BP_OK;
    /* All three are taken in any case. */
    const bool no_tokens = json_array_append_new(row, tokens) != 0;
    if (json_array_append_new(row, names) != 0 || json_array_append_new(rows, row) != 0 ||
        no_tokens)
        return no_memory(error);
    const char *at = bytes, *end = bytes + byte_count;
    for (size_t i = 0; i < count && status == BP_OK; i++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop || tags[i] >= tag_info->category_count)
            return damaged(info, error);
        status = append_text(tokens, at, (size_t)(stop - at), info, error);
        if (status == BP_OK &&
            json_array_append_new(names, json_string(tag_info->categories[tags[i]])) != 0)
            status = no_memory(error);
        at = stop + 1;
    }
    return status == BP_OK && at != end ? damaged(info, error) : status;
}

/* The places of a sentence's tokens and bytes, [first, end) each, out of its pair and the next one's. */
static bool is_place(const bp_dataset_info *info, const int64_t *pair)
{
    return pair[0] >= 0 && pair[1] >= 0 && pair[2] > pair[0] && pair[3] > pair[1] &&
           (uint64_t)pair[2] <= info->columns[BP_TAGS_COLUMN].row_count &&
           (uint64_t)pair[3] <= info->columns[BP_TOKENS_COLUMN].row_count &&
           (uint64_t)(pair[2] - pair[0]) <= info->corpus.longest_sentence;
}

static bp_status read_sentence(json_t *rows, const sentence_source *source, const int64_t *pair,
                               bp_error *error)
{
    const size_t count = (size_t)(pair[2] - pair[0]), byte_count = (size_t)(pair[3] - pair[1]);
    char *bytes = malloc(byte_count);
    uint32_t *tags = malloc(count * sizeof *tags);
    bp_status status = bytes && tags ? BP_OK : no_memory(error);
    if (status == BP_OK)
        status = bp_column_reader_read(&source->files[BP_TOKENS_COLUMN], bytes, (uint64_t)pair[1],
                                       byte_count, error);
    if (status == BP_OK)
        status = bp_column_reader_read(&source->files[BP_TAGS_COLUMN], tags, (uint64_t)pair[0],
                                       count, error);
    if (status == BP_OK)
        status = append_sentence(rows, source, bytes, byte_count, tags, count, error);
    free(bytes);
    free(tags);
    return status;
}

static bp_status append_sentences(json_t *rows, const sentence_source *source, uint64_t offset,
                                  uint64_t count, bp_error *error)
{
    const bp_dataset_info *info = source->info;
    const uint64_t sentence_count = info->columns[BP_SENTENCES_COLUMN].row_count;
    uint64_t bytes = 0;
    bp_status status = BP_OK;
    for (uint64_t i = 0; i < count && status == BP_OK && bytes < BP_SHOWN_BYTES; i++) {
        const bool last = offset + i + 1 == sentence_count;
        int64_t pairs[4] = {0, 0, (int64_t)info->columns[BP_TAGS_COLUMN].row_count,
                            (int64_t)info->columns[BP_TOKENS_COLUMN].row_count};
        status = bp_column_reader_read(&source->files[BP_SENTENCES_COLUMN], pairs, offset + i,
                                       last ? 1 : 2, error);
        if (status == BP_OK && !is_place(info, pairs))
            status = damaged(info, error);
        if (status == BP_OK)
            status = read_sentence(rows, source, pairs, error);
        bytes += (uint64_t)(pairs[3] - pairs[1]) + 16 * (uint64_t)(pairs[2] - pairs[0]);
    }
    return status;
}

static bp_status tagged_rows(json_t *rows, const char *directory, const bp_dataset_info *info,
                             uint64_t offset, uint64_t count, bp_error *error)
{
    sentence_source source = {.info = info};
    bp_status status = BP_OK;
    for (size_t i = 0; i < BP_TAGGED_COLUMN_COUNT; i++)
        source.files[i].file = -1;
    for (size_t i = 0; i < BP_TAGGED_COLUMN_COUNT && status == BP_OK; i++)
        status = bp_column_reader_open(&source.files[i], directory, &info->columns[i], error);
    if (status == BP_OK)
        status = append_sentences(rows, &source, offset, count, error);
    for (size_t i = 0; i < BP_TAGGED_COLUMN_COUNT; i++)
        bp_column_reader_close(&source.files[i]);
    return status;
}

/* ---- vectors ---- */

static bp_status append_vector(json_t *rows, bp_vector_reader *reader, const bp_text *word,
                               double *numbers, const bp_dataset_info *info, bp_error *error)
{
    json_t *row = json_array();
    bp_status status = row ? bp_vector_reader_numbers(reader, numbers, error) : no_memory(error);
    if (status == BP_OK)
        status = append_text(row, word->at, word->length, info, error);
    if (status == BP_OK &&
        json_array_append_new(
            row, bp_numbers_json(numbers, info->columns[BP_VECTORS_COLUMN].width)) != 0)
        status = no_memory(error);
    if (status == BP_OK && json_array_append(rows, row) != 0)
        status = no_memory(error);
    json_decref(row);
    return status;
}

static bp_status vector_rows(json_t *rows, const char *directory, const bp_dataset_info *info,
                             uint64_t offset, uint64_t count, bp_error *error)
{
    const size_t dimension = info->columns[BP_VECTORS_COLUMN].width;
    const size_t row_bytes = 20 * dimension + 16; /* of text, about */
    bp_vector_reader *reader = NULL;
    double *numbers = calloc(dimension + 1, sizeof *numbers);
    bp_text word;
    bool more = true;
    bp_status status = numbers ? BP_OK : no_memory(error);
    if (status == BP_OK)
        status = bp_vector_reader_open(&reader, directory, info, false, NULL, NULL, error);
    if (status == BP_OK)
        status = bp_vector_reader_seek(reader, offset, error);
    for (uint64_t i = 0; status == BP_OK && i < count && i * row_bytes < BP_SHOWN_BYTES; i++) {
        status = bp_vector_reader_next(reader, &word, &more, error);
        if (status == BP_OK && !more)
            status = damaged(info, error);
        if (status == BP_OK)
            status = append_vector(rows, reader, &word, numbers, info, error);
    }
    bp_vector_reader_free(reader);
    free(numbers);
    return status;
}

/* By kind; a table has none. */
static const struct {
    bp_status (*rows)(json_t *rows, const char *directory, const bp_dataset_info *info,
                      uint64_t offset, uint64_t count, bp_error *error);
    const char *columns[2]; /* the second may be NULL */
} corpus_kinds[] = {[BP_DATASET_TEXT] = {text_rows, {"text", NULL}},
                    [BP_DATASET_TAGGED] = {tagged_rows, {"token", "tag"}},
                    [BP_DATASET_VECTORS] = {vector_rows, {"word", "vector"}}};

bp_status bp_corpus_rows_json(json_t **out, const char *directory, const bp_dataset_info *info,
                              uint64_t offset, size_t limit, bp_error *error)
{
    assert(info->kind != BP_DATASET_TABLE);
    const uint64_t left = offset < info->row_count ? info->row_count - offset : 0;
    const uint64_t count = left < limit ? left : limit;
    json_t *rows = json_array();
    bp_status status = rows ? BP_OK : no_memory(error);
    if (status == BP_OK && count > 0)
        status = corpus_kinds[info->kind].rows(rows, directory, info, offset, count, error);
    json_t *document = NULL;
    const char *const *columns = corpus_kinds[info->kind].columns;
    if (status == BP_OK)
        document = json_pack("{s:[s, s*], s:O}", "columns", columns[0], columns[1], "rows", rows);
    if (status == BP_OK && !document)
        status = no_memory(error);
    json_decref(rows);
    if (status == BP_OK)
        *out = document;
    return status;
}
