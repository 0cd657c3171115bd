/* Validation and test parts, and what missing values do to all parts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/job/job_rows.h"
#include "schema/job/job_work.h"
#include "schema/job/labels.h"

enum { NAMED_COLUMNS = 10 };

static bool same_shape(const bp_column_info *a, const bp_column_info *b)
{
    return a->type == b->type && a->rank == b->rank &&
           !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape);
}

/* Column of another data set that stands for one of the training set's; NULL after a fault. */
static const bp_column_info *matching_column(bp_job_work *work, const char *pointer,
                                             const bp_column_names *names,
                                             const bp_job_column *wanted)
{
    const bp_column_info *model = &work->training->columns[wanted->index];
    size_t index = bp_column_names_find(names, wanted->name);
    if (index == SIZE_MAX) {
        bp_job_fault(work, BP_INVALID, pointer, "data set \"%s\" has no column \"%s\"",
                     names->info->name, wanted->name);
        return NULL;
    }
    const bp_column_info *column = &names->info->columns[index];
    if (same_shape(column, model))
        return column;
    if (column->type != model->type)
        bp_job_fault(work, BP_INVALID, pointer,
                     "column \"%s\" is %s in data set \"%s\" and %s in the training set",
                     wanted->name, bp_column_type_name(column->type), names->info->name,
                     bp_column_type_name(model->type));
    else
        bp_job_fault(work, BP_INVALID, pointer,
                     "column \"%s\" has another shape in data set \"%s\" than in the training set",
                     wanted->name, names->info->name);
    return NULL;
}

/* Index of the first label of column that labels does not have, or SIZE_MAX. */
static size_t first_unknown(const bp_labels *labels, const bp_column_info *column)
{
    for (size_t index = 0; index < column->category_count; index++)
        if (bp_labels_find_text(labels, column->categories[index]) == SIZE_MAX)
            return index;
    for (size_t index = 0; column->type == BP_COLUMN_NUMERIC && index < column->value_count;
         index++)
        if (bp_labels_find_value(labels, column->values[index]) == SIZE_MAX)
            return index;
    return SIZE_MAX;
}

static void check_labels(bp_job_work *work, const char *pointer, const bp_dataset_info *info,
                         const bp_column_info *column)
{
    if (column->distinct_is_lower_bound) {
        bp_job_fault(work, BP_INVALID, pointer,
                     "the target \"%s\" of data set \"%s\" has labels that the training set does "
                     "not have",
                     column->name, info->name);
        return;
    }
    size_t unknown = first_unknown(&work->spec->classes, column);
    if (unknown == SIZE_MAX)
        return;
    if (column->type == BP_COLUMN_CATEGORICAL)
        bp_job_fault(work, BP_INVALID, pointer,
                     "the target \"%s\" of data set \"%s\" has the label \"%.*s\", which the "
                     "training set does not have",
                     column->name, info->name, bp_quoted_length(column->categories[unknown]),
                     column->categories[unknown]);
    else
        bp_job_fault(work, BP_INVALID, pointer,
                     "the target \"%s\" of data set \"%s\" has the label %.17g, which the training "
                     "set does not have",
                     column->name, info->name, column->values[unknown]);
}

/* Checks a data set of its own against the training set. */
static void check_part(bp_job_work *work, const char *pointer, const bp_dataset_info *info)
{
    const bp_job_spec *spec = work->spec;
    if (!info->equal_lengths || info->row_count == 0) {
        bp_job_fault(work, info->equal_lengths ? BP_INVALID : BP_CONFLICT, pointer,
                     info->equal_lengths ? "data set \"%s\" has no rows"
                                         : "the columns of data set \"%s\" have unequal lengths",
                     info->name);
        return;
    }
    bp_column_names names;
    if (bp_column_names_create(&names, info) != BP_OK) {
        bp_job_no_memory(work);
        return;
    }
    for (size_t index = 0; work->features_known && index < spec->feature_count; index++) {
        const bp_column_info *column =
            matching_column(work, pointer, &names, &spec->features[index]);
        const bp_labels *known = &spec->feature_categories[index];
        size_t unknown = column && known->count ? first_unknown(known, column) : SIZE_MAX;
        if (unknown != SIZE_MAX)
            bp_job_warn(work,
                        "column \"%s\" of data set \"%s\" has categories that the training set "
                        "does not have; they count as missing",
                        column->name, info->name);
    }
    for (size_t index = 0; work->targets_known && index < spec->target_count; index++) {
        const bp_column_info *column =
            matching_column(work, pointer, &names, &spec->targets[index]);
        if (column && spec->task == BP_TASK_CLASSIFICATION)
            check_labels(work, pointer, info, column);
    }
    bp_column_names_done(&names);
}

static void resolve_part(bp_job_work *work, bp_job_part *out, const bp_dataset_info **out_info,
                         uint64_t *out_rows, const bp_part_draft *draft, const char *pointer)
{
    if (draft->dataset.value && !draft->fraction.given) {
        const bp_dataset_info *info = bp_job_find_dataset(work, pointer, draft->dataset.value,
                                                          draft->sha256.value, draft->version);
        *out_info = info;
        if (!info)
            return;
        out->dataset = bp_job_copy(work, info->name);
        strcpy(out->sha256, info->sha256);
        *out_rows = info->row_count;
        char place[64];
        snprintf(place, sizeof place, "%s/dataset", pointer);
        if (info->kind != BP_DATASET_TABLE)
            bp_job_fault(work, BP_INVALID, place,
                         "data set \"%s\" is of kind \"%s\"; classification and regression take "
                         "tables",
                         info->name, bp_dataset_kind_name(info->kind));
        else if (work->training)
            check_part(work, place, info);
    } else if (draft->fraction.given && work->training) {
        out->fraction = draft->fraction.value;
        *out_rows = bp_job_part_rows(out->fraction, work->training->row_count);
    }
}

/* ---- missing values ---- */

static uint64_t missing_in(const bp_column_names *names, const char *name)
{
    size_t index = bp_column_names_find(names, name);
    return index == SIZE_MAX ? 0 : names->info->columns[index].missing_count;
}

static void check_missing_targets(bp_job_work *work, const bp_column_names *names, bool drop)
{
    const bp_job_spec *spec = work->spec;
    const bp_dataset_info *info = names->info;
    for (size_t index = 0; index < spec->target_count; index++) {
        uint64_t missing = missing_in(names, spec->targets[index].name);
        if (missing == 0)
            continue;
        if (drop)
            bp_job_warn(work,
                        "the target \"%s\" of data set \"%s\" is missing in %llu rows; they are "
                        "left out",
                        spec->targets[index].name, info->name, (unsigned long long)missing);
        else
            bp_job_fault(work, BP_INVALID, "/data/target",
                         "the target \"%s\" of data set \"%s\" is missing in %llu rows; "
                         "preprocess.missing \"drop_row\" leaves such rows out",
                         spec->targets[index].name, info->name, (unsigned long long)missing);
    }
}

/* One fault that names the columns, for `missing: error`. */
static void refuse_missing_features(bp_job_work *work, const bp_column_names *names)
{
    const bp_job_spec *spec = work->spec;
    char *list = NULL;
    size_t size, count = 0;
    FILE *out = open_memstream(&list, &size);
    if (!out) {
        bp_job_no_memory(work);
        return;
    }
    for (size_t index = 0; index < spec->feature_count; index++) {
        if (missing_in(names, spec->features[index].name) == 0)
            continue;
        if (count < NAMED_COLUMNS)
            fprintf(out, "%s\"%s\"", count ? ", " : "", spec->features[index].name);
        count++;
    }
    if (count > NAMED_COLUMNS)
        fprintf(out, " and %zu more", count - NAMED_COLUMNS);
    if (fclose(out) != 0)
        bp_job_no_memory(work);
    else if (count)
        bp_job_fault(work, BP_INVALID, "/preprocess/missing",
                     "\"error\" allows no missing value, but data set \"%s\" has some in %s",
                     names->info->name, list);
    free(list);
}

void bp_job_resolve_parts(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    const bp_data_draft *draft = &work->draft.data;
    if (work->corpus)
        return;
    resolve_part(work, &spec->validation, &work->validation, &work->validation_rows,
                 &draft->validation, "/data/validation");
    resolve_part(work, &spec->test, &work->test, &work->test_rows, &draft->test, "/data/test");
    if (!work->training)
        return;
    uint64_t rows = work->training->row_count;
    uint64_t taken =
        (work->validation ? 0 : work->validation_rows) + (work->test ? 0 : work->test_rows);
    if (taken < rows)
        work->training_rows = rows - taken;
    else if (rows > 0)
        bp_job_fault(work, BP_INVALID,
                     spec->validation.fraction > 0 ? "/data/validation/fraction"
                                                   : "/data/test/fraction",
                     "the parts take %llu rows of %llu and leave none to train on",
                     (unsigned long long)taken, (unsigned long long)rows);

    const bp_member *missing = work->draft.preprocess.missing.member;
    bool drop = missing && missing->index == BP_MISSING_drop_row;
    bool refuse = missing && missing->index == BP_MISSING_error;
    const bp_dataset_info *const sets[] = {work->training, work->validation, work->test};
    for (size_t index = 0; index < sizeof sets / sizeof *sets; index++) {
        bp_column_names names = {0};
        if (!sets[index] || sets[index]->kind != BP_DATASET_TABLE)
            continue;
        if (bp_column_names_create(&names, sets[index]) != BP_OK) {
            bp_job_no_memory(work);
            return;
        }
        if (work->targets_known)
            check_missing_targets(work, &names, drop);
        if (work->features_known && refuse)
            refuse_missing_features(work, &names);
        bp_column_names_done(&names);
    }
}
