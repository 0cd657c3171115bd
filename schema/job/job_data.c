/* What a job takes from its data set: columns, task, classes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/loss/loss.h"
#include "schema/job/job_work.h"
#include "schema/job/labels.h"
#include "schema/json/json_text.h"

/* A numeric target with at most this many distinct whole numbers is taken for classes. */
enum { INFERRED_CLASS_LIMIT = 20 };

static const char *column_name_at(const void *list, size_t index)
{
    const bp_dataset_info *info = list;
    return index < info->column_count ? info->columns[index].name : NULL;
}

/* Index of the column that value names, or SIZE_MAX with a fault at place. */
static size_t find_column(bp_job_work *work, const bp_place *place, const char *name)
{
    size_t index = bp_column_names_find(&work->names, name);
    if (index == SIZE_MAX) {
        char *advice = bp_reader_advice(&work->reader, name, column_name_at, work->training);
        bp_reader_fault(&work->reader, place, BP_UNKNOWN_NAME, "unknown column \"%.*s\"%s",
                        bp_quoted_length(name), name, advice ? advice : "");
        free(advice);
    }
    return index;
}

/* ---- overrides of column types ---- */

static bool has_only_zero_and_one(const bp_column_info *column)
{
    for (size_t index = 0; index < column->value_count; index++)
        if (column->values[index] != 0 && column->values[index] != 1)
            return false;
    return !column->distinct_is_lower_bound;
}

static void override_type(bp_job_work *work, const bp_place *place, size_t index,
                          bp_column_type wanted)
{
    const bp_column_info *column = &work->training->columns[index];
    if (column->type == wanted)
        return;
    if (column->type == BP_COLUMN_TENSOR)
        bp_reader_fault(&work->reader, place, BP_INVALID,
                        "column \"%s\" is a tensor; its type cannot be changed", column->name);
    else if (column->type == BP_COLUMN_CATEGORICAL)
        bp_reader_fault(
            &work->reader, place, BP_INVALID,
            "column \"%s\" holds text, such as \"%.*s\", and cannot be %s", column->name,
            column->category_count ? bp_quoted_length(column->categories[0]) : 0,
            column->category_count ? column->categories[0] : "", bp_column_type_name(wanted));
    else if (wanted == BP_COLUMN_CATEGORICAL && column->distinct_is_lower_bound)
        bp_reader_fault(&work->reader, place, BP_TOO_LARGE,
                        "column \"%s\" has more than %d distinct values, too many for categories",
                        column->name, BP_DISTINCT_LIMIT);
    else if (wanted == BP_COLUMN_BOOLEAN && !has_only_zero_and_one(column))
        bp_reader_fault(&work->reader, place, BP_INVALID,
                        "column \"%s\" has values other than 0 and 1 and cannot be boolean",
                        column->name);
    else
        work->types[index] = wanted;
}

static void resolve_types(bp_job_work *work)
{
    static const char *const words[] = {"numeric", "boolean", "categorical", NULL};
    const bp_dataset_info *info = work->training;
    work->types = bp_job_allocate(work, info->column_count, sizeof *work->types);
    if (!work->types)
        return;
    for (size_t index = 0; index < info->column_count; index++)
        work->types[index] = info->columns[index].type;
    const json_t *columns = work->draft.data.columns.value;
    if (!columns)
        return;
    const bp_place root = {0}, data = bp_place_member(&root, "data");
    const bp_place place = bp_place_member(&data, "columns");
    if (!json_is_object(columns)) {
        bp_reader_fault_kind(&work->reader, &place, "an object of column names and types", columns);
        return;
    }
    const char *name;
    json_t *value;
    json_object_foreach(bp_json_mutable(columns), name, value)
    {
        bp_place at = bp_place_member(&place, name);
        size_t index = find_column(work, &at, name);
        bp_given_count word = {0};
        bp_read_word(&work->reader, &at, value, &word, &(bp_word_list){words});
        if (index != SIZE_MAX && word.given)
            override_type(work, &at, index, (bp_column_type)word.value);
    }
}

/* ---- lists of columns ---- */

/* Reads an array of distinct column names into a mask over the columns and, in the order given,
 * into order. Returns the number of names, or SIZE_MAX after a fault. */
static size_t read_columns(bp_job_work *work, const bp_place *place, const json_t *list, bool *mask,
                           size_t *order)
{
    if (!json_is_array(list)) {
        bp_reader_fault_kind(&work->reader, place, "an array of column names", list);
        return SIZE_MAX;
    }
    bool faulty = false;
    size_t count = 0;
    for (size_t position = 0; position < json_array_size(list); position++) {
        const json_t *value = json_array_get(list, position);
        bp_place at = bp_place_element(place, position);
        if (!json_is_string(value)) {
            bp_reader_fault_kind(&work->reader, &at, "a column name", value);
            faulty = true;
            continue;
        }
        size_t index = find_column(work, &at, json_string_value(value));
        if (index != SIZE_MAX && mask[index])
            bp_reader_fault(&work->reader, &at, BP_INVALID, "names column \"%s\" again",
                            work->training->columns[index].name);
        if (index == SIZE_MAX || mask[index]) {
            faulty = true;
            continue;
        }
        mask[index] = true;
        order[count++] = index;
    }
    return faulty ? SIZE_MAX : count;
}

static bool make_column(bp_job_work *work, bp_job_column *out, size_t index)
{
    const bp_column_info *column = &work->training->columns[index];
    *out = (bp_job_column){.name = bp_job_copy(work, column->name),
                           .index = index,
                           .type = work->types[index],
                           .width = column->width,
                           .rank = column->rank};
    memcpy(out->shape, column->shape, sizeof out->shape);
    return out->name != NULL;
}

static void resolve_targets(bp_job_work *work, bool *is_target, size_t *order)
{
    const json_t *target = work->draft.data.target.value;
    bp_job_spec *spec = work->spec;
    if (!target)
        return;
    const bp_place root = {0}, data = bp_place_member(&root, "data");
    const bp_place place = bp_place_member(&data, "target");
    size_t count = SIZE_MAX;
    if (json_is_string(target)) {
        order[0] = find_column(work, &place, json_string_value(target));
        if (order[0] != SIZE_MAX) {
            is_target[order[0]] = true;
            count = 1;
        }
    } else if (json_is_array(target)) {
        count = read_columns(work, &place, target, is_target, order);
        if (count == 0) {
            bp_reader_fault(&work->reader, &place, BP_INVALID, "must name at least one column");
            count = SIZE_MAX;
        }
    } else {
        bp_reader_fault_kind(&work->reader, &place, "a column name or an array of them", target);
    }
    if (count == SIZE_MAX)
        return;
    spec->targets = bp_job_allocate(work, count, sizeof *spec->targets);
    for (size_t index = 0; spec->targets && index < count; index++) {
        spec->target_count = index + 1;
        if (!make_column(work, &spec->targets[index], order[index]))
            return;
    }
    work->targets_known = spec->targets != NULL;
}

static bool make_feature(bp_job_work *work, size_t index)
{
    bp_job_spec *spec = work->spec;
    const bp_column_info *column = &work->training->columns[index];
    bp_job_column *feature = &spec->features[spec->feature_count];
    bp_labels *categories = &spec->feature_categories[spec->feature_count++];
    if (!make_column(work, feature, index))
        return false;
    if (feature->type != BP_COLUMN_CATEGORICAL)
        return true;
    if (bp_labels_create(categories, column) != BP_OK) {
        bp_job_no_memory(work);
        return false;
    }
    feature->category_count = categories->count;
    return true;
}

/* Features named, or all columns but the targets, less the excluded ones. */
static void resolve_features(bp_job_work *work, const bool *is_target, bool *mask, bool *excluded,
                             size_t *order)
{
    bp_job_spec *spec = work->spec;
    const bp_data_draft *draft = &work->draft.data;
    const bp_dataset_info *info = work->training;
    const bp_place root = {0}, data = bp_place_member(&root, "data");
    bool known = true;
    if (draft->exclude.value) {
        bp_place at = bp_place_member(&data, "exclude");
        known = read_columns(work, &at, draft->exclude.value, excluded, order) != SIZE_MAX;
    }
    const bp_place place = bp_place_member(&data, "features");
    size_t count = 0;
    if (draft->features.value) {
        count = read_columns(work, &place, draft->features.value, mask, order);
        known = known && count != SIZE_MAX;
    } else {
        for (size_t index = 0; index < info->column_count; index++)
            if (!is_target[index])
                order[count++] = index;
    }
    if (!known)
        return;
    spec->features = bp_job_allocate(work, count, sizeof *spec->features);
    spec->feature_categories = bp_job_allocate(work, count, sizeof *spec->feature_categories);
    if (!spec->features || !spec->feature_categories)
        return;
    for (size_t position = 0; position < count; position++) {
        size_t index = order[position];
        if (is_target[index]) {
            bp_place at = bp_place_element(&place, position);
            bp_reader_fault(&work->reader, &at, BP_INVALID,
                            "column \"%s\" is the target and cannot be a feature",
                            info->columns[index].name);
            known = false;
        } else if (!excluded[index] && !make_feature(work, index)) {
            return;
        }
    }
    if (known && spec->feature_count == 0) {
        bp_job_fault(work, BP_INVALID, draft->features.value ? "/data/features" : "/data",
                     "there are no features: no column is left beside the target");
        known = false;
    }
    work->features_known = known;
}

/* ---- task and classes ---- */

static bp_task_kind infer_task(const bp_job_work *work)
{
    const bp_job_draft *draft = &work->draft;
    const bp_job_spec *spec = work->spec;
    const bp_target_kind kind =
        draft->loss.member ? bp_loss_of(draft->loss.member)->target_kind : BP_TARGET_NONE;
    if (kind != BP_TARGET_NONE)
        return kind == BP_TARGET_CLASS ? BP_TASK_CLASSIFICATION : BP_TASK_REGRESSION;
    if (spec->target_count > 1)
        return BP_TASK_REGRESSION;
    const bp_column_info *column = &work->training->columns[spec->targets[0].index];
    switch (spec->targets[0].type) {
    case BP_COLUMN_CATEGORICAL:
    case BP_COLUMN_BOOLEAN:
        return BP_TASK_CLASSIFICATION;
    case BP_COLUMN_TENSOR:
    case BP_COLUMN_TEXT:
        return BP_TASK_REGRESSION;
    case BP_COLUMN_NUMERIC:
        break;
    }
    return column->integral && !column->distinct_is_lower_bound &&
                   column->distinct_count <= INFERRED_CLASS_LIMIT
               ? BP_TASK_CLASSIFICATION
               : BP_TASK_REGRESSION;
}

static void resolve_classes(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    const bp_job_column *target = &spec->targets[0];
    const bp_column_info *column = &work->training->columns[target->index];
    work->targets_known = false;
    if (spec->target_count > 1)
        bp_job_fault(work, BP_INVALID, "/data/target", "a classification has one target, got %zu",
                     spec->target_count);
    else if (target->type == BP_COLUMN_TENSOR)
        bp_job_fault(work, BP_INVALID, "/data/target",
                     "column \"%s\" is a tensor; a class is one number or one text a row",
                     target->name);
    else if (column->distinct_is_lower_bound)
        bp_job_fault(work, BP_TOO_LARGE, "/data/target",
                     "column \"%s\" has more than %d distinct values, too many for classes",
                     target->name, BP_DISTINCT_LIMIT);
    else if (column->distinct_count < 2)
        bp_job_fault(work, BP_INVALID, "/data/target",
                     "column \"%s\" has %llu distinct values; a classification needs at least 2 "
                     "classes",
                     target->name, (unsigned long long)column->distinct_count);
    else if (bp_labels_create(&spec->classes, column) != BP_OK)
        bp_job_no_memory(work);
    else
        work->targets_known = true;
    spec->target_width = work->targets_known ? spec->classes.count : 0;
}

static void resolve_values(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    for (size_t index = 0; index < spec->target_count; index++) {
        const bp_job_column *target = &spec->targets[index];
        if (target->type == BP_COLUMN_CATEGORICAL) {
            bool single = json_is_string(work->draft.data.target.value);
            const bp_place root = {0}, data = bp_place_member(&root, "data");
            const bp_place list = bp_place_member(&data, "target");
            const bp_place element = bp_place_element(&list, index);
            bp_reader_fault(&work->reader, single ? &list : &element, BP_INVALID,
                            "column \"%s\" holds categories; regression needs numbers",
                            target->name);
            work->targets_known = false;
        }
        if (__builtin_add_overflow(spec->target_width, target->width, &spec->target_width))
            work->targets_known = false;
    }
    if (spec->target_width == 0 && work->targets_known) {
        bp_job_fault(work, BP_INVALID, "/data/target", "the target has no elements");
        work->targets_known = false;
    }
}

/* ---- the data set itself ---- */

const bp_dataset_info *bp_job_find_dataset(bp_job_work *work, const char *pointer, const char *name,
                                           const char *sha256, bp_given_count version)
{
    const bp_dataset_info *info = work->lookup->find(work->lookup->context, name, sha256);
    char place[64];
    if (info && !sha256 && version.given && info->version != (uint64_t)version.value) {
        snprintf(place, sizeof place, "%s/version", pointer);
        bp_job_fault(work, BP_NOT_FOUND, place,
                     "the newest version of data set \"%s\" is %llu; an older one is named by its "
                     "sha256",
                     name, (unsigned long long)info->version);
        return NULL;
    }
    if (info)
        return info;
    snprintf(place, sizeof place, "%s/%s", pointer, sha256 ? "sha256" : "dataset");
    bp_job_fault(work, BP_NOT_FOUND, place, "there is no data set \"%s\"%s", name,
                 sha256 ? " with this content" : "");
    return NULL;
}

static void check_lengths(bp_job_work *work)
{
    const bp_dataset_info *info = work->training;
    for (size_t index = 1; !info->equal_lengths && index < info->column_count; index++)
        if (info->columns[index].row_count != info->columns[0].row_count) {
            bp_job_fault(work, BP_CONFLICT, "/data/dataset",
                         "the columns of data set \"%s\" have unequal lengths: \"%s\" has %llu "
                         "rows, \"%s\" has %llu",
                         info->name, info->columns[0].name,
                         (unsigned long long)info->columns[0].row_count, info->columns[index].name,
                         (unsigned long long)info->columns[index].row_count);
            return;
        }
    if (info->row_count == 0)
        bp_job_fault(work, BP_INVALID, "/data/dataset", "data set \"%s\" has no rows", info->name);
}

/* Whether the job says of a data set that is not there that it is none of columns. */
static bool names_corpus(const bp_job_work *work)
{
    const bp_job_draft *draft = &work->draft;
    return draft->data.corpus.unit.given ||
           (draft->task.given && draft->task.value > (int64_t)BP_TASK_REGRESSION);
}

void bp_job_resolve_data(bp_job_work *work)
{
    const bp_data_draft *draft = &work->draft.data;
    bp_job_spec *spec = work->spec;
    if (draft->dataset.value)
        work->training = bp_job_find_dataset(work, "/data", draft->dataset.value,
                                             draft->sha256.value, draft->version);
    const bp_dataset_info *info = work->training;
    const bool of_table = info ? info->kind == BP_DATASET_TABLE : !names_corpus(work);
    if (draft->given && !draft->target.value && of_table)
        bp_job_fault(work, BP_INVALID, "/data/target", "is required");
    if (!info)
        return;
    spec->dataset = bp_job_copy(work, info->name);
    strcpy(spec->dataset_sha256, info->sha256);
    if (info->kind == BP_DATASET_VECTORS) {
        bp_job_fault(
            work, BP_INVALID, "/data/dataset",
            "data set \"%s\" is of kind \"vectors\": an embedding may begin with it, as its "
            "\"vectors\"",
            info->name);
        work->training = NULL;
        return;
    }
    if (info->kind != BP_DATASET_TABLE) {
        work->corpus = info;
        work->training = NULL;
        bp_job_resolve_corpus(work);
        return;
    }
    bp_job_refuse_corpus_fields(work);
    check_lengths(work);
    if (bp_column_names_create(&work->names, info) != BP_OK) {
        bp_job_no_memory(work);
        return;
    }
    resolve_types(work);
    bool *masks = bp_job_allocate(work, info->column_count, 3 * sizeof *masks);
    size_t *order = bp_job_allocate(work, info->column_count, sizeof *order);
    if (work->types && masks && order) {
        resolve_targets(work, masks, order);
        resolve_features(work, masks, masks + info->column_count, masks + 2 * info->column_count,
                         order);
    }
    free(masks);
    free(order);
    /* Another task is at fault already, and counts as absent. */
    const bool task_given =
        work->draft.task.given && work->draft.task.value <= (int64_t)BP_TASK_REGRESSION;
    work->task_known = task_given || work->draft.loss.member || work->targets_known;
    if (task_given)
        spec->task = (bp_task_kind)work->draft.task.value;
    else if (work->task_known)
        spec->task = infer_task(work);
    if (work->targets_known) {
        if (spec->task == BP_TASK_CLASSIFICATION)
            resolve_classes(work);
        else
            resolve_values(work);
    }
}
