/* Rows of a prediction, from JSON to raw numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "schema/job/labels.h"
#include "schema/json/json_text.h"
#include "schema/json/reader.h"
#include "schema/model/model_info.h"

typedef struct row_reader {
    bp_reader reader;
    const bp_model_info *info;
    const size_t *by_name; /* features, sorted by name */
    bool allows_missing;
} row_reader;

static const char *feature_name_at(const void *list, size_t index)
{
    const bp_model_info *info = list;
    return index < info->feature_count ? info->features[index].name : NULL;
}

static void missing_fault(row_reader *self, const bp_place *place, const char *name)
{
    bp_reader_fault(&self->reader, place, BP_INVALID,
                    "\"%s\" is missing, and the model was trained without missing values "
                    "(preprocess.missing: %s)",
                    name, self->info->missing.member->name);
}

static void read_number(row_reader *self, double *out, const bp_place *place, const json_t *value,
                        const bp_job_column *column)
{
    *out = NAN;
    if (json_is_number(value))
        *out = json_number_value(value);
    else if (column->type == BP_COLUMN_BOOLEAN && json_is_boolean(value))
        *out = json_is_true(value);
    else if (!json_is_null(value))
        bp_reader_fault_kind(&self->reader, place,
                             column->type == BP_COLUMN_BOOLEAN ? "true, false, 0, 1 or null"
                                                               : "a number or null (missing)",
                             value);
    else if (!self->allows_missing)
        missing_fault(self, place, column->name);
}

static const char *label_at(const void *list, size_t index)
{
    const bp_labels *labels = list;
    return labels->texts && index < labels->count ? labels->texts[index] : NULL;
}

static void read_category(row_reader *self, double *out, const bp_place *place, const json_t *value,
                          size_t feature)
{
    const bp_labels *labels = &self->info->feature_categories[feature];
    const char *name = self->info->features[feature].name;
    *out = NAN;
    if (json_is_null(value)) {
        if (!self->allows_missing)
            missing_fault(self, place, name);
        return;
    }
    size_t index = bp_labels_find_json(labels, value);
    if (index != SIZE_MAX) {
        *out = (double)index;
        return;
    }
    const char *text = json_string_value(value);
    if (labels->texts && !text) {
        bp_reader_fault_kind(&self->reader, place, "a string or null (missing)", value);
        return;
    }
    char *advice = text ? bp_reader_advice(&self->reader, text, label_at, labels) : NULL;
    if (text)
        bp_reader_fault(&self->reader, place, BP_UNKNOWN_NAME,
                        "unknown category \"%.*s\" of \"%s\"%s", bp_quoted_length(text), text, name,
                        advice ? advice : "");
    else if (json_is_number(value))
        bp_reader_fault(&self->reader, place, BP_UNKNOWN_NAME, "unknown category %.17g of \"%s\"",
                        json_number_value(value), name);
    else
        bp_reader_fault_kind(&self->reader, place, "one of the column's values or null (missing)",
                             value);
    free(advice);
}

/* A tensor nested as its shape says. */
static void read_nested(row_reader *self, double **at, const bp_place *place, const json_t *value,
                        const bp_job_column *column, size_t axis)
{
    size_t count = column->shape[axis];
    if (!json_is_array(value) || json_array_size(value) != count) {
        bp_reader_fault(&self->reader, place, BP_SHAPE,
                        "must be an array of %zu: axis %zu of \"%s\"", count, axis, column->name);
        return;
    }
    for (size_t index = 0; index < count; index++) {
        bp_place element = bp_place_element(place, index);
        if (axis + 1 < column->rank)
            read_nested(self, at, &element, json_array_get(value, index), column, axis + 1);
        else
            read_number(self, (*at)++, &element, json_array_get(value, index), column);
    }
}

static void read_flat(row_reader *self, double *out, const bp_place *place, const json_t *value,
                      const bp_job_column *column)
{
    if (json_array_size(value) != column->width) {
        bp_reader_fault(&self->reader, place, BP_SHAPE, "must be an array of %zu numbers, got %zu",
                        column->width, json_array_size(value));
        return;
    }
    for (size_t index = 0; index < column->width; index++) {
        bp_place element = bp_place_element(place, index);
        read_number(self, &out[index], &element, json_array_get(value, index), column);
    }
}

/* Elements of a raw row that a feature takes. */
static size_t raw_width(const bp_job_column *column)
{
    return column->type == BP_COLUMN_CATEGORICAL ? 1 : column->width;
}

static void read_feature(row_reader *self, double *out, const bp_place *place, const json_t *value,
                         size_t feature)
{
    const bp_job_column *column = &self->info->features[feature];
    if (column->type == BP_COLUMN_CATEGORICAL) {
        read_category(self, out, place, value, feature);
    } else if (column->type != BP_COLUMN_TENSOR) {
        read_number(self, out, place, value, column);
    } else if (!json_is_array(value)) {
        if (json_is_null(value) && self->allows_missing)
            for (size_t index = 0; index < column->width; index++)
                out[index] = NAN;
        else
            bp_reader_fault_kind(&self->reader, place, "an array of numbers", value);
    } else if (column->rank > 1 && json_is_array(json_array_get(value, 0))) {
        read_nested(self, &out, place, value, column, 0);
    } else {
        read_flat(self, out, place, value, column);
    }
}

/* The flattened features; a categorical one is one element. */
static void read_array_row(row_reader *self, double *out, const bp_place *place, const json_t *row)
{
    size_t width = self->info->preparation.raw_width;
    if (json_array_size(row) != width) {
        bp_reader_fault(&self->reader, place, BP_SHAPE,
                        "must have %zu elements, the flattened features, got %zu", width,
                        json_array_size(row));
        return;
    }
    size_t at = 0;
    for (size_t feature = 0; feature < self->info->feature_count; feature++) {
        const bp_job_column *column = &self->info->features[feature];
        for (size_t index = 0; index < raw_width(column); index++, at++) {
            bp_place element = bp_place_element(place, at);
            if (column->type == BP_COLUMN_CATEGORICAL)
                read_category(self, &out[at], &element, json_array_get(row, at), feature);
            else
                read_number(self, &out[at], &element, json_array_get(row, at), column);
        }
    }
}

/* Index of a feature, or SIZE_MAX. */
static size_t find_feature(const row_reader *self, const char *name)
{
    size_t low = 0, high = self->info->feature_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(self->info->features[self->by_name[middle]].name, name);
        if (order == 0)
            return self->by_name[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}

static void read_object_row(row_reader *self, double *out, const bp_place *place, const json_t *row)
{
    const bp_model_info *info = self->info;
    size_t at = 0, found = 0;
    for (size_t feature = 0; feature < info->feature_count; feature++) {
        const char *name = info->features[feature].name;
        const json_t *value = json_object_get(row, name);
        bp_place element = bp_place_member(place, name);
        if (value)
            read_feature(self, out + at, &element, value, feature);
        else
            bp_reader_fault(&self->reader, &element, BP_INVALID,
                            "the row has no \"%s\"; null stands for a missing value", name);
        found += value != NULL;
        at += raw_width(&info->features[feature]);
    }
    if (found == json_object_size(row))
        return;
    const char *key;
    json_t *value;
    json_object_foreach(bp_json_mutable(row), key, value)
    {
        if (find_feature(self, key) != SIZE_MAX)
            continue;
        bp_place element = bp_place_member(place, key);
        char *advice = bp_reader_advice(&self->reader, key, feature_name_at, info);
        bp_reader_fault(&self->reader, &element, BP_UNKNOWN_NAME, "unknown column \"%.*s\"%s",
                        bp_quoted_length(key), key, advice ? advice : "");
        free(advice);
    }
}

static int by_feature_name(const void *a, const void *b, void *context)
{
    const bp_model_info *info = context;
    const size_t *left = a, *right = b;
    return strcmp(info->features[*left].name, info->features[*right].name);
}

static bp_status read_rows(row_reader *self, double *raw, const bp_place *place, const json_t *rows)
{
    const bp_model_info *info = self->info;
    size_t *by_name = calloc(info->feature_count ? info->feature_count : 1, sizeof *by_name);
    if (!by_name)
        return BP_NO_MEMORY;
    for (size_t index = 0; index < info->feature_count; index++)
        by_name[index] = index;
    qsort_r(by_name, info->feature_count, sizeof *by_name, by_feature_name,
            (void *)(uintptr_t)info);
    self->by_name = by_name;
    for (size_t index = 0; index < json_array_size(rows); index++) {
        const json_t *row = json_array_get(rows, index);
        bp_place at = bp_place_element(place, index);
        double *out = raw + index * info->preparation.raw_width;
        if (json_is_array(row))
            read_array_row(self, out, &at, row);
        else if (json_is_object(row))
            read_object_row(self, out, &at, row);
        else
            bp_reader_fault_kind(&self->reader, &at,
                                 "an object of columns or an array of the flattened features", row);
    }
    free(by_name);
    return BP_OK;
}

bp_status bp_predict_rows_parse(double **out_raw, size_t *out_count, bp_faults *faults,
                                const bp_model_info *info, const json_t *rows, size_t limit)
{
    size_t missing = info->missing.member->index;
    row_reader self = {.reader = {faults},
                       .info = info,
                       .allows_missing =
                           missing != BP_MISSING_drop_row && missing != BP_MISSING_error};
    const bp_place root = {0}, place = bp_place_member(&root, "rows");
    size_t count = json_array_size(rows), size;
    if (!json_is_array(rows)) {
        bp_reader_fault_kind(&self.reader, &place, "an array of rows", rows);
        return BP_INVALID;
    }
    if (count > limit) {
        bp_reader_fault(&self.reader, &place, BP_TOO_LARGE, "must be at most %zu rows, got %zu",
                        limit, count);
        return BP_TOO_LARGE;
    }
    if (!bp_checked_multiply(&size, count ? count : 1, info->preparation.raw_width)) {
        bp_reader_fault(&self.reader, &place, BP_TOO_LARGE, "the rows are larger than any memory");
        return BP_TOO_LARGE;
    }
    double *raw = calloc(size, sizeof *raw);
    bp_status status = raw ? read_rows(&self, raw, &place, rows) : BP_NO_MEMORY;
    if (status == BP_NO_MEMORY)
        faults->out_of_memory = true;
    else if (bp_faults_any(faults))
        status = faults->count > 0 ? faults->items[0].status : BP_NO_MEMORY;
    if (status != BP_OK) {
        free(raw);
        return status;
    }
    *out_raw = raw;
    *out_count = count;
    return BP_OK;
}
