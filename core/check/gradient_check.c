#include "core/check/gradient_check.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/training/penalty.h"

static const double relative_bound = 1e-7;

/* One check under way. */
typedef struct checking {
    bp_network *network;
    const void *input;
    size_t rows;
    const bp_targets *targets;
    const bp_check_spec *spec;
    bp_segments segments;
    size_t piece_count;   /* units and outputs with kinks, times rows */
    unsigned char *piece; /* (2, piece_count + BP_REGULARIZER_LIMIT): of the first evaluation of an
                             element, of this one; those of the penalties come last */
    bp_arena arena;
} checking;

/* Whether layer's activation has kinks that must be watched. */
static bool has_pieces(const bp_layer *layer)
{
    return layer->activation->piece != NULL;
}

static void read_pieces(const checking *check, unsigned char *piece)
{
    for (size_t index = 0; index < bp_network_layer_count(check->network); index++) {
        const bp_layer *layer = bp_network_layer(check->network, index);
        if (!has_pieces(layer))
            continue;
        const size_t count = check->rows * layer->shape.output_width;
        layer->activation->piece(layer->z, piece, count, layer->spec.activation.value);
        piece += count;
    }
    if (bp_network_loss(check->network)->piece)
        bp_network_loss_piece(check->network, check->targets, piece);
}

/* Σ of the penalties at the present parameters; writes their pieces for element `parameter`, which
 * lies in the tensor `index`. */
static double penalty_now(checking *check, size_t index, const double *parameter,
                          unsigned char *piece)
{
    const bp_kernels *kernels = bp_network_kernels(check->network);
    double penalty = 0;
    for (size_t i = 0; i < check->spec->regularizer_count; i++) {
        const bp_choice *choice = &check->spec->regularizers[i];
        penalty += bp_penalty_prepare(&check->segments, kernels, NULL,
                                      bp_network_parameters(check->network), choice, 1, true);
        const bp_regularizer *regularizer = kernels->regularizers[choice->member->index];
        const bp_segment *segment = &check->segments.segment[index];
        if (regularizer->piece && segment->is_weight)
            piece[i] = regularizer->piece(*parameter, segment->sum);
    }
    return penalty;
}

/* J, and the pieces that it lies on. */
static double loss_now(checking *check, size_t index, const double *parameter, unsigned char *piece)
{
    bp_network_parameters_changed(check->network);
    bp_network_forward(check->network, NULL, check->input, check->rows, true);
    const double loss = bp_network_loss_value(check->network, NULL, check->targets, NULL);
    read_pieces(check, piece);
    return loss + penalty_now(check, index, parameter, piece + check->piece_count);
}

/* The gradient block becomes that of J at the present parameters; returns J. */
static double gradient_now(checking *check)
{
    bp_network *network = check->network;
    const bp_check_spec *spec = check->spec;
    const bp_kernels *kernels = bp_network_kernels(network);
    void *theta = bp_network_parameters(network);
    bp_network_parameters_changed(network);
    bp_network_forward(network, NULL, check->input, check->rows, true);
    double loss = bp_network_backward(network, NULL, check->targets);
    loss += bp_penalty_prepare(&check->segments, kernels, NULL, theta, spec->regularizers,
                               spec->regularizer_count, true);
    for (size_t block = 0; block < check->segments.block_count; block++)
        bp_penalty_add_gradient(&check->segments, kernels, spec->regularizers,
                                spec->regularizer_count, &check->segments.block[block],
                                bp_network_gradients(network), theta);
    bp_network_gradients_changed(network);
    return loss;
}

typedef struct difference_rule {
    size_t count;
    double at[4];     /* in units of ε */
    double weight[4]; /* Σ weight · J(θ + at·ε) / ε is the derivative */
    double floor;
} difference_rule;

static const difference_rule rules[] = {
    [BP_DIFFERENCE_CENTRAL] = {.count = 2, .at = {1, -1}, .weight = {0.5, -0.5}, .floor = 2e-10},
    [BP_DIFFERENCE_FORWARD] = {.count = 2, .at = {1, 0}, .weight = {1, -1}, .floor = 2e-10},
    [BP_DIFFERENCE_FOURTH_ORDER] = {.count = 4,
                                    .at = {1, -1, 2, -2},
                                    .weight = {8.0 / 12, -8.0 / 12, -1.0 / 12, 1.0 / 12},
                                    .floor = 2e-11},
};

/* The difference at one parameter, which is restored; false where a unit changes its piece. */
static bool difference(double *out, checking *check, size_t index, double *parameter,
                       const difference_rule *rule, double epsilon)
{
    const size_t piece_count = check->piece_count + BP_REGULARIZER_LIMIT;
    const double saved = *parameter;
    bool same_piece = true;
    double sum = 0;
    for (size_t i = 0; i < rule->count && same_piece; i++) {
        *parameter = saved + rule->at[i] * epsilon;
        unsigned char *piece = check->piece + (i > 0 ? piece_count : 0);
        sum += rule->weight[i] * loss_now(check, index, parameter, piece);
        if (i > 0)
            same_piece = memcmp(check->piece, piece, piece_count) == 0;
    }
    *parameter = saved;
    *out = sum / epsilon;
    return same_piece;
}

static void judge(bp_check_report *report, size_t index, double analytic, double numerical,
                  double absolute_bound)
{
    const double a = fabs(analytic), n = fabs(numerical);
    const double largest = a > n ? a : n, distance = fabs(analytic - numerical);
    const double relative_part = relative_bound * largest;
    const double excess = distance / (relative_part + absolute_bound);
    report->checked++;
    if (!(excess <= 1)) /* NaN fails too */
        report->failed++;
    if (relative_part > absolute_bound) {
        report->judged_relative++;
        if (!(distance / largest <= report->worst_relative_error))
            report->worst_relative_error = distance / largest;
    }
    if (report->checked == 1 || !(excess <= report->worst_excess)) {
        report->worst_excess = excess;
        report->worst_index = index;
        report->worst_analytic = analytic;
        report->worst_numerical = numerical;
    }
}

/* The i-th of `wanted` elements to look at: all, or one at random of each of `wanted` equal parts.
 */
static size_t element_to_check(size_t i, size_t wanted, size_t count, const bp_random *random)
{
    if (wanted == count)
        return i;
    const size_t share = count / wanted, rest = count % wanted;
    const size_t first = i * share + (i < rest ? i : rest);
    const size_t length = share + (i < rest);
    return first + (size_t)(bp_random_uniform(random, i, 0) * (double)length);
}

static void take_memory(checking *check, bp_arena *arena)
{
    bp_network_size size = {.tensor_count = bp_network_tensor_count(check->network)};
    for (size_t index = 0; index < size.tensor_count; index++)
        size.parameter_count += bp_network_tensor(check->network, index).element_count;
    bp_segments_plan(&check->segments, arena, &size);
    check->piece = bp_arena_take(arena, check->piece_count + BP_REGULARIZER_LIMIT, 2);
}

static bp_status prepare(checking *check, const bp_check_spec *spec, bp_error *error)
{
    const bp_kernels *kernels = bp_network_kernels(check->network);
    if (kernels->dtype != BP_FLOAT64)
        return bp_error_set(error, BP_INVALID, "/training/dtype",
                            "gradients are checked in float64");
    if (!(spec->epsilon > 0 && isfinite(spec->epsilon)))
        return bp_error_set(error, BP_INVALID, "/epsilon", "must be above 0");
    if (!bp_network_gradients(check->network))
        return bp_error_set(error, BP_INVALID, "", "the network is not planned for training");
    for (size_t index = 0; index < bp_network_layer_count(check->network); index++) {
        const bp_layer *layer = bp_network_layer(check->network, index);
        if (!has_pieces(layer))
            continue;
        if (layer->z == layer->a)
            return bp_error_set(error, BP_INVALID, "", "the network is not planned with keep_z");
        check->piece_count += check->rows * layer->shape.output_width; /* fits: z exists */
    }
    if (bp_network_loss(check->network)->piece)
        check->piece_count += check->rows * bp_network_output_width(check->network);
    bp_status status = bp_regularizers_check(spec->regularizers, spec->regularizer_count, error);
    if (status != BP_OK)
        return status;
    bp_arena measure = bp_arena_measure();
    take_memory(check, &measure);
    if (measure.overflow)
        return bp_error_set(error, BP_TOO_LARGE, "", "the network is too large to check");
    status = bp_arena_open(&check->arena, measure.used_bytes, error);
    if (status != BP_OK)
        return status;
    take_memory(check, &check->arena);
    bp_segments_cut(&check->segments, check->network, false);
    return BP_OK;
}

bp_status bp_gradient_check(bp_check_report *reports, bp_network *network, const void *input,
                            size_t rows, const bp_targets *targets, const bp_check_spec *spec,
                            bp_error *error)
{
    checking check = {
        .network = network, .input = input, .rows = rows, .targets = targets, .spec = spec};
    bp_status status = prepare(&check, spec, error);
    if (status != BP_OK)
        return status;
    const bool held = bp_network_hold_state(network, true); /* every pass begins from the same */
    const double loss = fabs(gradient_now(&check));
    const difference_rule *rule = &rules[spec->difference];
    const double absolute_bound = rule->floor * (loss > 1 ? loss : 1);

    for (size_t index = 0; index < bp_network_tensor_count(network) && status == BP_OK; index++) {
        const bp_tensor tensor = bp_network_tensor(network, index);
        const double *gradient = bp_network_gradient_tensor(network, index).data;
        double *parameter = tensor.data;
        const size_t count = tensor.element_count;
        const size_t most = bp_network_tensor_is_frozen(network, index) ? 0 : count;
        const size_t wanted = spec->max_elements < most ? spec->max_elements : most;
        const bp_random random =
            bp_random_stream(spec->seed, (uint32_t)index, BP_RANDOM_CHECK_SAMPLE, 0);
        bp_check_report report = {.checked = 0};
        for (size_t i = 0; i < wanted && status == BP_OK; i++) {
            if (spec->cancelled && spec->cancelled(spec->context))
                status = bp_error_set(error, BP_CANCELLED, NULL, "the check was cancelled");
            const size_t element = element_to_check(i, wanted, count, &random);
            double numerical;
            if (difference(&numerical, &check, index, &parameter[element], rule, spec->epsilon))
                judge(&report, element, gradient[element], numerical, absolute_bound);
            else
                report.skipped++;
        }
        reports[index] = report;
    }
    bp_network_hold_state(network, held);
    bp_network_parameters_changed(network);
    bp_arena_done(&check.arena);
    return status;
}
