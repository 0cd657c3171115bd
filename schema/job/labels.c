#include "schema/job/labels.h"

#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"

bp_status bp_labels_create(bp_labels *out, const bp_column_info *column)
{
    double boolean_values[] = {0, 1};
    bp_labels borrowed = {.type = column->type};
    switch (column->type) {
    case BP_COLUMN_CATEGORICAL:
        borrowed.count = column->category_count;
        borrowed.texts = column->categories;
        break;
    case BP_COLUMN_BOOLEAN:
        borrowed.count = 2;
        borrowed.values = boolean_values;
        break;
    case BP_COLUMN_NUMERIC:
    case BP_COLUMN_TENSOR:
    case BP_COLUMN_TEXT:
        borrowed.count = column->value_count;
        borrowed.values = column->values;
        break;
    }
    return bp_labels_copy(out, &borrowed);
}

bp_status bp_labels_copy(bp_labels *out, const bp_labels *labels)
{
    bp_labels made = {.type = labels->type};
    size_t size = labels->count ? labels->count : 1;
    if (labels->type == BP_COLUMN_CATEGORICAL) {
        made.texts = calloc(size, sizeof *made.texts);
        if (!made.texts)
            return BP_NO_MEMORY;
        for (; made.count < labels->count; made.count++) {
            made.texts[made.count] = strdup(labels->texts[made.count]);
            if (!made.texts[made.count]) {
                bp_labels_done(&made);
                return BP_NO_MEMORY;
            }
        }
    } else {
        made.values = calloc(size, sizeof *made.values);
        if (!made.values)
            return BP_NO_MEMORY;
        made.count = labels->count;
        for (size_t index = 0; index < made.count; index++)
            made.values[index] = labels->values[index];
    }
    *out = made;
    return BP_OK;
}

void bp_labels_done(bp_labels *labels)
{
    bp_texts_free(labels->texts, labels->count);
    free(labels->values);
    *labels = (bp_labels){0};
}

bool bp_labels_equal(const bp_labels *a, const bp_labels *b)
{
    if (a->type != b->type || a->count != b->count || !a->texts != !b->texts ||
        !a->values != !b->values)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if ((a->texts && strcmp(a->texts[i], b->texts[i]) != 0) ||
            (a->values && a->values[i] != b->values[i]))
            return false;
    return true;
}

size_t bp_labels_find_text(const bp_labels *labels, const char *text)
{
    size_t low = 0, high = labels->texts ? labels->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(labels->texts[middle], text);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}

size_t bp_labels_find_value(const bp_labels *labels, double value)
{
    size_t low = 0, high = labels->values ? labels->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (labels->values[middle] == value)
            return middle;
        if (labels->values[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}

size_t bp_labels_find_json(const bp_labels *labels, const json_t *label)
{
    switch (labels->type) {
    case BP_COLUMN_CATEGORICAL:
        return json_is_string(label) ? bp_labels_find_text(labels, json_string_value(label))
                                     : SIZE_MAX;
    case BP_COLUMN_BOOLEAN:
        if (json_is_boolean(label))
            return json_is_true(label);
        break;
    case BP_COLUMN_NUMERIC:
    case BP_COLUMN_TENSOR:
    case BP_COLUMN_TEXT:
        break;
    }
    return json_is_number(label) ? bp_labels_find_value(labels, json_number_value(label))
                                 : SIZE_MAX;
}

json_t *bp_label_json(const bp_labels *labels, size_t index)
{
    switch (labels->type) {
    case BP_COLUMN_CATEGORICAL:
        return json_string(labels->texts[index]);
    case BP_COLUMN_BOOLEAN:
        return json_boolean(labels->values[index] != 0);
    case BP_COLUMN_NUMERIC:
    case BP_COLUMN_TENSOR:
    case BP_COLUMN_TEXT:
        break;
    }
    return bp_json_number(labels->values[index]);
}

json_t *bp_labels_json(const bp_labels *labels)
{
    json_t *array = json_array();
    for (size_t index = 0; array && index < labels->count; index++)
        if (json_array_append_new(array, bp_label_json(labels, index)) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

json_t *bp_labels_stored_json(const bp_labels *labels)
{
    json_t *labels_array = labels->texts ? bp_texts_json(labels->texts, labels->count)
                                         : bp_numbers_json(labels->values, labels->count);
    return json_pack("{s:s, s:o}", "type", bp_column_type_name(labels->type), "labels",
                     labels_array);
}

void bp_labels_parse(bp_stored *stored, bp_labels *out, const json_t *json)
{
    static const char *const types[] = {"numeric", "boolean", "categorical", NULL};
    out->type = (bp_column_type)bp_stored_name(stored, types, json, "type");
    if (out->type == BP_COLUMN_CATEGORICAL)
        out->texts = bp_stored_texts(stored, &out->count, json, "labels");
    else
        out->values = bp_stored_numbers(stored, &out->count, json, "labels");
}
