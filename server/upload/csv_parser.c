/* States of a record, and what moves between them:
 *   FIELD_START  nothing but blanks of this field so far
 *   UNQUOTED     in an unquoted field
 *   QUOTED       between quotes; delimiters and line ends are text
 *   QUOTE        just after a quote inside QUOTED: doubled, or the end of the field
 *   AFTER_QUOTE  blanks after a closed field
 * Before them, SNIFF gathers the raw first line that is not blank, chooses the delimiter, and feeds the
 * line to the states above. */
#include "server/upload/csv_parser.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum csv_state { SNIFF, FIELD_START, UNQUOTED, QUOTED, QUOTE, AFTER_QUOTE } csv_state;

typedef struct bytes_buffer {
    char *at;
    size_t length, capacity;
} bytes_buffer;

struct bp_csv_parser {
    bp_row_sink sink;
    uint64_t column_limit;
    csv_state state;
    bool failed;

    uint64_t line, record_line, quote_line; /* 1-based: here; where the record, the quote began */
    bool after_cr;                          /* an LF now belongs to the line end before */
    bool any_byte;                          /* past the place of a byte order mark */
    unsigned mark_length;                   /* bytes of a byte order mark seen */

    unsigned utf8_pending; /* continuation bytes still to come */
    unsigned char utf8_low, utf8_high;

    char delimiter;
    bytes_buffer sniffed;
    bool sniff_quoted, sniff_content;
    char sniff_previous;

    bytes_buffer record;  /* fields of this record, each followed by a NUL */
    size_t field_begin;   /* in record */
    bool field_quoted;    /* this field was in quotes */
    size_t *field_begins; /* of finished fields, and one end more */
    size_t field_count, field_capacity;
    bp_text *fields; /* for the sink; (field_capacity) */
    bool has_header;
    size_t column_count;
    uint64_t row_count;
};

static bp_status fail_at(bp_csv_parser *parser, bp_error *error, bp_status status, uint64_t line,
                         bool with_field, const char *message)
{
    char where[64];
    if (with_field)
        snprintf(where, sizeof where, "line %llu, column %zu", (unsigned long long)line,
                 parser->field_count + 1);
    else
        snprintf(where, sizeof where, "line %llu", (unsigned long long)line);
    parser->failed = true;
    return bp_error_set(error, status, where, "%s", message);
}

static bp_status no_memory(bp_csv_parser *parser, bp_error *error)
{
    parser->failed = true;
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a line of the file");
}

static bool buffer_append(bytes_buffer *buffer, const char *bytes, size_t count)
{
    if (buffer->capacity - buffer->length < count) {
        size_t capacity = buffer->capacity ? buffer->capacity : 1024;
        while (capacity - buffer->length < count)
            capacity *= 2; /* bounded by BP_CSV_RECORD_LIMIT and the size of one chunk */
        char *grown = realloc(buffer->at, capacity);
        if (!grown)
            return false;
        buffer->at = grown;
        buffer->capacity = capacity;
    }
    memcpy(buffer->at + buffer->length, bytes, count);
    buffer->length += count;
    return true;
}

bp_status bp_csv_parser_create(bp_csv_parser **out, const bp_row_sink *sink, uint64_t column_limit,
                               bp_error *error)
{
    bp_csv_parser *parser = calloc(1, sizeof *parser);
    if (!parser)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a parser");
    parser->sink = *sink;
    parser->column_limit = column_limit;
    parser->line = parser->record_line = 1;
    *out = parser;
    return BP_OK;
}

void bp_csv_parser_free(bp_csv_parser *parser)
{
    if (!parser)
        return;
    free(parser->sniffed.at);
    free(parser->record.at);
    free(parser->field_begins);
    free(parser->fields);
    free(parser);
}

/* ---- fields and records ---- */

static bp_status append(bp_csv_parser *parser, const char *bytes, size_t count, bp_error *error)
{
    if (count > BP_CSV_FIELD_LIMIT - (parser->record.length - parser->field_begin))
        return fail_at(parser, error, BP_TOO_LARGE, parser->line, true,
                       "the field is longer than 1 MiB");
    /* The NULs between the fields may have taken the record beyond its limit. */
    if (parser->record.length > BP_CSV_RECORD_LIMIT ||
        count > BP_CSV_RECORD_LIMIT - parser->record.length)
        return fail_at(parser, error, BP_TOO_LARGE, parser->line, false,
                       "the line is longer than 16 MiB");
    if (!buffer_append(&parser->record, bytes, count))
        return no_memory(parser, error);
    return BP_OK;
}

static bool room_for_field(bp_csv_parser *parser)
{
    if (parser->field_count + 1 < parser->field_capacity)
        return true;
    size_t capacity = parser->field_capacity ? parser->field_capacity * 2 : 16;
    size_t *begins = realloc(parser->field_begins, capacity * sizeof *begins);
    if (!begins)
        return false;
    parser->field_begins = begins;
    bp_text *fields = realloc(parser->fields, capacity * sizeof *fields);
    if (!fields)
        return false;
    parser->fields = fields;
    parser->field_capacity = capacity;
    return true;
}

static bp_status end_field(bp_csv_parser *parser, bp_error *error)
{
    if (!parser->has_header && parser->field_count >= parser->column_limit)
        return fail_at(parser, error, BP_TOO_LARGE, parser->line, true,
                       "the file has more columns than the limit");
    if (!room_for_field(parser))
        return no_memory(parser, error);
    bytes_buffer *record = &parser->record;
    if (!parser->field_quoted)
        while (record->length > parser->field_begin &&
               (record->at[record->length - 1] == ' ' || record->at[record->length - 1] == '\t'))
            record->length--;
    parser->field_begins[parser->field_count++] = parser->field_begin;
    if (!buffer_append(record, "", 1))
        return no_memory(parser, error);
    parser->field_begin = record->length;
    parser->state = FIELD_START;
    return BP_OK;
}

static bp_status wrong_count(bp_csv_parser *parser, size_t count, bool more, bp_error *error)
{
    char message[128];
    snprintf(message, sizeof message, "%zu%s %s, where the header line names %zu %s", count,
             more ? " or more" : "", count == 1 ? "field" : "fields", parser->column_count,
             parser->column_count == 1 ? "column" : "columns");
    return fail_at(parser, error, BP_INVALID, parser->record_line, false, message);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp((*(const bp_text *const *)a)->at, (*(const bp_text *const *)b)->at);
}

static bp_status check_names(bp_csv_parser *parser, bp_error *error)
{
    const size_t count = parser->field_count; /* at least 1: a line has a field, if an empty one */
    const bp_text **sorted = malloc((count > 0 ? count : 1) * sizeof *sorted);
    if (!sorted)
        return no_memory(parser, error);
    bp_status status = BP_OK;
    for (size_t i = 0; i < count && status == BP_OK; i++) {
        const bp_text *name = &parser->fields[i];
        const char *fault = NULL;
        if (name->length == 0)
            fault = "the header line must name every column";
        else if (name->length > BP_COLUMN_NAME_LIMIT)
            fault = "the column's name is longer than 256 bytes";
        for (size_t j = 0; j < name->length && !fault; j++)
            if ((unsigned char)name->at[j] < ' ' || name->at[j] == 127)
                fault = "the column's name has a control character";
        parser->field_count = i; /* the place in the message */
        if (fault)
            status = fail_at(parser, error, BP_INVALID, parser->record_line, true, fault);
        sorted[i] = name;
    }
    if (status == BP_OK)
        qsort(sorted, count, sizeof *sorted, compare_texts);
    for (size_t i = 1; i < count && status == BP_OK; i++) {
        if (compare_texts(&sorted[i - 1], &sorted[i]) != 0)
            continue;
        const bp_text *later = sorted[i] > sorted[i - 1] ? sorted[i] : sorted[i - 1];
        char message[BP_COLUMN_NAME_LIMIT + 64];
        snprintf(message, sizeof message, "the column name \"%s\" comes twice", later->at);
        parser->field_count = (size_t)(later - parser->fields);
        status = fail_at(parser, error, BP_INVALID, parser->record_line, true, message);
    }
    parser->field_count = count;
    free(sorted);
    return status;
}

static bp_status end_record(bp_csv_parser *parser, bp_error *error)
{
    bp_status status = end_field(parser, error);
    if (status != BP_OK)
        return status;
    const size_t count = parser->field_count;
    const bool blank = count == 1 && !parser->field_quoted && parser->record.length == 1;
    if (!blank) {
        for (size_t i = 0; i < count; i++) {
            size_t end = i + 1 < count ? parser->field_begins[i + 1] : parser->record.length;
            parser->fields[i] = (bp_text){parser->record.at + parser->field_begins[i],
                                          end - parser->field_begins[i] - 1};
        }
        if (!parser->has_header) {
            status = check_names(parser, error);
            if (status == BP_OK)
                status = parser->sink.header(parser->sink.context, parser->fields, count, error);
            parser->column_count = count;
            parser->has_header = true;
        } else if (count != parser->column_count) {
            status = wrong_count(parser, count, false, error);
        } else {
            status = parser->sink.row(parser->sink.context, parser->fields, count, error);
            parser->row_count++;
        }
    }
    parser->failed = status != BP_OK;
    parser->record.length = parser->field_begin = 0;
    parser->field_count = 0;
    parser->field_quoted = false;
    parser->record_line = parser->line + 1;
    return status;
}

/* ---- bytes ---- */

/* Ill-formed sequences by table 3-7 of the Unicode standard: overlong forms, surrogates and values
 * above U+10FFFF are out. */
static bool check_utf8(bp_csv_parser *parser, unsigned char byte)
{
    if (parser->utf8_pending > 0) {
        if (byte < parser->utf8_low || byte > parser->utf8_high)
            return false;
        parser->utf8_low = 0x80;
        parser->utf8_high = 0xbf;
        parser->utf8_pending--;
        return true;
    }
    if (byte < 0x80)
        return byte != 0;
    parser->utf8_low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    parser->utf8_high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    if (byte >= 0xc2 && byte <= 0xdf)
        parser->utf8_pending = 1;
    else if (byte >= 0xe0 && byte <= 0xef)
        parser->utf8_pending = 2;
    else if (byte >= 0xf0 && byte <= 0xf4)
        parser->utf8_pending = 3;
    else
        return false;
    return true;
}

static bp_status bad_byte(bp_csv_parser *parser, unsigned char byte, bp_error *error)
{
    const bool placed = parser->state != SNIFF;
    if (byte == 0)
        return fail_at(parser, error, BP_INVALID, parser->line, placed,
                       "a NUL byte: the file is not text");
    return fail_at(parser, error, BP_INVALID, parser->line, placed, "the text is not UTF-8");
}

/* One byte of a record that is neither a line end outside quotes nor part of a fast run. */
static bp_status take_byte(bp_csv_parser *parser, char byte, bp_error *error)
{
    const bool line_end = byte == '\n' || byte == '\r';
    const bool blank = (byte == ' ' || byte == '\t') && byte != parser->delimiter;
    if (parser->state == QUOTED) {
        if (byte == '"') {
            parser->state = QUOTE;
            return BP_OK;
        }
        return append(parser, &byte, 1, error);
    }
    if (parser->state == QUOTE && byte == '"') {
        parser->state = QUOTED;
        return append(parser, &byte, 1, error);
    }
    if (line_end)
        return end_record(parser, error);
    if (byte == parser->delimiter) {
        if (parser->has_header && parser->field_count + 1 >= parser->column_count)
            return wrong_count(parser, parser->field_count + 2, true, error);
        bp_status status = end_field(parser, error);
        parser->field_quoted = false;
        return status;
    }
    switch (parser->state) {
    case FIELD_START:
        if (blank)
            return BP_OK;
        if (byte == '"') {
            parser->state = QUOTED;
            parser->field_quoted = true;
            parser->quote_line = parser->line;
            return BP_OK;
        }
        parser->state = UNQUOTED;
        return append(parser, &byte, 1, error);
    case QUOTE:
    case AFTER_QUOTE:
        parser->state = AFTER_QUOTE;
        if (blank)
            return BP_OK;
        return fail_at(parser, error, BP_INVALID, parser->line, true,
                       "text after the closing quote of a field (a quote inside a quoted field is "
                       "written twice)");
    case SNIFF:
    case UNQUOTED:
    case QUOTED:
        break;
    }
    return append(parser, &byte, 1, error);
}

static bp_status take_records(bp_csv_parser *parser, const char *at, const char *end,
                              bp_error *error);

static char choose_delimiter(const bytes_buffer *line)
{
    static const char candidates[] = {',', ';', '\t', '|'};
    size_t best_count = 0;
    char best = ',';
    for (size_t i = 0; i < sizeof candidates; i++) {
        size_t count = 0;
        bool quoted = false;
        for (size_t j = 0; j < line->length; j++) {
            quoted ^= line->at[j] == '"';
            count += !quoted && line->at[j] == candidates[i];
        }
        if (count > best_count) {
            best_count = count;
            best = candidates[i];
        }
    }
    return best;
}

static bp_status end_sniff(bp_csv_parser *parser, bp_error *error)
{
    parser->delimiter = choose_delimiter(&parser->sniffed);
    parser->state = FIELD_START;
    bytes_buffer line = parser->sniffed;
    parser->sniffed = (bytes_buffer){0};
    bp_status status = take_records(parser, line.at, line.at + line.length, error);
    free(line.at);
    return status;
}

/* Gathers the first line that is not blank, without its line end; that is for the states to see. */
static bp_status sniff(bp_csv_parser *parser, const char **at, const char *end, bp_error *error)
{
    for (; *at < end; (*at)++) {
        const char byte = **at;
        if (byte == '\0')
            return bad_byte(parser, 0, error);
        const bool line_end = byte == '\n' || byte == '\r';
        if (line_end && !parser->sniff_quoted) {
            if (parser->sniff_content)
                return end_sniff(parser, error);
            parser->sniffed.length = 0;
            parser->sniff_previous = 0;
            if (byte == '\r' || !parser->after_cr)
                parser->line++;
            parser->after_cr = byte == '\r';
            parser->record_line = parser->line;
            continue;
        }
        parser->after_cr = false;
        if (byte == '"' && !parser->sniff_quoted)
            parser->sniff_quoted =
                parser->sniff_previous == 0 || strchr(" ,;\t|\"", parser->sniff_previous);
        else if (byte == '"')
            parser->sniff_quoted = false;
        if (byte != ' ' && byte != '\t')
            parser->sniff_content = true;
        parser->sniff_previous = byte;
        if (parser->sniffed.length >= BP_CSV_RECORD_LIMIT)
            return fail_at(parser, error, BP_TOO_LARGE, parser->record_line, false,
                           "the header line is longer than 16 MiB");
        if (!buffer_append(&parser->sniffed, &byte, 1))
            return no_memory(parser, error);
    }
    return BP_OK;
}

/* A run of bytes that can be copied without looking at each again. */
static size_t plain_run(const bp_csv_parser *parser, const char *at, const char *end)
{
    const char *from = at;
    if (parser->state == QUOTED) {
        while (at < end && (unsigned char)*at < 0x80 && *at != '"' && *at != '\n' && *at != '\r' &&
               *at != '\0')
            at++;
    } else {
        while (at < end && (unsigned char)*at < 0x80 && *at != parser->delimiter && *at != '\n' &&
               *at != '\r' && *at != '\0')
            at++;
    }
    return (size_t)(at - from);
}

static bp_status take_records(bp_csv_parser *parser, const char *at, const char *end,
                              bp_error *error)
{
    bp_status status = BP_OK;
    while (at < end && status == BP_OK) {
        if ((parser->state == UNQUOTED || parser->state == QUOTED) && parser->utf8_pending == 0) {
            size_t run = plain_run(parser, at, end);
            if (run > 0) {
                parser->after_cr = false;
                status = append(parser, at, run, error);
                at += run;
                continue;
            }
        }
        const char byte = *at++;
        if (!check_utf8(parser, (unsigned char)byte))
            return bad_byte(parser, (unsigned char)byte, error);
        if (byte == '\n' && parser->after_cr) {
            parser->after_cr = false;
            /* The LF of a CRLF: its line has been counted, and outside quotes its record ended. */
            if (parser->state != QUOTED)
                continue;
            status = append(parser, &byte, 1, error);
            continue;
        }
        parser->after_cr = byte == '\r';
        status = take_byte(parser, byte, error);
        if (byte == '\n' || byte == '\r')
            parser->line++;
    }
    return status;
}

/* Skips a byte order mark, which may come in pieces. Sets *skipped to the bytes taken from this chunk. */
static bp_status skip_mark(bp_csv_parser *parser, const char *at, const char *end, size_t *skipped,
                           bp_error *error)
{
    static const char mark[] = "\xef\xbb\xbf";
    const char *from = at;
    while (at < end && parser->mark_length < 3 && *at == mark[parser->mark_length]) {
        at++;
        parser->mark_length++;
    }
    *skipped = (size_t)(at - from);
    if (at == end && parser->mark_length < 3)
        return BP_OK;
    parser->any_byte = true;
    /* No mark after all: its first bytes belong to the text. */
    if (parser->mark_length > 0 && parser->mark_length < 3) {
        const char *piece = mark;
        return sniff(parser, &piece, mark + parser->mark_length, error);
    }
    return BP_OK;
}

bp_status bp_csv_parser_feed(bp_csv_parser *parser, const void *bytes, size_t count,
                             bp_error *error)
{
    assert(!parser->failed);
    const char *at = bytes, *end = at + count;
    bp_status status = BP_OK;
    if (count == 0)
        return BP_OK;
    if (!parser->any_byte) {
        size_t skipped = 0;
        status = skip_mark(parser, at, end, &skipped, error);
        at += skipped;
    }
    if (status == BP_OK && parser->state == SNIFF)
        status = sniff(parser, &at, end, error);
    if (status == BP_OK && parser->state != SNIFF)
        status = take_records(parser, at, end, error);
    parser->failed = status != BP_OK;
    return status;
}

bp_status bp_csv_parser_finish(bp_csv_parser *parser, bp_error *error)
{
    assert(!parser->failed);
    bp_status status = BP_OK;
    if (!parser->any_byte && parser->mark_length > 0 && parser->mark_length < 3)
        return bad_byte(parser, 0xef, error);
    if (parser->state == SNIFF && parser->sniff_content)
        status = end_sniff(parser, error);
    if (status != BP_OK)
        return status;
    if (parser->utf8_pending > 0)
        return bad_byte(parser, 0xff, error);
    if (parser->state == QUOTED)
        return fail_at(parser, error, BP_INVALID, parser->quote_line, true,
                       "the quote that opens this field is never closed");
    /* A last line without a line end. */
    if (parser->state != SNIFF && (parser->field_count > 0 || parser->state != FIELD_START))
        status = end_record(parser, error);
    if (status != BP_OK)
        return status;
    if (!parser->has_header)
        return fail_at(parser, error, BP_INVALID, 1, false, "the file is empty");
    if (parser->row_count == 0)
        return fail_at(parser, error, BP_INVALID, parser->line, false,
                       "the file has a header line but no rows");
    return BP_OK;
}
