/* The first rows of a data set as JSON, for people to look at. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/corpus/corpus_rows.h"
#include "server/dataset/catalogue.h"
#include "server/dataset/column_convert.h"
#include "server/dataset/column_file.h"
#include "server/dataset/datasets_state.h"
#include "server/dataset/element_size.h"

/* Most elements in one answer; fewer rows are given where they are wide, though at least one. */
enum { ELEMENT_LIMIT = 1000000 };

static json_t *number_json(double value, bool integral)
{
    if (isnan(value))
        return json_null();
    if (integral && fabs(value) <= 0x1p53)
        return json_integer((json_int_t)value);
    return json_real(value);
}

/* Elements at *at as arrays nested by shape; moves *at on. NULL: no memory. */
static json_t *nested_json(const double **at, const size_t *shape, size_t rank, bool integral)
{
    if (rank == 0)
        return number_json(*(*at)++, integral);
    json_t *array = json_array();
    for (size_t i = 0; array && i < *shape; i++)
        if (json_array_append_new(array, nested_json(at, shape + 1, rank - 1, integral)) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *item_json(const bp_column_info *info, const double *values)
{
    switch (info->type) {
    case BP_COLUMN_CATEGORICAL:
        return isnan(*values) ? json_null() : json_string(info->categories[(size_t)*values]);
    case BP_COLUMN_BOOLEAN:
        return isnan(*values) ? json_null() : json_boolean(*values != 0);
    case BP_COLUMN_NUMERIC:
    case BP_COLUMN_TENSOR:
    case BP_COLUMN_TEXT:
        break;
    }
    return nested_json(&values, info->shape, info->rank, info->integral);
}

/* Appends one column's item to each of the rows. */
static bp_status append_column(json_t *rows, const char *directory, const bp_column_info *info,
                               uint64_t first, size_t count, bp_error *error)
{
    bp_column_reader reader;
    bp_status status = bp_column_reader_open(&reader, directory, info, error);
    if (status != BP_OK)
        return status;
    void *elements = malloc(count * info->width * bp_element_size(info->element));
    double *values = malloc(count * info->width * sizeof *values);
    if (!elements || !values)
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for rows");
    if (status == BP_OK)
        status = bp_column_reader_read(&reader, elements, first, count, error);
    if (status == BP_OK) {
        bp_column_convert(values, info->width, elements, info->element, NULL, first, count,
                          info->width, NULL, 0);
        for (size_t i = 0; i < count && status == BP_OK; i++) {
            /* A category that the file's damage made up must not be looked up. */
            double *item = values + i * info->width;
            if (info->type == BP_COLUMN_CATEGORICAL && *item >= (double)info->category_count)
                status = bp_error_set(error, BP_CORRUPT, info->name, "unknown category in a file");
            else if (json_array_append_new(json_array_get(rows, i), item_json(info, item)) != 0)
                status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for rows");
        }
    }
    free(elements);
    free(values);
    bp_column_reader_close(&reader);
    return status;
}

static size_t row_count_of(const bp_dataset_info *info, uint64_t offset, size_t limit)
{
    size_t width = 0;
    for (size_t i = 0; i < info->column_count; i++)
        width += info->columns[i].width < ELEMENT_LIMIT ? info->columns[i].width : ELEMENT_LIMIT;
    const size_t most = width > 0 && width < ELEMENT_LIMIT ? ELEMENT_LIMIT / width : 1;
    uint64_t count = offset < info->row_count ? info->row_count - offset : 0;
    count = count < limit ? count : limit;
    return (size_t)(count < most ? count : most);
}

bp_status bp_datasets_rows_json(json_t **out, bp_datasets *datasets, const char *name,
                                uint64_t offset, size_t limit, bp_error *error)
{
    bp_dataset_info *info;
    bp_status status = bp_datasets_find(&info, datasets, name, NULL, error);
    if (status != BP_OK)
        return status;
    if (info->kind != BP_DATASET_TABLE) {
        status = bp_corpus_rows_json(out, bp_store_directory(datasets->store), info, offset, limit,
                                     error);
        bp_dataset_info_free(info);
        return status;
    }
    const size_t count = row_count_of(info, offset, limit);
    json_t *columns = json_array(), *rows = json_array(), *document = NULL;
    bool ok = columns && rows;
    for (size_t i = 0; ok && i < info->column_count; i++)
        ok = json_array_append_new(columns, json_string(info->columns[i].name)) == 0;
    for (size_t i = 0; ok && i < count; i++)
        ok = json_array_append_new(rows, json_array()) == 0;
    for (size_t i = 0; ok && status == BP_OK && count > 0 && i < info->column_count; i++)
        status = append_column(rows, bp_store_directory(datasets->store), &info->columns[i], offset,
                               count, error);
    if (ok && status == BP_OK)
        document = json_pack("{s:O, s:O}", "columns", columns, "rows", rows);
    if (status == BP_OK && !document)
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for rows");
    json_decref(columns);
    json_decref(rows);
    bp_dataset_info_free(info);
    if (status == BP_OK)
        *out = document;
    return status;
}
