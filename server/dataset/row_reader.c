#include "server/dataset/row_reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "schema/job/labels.h"
#include "server/dataset/column_convert.h"
#include "server/dataset/element_size.h"

enum { SCRATCH_BYTES = 1024 * 1024 };

typedef struct source_column {
    bp_column_reader file;
    const bp_column_info *info;
    const bp_labels *labels; /* NULL: numbers */
    double *table;           /* what each category of the file stands for; NULL: not categorical */
    bool by_value;           /* numbers are looked up among the labels */
    size_t offset;           /* in a row of the output */
} source_column;

struct bp_row_reader {
    uint64_t row_count;
    size_t width;
    unsigned char *scratch;
    size_t scratch_bytes;
    size_t column_count;
    source_column columns[];
};

/* What the categories in the file mean among the labels of the training data. */
static bp_status make_table(source_column *source, bp_error *error)
{
    const bp_column_info *info = source->info;
    source->table = malloc((info->category_count + 1) * sizeof *source->table);
    if (!source->table)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for categories");
    for (size_t i = 0; i < info->category_count; i++) {
        const size_t index = bp_labels_find_text(source->labels, info->categories[i]);
        source->table[i] = index == SIZE_MAX ? NAN : (double)index;
    }
    return BP_OK;
}

static bp_status open_column(source_column *source, const char *directory,
                             const bp_dataset_info *info, const bp_job_column *column,
                             const bp_labels *labels, bp_error *error)
{
    const size_t index = bp_dataset_info_column(info, column->name);
    if (index == SIZE_MAX)
        return bp_error_set(error, BP_INVALID, column->name,
                            "the data set \"%s\" has no column \"%s\"", info->name, column->name);
    source->info = &info->columns[index];
    source->labels = labels && labels->count > 0 ? labels : NULL;
    const bool texts = source->info->type == BP_COLUMN_CATEGORICAL;
    if (source->info->width != column->width)
        return bp_error_set(error, BP_INVALID, column->name,
                            "the column has %zu numbers a row in the data set \"%s\", where the "
                            "training data has %zu",
                            source->info->width, info->name, column->width);
    const bool wants_texts = source->labels && source->labels->type == BP_COLUMN_CATEGORICAL;
    /* A column without a single value is numeric, and fits everything. */
    const bool empty = source->info->missing_count == source->info->row_count;
    if (texts != wants_texts && !empty)
        return bp_error_set(error, BP_INVALID, column->name,
                            "the column holds %s in the data set \"%s\", where the training data "
                            "has %s",
                            texts ? "text" : "numbers", info->name, texts ? "numbers" : "text");
    bp_status status = bp_column_reader_open(&source->file, directory, source->info, error);
    if (status == BP_OK && wants_texts && texts)
        status = make_table(source, error);
    source->by_value = source->labels && !wants_texts;
    return status;
}

bp_status bp_row_reader_open(bp_row_reader **out, const char *directory,
                             const bp_dataset_info *info, const bp_job_column *columns,
                             const bp_labels *labels, size_t count,
                             bool (*cancelled)(void *context), void *context, bp_error *error)
{
    bp_row_reader *reader = calloc(1, sizeof *reader + count * sizeof *reader->columns);
    if (!reader)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for %zu columns", count);
    for (size_t i = 0; i < count; i++)
        reader->columns[i].file.file = -1;
    reader->column_count = count;
    reader->scratch_bytes = SCRATCH_BYTES;
    bp_status status = BP_OK;
    for (size_t i = 0; i < count && status == BP_OK; i++) {
        source_column *source = &reader->columns[i];
        status =
            open_column(source, directory, info, &columns[i], labels ? &labels[i] : NULL, error);
        if (status != BP_OK)
            break;
        if (i > 0 && source->info->row_count != reader->row_count)
            status =
                bp_error_set(error, BP_CONFLICT, columns[i].name,
                             "the columns of the data set \"%s\" have unequal lengths", info->name);
        reader->row_count = source->info->row_count;
        source->offset = reader->width;
        const size_t row_bytes = source->info->width * bp_element_size(source->info->element);
        if (row_bytes > reader->scratch_bytes)
            reader->scratch_bytes = row_bytes;
        if (status == BP_OK && !bp_checked_add(&reader->width, reader->width, source->info->width))
            status = bp_error_set(error, BP_TOO_LARGE, NULL, "the rows are too wide");
        if (status == BP_OK)
            status = bp_column_reader_verify(&source->file, cancelled, context, error);
    }
    if (status == BP_OK) {
        reader->scratch = aligned_alloc(64, (reader->scratch_bytes + 63) / 64 * 64);
        if (!reader->scratch)
            status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for reading rows");
    }
    if (status != BP_OK) {
        bp_row_reader_free(reader);
        return status;
    }
    *out = reader;
    return BP_OK;
}

void bp_row_reader_free(bp_row_reader *reader)
{
    if (!reader)
        return;
    for (size_t i = 0; i < reader->column_count; i++) {
        bp_column_reader_close(&reader->columns[i].file);
        free(reader->columns[i].table);
    }
    free(reader->scratch);
    free(reader);
}

uint64_t bp_row_reader_row_count(const bp_row_reader *reader)
{
    return reader->row_count;
}

size_t bp_row_reader_width(const bp_row_reader *reader)
{
    return reader->width;
}

bool bp_row_reader_may_miss(const bp_row_reader *reader)
{
    bool may = false;
    for (size_t i = 0; i < reader->column_count; i++) {
        const source_column *source = &reader->columns[i];
        may |= source->info->missing_count > 0 || source->by_value;
        for (size_t j = 0; source->table && j < source->info->category_count; j++)
            may |= isnan(source->table[j]);
    }
    return may;
}

static void look_up(const source_column *source, double *out, size_t stride, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t index = bp_labels_find_value(source->labels, out[i * stride]);
        out[i * stride] = index == SIZE_MAX ? NAN : (double)index;
    }
}

/* Rows that lie close together are read in one go, as far as the scratch buffer reaches; what lies
 * between them is read as well and left. */
static bp_status read_column(bp_row_reader *reader, const source_column *source, double *out,
                             const uint64_t *rows, size_t count, bp_error *error)
{
    const bp_column_info *info = source->info;
    const size_t span = reader->scratch_bytes / (info->width * bp_element_size(info->element));
    for (size_t at = 0; at < count;) {
        const uint64_t first = rows[at];
        size_t end = at + 1;
        while (end < count && rows[end] - first < span)
            end++;
        const size_t row_count = (size_t)(rows[end - 1] - first) + 1;
        bp_status status =
            bp_column_reader_read(&source->file, reader->scratch, first, row_count, error);
        if (status != BP_OK)
            return status;
        double *to = out + at * reader->width + source->offset;
        bp_column_convert(to, reader->width, reader->scratch, info->element, rows + at, first,
                          end - at, info->width, source->table, info->category_count);
        if (source->by_value)
            look_up(source, to, reader->width, end - at);
        at = end;
    }
    return BP_OK;
}

bp_status bp_row_reader_read(bp_row_reader *reader, double *out, const uint64_t *rows, size_t count,
                             bp_error *error)
{
    bp_status status = BP_OK;
    for (size_t i = 0; i < reader->column_count && status == BP_OK; i++)
        status = read_column(reader, &reader->columns[i], out, rows, count, error);
    return status;
}

bp_status bp_row_reader_describe(bp_row_reader *reader, uint64_t row, bool *out_missing, char *text,
                                 size_t size, bp_error *error)
{
    const source_column *source = &reader->columns[0];
    double value;
    bp_status status = bp_column_reader_read(&source->file, reader->scratch, row, 1, error);
    if (status != BP_OK)
        return status;
    const bool texts = source->info->type == BP_COLUMN_CATEGORICAL;
    bp_column_convert(&value, 1, reader->scratch, source->info->element, NULL, row, 1, 1, NULL, 0);
    *out_missing = isnan(value);
    if (texts && value < (double)source->info->category_count)
        snprintf(text, size, "%s", source->info->categories[(size_t)value]);
    else
        snprintf(text, size, "%.17g", value);
    return BP_OK;
}
