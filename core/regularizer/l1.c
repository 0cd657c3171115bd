#include "core/kernel/array_kernels.h"
#include "core/kernel/map.h"
#include "core/regularizer/regularizer.h"

enum { LAMBDA, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [LAMBDA] = {.name = "lambda",
                .meaning = "weight of the penalty: λ",
                .kind = BP_REAL_PARAMETER,
                .required = true,
                .minimum = 0,
                .maximum = __builtin_inf()},
};

static double penalty(const double *value, double sum)
{
    return value[LAMBDA] * sum;
}

static double slope(const double *value, double sum)
{
    (void)sum;
    return value[LAMBDA];
}

/* g + λ sign(w); the sign of 0 is 0. */
static bp_vector pull(bp_vector w, bp_vector g, const double *factor)
{
    bp_bits zero = bp_vector_equal(w, bp_vector_set(0));
    bp_bits signed_slope = (bp_bits)bp_vector_set((bp_real)*factor) | bp_vector_sign(w);
    return g + (bp_vector)(signed_slope & ~zero);
}

static void add_gradient(void *gradient, const void *w, size_t count, double factor)
{
    bp_map2(gradient, w, gradient, count, &factor, pull);
}

static unsigned char piece(double w, double sum)
{
    (void)sum;
    return w > 0 ? 2 : w < 0 ? 0 : 1;
}

extern const bp_regularizer BP_VARIANT(bp_regularizer_l1);
const bp_regularizer BP_VARIANT(bp_regularizer_l1) = {
    .member = {.name = "l1",
               .summary = "The sizes of all weights: pulls each alike, small ones to 0",
               .formula = "J + λ Σ |w|; ∇W + λ sign(W), with sign(0) = 0; weights only, never "
                          "biases",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 7.1.2",
               .pytorch = "none: add lambda * sum(w.abs().sum() for the weights w) to the loss; "
                          "the derivative of abs at 0 is 0 there too",
               .index = BP_REGULARIZER_l1,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .sum = BP_VARIANT(bp_sum_absolute),
    .penalty = penalty,
    .slope = slope,
    .add_gradient = add_gradient,
    .piece = piece,
};
