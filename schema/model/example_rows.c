#include "schema/model/example_rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "schema/job/labels.h"
#include "schema/json/json_text.h"
#include "schema/json/reader.h"

typedef struct example_reader {
    bp_reader reader;
    const bp_model_info *info;
    bp_example_rows *out;
} example_reader;

static void read_class(example_reader *self, size_t row, const bp_place *place, const json_t *value)
{
    const bp_labels *classes = &self->info->classes;
    const size_t index = bp_labels_find_json(classes, value);
    if (index != SIZE_MAX)
        self->out->label[row] = (int32_t)index;
    else if (json_is_string(value))
        bp_reader_fault(&self->reader, place, BP_UNKNOWN_NAME, "unknown class \"%.*s\" of \"%s\"",
                        bp_quoted_length(json_string_value(value)), json_string_value(value),
                        self->info->target_names[0]);
    else
        bp_reader_fault(&self->reader, place, BP_UNKNOWN_NAME,
                        "must be one of the %zu classes of \"%s\"", classes->count,
                        self->info->target_names[0]);
}

/* A number, or nested arrays of them in order; at counts the row's numbers read so far. */
static void read_values(example_reader *self, size_t row, size_t *at, const bp_place *place,
                        const json_t *value)
{
    if (json_is_array(value)) {
        for (size_t index = 0; index < json_array_size(value); index++) {
            bp_place element = bp_place_element(place, index);
            read_values(self, row, at, &element, json_array_get(value, index));
        }
        return;
    }
    const size_t width = self->info->target_width;
    if (!json_is_number(value) && !json_is_boolean(value))
        bp_reader_fault_kind(&self->reader, place, "a number", value);
    else if (self->out->value && *at < width)
        self->out->value[row * width + *at] =
            json_is_boolean(value) ? json_is_true(value) : json_number_value(value);
    ++*at;
}

static void check_width(example_reader *self, const bp_place *place, size_t found)
{
    if (found != self->info->target_width)
        bp_reader_fault(&self->reader, place, BP_SHAPE,
                        "must have %zu numbers as its target, got %zu", self->info->target_width,
                        found);
}

/* Takes the targets out of a row of columns. */
static void split_object(example_reader *self, size_t row, const bp_place *place, json_t *given)
{
    const bp_model_info *info = self->info;
    const bool classes = info->task == BP_TASK_CLASSIFICATION;
    size_t found = 0;
    bool whole = true;
    for (size_t index = 0; index < info->target_count; index++) {
        const char *name = info->target_names[index];
        const json_t *value = json_object_get(given, name);
        const bp_place at = bp_place_member(place, name);
        if (!value) {
            bp_reader_fault(&self->reader, &at, BP_INVALID,
                            "the row has no \"%s\", the target that the loss needs", name);
            whole = false;
        } else if (classes) {
            read_class(self, row, &at, value);
        } else {
            read_values(self, row, &found, &at, value);
        }
        json_object_del(given, name);
    }
    if (whole && !classes)
        check_width(self, place, found);
}

/* The same at the end of a row of elements. */
static void split_array(example_reader *self, size_t row, const bp_place *place, json_t *given)
{
    const bp_model_info *info = self->info;
    const bool classes = info->task == BP_TASK_CLASSIFICATION;
    const size_t target = classes ? 1 : info->target_width, size = json_array_size(given);
    const size_t width = info->preparation.raw_width;
    if (size != width + target) {
        bp_reader_fault(
            &self->reader, place, BP_SHAPE,
            "must have %zu elements, the flattened features and then the target, got %zu",
            width + target, size);
        while (json_array_size(given) > width)
            json_array_remove(given, json_array_size(given) - 1);
        while (json_array_size(given) < width) /* one fault is enough */
            if (json_array_append_new(given, json_integer(0)) != 0)
                return;
        return;
    }
    size_t found = 0;
    for (size_t index = 0; index < target; index++) {
        const bp_place at = bp_place_element(place, width + index);
        const json_t *value = json_array_get(given, width + index);
        if (classes)
            read_class(self, row, &at, value);
        else
            read_values(self, row, &found, &at, value);
    }
    if (!classes)
        check_width(self, place, found);
    while (json_array_size(given) > width)
        json_array_remove(given, json_array_size(given) - 1);
}

/* The rows without their targets. NULL: no memory. */
static json_t *split_targets(example_reader *self, const json_t *rows)
{
    const bp_place root = {0}, place = bp_place_member(&root, "rows");
    json_t *features = json_array();
    for (size_t row = 0; features && row < json_array_size(rows); row++) {
        json_t *given = json_copy(json_array_get(rows, row)); /* the row itself, not its members */
        const bp_place at = bp_place_element(&place, row);
        if (json_is_object(given))
            split_object(self, row, &at, given);
        else if (json_is_array(given))
            split_array(self, row, &at, given);
        if (json_array_append_new(features, given) != 0) {
            json_decref(features);
            return NULL;
        }
    }
    return features;
}

bp_status bp_example_rows_parse(bp_example_rows *out, bp_faults *faults, const bp_model_info *info,
                                const json_t *rows, size_t limit)
{
    bp_example_rows made = {0};
    example_reader self = {.reader = {faults}, .info = info, .out = &made};
    const size_t count = json_array_size(rows);
    size_t size;
    json_t *features = NULL;
    bp_status status = BP_OK;
    if (!json_is_array(rows) || count > limit ||
        !bp_checked_multiply(&size, count ? count : 1, info->target_width)) {
        /* Their faults are those of any rows. */
        status = bp_predict_rows_parse(&made.raw, &made.count, faults, info, rows, limit);
        goto done;
    }
    if (info->task == BP_TASK_CLASSIFICATION)
        made.label = calloc(count ? count : 1, sizeof *made.label);
    else
        made.value = calloc(size, sizeof *made.value);
    if (made.label || made.value)
        features = split_targets(&self, rows);
    if (features)
        status = bp_predict_rows_parse(&made.raw, &made.count, faults, info, features, limit);
    else
        faults->out_of_memory = true;

done:
    json_decref(features);
    if (status == BP_OK && bp_faults_any(faults))
        status = faults->count > 0 ? faults->items[0].status : BP_NO_MEMORY;
    if (status == BP_OK)
        *out = made;
    else
        bp_example_rows_done(&made);
    return status;
}

void bp_example_rows_done(bp_example_rows *rows)
{
    free(rows->raw);
    free(rows->label);
    free(rows->value);
    *rows = (bp_example_rows){0};
}
