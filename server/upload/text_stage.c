#include "server/upload/text_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/language/word_splitter.h"
#include "server/corpus/distinct_words.h"
#include "server/upload/spooled_column.h"

struct bp_text_stage {
    const char *directory;
    bp_corpus_info corpus;
    bp_spool_file *text, *lines;
    uint64_t noted_line, noted_byte; /* the last pair in lines */
    bp_utf8 utf8;
    bool in_line; /* bytes after the last line end */
    bp_word_splitter splitter;
    bp_distinct_words words;
    bp_spooled_column column; /* under conversion */
    unsigned char seen[BP_CODE_POINT_COUNT / 8];
};

static bp_status take_word(void *context, const char *word, size_t length, bool cut,
                           bp_error *error)
{
    bp_text_stage *stage = context;
    stage->corpus.word_count++;
    return bp_distinct_words_add(&stage->words, word, length, cut, error);
}

bp_status bp_text_stage_create(bp_text_stage **out, const char *directory, bp_error *error)
{
    bp_text_stage *stage = calloc(1, sizeof *stage);
    if (!stage)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a text");
    stage->directory = directory;
    stage->splitter.word = take_word;
    stage->splitter.context = stage;
    bp_status status = bp_distinct_words_begin(&stage->words, error);
    if (status == BP_OK)
        status = bp_spool_file_create(&stage->text, directory, error);
    if (status == BP_OK)
        status = bp_spool_file_create(&stage->lines, directory, error);
    if (status != BP_OK) {
        bp_text_stage_free(stage);
        return status;
    }
    *out = stage;
    return BP_OK;
}

void bp_text_stage_free(bp_text_stage *stage)
{
    if (!stage)
        return;
    bp_spooled_column_done(&stage->column);
    bp_spool_file_free(stage->text);
    bp_spool_file_free(stage->lines);
    bp_distinct_words_done(&stage->words);
    bp_corpus_info_done(&stage->corpus);
    free(stage);
}

static bp_status refuse(const bp_text_stage *stage, const char *message, bp_error *error)
{
    char where[48];
    const uint64_t line = stage->corpus.line_count + (stage->in_line ? 0 : 1);
    snprintf(where, sizeof where, "line %llu", (unsigned long long)line);
    return bp_error_set(error, BP_INVALID, where, "%s", message);
}

/* offset: of the line's first byte. */
static bp_status begin_line(bp_text_stage *stage, uint64_t offset, bp_error *error)
{
    const uint64_t line = stage->corpus.line_count++;
    stage->in_line = true;
    if (line > 0 && line - stage->noted_line < BP_LINES_STRIDE &&
        offset - stage->noted_byte < BP_LINES_STRIDE_BYTES)
        return BP_OK;
    stage->noted_line = line;
    stage->noted_byte = offset;
    const int64_t pair[2] = {(int64_t)line, (int64_t)offset};
    return bp_spool_file_add(stage->lines, pair, sizeof pair, error);
}

static void note_character(bp_text_stage *stage, uint32_t code)
{
    stage->seen[code / 8] |= (unsigned char)(1u << code % 8);
    stage->corpus.character_count++;
}

bp_status bp_text_stage_feed(bp_text_stage *stage, const void *bytes, size_t count, bp_error *error)
{
    const unsigned char *text = bytes;
    bp_status status = BP_OK;
    for (size_t i = 0; i < count && status == BP_OK; i++) {
        if (!stage->in_line)
            status = begin_line(stage, stage->corpus.byte_count + i, error);
        const bp_utf8_step step = bp_utf8_take(&stage->utf8, text[i]);
        if (text[i] == 0)
            return refuse(stage, "a NUL byte: the file is not text", error);
        if (step == BP_UTF8_BAD)
            return refuse(stage, "the text is not UTF-8", error);
        if (step == BP_UTF8_CHARACTER)
            note_character(stage, stage->utf8.code);
        if (text[i] == '\n')
            stage->in_line = false;
    }
    stage->corpus.byte_count += count;
    if (status == BP_OK)
        status = bp_word_splitter_feed(&stage->splitter, bytes, count, error);
    if (status == BP_OK)
        status = bp_spool_file_add(stage->text, bytes, count, error);
    return status;
}

bp_status bp_text_stage_finish(bp_text_stage *stage, bp_error *error)
{
    bp_corpus_info *corpus = &stage->corpus;
    if (corpus->byte_count == 0)
        return refuse(stage, "the file is empty", error);
    if (stage->utf8.pending > 0)
        return refuse(stage, "the text is not UTF-8: it ends inside a character", error);
    bp_status status = bp_word_splitter_finish(&stage->splitter, error);
    bp_distinct_words_end(&stage->words, corpus);
    for (size_t i = 0; i < sizeof stage->seen; i++)
        corpus->distinct_character_count += (uint64_t)__builtin_popcount(stage->seen[i]);
    return status;
}

bp_status bp_text_stage_convert(bp_text_stage *stage, size_t column, bool *out_done,
                                bp_column_draft *out, bp_error *error)
{
    static const char *const names[] = {"text", "lines"};
    static const bp_column_info infos[] = {
        {.type = BP_COLUMN_TEXT, .element = BP_ELEMENT_UINT8, .width = 1},
        {.type = BP_COLUMN_TENSOR,
         .element = BP_ELEMENT_INT64,
         .width = 2,
         .rank = 1,
         .shape = {2}},
    };
    bp_spool_file *const spools[] = {stage->text, stage->lines};
    bp_status status = BP_OK;
    if (!stage->column.spool)
        status = bp_spooled_column_begin(&stage->column, stage->directory, names[column],
                                         &infos[column], spools[column], error);
    return status == BP_OK ? bp_spooled_column_turn(&stage->column, out_done, out, error) : status;
}

bp_corpus_info *bp_text_stage_corpus(bp_text_stage *stage)
{
    return &stage->corpus;
}
