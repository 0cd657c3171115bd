#include <assert.h>

#include "core/kernel/array_kernels.h"
#include "core/kernel/softmax_row.h"
#include "core/loss/class_weight.h"

static const bp_word lane_numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* Elements i … of a row's gradient: (power / sum − [j = label]) / batch. */
static void put_gradient(bp_real *gradient, bp_lanes power, size_t i, const bp_loss_call *call,
                         size_t label, bp_real sum)
{
    const bp_real batch = (bp_real)call->rows;
    const bp_vector zero = bp_vector_set(0), one = bp_vector_set(1);
    for (size_t part = 0; part < BP_LANE_PARTS; part++) {
        bp_bits lane;
        memcpy(&lane, lane_numbers + part * BP_VECTOR_COUNT, sizeof lane);
        bp_bits is_label = (bp_bits)(lane + (bp_word)i == bp_bits_set((bp_word)label));
        bp_vector target = bp_vector_select(is_label, one, zero);
        power.part[part] = (power.part[part] / sum - target) / batch;
    }
    bp_lanes_store(gradient + i, &power, call->width - i);
}

/* With m = max z: Σ exp(z_j − m), and z_y − m. */
typedef struct row_sums {
    bp_real power, own;
} row_sums;

static row_sums wide_row(const bp_loss_call *call, const bp_real *z, size_t label,
                         bp_real *gradient)
{
    const size_t width = call->width;
    const bp_real largest = bp_row_max(z, width);
    row_sums sums = {.own = z[label] - largest}; /* before the gradient may take its place */
    sums.power = bp_row_sum_exp(gradient, z, width, largest);
    for (size_t i = 0; gradient && i < width; i += BP_LANE_COUNT)
        put_gradient(gradient, bp_lanes_load(gradient + i, width - i, 0), i, call, label,
                     sums.power);
    return sums;
}

/* The same for a row that fits in the lanes: it never leaves the registers. */
static row_sums narrow_row(const bp_loss_call *call, const bp_real *z, size_t label,
                           bp_real *gradient)
{
    bp_lanes lanes = bp_lanes_load(z, call->width, -(bp_real)__builtin_inf());
    const bp_real largest = bp_lanes_max(&lanes);
    row_sums sums = {.own = z[label] - largest};
    for (size_t part = 0; part < BP_LANE_PARTS; part++)
        lanes.part[part] = bp_vector_exp_below(lanes.part[part] - largest);
    sums.power = bp_lanes_sum(&lanes);
    if (gradient)
        put_gradient(gradient, lanes, 0, call, label, sums.power);
    return sums;
}

/* J = ln Σ exp(z_j − m) − (z_y − m), for up to BP_LANE_COUNT rows. */
static void put_losses(double *row_loss, const bp_real *power, const bp_real *own, size_t count)
{
    bp_lanes lanes = bp_lanes_load(power, count, 1);
    bp_real loss[BP_LANE_COUNT];
    for (size_t part = 0; part < BP_LANE_PARTS; part++)
        lanes.part[part] = bp_vector_log(lanes.part[part]);
    bp_lanes_store(loss, &lanes, BP_LANE_COUNT);
    for (size_t i = 0; i < count; i++)
        row_loss[i] = (double)(loss[i] - own[i]);
}

/* dJ/dz_j = exp(z_j − m) / Σ − [j = y]. No exponent is positive, so nothing overflows. Rows go in
 * groups, so that one vector of logarithms serves them all. */
static void rows(const bp_loss_call *call, size_t first, size_t count)
{
    const size_t width = call->width;
    bp_real power[BP_LANE_COUNT], own[BP_LANE_COUNT];
    for (size_t done = 0, group; done < count; done += group) {
        group = count - done < BP_LANE_COUNT ? count - done : BP_LANE_COUNT;
        for (size_t i = 0; i < group; i++) {
            const size_t row = first + done + i;
            const bp_real *z = (const bp_real *)call->output + row * width;
            bp_real *gradient = call->gradient ? (bp_real *)call->gradient + row * width : NULL;
            const size_t label = (size_t)call->label[row];
            assert(label < width);
            const row_sums sums = width <= BP_LANE_COUNT ? narrow_row(call, z, label, gradient)
                                                         : wide_row(call, z, label, gradient);
            power[i] = sums.power;
            own[i] = sums.own;
        }
        if (call->row_loss)
            put_losses(call->row_loss + first + done, power, own, group);
    }
    bp_weigh_rows(call, first, count);
}

static void output(const void *output, void *shown, size_t rows, size_t width, const double *value)
{
    (void)value;
    const bp_real *z = output;
    bp_real *p = shown;
    for (size_t row = 0; row < rows; row++)
        bp_row_softmax(p + row * width, z + row * width, width);
}

extern const bp_loss BP_VARIANT(bp_loss_softmax_cross_entropy);
const bp_loss BP_VARIANT(bp_loss_softmax_cross_entropy) = {
    .member = {.name = "softmax_cross_entropy",
               .summary = "Classification: the negative log-probability of the true class, in nats",
               .formula = "J = mean over rows of -c_y ln softmax(z)_y, c_y the weight of the "
                          "row's class, 1 unless given; dJ/dz = c_y (softmax(z) - y) / rows",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2.3",
               .pytorch = "torch.nn.CrossEntropyLoss() on logits; with class weights "
                          "CrossEntropyLoss(weight=c, reduction='none')(z, y).mean(), because its "
                          "own mean divides by the sum of the rows' weights",
               .index = BP_LOSS_softmax_cross_entropy},
    .target_kind = BP_TARGET_CLASS,
    .merges = "softmax",
    .shown = BP_SHOWN_PROBABILITIES,
    .rows = rows,
    .output = output,
    .decide = BP_VARIANT(bp_argmax_rows),
};
