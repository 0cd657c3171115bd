/* Fitting and applying. Fitting reads the rows in blocks and adds along columns in row order, so
 * the block size shows in nothing, and the inner loops run over the columns of a row, which
 * vectorises. */
#include "core/preparation/preparation.h"

#include <math.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/preparation/feature_statistics.h"
#include "core/preparation/whitening.h"

enum {
    READ_BYTES = 1 << 21,   /* about this much is read at once, */
    READ_ROWS = 256,        /* and at most so many rows */
    MEDIAN_BYTES = 1 << 26, /* columns are gathered for medians in groups of about this size */
};

bp_status bp_preparation_widths(size_t *out_raw, size_t *out_prepared,
                                const bp_preparation_spec *spec, bp_error *error)
{
    size_t raw = 0, prepared = 0;
    for (size_t column = 0; column < spec->column_count; column++) {
        const bp_feature_column *feature = &spec->columns[column];
        const size_t raw_width = feature->categorical ? 1 : feature->width;
        const size_t prepared_width =
            feature->categorical ? feature->category_count : feature->width;
        if (!bp_checked_add(&raw, raw, raw_width) ||
            !bp_checked_add(&prepared, prepared, prepared_width))
            return bp_error_set(error, BP_TOO_LARGE, "/data/features",
                                "there are too many features");
    }
    if (prepared < 1)
        return bp_error_set(error, BP_SHAPE, "/data/features", "there are no features");
    *out_raw = raw;
    *out_prepared = prepared;
    return BP_OK;
}

/* Sums over all elements of the raw row; those of categorical columns mean nothing. */
typedef struct fitting {
    size_t raw_width, read_rows;
    double *rows;                                            /* (read_rows, raw_width) */
    double *count, *sum, *minimum, *maximum, *mean, *square; /* (raw_width) */
    double *median;                                          /* (raw_width) or NULL */
    size_t group_width; /* columns gathered at once for medians */
    double *group;      /* (group_width, row_count) */
    size_t *group_count;
} fitting;

static bool plan_fitting(fitting *fit, bp_arena *arena, size_t row_count, bool medians)
{
    const size_t width = fit->raw_width;
    fit->read_rows = READ_BYTES / sizeof(double) / width;
    if (fit->read_rows < 1)
        fit->read_rows = 1;
    if (fit->read_rows > READ_ROWS)
        fit->read_rows = READ_ROWS;
    size_t elements;
    if (!bp_checked_multiply(&elements, fit->read_rows, width))
        return false;
    fit->rows = bp_arena_take(arena, elements, sizeof(double));
    double **const arrays[] = {&fit->count,   &fit->sum,  &fit->minimum,
                               &fit->maximum, &fit->mean, &fit->square};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        *arrays[i] = bp_arena_take(arena, width, sizeof(double));
    if (medians) {
        fit->group_width = row_count > 0 ? MEDIAN_BYTES / sizeof(double) / row_count : width;
        if (fit->group_width < 1)
            fit->group_width = 1;
        if (fit->group_width > width)
            fit->group_width = width;
        fit->median = bp_arena_take(arena, width, sizeof(double));
        if (!bp_checked_multiply(&elements, fit->group_width, row_count))
            return false;
        fit->group = bp_arena_take(arena, elements, sizeof(double));
        fit->group_count = bp_arena_take(arena, fit->group_width, sizeof *fit->group_count);
    }
    return !arena->overflow;
}

typedef void row_visitor(fitting *fit, const double *row, size_t row_count, size_t first_column);

static bp_status each_row(fitting *fit, const bp_row_source *source, row_visitor *visit,
                          size_t first_column, bp_error *error)
{
    for (size_t first = 0, count; first < source->row_count; first += count) {
        count = source->row_count - first;
        if (count > fit->read_rows)
            count = fit->read_rows;
        bp_status status = source->read(source->context, fit->rows, first, count, error);
        if (status != BP_OK)
            return status;
        for (size_t row = 0; row < count; row++)
            visit(fit, fit->rows + row * fit->raw_width, source->row_count, first_column);
    }
    return BP_OK;
}

static void visit_sum(fitting *fit, const double *row, size_t row_count, size_t first_column)
{
    (void)row_count;
    (void)first_column;
    double *restrict count = fit->count, *restrict sum = fit->sum;
    double *restrict minimum = fit->minimum, *restrict maximum = fit->maximum;
    for (size_t j = 0; j < fit->raw_width; j++) {
        const double v = row[j];
        const bool present = v == v;
        count[j] += present ? 1.0 : 0.0;
        sum[j] += present ? v : 0.0;
        minimum[j] = v < minimum[j] ? v : minimum[j];
        maximum[j] = v > maximum[j] ? v : maximum[j];
    }
}

static void visit_square(fitting *fit, const double *row, size_t row_count, size_t first_column)
{
    (void)row_count;
    (void)first_column;
    const double *restrict mean = fit->mean;
    double *restrict square = fit->square;
    for (size_t j = 0; j < fit->raw_width; j++) {
        const double v = row[j], d = v - mean[j];
        square[j] += v == v ? d * d : 0.0;
    }
}

static void visit_gather(fitting *fit, const double *row, size_t row_count, size_t first_column)
{
    for (size_t g = 0; g < fit->group_width && first_column + g < fit->raw_width; g++) {
        const double v = row[first_column + g];
        if (v == v)
            fit->group[g * row_count + fit->group_count[g]++] = v;
    }
}

static bp_status fit_medians(fitting *fit, const bp_row_source *source, bp_error *error)
{
    for (size_t first = 0; first < fit->raw_width; first += fit->group_width) {
        memset(fit->group_count, 0, fit->group_width * sizeof *fit->group_count);
        bp_status status = each_row(fit, source, visit_gather, first, error);
        if (status != BP_OK)
            return status;
        for (size_t g = 0; g < fit->group_width && first + g < fit->raw_width; g++)
            if (fit->group_count[g] > 0)
                fit->median[first + g] =
                    bp_median(fit->group + g * source->row_count, fit->group_count[g]);
    }
    return BP_OK;
}

static bp_status fit_passes(fitting *fit, const bp_row_source *source, bp_error *error)
{
    for (size_t j = 0; j < fit->raw_width; j++) {
        fit->minimum[j] = INFINITY;
        fit->maximum[j] = -INFINITY;
    }
    bp_status status = each_row(fit, source, visit_sum, 0, error);
    if (status != BP_OK)
        return status;
    for (size_t j = 0; j < fit->raw_width; j++) {
        /* n times a constant, divided by n, may miss it by a rounding; its deviation would then be
         * a tiny number to divide by instead of 0. */
        const bool constant = fit->minimum[j] == fit->maximum[j];
        if (fit->count[j] > 0)
            fit->mean[j] = constant ? fit->minimum[j] : fit->sum[j] / fit->count[j];
    }
    status = each_row(fit, source, visit_square, 0, error);
    if (status == BP_OK && fit->median)
        status = fit_medians(fit, source, error);
    return status;
}

/* The numbers of the numeric feature at raw element j. */
static bp_status finish_feature(bp_preparation *preparation, size_t numeric, const fitting *fit,
                                size_t j, const bp_preparation_spec *spec, double row_count,
                                bp_error *error)
{
    if (fit->count[j] == 0)
        return BP_OK;
    const bp_scaling *scaling = (const bp_scaling *)spec->scaling.member;
    const bp_missing *missing = (const bp_missing *)spec->missing.member;
    const bp_feature_statistics feature = {.mean = fit->mean[j],
                                           .minimum = fit->minimum[j],
                                           .maximum = fit->maximum[j],
                                           .deviation = sqrt(fit->square[j] / fit->count[j]),
                                           .median = fit->median ? fit->median[j] : 0};
    const double divisor = scaling->divisor(&feature);
    preparation->fill[numeric] = missing->fill(&feature);
    preparation->offset[numeric] = spec->center ? feature.mean : 0;
    if (spec->whiten) /* the mean of the filled values, which is another where fill is not the mean */
        preparation->offset[numeric] +=
            (row_count - fit->count[j]) / row_count * (preparation->fill[numeric] - feature.mean);
    preparation->scale[numeric] = divisor != 0 ? divisor : 1;
    if (!isfinite(preparation->fill[numeric]) || !isfinite(preparation->offset[numeric]) ||
        !isfinite(preparation->scale[numeric]))
        return bp_error_set(error, BP_NOT_FINITE, "/data/features",
                            "numeric feature %zu is infinite or too large to be scaled", numeric);
    return BP_OK;
}

static bp_status finish(bp_preparation *preparation, const fitting *fit,
                        const bp_preparation_spec *spec, size_t row_count, bp_error *error)
{
    size_t j = 0, numeric = 0;
    for (size_t column = 0; column < spec->column_count; column++) {
        if (spec->columns[column].categorical) {
            j++;
            continue;
        }
        for (size_t element = 0; element < spec->columns[column].width; element++) {
            bp_status status =
                finish_feature(preparation, numeric++, fit, j++, spec, (double)row_count, error);
            if (status != BP_OK)
                return status;
        }
    }
    return BP_OK;
}

static void plan_arrays(bp_preparation *preparation, bp_arena *arena, bool whiten)
{
    preparation->columns =
        bp_arena_take(arena, preparation->column_count, sizeof *preparation->columns);
    double **const arrays[] = {&preparation->fill, &preparation->offset, &preparation->scale};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        *arrays[i] = bp_arena_take(arena, preparation->numeric_width, sizeof(double));
    if (!whiten)
        return;
    size_t elements;
    if (bp_checked_multiply(&elements, preparation->numeric_width, preparation->numeric_width))
        preparation->whitening = bp_arena_take(arena, elements, sizeof(double));
    else
        arena->overflow = true;
}

/* Widths, and the bytes of the arrays. */
static bp_status measure(bp_preparation *out, size_t *out_bytes, const bp_feature_column *columns,
                         size_t column_count, bool whiten, bp_error *error)
{
    const bp_preparation_spec spec = {.column_count = column_count, .columns = columns};
    bp_preparation preparation = {.column_count = column_count};
    bp_status status =
        bp_preparation_widths(&preparation.raw_width, &preparation.prepared_width, &spec, error);
    if (status != BP_OK)
        return status;
    for (size_t column = 0; column < column_count; column++)
        if (!columns[column].categorical)
            preparation.numeric_width += columns[column].width;
    bp_arena measured = bp_arena_measure();
    plan_arrays(&preparation, &measured, whiten);
    if (measured.overflow)
        return bp_error_set(error, BP_TOO_LARGE, "/data/features", "there are too many features");
    *out = preparation;
    *out_bytes = measured.used_bytes;
    return BP_OK;
}

bp_status bp_preparation_create(bp_preparation *out, const bp_feature_column *columns,
                                size_t column_count, bool whiten, bp_error *error)
{
    bp_preparation preparation;
    size_t bytes;
    bp_status status = measure(&preparation, &bytes, columns, column_count, whiten, error);
    if (status != BP_OK)
        return status;
    status = bp_arena_open(&preparation.arena, bytes, error);
    if (status != BP_OK)
        return status;
    plan_arrays(&preparation, &preparation.arena, whiten);
    preparation.kernels = bp_kernels_get(BP_FLOAT64, bp_isa_detect());
    memcpy(preparation.columns, columns, column_count * sizeof *columns);
    for (size_t i = 0; i < preparation.numeric_width; i++)
        preparation.scale[i] = 1;
    *out = preparation;
    return BP_OK;
}

static bool needs_median(const bp_preparation_spec *spec)
{
    return ((const bp_missing *)spec->missing.member)->needs_median;
}

bp_status bp_preparation_measure(size_t *out_kept, size_t *out_working,
                                 const bp_preparation_spec *spec, size_t row_count, bp_error *error)
{
    bp_preparation preparation;
    size_t kept;
    bp_status status =
        measure(&preparation, &kept, spec->columns, spec->column_count, spec->whiten, error);
    if (status != BP_OK)
        return status;
    bp_arena statistics = bp_arena_measure(), whitening = bp_arena_measure();
    fitting fit = {.raw_width = preparation.raw_width};
    bp_whitening_work work;
    if (!plan_fitting(&fit, &statistics, row_count, needs_median(spec)) ||
        (spec->whiten &&
         !bp_whitening_plan(&work, &whitening, preparation.raw_width, preparation.numeric_width)))
        return bp_error_set(error, BP_TOO_LARGE, "/data/features", "there are too many features");
    /* One follows the other. */
    *out_working =
        statistics.used_bytes > whitening.used_bytes ? statistics.used_bytes : whitening.used_bytes;
    *out_kept = kept;
    return BP_OK;
}

static bp_status fit_statistics(bp_preparation *preparation, const bp_preparation_spec *spec,
                                const bp_row_source *source, bp_error *error)
{
    fitting fit = {.raw_width = preparation->raw_width};
    bp_arena arena = bp_arena_measure();
    bp_status status;
    if (!plan_fitting(&fit, &arena, source->row_count, needs_median(spec)))
        return bp_error_set(error, BP_TOO_LARGE, "/data/features", "there are too many features");
    status = bp_arena_open(&arena, arena.used_bytes, error);
    if (status != BP_OK)
        return status;
    if (!plan_fitting(&fit, &arena, source->row_count, needs_median(spec)))
        status = bp_error_set(error, BP_INTERNAL, "", "the plan of the preparation is too small");
    if (status == BP_OK)
        status = fit_passes(&fit, source, error);
    if (status == BP_OK)
        status = finish(preparation, &fit, spec, source->row_count, error);
    bp_arena_done(&arena);
    return status;
}

static bp_status fit_whitening(bp_preparation *preparation, const bp_preparation_spec *spec,
                               const bp_row_source *source, bp_error *error)
{
    const size_t raw_width = preparation->raw_width, width = preparation->numeric_width;
    bp_whitening_work work;
    bp_arena arena = bp_arena_measure();
    if (!bp_whitening_plan(&work, &arena, raw_width, width))
        return bp_error_set(error, BP_TOO_LARGE, "/data/features", "there are too many features");
    bp_status status = bp_arena_open(&arena, arena.used_bytes, error);
    if (status != BP_OK)
        return status;
    if (!bp_whitening_plan(&work, &arena, raw_width, width))
        status = bp_error_set(error, BP_INTERNAL, "", "the plan of the preparation is too small");
    else
        status = bp_whitening_fit(preparation, &work, spec->whiten_epsilon, source, error);
    bp_arena_done(&arena);
    return status;
}

bp_status bp_preparation_fit(bp_preparation *out, const bp_preparation_spec *spec,
                             const bp_row_source *source, bp_error *error)
{
    if (spec->whiten && !spec->center)
        return bp_error_set(error, BP_INVALID, "/preprocess/whiten", "needs center");
    if (spec->whiten && !(spec->whiten_epsilon > 0 && isfinite(spec->whiten_epsilon)))
        return bp_error_set(error, BP_INVALID, "/preprocess/epsilon", "must be above 0");
    bp_preparation preparation;
    bp_status status =
        bp_preparation_create(&preparation, spec->columns, spec->column_count, spec->whiten, error);
    if (status != BP_OK)
        return status;
    status = fit_statistics(&preparation, spec, source, error);
    if (status == BP_OK && spec->whiten)
        status = fit_whitening(&preparation, spec, source, error);
    if (status == BP_OK)
        *out = preparation;
    else
        bp_preparation_done(&preparation);
    return status;
}

void bp_preparation_done(bp_preparation *preparation)
{
    bp_arena_done(&preparation->arena);
    *preparation = (bp_preparation){.column_count = 0};
}

/* (v − offset) / scale of `width` elements; a column's inner loops are per width so that they
 * vectorise. */
static void apply_numeric(void *out, bp_dtype dtype, const double *restrict raw,
                          const double *restrict fill, const double *restrict offset,
                          const double *restrict scale, size_t width)
{
    if (dtype == BP_FLOAT32) {
        float *restrict narrow = out;
        for (size_t j = 0; j < width; j++) {
            const double v = raw[j] == raw[j] ? raw[j] : fill[j];
            narrow[j] = (float)((v - offset[j]) / scale[j]);
        }
    } else {
        double *restrict wide = out;
        for (size_t j = 0; j < width; j++) {
            const double v = raw[j] == raw[j] ? raw[j] : fill[j];
            wide[j] = (v - offset[j]) / scale[j];
        }
    }
}

static void apply_categorical(void *out, bp_dtype dtype, double raw, size_t category_count)
{
    for (size_t category = 0; category < category_count; category++)
        bp_dtype_put(dtype, out, category, 0);
    if (raw >= 0 && raw < (double)category_count)
        bp_dtype_put(dtype, out, (size_t)raw, 1);
}

void bp_preparation_restore(const bp_preparation *preparation, double *value)
{
    for (size_t j = 0; j < preparation->numeric_width; j++)
        value[j] = value[j] * preparation->scale[j] + preparation->offset[j];
}

void bp_preparation_apply(const bp_preparation *preparation, void *out, bp_dtype dtype,
                          const double *raw, size_t count)
{
    unsigned char *to = out;
    const double *from = raw;
    const size_t size = bp_dtype_size(dtype);
    for (size_t row = 0; row < count; row++) {
        size_t numeric = 0;
        for (size_t column = 0; column < preparation->column_count; column++) {
            const bp_feature_column *feature = &preparation->columns[column];
            if (feature->categorical) {
                apply_categorical(to, dtype, *from++, feature->category_count);
                to += feature->category_count * size;
                continue;
            }
            if (!preparation->whitening)
                apply_numeric(to, dtype, from, preparation->fill + numeric,
                              preparation->offset + numeric, preparation->scale + numeric,
                              feature->width);
            numeric += feature->width;
            from += feature->width;
            to += feature->width * size;
        }
    }
    if (preparation->whitening)
        bp_whitening_apply(preparation, out, dtype, raw, count);
}
