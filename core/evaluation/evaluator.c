#include "core/evaluation/evaluator.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/checked.h"
#include "core/evaluation/roc_auc.h"

/* Running sums of one target. */
typedef struct value_sums {
    double square, absolute; /* of errors */
    double mean, spread;     /* of targets: Σ (target − mean)², by Welford 1962 */
} value_sums;

struct bp_evaluator {
    bp_evaluator_spec spec;
    size_t rows;
    double loss_sum, log_loss_sum;
    bool has_log_loss;
    uint64_t top_hits, correct;
    bp_class_report *classes; /* (width), or NULL for totals alone */
    uint64_t *confusion;      /* (width, width) or NULL */
    /* For AUC, or NULL. */
    void *scores;          /* (row_count, width) of dtype */
    int32_t *labels;       /* (row_count) */
    uint64_t *key, *spare; /* (row_count) */
    value_sums *sums;      /* (width) */
    bp_value_report *targets;
    double *scale; /* (width) */
    bp_arena arena;
};

static void plan(bp_evaluator *evaluator, bp_arena *arena)
{
    const bp_evaluator_spec *spec = &evaluator->spec;
    const size_t width = spec->width, rows = spec->row_count;
    if (spec->kind == BP_TARGET_VALUE) {
        evaluator->sums = bp_arena_take(arena, width, sizeof *evaluator->sums);
        evaluator->targets = bp_arena_take(arena, width, sizeof *evaluator->targets);
        evaluator->scale = bp_arena_take(arena, width, sizeof *evaluator->scale);
        return;
    }
    if (spec->totals_only)
        return;
    evaluator->classes = bp_arena_take(arena, width, sizeof *evaluator->classes);
    if (width <= BP_CONFUSION_CLASS_LIMIT)
        evaluator->confusion = bp_arena_take(arena, width * width, sizeof *evaluator->confusion);
    size_t outputs;
    if (bp_checked_multiply(&outputs, rows, width) && outputs <= BP_RANKED_LIMIT) {
        evaluator->scores = bp_arena_take(arena, outputs, bp_dtype_size(spec->dtype));
        evaluator->labels = bp_arena_take(arena, rows, sizeof *evaluator->labels);
        evaluator->key = bp_arena_take(arena, rows, sizeof *evaluator->key);
        evaluator->spare = bp_arena_take(arena, rows, sizeof *evaluator->spare);
    }
}

bp_status bp_evaluator_measure(size_t *out_bytes, const bp_evaluator_spec *spec, bp_error *error)
{
    if (spec->width < 1)
        return bp_error_set(error, BP_SHAPE, NULL, "there is nothing to evaluate");
    bp_evaluator evaluator = {.spec = *spec};
    bp_arena arena = bp_arena_measure();
    bp_arena_take(&arena, 1, sizeof evaluator);
    plan(&evaluator, &arena);
    if (arena.overflow)
        return bp_error_set(error, BP_TOO_LARGE, NULL, "the evaluation is too large");
    *out_bytes = arena.used_bytes;
    return BP_OK;
}

bp_status bp_evaluator_create(bp_evaluator **out, const bp_evaluator_spec *spec, bp_error *error)
{
    size_t bytes;
    bp_arena arena = bp_arena_measure();
    bp_status status = bp_evaluator_measure(&bytes, spec, error);
    if (status == BP_OK)
        status = bp_arena_open(&arena, bytes, error);
    if (status != BP_OK)
        return status;
    bp_evaluator *evaluator = bp_arena_take(&arena, 1, sizeof *evaluator);
    if (!evaluator) {
        bp_arena_done(&arena);
        return bp_error_set(error, BP_INTERNAL, NULL, "the plan of the evaluation is too small");
    }
    evaluator->spec = *spec;
    evaluator->spec.value_scale = NULL;
    plan(evaluator, &arena);
    for (size_t target = 0; evaluator->scale && target < spec->width; target++)
        evaluator->scale[target] = spec->value_scale ? spec->value_scale[target] : 1;
    evaluator->arena = arena;
    bp_evaluator_begin(evaluator);
    *out = evaluator;
    return BP_OK;
}

void bp_evaluator_free(bp_evaluator *evaluator)
{
    if (!evaluator)
        return;
    bp_arena arena = evaluator->arena; /* the struct itself lies in it */
    bp_arena_done(&arena);
}

void bp_evaluator_begin(bp_evaluator *evaluator)
{
    const size_t width = evaluator->spec.width;
    evaluator->rows = 0;
    evaluator->loss_sum = evaluator->log_loss_sum = 0;
    evaluator->has_log_loss = true;
    evaluator->top_hits = evaluator->correct = 0;
    if (evaluator->classes)
        memset(evaluator->classes, 0, width * sizeof *evaluator->classes);
    if (evaluator->confusion)
        memset(evaluator->confusion, 0, width * width * sizeof *evaluator->confusion);
    if (evaluator->sums)
        memset(evaluator->sums, 0, width * sizeof *evaluator->sums);
}

/* Whether the label is among the BP_TOP_COUNT largest outputs, the first among equals first. */
static bool is_near_top(const bp_evaluator *evaluator, const void *shown, size_t first,
                        size_t label)
{
    const bp_dtype dtype = evaluator->spec.dtype;
    const double own = bp_dtype_get(dtype, shown, first + label);
    if (isnan(own))
        return false;
    size_t ahead = 0;
    for (size_t class = 0; class < evaluator->spec.width; class ++) {
        const double other = bp_dtype_get(dtype, shown, first + class);
        ahead += other > own || (other == own && class < label);
    }
    return ahead < BP_TOP_COUNT;
}

static void add_log_losses(bp_evaluator *evaluator, const bp_evaluation_batch *batch)
{
    for (size_t row = 0; batch->log_loss && row < batch->rows; row++)
        evaluator->log_loss_sum += batch->log_loss[row];
    if (!batch->log_loss)
        evaluator->has_log_loss = false;
}

static void add_classes(bp_evaluator *evaluator, const bp_evaluation_batch *batch)
{
    const size_t width = evaluator->spec.width;
    const size_t row_bytes = width * bp_dtype_size(evaluator->spec.dtype);
    for (size_t row = 0; row < batch->rows; row++) {
        const size_t label = (size_t)batch->label[row], decided = (size_t)batch->decided[row];
        assert(label < width && decided < width);
        evaluator->classes[label].support++;
        evaluator->classes[decided].decided++;
        evaluator->classes[label].correct += label == decided;
        if (evaluator->confusion)
            evaluator->confusion[label * width + decided]++;
        if (width > BP_TOP_COUNT)
            evaluator->top_hits +=
                label == decided || is_near_top(evaluator, batch->shown, row * width, label);
    }
    if (evaluator->scores) {
        memcpy((unsigned char *)evaluator->scores + evaluator->rows * row_bytes, batch->shown,
               batch->rows * row_bytes);
        memcpy(evaluator->labels + evaluator->rows, batch->label,
               batch->rows * sizeof *batch->label);
    }
}

static void add_values(bp_evaluator *evaluator, const bp_evaluation_batch *batch)
{
    const bp_dtype dtype = evaluator->spec.dtype;
    const size_t width = evaluator->spec.width;
    for (size_t row = 0; row < batch->rows; row++)
        for (size_t target = 0; target < width; target++) {
            value_sums *sums = &evaluator->sums[target];
            const double scale = evaluator->scale[target];
            const double wanted = bp_dtype_get(dtype, batch->value, row * width + target);
            const double error =
                (bp_dtype_get(dtype, batch->shown, row * width + target) - wanted) * scale;
            sums->square += error * error;
            sums->absolute += fabs(error);
            const double away = wanted * scale - sums->mean;
            sums->mean += away / (double)(evaluator->rows + row + 1);
            sums->spread += away * (wanted * scale - sums->mean);
        }
}

void bp_evaluator_add(bp_evaluator *evaluator, const bp_evaluation_batch *batch)
{
    assert(batch->rows <= evaluator->spec.row_count - evaluator->rows);
    if (evaluator->spec.kind == BP_TARGET_VALUE)
        add_values(evaluator, batch);
    else if (evaluator->spec.totals_only)
        evaluator->correct += batch->correct;
    else
        add_classes(evaluator, batch);
    add_log_losses(evaluator, batch);
    evaluator->loss_sum += batch->loss_sum;
    evaluator->rows += batch->rows;
}

static double share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

/* The AUC of one class against the others; NaN where an output is NaN. */
static double class_auc(bp_evaluator *evaluator, size_t class)
{
    const bp_dtype dtype = evaluator->spec.dtype;
    const size_t width = evaluator->spec.width;
    size_t next[2] = {(size_t)evaluator->classes[class].support, 0}; /* others behind its own */
    for (size_t row = 0; row < evaluator->rows; row++) {
        const double score = bp_dtype_get(dtype, evaluator->scores, row * width + class);
        if (isnan(score))
            return NAN;
        evaluator->key[next[(size_t)evaluator->labels[row] == class]++] = bp_rank_key(score);
    }
    return bp_roc_auc(evaluator->key, evaluator->spare, (size_t)evaluator->classes[class].support,
                      evaluator->rows);
}

static void finish_aucs(bp_evaluator *evaluator, bp_evaluation_report *report)
{
    const size_t width = evaluator->spec.width;
    double sum = 0, count = 0;
    for (size_t class = 0; class < width; class ++) {
        const double auc = evaluator->scores ? class_auc(evaluator, class) : NAN;
        evaluator->classes[class].roc_auc = auc;
        if (!isnan(auc)) {
            sum += auc;
            count++;
        }
    }
    report->too_many_outputs = !evaluator->scores;
    if (width == 2)
        report->roc_auc = evaluator->classes[1].roc_auc;
    else if (count > 0)
        report->roc_auc = sum / count;
}

static void finish_classes(bp_evaluator *evaluator, bp_evaluation_report *report)
{
    const size_t width = evaluator->spec.width;
    const double rows = (double)evaluator->rows;
    uint64_t correct = 0;
    report->macro = report->weighted = (bp_class_average){0, 0, 0};
    for (size_t class = 0; class < width; class ++) {
        bp_class_report *own = &evaluator->classes[class];
        own->precision = share(own->correct, own->decided);
        own->recall = share(own->correct, own->support);
        own->f1 = share(2 * own->correct, own->decided + own->support);
        correct += own->correct;
        report->macro.precision += own->precision / (double)width;
        report->macro.recall += own->recall / (double)width;
        report->macro.f1 += own->f1 / (double)width;
        const double weight = (double)own->support / rows;
        report->weighted.precision += weight * own->precision;
        report->weighted.recall += weight * own->recall;
        report->weighted.f1 += weight * own->f1;
    }
    report->accuracy = (double)correct / rows;
    report->micro = (bp_class_average){report->accuracy, report->accuracy, report->accuracy};
    if (width > BP_TOP_COUNT)
        report->top_accuracy = (double)evaluator->top_hits / rows;
    finish_aucs(evaluator, report);
    report->classes = evaluator->classes;
    report->confusion = evaluator->confusion;
    report->too_many_classes = !evaluator->confusion;
}

static void finish_log_loss(const bp_evaluator *evaluator, bp_evaluation_report *report)
{
    report->has_log_loss = evaluator->has_log_loss;
    if (evaluator->has_log_loss)
        report->log_loss = evaluator->log_loss_sum / (double)evaluator->rows;
}

static double explained(const value_sums *sums)
{
    if (sums->spread > 0)
        return 1 - sums->square / sums->spread;
    if (isnan(sums->square) || isnan(sums->spread))
        return NAN;
    return sums->square == 0 ? 1 : 0;
}

static void finish_values(bp_evaluator *evaluator, bp_evaluation_report *report)
{
    const size_t width = evaluator->spec.width;
    const double rows = (double)evaluator->rows;
    report->values = (bp_value_report){0, 0, 0};
    for (size_t target = 0; target < width; target++) {
        const value_sums *sums = &evaluator->sums[target];
        bp_value_report *own = &evaluator->targets[target];
        own->rmse = sqrt(sums->square / rows);
        own->mae = sums->absolute / rows;
        own->r2 = explained(sums);
        report->values.rmse += own->rmse / (double)width;
        report->values.mae += own->mae / (double)width;
        report->values.r2 += own->r2 / (double)width;
    }
    report->targets = evaluator->targets;
}

void bp_evaluator_finish(bp_evaluator *evaluator, bp_evaluation_report *out)
{
    assert(evaluator->rows > 0);
    const bp_class_average none = {NAN, NAN, NAN};
    bp_evaluation_report report = {.rows = evaluator->rows,
                                   .loss = evaluator->loss_sum / (double)evaluator->rows,
                                   .width = evaluator->spec.width,
                                   .kind = evaluator->spec.kind,
                                   .accuracy = NAN,
                                   .top_accuracy = NAN,
                                   .log_loss = NAN,
                                   .roc_auc = NAN,
                                   .macro = none,
                                   .micro = none,
                                   .weighted = none,
                                   .values = {NAN, NAN, NAN}};
    if (evaluator->spec.kind == BP_TARGET_VALUE)
        finish_values(evaluator, &report);
    else if (evaluator->spec.totals_only)
        report.accuracy = (double)evaluator->correct / (double)evaluator->rows;
    else
        finish_classes(evaluator, &report);
    finish_log_loss(evaluator, &report);
    *out = report;
}
