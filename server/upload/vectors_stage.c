#include "server/upload/vectors_stage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/language/word_splitter.h"
#include "server/upload/number_text.h"
#include "server/upload/spooled_column.h"

struct bp_vectors_stage {
    const char *directory;
    bp_corpus_info corpus;
    bp_spool_file *words, *vectors, *places;
    uint64_t line;      /* 1-based: the one in text */
    size_t dimension;   /* 0: not known yet */
    bool is_announced;  /* the first line says how many … */
    uint64_t announced; /* … words there are */
    double minimum, maximum, sum;
    bp_utf8 utf8;
    bp_spooled_column column; /* under conversion */
    double *numbers;          /* (BP_VECTOR_LIMIT) of a line */
    size_t length;
    char *text; /* (BP_VECTOR_LINE_LIMIT) */
};

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for vectors");
}

bp_status bp_vectors_stage_create(bp_vectors_stage **out, const char *directory, bp_error *error)
{
    bp_vectors_stage *stage = calloc(1, sizeof *stage);
    if (!stage)
        return no_memory(error);
    stage->directory = directory;
    stage->line = 1;
    stage->minimum = INFINITY;
    stage->maximum = -INFINITY;
    stage->numbers = calloc(BP_VECTOR_LIMIT, sizeof *stage->numbers);
    stage->text = malloc(BP_VECTOR_LINE_LIMIT);
    bp_spool_file **const spools[] = {&stage->words, &stage->vectors, &stage->places};
    bp_status status = stage->numbers && stage->text ? BP_OK : no_memory(error);
    for (size_t i = 0; i < sizeof spools / sizeof *spools && status == BP_OK; i++)
        status = bp_spool_file_create(spools[i], directory, error);
    if (status != BP_OK) {
        bp_vectors_stage_free(stage);
        return status;
    }
    *out = stage;
    return BP_OK;
}

void bp_vectors_stage_free(bp_vectors_stage *stage)
{
    if (!stage)
        return;
    bp_spooled_column_done(&stage->column);
    bp_spool_file_free(stage->words);
    bp_spool_file_free(stage->vectors);
    bp_spool_file_free(stage->places);
    free(stage->numbers);
    free(stage->text);
    free(stage);
}

/* column 0: the whole line. */
static bp_status fail(const bp_vectors_stage *stage, size_t column, bp_status status,
                      const char *message, bp_error *error)
{
    char where[64];
    if (column > 0)
        snprintf(where, sizeof where, "line %llu, column %zu", (unsigned long long)stage->line,
                 column);
    else
        snprintf(where, sizeof where, "line %llu", (unsigned long long)stage->line);
    return bp_error_set(error, status, where, "%s", message);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

/* The next of a line's columns; false: there is none. */
static bool next_column(bp_text *out, const char **at, const char *end)
{
    while (*at < end && is_blank(**at))
        ++*at;
    const char *from = *at;
    while (*at < end && !is_blank(**at))
        ++*at;
    *out = (bp_text){from, (size_t)(*at - from)};
    return *at > from;
}

static bool read_whole(uint64_t *out, const bp_text *text)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text->length; i++)
        if (text->at[i] < '0' || text->at[i] > '9' || i >= 15)
            return false;
        else
            value = 10 * value + (uint64_t)(text->at[i] - '0');
    *out = value;
    return text->length > 0;
}

/* Whether the first line says what is to come, rather than being a vector of one number. */
static bool take_announcement(bp_vectors_stage *stage, const char *at, const char *end)
{
    bp_text columns[2], rest;
    uint64_t words, dimension;
    if (!next_column(&columns[0], &at, end) || !next_column(&columns[1], &at, end) ||
        next_column(&rest, &at, end) || !read_whole(&words, &columns[0]) ||
        !read_whole(&dimension, &columns[1]) || dimension == 0 || dimension > BP_VECTOR_LIMIT)
        return false;
    stage->is_announced = true;
    stage->announced = words;
    stage->dimension = (size_t)dimension;
    return true;
}

/* How many numbers there are must be the same on all lines; the first one says it. */
static bp_status check_count(bp_vectors_stage *stage, size_t count, bp_error *error)
{
    char message[128];
    if (count == 0)
        return fail(stage, 0, BP_INVALID, "a word without numbers", error);
    if (stage->dimension == 0)
        stage->dimension = count;
    if (count == stage->dimension)
        return BP_OK;
    snprintf(message, sizeof message, "%zu numbers, where %s %zu", count,
             stage->is_announced ? "the first line announces" : "the first vector has",
             stage->dimension);
    return fail(stage, 0, BP_INVALID, message, error);
}

static void note_numbers(bp_vectors_stage *stage)
{
    for (size_t i = 0; i < stage->dimension; i++) {
        const double number = stage->numbers[i];
        stage->minimum = number < stage->minimum ? number : stage->minimum;
        stage->maximum = number > stage->maximum ? number : stage->maximum;
        stage->sum += number;
    }
}

static bp_status keep(bp_vectors_stage *stage, const bp_text *word, bp_error *error)
{
    bp_corpus_info *corpus = &stage->corpus;
    bp_status status = BP_OK;
    if (corpus->word_count % BP_PLACES_STRIDE == 0) {
        const int64_t pair[2] = {(int64_t)corpus->word_count,
                                 (int64_t)bp_spool_file_size(stage->words)};
        status = bp_spool_file_add(stage->places, pair, sizeof pair, error);
    }
    if (status == BP_OK)
        status = bp_spool_file_add(stage->words, word->at, word->length, error);
    if (status == BP_OK)
        status = bp_spool_file_add(stage->words, "\n", 1, error);
    if (status == BP_OK)
        status = bp_spool_file_add(stage->vectors, stage->numbers,
                                   stage->dimension * sizeof *stage->numbers, error);
    note_numbers(stage);
    corpus->word_count++;
    return status;
}

static bp_status end_line(bp_vectors_stage *stage, bp_error *error)
{
    const char *at = stage->text, *end = at + stage->length;
    bp_text word, column;
    size_t count = 0;
    if (stage->line == 1 && stage->length >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    if (stage->line == 1 && take_announcement(stage, at, end))
        return BP_OK;
    if (!next_column(&word, &at, end))
        return BP_OK;
    if (word.length > BP_WORD_LIMIT)
        return fail(stage, 1, BP_TOO_LARGE, "the word is longer than 4096 bytes", error);
    while (next_column(&column, &at, end)) {
        if (count == BP_VECTOR_LIMIT)
            return fail(stage, 0, BP_TOO_LARGE, "more than 16384 numbers", error);
        if (!bp_number_parse(&stage->numbers[count], column.at, column.length))
            return fail(stage, count + 2, BP_INVALID,
                        "no finite decimal number; a line is a word and its numbers", error);
        count++;
    }
    const bp_status status = check_count(stage, count, error);
    return status == BP_OK ? keep(stage, &word, error) : status;
}

bp_status bp_vectors_stage_feed(bp_vectors_stage *stage, const void *bytes, size_t count,
                                bp_error *error)
{
    const unsigned char *text = bytes;
    bp_status status = BP_OK;
    for (size_t i = 0; i < count && status == BP_OK; i++) {
        if (text[i] == 0)
            return fail(stage, 0, BP_INVALID, "a NUL byte: the file is not text", error);
        if (bp_utf8_take(&stage->utf8, text[i]) == BP_UTF8_BAD)
            return fail(stage, 0, BP_INVALID, "the text is not UTF-8", error);
        if (text[i] == '\n') {
            status = end_line(stage, error);
            stage->line++;
            stage->length = 0;
        } else if (stage->length == BP_VECTOR_LINE_LIMIT) {
            return fail(stage, 0, BP_TOO_LARGE, "the line is longer than 1 MiB", error);
        } else {
            stage->text[stage->length++] = (char)text[i];
        }
    }
    return status;
}

bp_status bp_vectors_stage_finish(bp_vectors_stage *stage, bp_error *error)
{
    bp_corpus_info *corpus = &stage->corpus;
    char message[128];
    if (stage->utf8.pending > 0)
        return fail(stage, 0, BP_INVALID, "the text is not UTF-8: it ends inside a character",
                    error);
    const bp_status status = stage->length > 0 ? end_line(stage, error) : BP_OK;
    if (status != BP_OK)
        return status;
    corpus->byte_count = bp_spool_file_size(stage->words);
    if (stage->is_announced && stage->announced != corpus->word_count) {
        snprintf(message, sizeof message, "the first line announces %llu words, there are %llu",
                 (unsigned long long)stage->announced, (unsigned long long)corpus->word_count);
        return fail(stage, 0, BP_INVALID, message, error);
    }
    return corpus->word_count > 0 ? BP_OK
                                  : fail(stage, 0, BP_INVALID, "the file has no vectors", error);
}

bp_status bp_vectors_stage_convert(bp_vectors_stage *stage, size_t column, bool *out_done,
                                   bp_column_draft *out, bp_error *error)
{
    static const char *const names[] = {"word", "vector", "places"};
    const bp_column_info infos[] = {
        {.type = BP_COLUMN_TEXT, .element = BP_ELEMENT_UINT8, .width = 1},
        {.type = BP_COLUMN_TENSOR,
         .element = BP_ELEMENT_FLOAT64,
         .width = stage->dimension,
         .rank = 1,
         .shape = {stage->dimension}},
        {.type = BP_COLUMN_TENSOR,
         .element = BP_ELEMENT_INT64,
         .width = 2,
         .rank = 1,
         .shape = {2}},
    };
    bp_spool_file *const spools[] = {stage->words, stage->vectors, stage->places};
    bp_status status = BP_OK;
    if (!stage->column.spool) {
        status = bp_spooled_column_begin(&stage->column, stage->directory, names[column],
                                         &infos[column], spools[column], error);
        if (status == BP_OK && column == BP_VECTORS_COLUMN) {
            bp_column_info *info = &stage->column.draft.info;
            info->minimum = stage->minimum;
            info->maximum = stage->maximum;
            if (isfinite(stage->sum)) /* beyond the range of doubles it is not known */
                info->mean =
                    stage->sum / ((double)stage->corpus.word_count * (double)stage->dimension);
        }
    }
    return status == BP_OK ? bp_spooled_column_turn(&stage->column, out_done, out, error) : status;
}

bp_corpus_info *bp_vectors_stage_corpus(bp_vectors_stage *stage)
{
    return &stage->corpus;
}
