#include "core/activation/activation.h"
#include "core/kernel/map.h"
#include "core/kernel/vector_math.h"

static bp_vector hyperbolic(bp_vector z, const double *value)
{
    (void)value;
    return bp_vector_tanh(z);
}

static void forward(const void *z, void *a, size_t rows, size_t width, const double *value)
{
    bp_map(a, z, rows * width, value, hyperbolic);
}

/* δ · (1 − a²), as a product: 1 − a² would cancel where a is near ±1. */
static bp_vector slope(bp_vector a, bp_vector delta, const double *value)
{
    (void)value;
    return delta * ((1 - a) * (1 + a));
}

static void backward(const void *kept, void *delta, size_t rows, size_t width, const double *value)
{
    bp_map2(delta, kept, delta, rows * width, value, slope);
}

extern const bp_activation BP_VARIANT(bp_activation_tanh);
const bp_activation BP_VARIANT(bp_activation_tanh) = {
    .member = {.name = "tanh",
               .summary = "The hyperbolic tangent: squashes z into (-1, 1), with mean 0",
               .formula = "f(z) = (exp(z) - exp(-z)) / (exp(z) + exp(-z)) = 2 sigmoid(2z) - 1; "
                          "f'(z) = 1 - f(z)^2",
               .reference = "LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp, section 4.4",
               .pytorch = "torch.nn.Tanh()",
               .index = BP_ACTIVATION_tanh},
    .forward = forward,
    .backward = backward,
    .idleness = BP_IDLE_SATURATED,
    .idle_low = -0.99,
    .idle_high = 0.99,
};
