/* CSV parser: whatever the bytes and however they are cut, the same outcome, and a sink that is only
 * called as promised. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "server/upload/csv_parser.h"
#include "server/upload/number_text.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

typedef struct checker {
    size_t column_count, row_count;
    unsigned long long sum; /* of everything seen */
} checker;

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void add(checker *self, const bp_text *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double number = 0;
        require(fields[i].at[fields[i].length] == '\0');
        require(strlen(fields[i].at) == fields[i].length);
        for (size_t j = 0; j < fields[i].length; j++)
            self->sum = self->sum * 31 + (unsigned char)fields[i].at[j];
        self->sum = self->sum * 31 + 7;
        if (bp_number_parse(&number, fields[i].at, fields[i].length)) {
            /* Blanks may surround a number; strtod takes leading ones itself. */
            const double expected = strtod(fields[i].at, NULL);
            require(memcmp(&expected, &number, sizeof number) == 0);
        }
    }
}

static bp_status take_header(void *context, const bp_text *names, size_t count, bp_error *error)
{
    checker *self = context;
    (void)error;
    require(self->column_count == 0 && count > 0 && count <= 20);
    self->column_count = count;
    for (size_t i = 0; i < count; i++)
        require(names[i].length > 0 && names[i].length <= BP_COLUMN_NAME_LIMIT);
    add(self, names, count);
    return BP_OK;
}

static bp_status take_row(void *context, const bp_text *fields, size_t count, bp_error *error)
{
    checker *self = context;
    (void)error;
    require(count == self->column_count);
    self->row_count++;
    add(self, fields, count);
    return BP_OK;
}

static bp_status parse(checker *out, const unsigned char *data, size_t size, size_t chunk,
                       bp_error *error)
{
    bp_csv_parser *parser;
    const bp_row_sink sink = {out, take_header, take_row};
    if (bp_csv_parser_create(&parser, &sink, 20, error) != BP_OK)
        return BP_NO_MEMORY;
    bp_status status = BP_OK;
    for (size_t at = 0; at < size && status == BP_OK; at += chunk)
        status =
            bp_csv_parser_feed(parser, data + at, size - at < chunk ? size - at : chunk, error);
    if (status == BP_OK) {
        status = bp_csv_parser_finish(parser, error);
        require(status != BP_OK || out->row_count > 0);
    }
    bp_csv_parser_free(parser);
    return status;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    checker whole = {0}, pieces = {0};
    bp_error whole_error = {0}, pieces_error = {0};
    bp_status status = parse(&whole, data, size, size ? size : 1, &whole_error);
    require(status == parse(&pieces, data, size, 1 + size % 5, &pieces_error));
    require(status == whole_error.status && (status == BP_OK) == !whole_error.message[0]);
    require(strcmp(whole_error.message, pieces_error.message) == 0);
    require(strcmp(whole_error.where, pieces_error.where) == 0);
    require(whole.sum == pieces.sum && whole.row_count == pieces.row_count);
    return 0;
}
