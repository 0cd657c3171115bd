/* A job's data, in this order: open and verify the column files; say which rows belong to which part;
 * read targets and leave out or refuse rows with missing values; fit the preparation of features and of
 * targets on what is left of the training rows; prepare every part. Raw rows exist only a block at a time. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/random/random.h"
#include "schema/job/job_rows.h"
#include "server/corpus/job_corpora.h"
#include "server/dataset/datasets_state.h"
#include "server/dataset/row_reader.h"

/* Doubles in a block of raw rows: small enough for the second-level cache. */
enum { BLOCK_NUMBERS = 32 * 1024, ALIGNMENT = 64 };

enum { TRAINING, VALIDATION, TEST, PART_COUNT };

/* One data set, opened for a job. */
typedef struct job_source {
    bp_dataset_info *info;
    bp_row_reader *features, *targets;
} job_source;

/* The rows of a part, and what is made of them. */
typedef struct job_part {
    job_source *source; /* NULL: no such part */
    uint64_t *rows;     /* ascending */
    size_t row_count;
    int32_t *label;
    void *value;
    void *prepared;
} job_part;

typedef struct job_loader {
    bp_datasets *datasets;
    const bp_job_spec *spec;
    bool (*cancelled)(void *context);
    void *context;
    job_source sources[PART_COUNT]; /* of the training set; of parts that are sets of their own */
    job_part parts[PART_COUNT];
    size_t block_rows;
    double *block; /* (block_rows, the wider of features and targets) */
} job_loader;

/* What bp_job_data_done frees. */
typedef struct owned_arrays {
    void *arrays[3 * PART_COUNT];
} owned_arrays;

static const char *const part_names[] = {"training", "validation", "test"};

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the job's data");
}

static bp_status poll_cancelled(const job_loader *loader, bp_error *error)
{
    if (loader->cancelled && loader->cancelled(loader->context))
        return bp_error_set(error, BP_CANCELLED, NULL, "cancelled");
    return BP_OK;
}

/* Zero-sized arrays get one element, so that NULL means no memory. */
static void *allocate(size_t count, size_t width, size_t size)
{
    size_t bytes;
    if (!bp_checked_multiply(&bytes, count, width) || !bp_checked_multiply(&bytes, bytes, size) ||
        !bp_checked_align(&bytes, bytes ? bytes : 1, ALIGNMENT))
        return NULL;
    return aligned_alloc(ALIGNMENT, bytes);
}

/* ---- sources ---- */

static bp_status open_source(job_loader *loader, job_source *source, const char *name,
                             const char *sha256, bp_error *error)
{
    const bp_job_spec *spec = loader->spec;
    const char *directory = bp_store_directory(loader->datasets->store);
    bp_status status = bp_datasets_find(&source->info, loader->datasets, name, sha256, error);
    if (status == BP_OK)
        status = bp_row_reader_open(&source->features, directory, source->info, spec->features,
                                    spec->feature_categories, spec->feature_count,
                                    loader->cancelled, loader->context, error);
    assert(spec->task != BP_TASK_CLASSIFICATION || spec->target_count == 1);
    /* A classification has one target column, so one list of classes is a list for each. */
    const bp_labels *classes = spec->task == BP_TASK_CLASSIFICATION ? &spec->classes : NULL;
    if (status == BP_OK)
        status =
            bp_row_reader_open(&source->targets, directory, source->info, spec->targets, classes,
                               spec->target_count, loader->cancelled, loader->context, error);
    if (status == BP_OK &&
        bp_row_reader_row_count(source->features) != bp_row_reader_row_count(source->targets))
        status = bp_error_set(error, BP_CONFLICT, name,
                              "the columns of the data set \"%s\" have unequal lengths", name);
    return status;
}

static void close_source(job_source *source)
{
    bp_row_reader_free(source->features);
    bp_row_reader_free(source->targets);
    bp_dataset_info_free(source->info);
}

/* ---- parts ---- */

static bp_status take_all_rows(job_part *part, job_source *source, bp_error *error)
{
    const uint64_t count = bp_row_reader_row_count(source->features);
    part->source = source;
    part->rows = allocate((size_t)count, 1, sizeof *part->rows);
    if (!part->rows)
        return no_memory(error);
    for (uint64_t row = 0; row < count; row++)
        part->rows[row] = row;
    part->row_count = (size_t)count;
    return BP_OK;
}

/* The first rows of a permutation are for validation, the next for the test, the rest for training;
 * within a part rows keep the file's order. */
static bp_status split_training_rows(job_loader *loader, bp_error *error)
{
    const bp_job_spec *spec = loader->spec;
    job_source *source = &loader->sources[TRAINING];
    const size_t count = (size_t)bp_row_reader_row_count(source->features);
    size_t taken[PART_COUNT] = {
        [VALIDATION] = (size_t)bp_job_part_rows(spec->validation.fraction, count),
        [TEST] = (size_t)bp_job_part_rows(spec->test.fraction, count),
    };
    if (taken[VALIDATION] + taken[TEST] == 0)
        return take_all_rows(&loader->parts[TRAINING], source, error);
    if (taken[VALIDATION] + taken[TEST] >= count)
        return bp_error_set(
            error, BP_INVALID, "/data",
            "validation and test take all of the %zu rows; none is left to train on", count);
    taken[TRAINING] = count - taken[VALIDATION] - taken[TEST];
    size_t *order = allocate(count, 1, sizeof *order);
    unsigned char *part_of = calloc(count, 1); /* TRAINING */
    bp_status status = order && part_of ? BP_OK : no_memory(error);
    if (status == BP_OK) {
        const bp_random random = bp_random_stream(spec->training.seed, 0, BP_RANDOM_SPLIT, 0);
        bp_random_permutation(order, count, &random);
        for (size_t i = 0; i < taken[VALIDATION] + taken[TEST]; i++)
            part_of[order[i]] = i < taken[VALIDATION] ? VALIDATION : TEST;
    }
    for (size_t i = 0; i < PART_COUNT && status == BP_OK; i++) {
        job_part *part = &loader->parts[i];
        if (taken[i] == 0)
            continue;
        part->source = source;
        part->rows = allocate(taken[i], 1, sizeof *part->rows);
        if (!part->rows)
            status = no_memory(error);
    }
    for (size_t row = 0; row < count && status == BP_OK; row++) {
        job_part *part = &loader->parts[part_of[row]];
        part->rows[part->row_count++] = row;
    }
    free(order);
    free(part_of);
    return status;
}

static bp_status open_parts(job_loader *loader, bp_error *error)
{
    const bp_job_spec *spec = loader->spec;
    const bp_job_part *others[PART_COUNT] = {
        [VALIDATION] = &spec->validation, [TEST] = &spec->test};
    bp_status status =
        open_source(loader, &loader->sources[TRAINING], spec->dataset, spec->dataset_sha256, error);
    if (status == BP_OK)
        status = split_training_rows(loader, error);
    for (size_t i = VALIDATION; i < PART_COUNT && status == BP_OK; i++) {
        if (!others[i]->dataset)
            continue;
        status =
            open_source(loader, &loader->sources[i], others[i]->dataset, others[i]->sha256, error);
        if (status == BP_OK)
            status = take_all_rows(&loader->parts[i], &loader->sources[i], error);
    }
    return status;
}

/* ---- targets and missing values ---- */

static bool drops_rows(const bp_job_spec *spec)
{
    return spec->missing.member->index == BP_MISSING_drop_row;
}

static bp_status refuse_target(const job_loader *loader, const job_part *part, uint64_t row,
                               bp_error *error)
{
    char text[128];
    bool missing = true;
    const bp_job_spec *spec = loader->spec;
    const char *name = spec->targets[0].name, *dataset = part->source->info->name;
    if (spec->task == BP_TASK_CLASSIFICATION) {
        bp_status status =
            bp_row_reader_describe(part->source->targets, row, &missing, text, sizeof text, error);
        if (status != BP_OK)
            return status;
    }
    if (!missing)
        return bp_error_set(error, BP_INVALID, name,
                            "row %llu of the data set \"%s\" has the label \"%s\" in \"%s\", which "
                            "the training data does not have",
                            (unsigned long long)row + 1, dataset, text, name);
    return bp_error_set(error, BP_INVALID, name,
                        "row %llu of the data set \"%s\" has no value for the target; "
                        "preprocess.missing \"drop_row\" leaves such rows out",
                        (unsigned long long)row + 1, dataset);
}

static void keep_target(const job_loader *loader, job_part *part, const double *target, size_t at)
{
    const bp_job_spec *spec = loader->spec;
    const size_t width = spec->target_width;
    if (part->label) {
        part->label[at] = (int32_t)target[0];
    } else if (spec->training.network.dtype == BP_FLOAT32) {
        for (size_t i = 0; i < width; i++)
            ((float *)part->value)[at * width + i] = (float)target[i];
    } else {
        memcpy((double *)part->value + at * width, target, width * sizeof *target);
    }
}

/* Whether the label of a row that came out as NaN is merely missing. */
static bp_status is_missing(const job_loader *loader, const job_part *part, uint64_t row,
                            bool *out_missing, bp_error *error)
{
    char text[8];
    *out_missing = true;
    if (loader->spec->task != BP_TASK_CLASSIFICATION)
        return BP_OK;
    return bp_row_reader_describe(part->source->targets, row, out_missing, text, sizeof text,
                                  error);
}

/* Reads the targets of a part; rows without one leave it. */
static bp_status read_targets(job_loader *loader, job_part *part, bp_error *error)
{
    const bp_job_spec *spec = loader->spec;
    const bool classes = spec->task == BP_TASK_CLASSIFICATION;
    const size_t width = bp_row_reader_width(part->source->targets);
    if (classes)
        part->label = allocate(part->row_count, 1, sizeof *part->label);
    else
        part->value = allocate(part->row_count, width, bp_dtype_size(spec->training.network.dtype));
    if (!part->label && !part->value)
        return no_memory(error);
    size_t kept = 0;
    bp_status status = BP_OK;
    for (size_t first = 0; first < part->row_count && status == BP_OK;
         first += loader->block_rows) {
        const size_t left = part->row_count - first;
        const size_t count = left < loader->block_rows ? left : loader->block_rows;
        status = poll_cancelled(loader, error);
        if (status == BP_OK)
            status = bp_row_reader_read(part->source->targets, loader->block, part->rows + first,
                                        count, error);
        for (size_t i = 0; i < count && status == BP_OK; i++) {
            const double *target = loader->block + i * width;
            const uint64_t row = part->rows[first + i];
            bool whole = true;
            for (size_t j = 0; j < width; j++)
                whole = whole && !isnan(target[j]);
            if (whole) {
                part->rows[kept] = row;
                keep_target(loader, part, target, kept++);
                continue;
            }
            bool missing = true;
            status = is_missing(loader, part, row, &missing, error);
            if (status == BP_OK && !(missing && drops_rows(spec)))
                status = refuse_target(loader, part, row, error);
        }
    }
    part->row_count = kept;
    return status;
}

static void move_target(const job_loader *loader, job_part *part, size_t to, size_t from)
{
    if (part->label) {
        part->label[to] = part->label[from];
        return;
    }
    const size_t bytes =
        loader->spec->target_width * bp_dtype_size(loader->spec->training.network.dtype);
    memmove((char *)part->value + to * bytes, (char *)part->value + from * bytes, bytes);
}

/* Leaves out (drop_row) or refuses (error) rows with a missing feature. */
static bp_status check_features(job_loader *loader, job_part *part, bp_error *error)
{
    const bp_job_spec *spec = loader->spec;
    const bool drop = drops_rows(spec), refuse = spec->missing.member->index == BP_MISSING_error;
    const size_t width = bp_row_reader_width(part->source->features);
    if ((!drop && !refuse) || !bp_row_reader_may_miss(part->source->features))
        return BP_OK;
    size_t kept = 0;
    bp_status status = BP_OK;
    for (size_t first = 0; first < part->row_count && status == BP_OK;
         first += loader->block_rows) {
        const size_t left = part->row_count - first;
        const size_t count = left < loader->block_rows ? left : loader->block_rows;
        status = poll_cancelled(loader, error);
        if (status == BP_OK)
            status = bp_row_reader_read(part->source->features, loader->block, part->rows + first,
                                        count, error);
        for (size_t i = 0; i < count && status == BP_OK; i++) {
            bool whole = true;
            for (size_t j = 0; j < width; j++)
                whole = whole && !isnan(loader->block[i * width + j]);
            if (!whole && refuse)
                status = bp_error_set(error, BP_INVALID, "/preprocess/missing",
                                      "row %llu of the data set \"%s\" has a missing value",
                                      (unsigned long long)part->rows[first + i] + 1,
                                      part->source->info->name);
            if (!whole)
                continue;
            part->rows[kept] = part->rows[first + i];
            move_target(loader, part, kept++, first + i);
        }
    }
    part->row_count = kept;
    return status;
}

/* ---- preparation ---- */

typedef struct fit_context {
    job_loader *loader;
    job_part *part;
} fit_context;

static bp_status read_for_fit(void *context, double *out, size_t first, size_t count,
                              bp_error *error)
{
    const fit_context *fit = context;
    bp_status status = poll_cancelled(fit->loader, error);
    if (status == BP_OK)
        status = bp_row_reader_read(fit->part->source->features, out, fit->part->rows + first,
                                    count, error);
    return status;
}

static bp_status fit(job_loader *loader, bp_preparation *out, bp_error *error)
{
    const bp_job_spec *spec = loader->spec;
    fit_context context = {loader, &loader->parts[TRAINING]};
    bp_feature_column *columns = calloc(spec->feature_count, sizeof *columns);
    if (!columns)
        return no_memory(error);
    for (size_t i = 0; i < spec->feature_count; i++)
        columns[i] =
            (bp_feature_column){.categorical = spec->features[i].type == BP_COLUMN_CATEGORICAL,
                                .width = spec->features[i].width,
                                .category_count = spec->features[i].category_count};
    const bp_preparation_spec preparation = {.center = spec->center,
                                             .scaling = spec->scaling,
                                             .missing = spec->missing,
                                             .whiten = spec->whiten,
                                             .whiten_epsilon = spec->whiten_epsilon,
                                             .column_count = spec->feature_count,
                                             .columns = columns};
    const bp_row_source source = {
        .context = &context, .row_count = context.part->row_count, .read = read_for_fit};
    bp_status status = bp_preparation_fit(out, &preparation, &source, error);
    free(columns);
    return status;
}

static bp_status read_targets_for_fit(void *context, double *out, size_t first, size_t count,
                                      bp_error *error)
{
    const fit_context *fit = context;
    bp_status status = poll_cancelled(fit->loader, error);
    if (status == BP_OK)
        status = bp_row_reader_read(fit->part->source->targets, out, fit->part->rows + first, count,
                                    error);
    return status;
}

static bool scales_targets(const bp_job_spec *spec)
{
    return spec->task == BP_TASK_REGRESSION &&
           spec->target_scaling.member->index == BP_TARGET_SCALING_standard;
}

static bp_status fit_targets(job_loader *loader, bp_preparation *out, bp_error *error)
{
    if (!scales_targets(loader->spec))
        return BP_OK;
    fit_context context = {loader, &loader->parts[TRAINING]};
    const bp_feature_column column = {.width = loader->spec->target_width};
    const bp_preparation_spec preparation = {
        .center = true,
        .scaling = bp_choice_default(bp_scaling_family.members[BP_SCALING_standard]),
        .missing = bp_choice_default(bp_missing_family.members[BP_MISSING_error]),
        .column_count = 1,
        .columns = &column};
    const bp_row_source source = {
        .context = &context, .row_count = context.part->row_count, .read = read_targets_for_fit};
    bp_error fault = {.status = BP_OK};
    bp_status status = bp_preparation_fit(out, &preparation, &source, &fault);
    if (status == BP_NOT_FINITE)
        return bp_error_set(error, status, "/data/target",
                            "a target is infinite or too large to be scaled");
    return status == BP_OK ? BP_OK : bp_error_set(error, status, fault.where, "%s", fault.message);
}

/* Reads the targets of a part once more, as float64: they are rounded once, when they are scaled. */
static bp_status scale_targets(job_loader *loader, job_part *part,
                               const bp_preparation *preparation, bp_error *error)
{
    const bp_dtype dtype = loader->spec->training.network.dtype;
    const size_t row_bytes = preparation->prepared_width * bp_dtype_size(dtype);
    bp_status status = BP_OK;
    for (size_t first = 0; first < part->row_count && status == BP_OK;
         first += loader->block_rows) {
        const size_t left = part->row_count - first;
        const size_t count = left < loader->block_rows ? left : loader->block_rows;
        status = poll_cancelled(loader, error);
        if (status == BP_OK)
            status = bp_row_reader_read(part->source->targets, loader->block, part->rows + first,
                                        count, error);
        if (status == BP_OK)
            bp_preparation_apply(preparation, (char *)part->value + first * row_bytes, dtype,
                                 loader->block, count);
    }
    return status;
}

static bp_status prepare(job_loader *loader, job_part *part, const bp_preparation *preparation,
                         bp_error *error)
{
    const bp_dtype dtype = loader->spec->training.network.dtype;
    const size_t row_bytes = preparation->prepared_width * bp_dtype_size(dtype);
    part->prepared = allocate(part->row_count, preparation->prepared_width, bp_dtype_size(dtype));
    if (!part->prepared)
        return no_memory(error);
    bp_status status = BP_OK;
    for (size_t first = 0; first < part->row_count && status == BP_OK;
         first += loader->block_rows) {
        const size_t left = part->row_count - first;
        const size_t count = left < loader->block_rows ? left : loader->block_rows;
        status = poll_cancelled(loader, error);
        if (status == BP_OK)
            status = bp_row_reader_read(part->source->features, loader->block, part->rows + first,
                                        count, error);
        if (status == BP_OK)
            bp_preparation_apply(preparation, (char *)part->prepared + first * row_bytes, dtype,
                                 loader->block, count);
    }
    return status;
}

/* ---- the whole ---- */

static bp_status make_block(job_loader *loader, bp_error *error)
{
    const job_source *source = &loader->sources[TRAINING];
    const size_t features = bp_row_reader_width(source->features);
    const size_t targets = bp_row_reader_width(source->targets);
    const size_t width = features > targets ? features : targets;
    loader->block_rows = width < BLOCK_NUMBERS ? BLOCK_NUMBERS / width : 1;
    if (loader->block_rows > BP_STAGING_ROWS)
        loader->block_rows = BP_STAGING_ROWS;
    loader->block = allocate(loader->block_rows, width, sizeof *loader->block);
    return loader->block ? BP_OK : no_memory(error);
}

static void hand_over(bp_job_data *out, job_loader *loader, owned_arrays *owned)
{
    bp_examples *examples[PART_COUNT] = {&out->training, &out->validation, &out->test};
    for (size_t i = 0; i < PART_COUNT; i++) {
        job_part *part = &loader->parts[i];
        *examples[i] = (bp_examples){.row_count = part->row_count,
                                     .features = part->prepared,
                                     .label = part->label,
                                     .value = part->value};
        owned->arrays[3 * i] = part->prepared;
        owned->arrays[3 * i + 1] = part->label;
        owned->arrays[3 * i + 2] = part->value;
        part->prepared = part->value = NULL;
        part->label = NULL;
    }
    out->owned = owned;
}

bp_status bp_job_data_load(bp_job_data *out, bp_datasets *datasets, const bp_job_spec *spec,
                           bool (*cancelled)(void *context), void *context, bp_error *error)
{
    job_loader loader = {
        .datasets = datasets, .spec = spec, .cancelled = cancelled, .context = context};
    bp_preparation preparation = {0}, target = {0};
    if (bp_task_is_of_corpus(spec->task))
        return bp_job_corpora_load(out, datasets, spec, cancelled, context, error);
    owned_arrays *owned = calloc(1, sizeof *owned);
    bp_status status = owned ? open_parts(&loader, error) : no_memory(error);
    if (status == BP_OK)
        status = make_block(&loader, error);
    for (size_t i = 0; i < PART_COUNT && status == BP_OK; i++) {
        job_part *part = &loader.parts[i];
        if (!part->source)
            continue;
        status = read_targets(&loader, part, error);
        if (status == BP_OK)
            status = check_features(&loader, part, error);
        if (status == BP_OK && part->row_count == 0)
            status = bp_error_set(error, BP_INVALID, "/data",
                                  "no row is left in the %s part: each has a missing value",
                                  part_names[i]);
    }
    if (status == BP_OK)
        status = fit(&loader, &preparation, error);
    if (status == BP_OK)
        status = fit_targets(&loader, &target, error);
    for (size_t i = 0; i < PART_COUNT && status == BP_OK; i++) {
        if (!loader.parts[i].source)
            continue;
        status = prepare(&loader, &loader.parts[i], &preparation, error);
        if (status == BP_OK && target.column_count > 0)
            status = scale_targets(&loader, &loader.parts[i], &target, error);
    }
    if (status == BP_OK) {
        hand_over(out, &loader, owned);
        out->preparation = preparation;
        out->target_preparation = target;
        out->corpora = NULL;
        owned = NULL;
    } else {
        bp_preparation_done(&preparation);
        bp_preparation_done(&target);
    }
    for (size_t i = 0; i < PART_COUNT; i++) {
        free(loader.parts[i].rows);
        free(loader.parts[i].label);
        free(loader.parts[i].value);
        free(loader.parts[i].prepared);
        close_source(&loader.sources[i]);
    }
    free(loader.block);
    free(owned);
    return status;
}

const int32_t *bp_job_data_labels(const bp_job_data *data)
{
    return data->corpora ? data->training.windows.label : data->training.label;
}

void bp_job_data_done(bp_job_data *data)
{
    owned_arrays *owned = data->owned;
    for (size_t i = 0; owned && i < sizeof owned->arrays / sizeof *owned->arrays; i++)
        free(owned->arrays[i]);
    free(owned);
    bp_job_corpora_free(data->corpora);
    bp_preparation_done(&data->preparation);
    bp_preparation_done(&data->target_preparation);
    *data = (bp_job_data){0};
}
