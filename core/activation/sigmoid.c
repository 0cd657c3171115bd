#include "core/activation/activation.h"
#include "core/kernel/map.h"
#include "core/kernel/vector_math.h"

static bp_vector sigmoid(bp_vector z, const double *value)
{
    (void)value;
    return bp_vector_sigmoid(z);
}

static void forward(const void *z, void *a, size_t rows, size_t width, const double *value)
{
    bp_map(a, z, rows * width, value, sigmoid);
}

/* δ · a(1 − a) */
static bp_vector slope(bp_vector a, bp_vector delta, const double *value)
{
    (void)value;
    return delta * (a * (1 - a));
}

static void backward(const void *kept, void *delta, size_t rows, size_t width, const double *value)
{
    bp_map2(delta, kept, delta, rows * width, value, slope);
}

extern const bp_activation BP_VARIANT(bp_activation_sigmoid);
const bp_activation BP_VARIANT(bp_activation_sigmoid) = {
    .member = {.name = "sigmoid",
               .summary = "The logistic function: squashes z into (0, 1)",
               .formula = "f(z) = 1 / (1 + exp(-z)); f'(z) = f(z) (1 - f(z))",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, sections 3.10 and "
                            "6.3.2",
               .pytorch = "torch.nn.Sigmoid()",
               .index = BP_ACTIVATION_sigmoid},
    .forward = forward,
    .backward = backward,
    .idleness = BP_IDLE_SATURATED,
    .idle_low = 0.005,
    .idle_high = 0.995,
};
