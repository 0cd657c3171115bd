#include "server/upload/conll_parser.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/dataset/corpus_info.h"
#include "schema/language/word_splitter.h"

struct bp_conll_parser {
    bp_tagged_sink sink;
    bool failed;
    uint64_t line; /* 1-based: the one in text */
    bp_utf8 utf8;
    bool by_tabs;          /* known with column_count */
    bool chunk_tags;       /* too: the first token's tag looks like a chunk's */
    size_t column_count;   /* of every token's line; 0: none has come */
    size_t sentence_bytes; /* of the sentence under way */
    size_t length;
    char text[BP_CONLL_LINE_LIMIT];
};

/* A line's columns, as far as they matter. */
typedef struct line_columns {
    size_t count;
    bp_text first, last;
} line_columns;

bool bp_is_chunk_tag(const char *text, size_t length)
{
    if (length == 1)
        return text[0] == 'O';
    return length > 2 && text[1] == '-' && memchr("BIESLUM", text[0], 7);
}

static bp_status fail(bp_conll_parser *parser, bp_error *error, bp_status status,
                      const char *message)
{
    char where[48];
    snprintf(where, sizeof where, "line %llu", (unsigned long long)parser->line);
    parser->failed = true;
    return bp_error_set(error, status, where, "%s", message);
}

bp_status bp_conll_parser_create(bp_conll_parser **out, const bp_tagged_sink *sink, bp_error *error)
{
    bp_conll_parser *parser = malloc(sizeof *parser);
    if (!parser)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a parser");
    memset(parser, 0, offsetof(bp_conll_parser, text));
    parser->sink = *sink;
    parser->line = 1;
    *out = parser;
    return BP_OK;
}

void bp_conll_parser_free(bp_conll_parser *parser)
{
    free(parser);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

/* Empty columns are none: a run of separators is one. */
static line_columns split(const char *at, const char *end, bool by_tabs)
{
    line_columns columns = {0};
    while (at < end) {
        const char *from = at;
        while (at < end && (by_tabs ? *at != '\t' : !is_blank(*at)))
            at++;
        const char *to = at++;
        while (from < to && is_blank(*from))
            from++;
        while (from < to && is_blank(to[-1]))
            to--;
        if (from == to)
            continue;
        columns.last = (bp_text){from, (size_t)(to - from)};
        if (columns.count++ == 0)
            columns.first = columns.last;
    }
    return columns;
}

static bp_status end_sentence(bp_conll_parser *parser, bp_error *error)
{
    if (parser->sentence_bytes == 0)
        return BP_OK;
    parser->sentence_bytes = 0;
    return parser->sink.sentence(parser->sink.context, error);
}

static bp_status wrong_count(bp_conll_parser *parser, size_t count, bp_error *error)
{
    char message[128];
    if (parser->column_count == 0 || count == 1)
        return fail(parser, error, BP_INVALID,
                    "one column, where a token and its tag are needed: are they separated by a tab "
                    "or by blanks?");
    snprintf(message, sizeof message, "%zu columns, where the first token's line has %zu", count,
             parser->column_count);
    return fail(parser, error, BP_INVALID, message);
}

static bp_status take_token(bp_conll_parser *parser, const line_columns *columns, bp_error *error)
{
    bp_error fault = {.status = BP_OK};
    if (columns->first.length > BP_WORD_LIMIT)
        return fail(parser, error, BP_TOO_LARGE, "the token is longer than 4096 bytes");
    if (columns->last.length > BP_TAG_BYTES)
        return fail(parser, error, BP_TOO_LARGE, "the tag is longer than 256 bytes");
    parser->sentence_bytes += columns->first.length + 1;
    if (parser->sentence_bytes > BP_SENTENCE_BYTES)
        return fail(parser, error, BP_TOO_LARGE,
                    "the sentence is longer than 1 MiB; an empty line ends a sentence");
    bp_status status =
        parser->sink.token(parser->sink.context, &columns->first, &columns->last, &fault);
    if (status != BP_OK && !fault.where[0])
        return fail(parser, error, status, fault.message);
    return status == BP_OK ? BP_OK : bp_error_set(error, status, fault.where, "%s", fault.message);
}

static bool is_comment(const bp_conll_parser *parser, const char *at, const line_columns *columns,
                       bool has_tab)
{
    const bool tag = columns->count > 1 && bp_is_chunk_tag(columns->last.at, columns->last.length);
    if (*at != '#')
        return false;
    if (parser->column_count == 0)
        return !has_tab && !tag;
    if (parser->by_tabs && has_tab)
        return false;
    return columns->count != parser->column_count || (parser->chunk_tags && !tag);
}

/* Between its columns, where it would make two lines of one. */
static bool has_carriage_return(const line_columns *columns)
{
    const char *from = columns->first.at, *end = columns->last.at + columns->last.length;
    return memchr(from, '\r', (size_t)(end - from));
}

static bp_status end_line(bp_conll_parser *parser, bp_error *error)
{
    static const char mark[] = "\xef\xbb\xbf", document[] = "-DOCSTART-";
    const char *at = parser->text, *end = at + parser->length;
    if (parser->line == 1 && parser->length >= 3 && memcmp(at, mark, 3) == 0)
        at += 3;
    const bool known = parser->column_count > 0;
    const bool has_tab = at < end && memchr(at, '\t', (size_t)(end - at));
    const line_columns columns = split(at, end, known ? parser->by_tabs : has_tab);
    if (columns.count == 0)
        return end_sentence(parser, error);
    if (columns.first.length >= sizeof document - 1 &&
        memcmp(columns.first.at, document, sizeof document - 1) == 0)
        return end_sentence(parser, error);
    if (is_comment(parser, at, &columns, has_tab))
        return BP_OK;
    if (has_carriage_return(&columns))
        return fail(parser, error, BP_INVALID,
                    "a carriage return inside the line: lines end with LF or CRLF");
    if (known ? columns.count != parser->column_count : columns.count < 2)
        return wrong_count(parser, columns.count, error);
    parser->column_count = columns.count;
    if (!known) {
        parser->by_tabs = has_tab;
        parser->chunk_tags = bp_is_chunk_tag(columns.last.at, columns.last.length);
    }
    return take_token(parser, &columns, error);
}

bp_status bp_conll_parser_feed(bp_conll_parser *parser, const void *bytes, size_t count,
                               bp_error *error)
{
    assert(!parser->failed);
    const unsigned char *text = bytes;
    bp_status status = BP_OK;
    for (size_t i = 0; i < count && status == BP_OK; i++) {
        if (text[i] == 0)
            return fail(parser, error, BP_INVALID, "a NUL byte: the file is not text");
        if (bp_utf8_take(&parser->utf8, text[i]) == BP_UTF8_BAD)
            return fail(parser, error, BP_INVALID, "the text is not UTF-8");
        if (text[i] == '\n') {
            status = end_line(parser, error);
            parser->line++;
            parser->length = 0;
        } else if (parser->length == BP_CONLL_LINE_LIMIT) {
            return fail(parser, error, BP_TOO_LARGE, "the line is longer than 64 KiB");
        } else {
            parser->text[parser->length++] = (char)text[i];
        }
    }
    parser->failed = status != BP_OK;
    return status;
}

bp_status bp_conll_parser_finish(bp_conll_parser *parser, bp_error *error)
{
    assert(!parser->failed);
    if (parser->utf8.pending > 0)
        return fail(parser, error, BP_INVALID, "the text is not UTF-8: it ends inside a character");
    bp_status status = parser->length > 0 ? end_line(parser, error) : BP_OK;
    if (status == BP_OK && parser->column_count == 0)
        status = fail(parser, error, BP_INVALID, "the file has no tokens");
    if (status == BP_OK)
        status = end_sentence(parser, error);
    parser->failed = status != BP_OK;
    return status;
}
