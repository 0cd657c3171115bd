#include "core/activation/activation.h"
#include "core/kernel/map.h"

static bp_vector squash(bp_vector z, const double *value)
{
    (void)value;
    return z / (bp_vector_absolute(z) + 1);
}

static void forward(const void *z, void *a, size_t rows, size_t width, const double *value)
{
    bp_map(a, z, rows * width, value, squash);
}

/* From z: (1 − |a|)² would have lost the digits of 1/(1 + |z|)² where |a| is near 1. */
static bp_vector slope(bp_vector z, bp_vector delta, const double *value)
{
    (void)value;
    bp_vector below = bp_vector_absolute(z) + 1;
    return delta / below / below; /* one by one: the square could overflow */
}

static void backward(const void *kept, void *delta, size_t rows, size_t width, const double *value)
{
    bp_map2(delta, kept, delta, rows * width, value, slope);
}

extern const bp_activation BP_VARIANT(bp_activation_softsign);
const bp_activation BP_VARIANT(bp_activation_softsign) = {
    .member = {.name = "softsign",
               .summary = "Squashes z into (-1, 1) and approaches the bounds slowly",
               .formula = "f(z) = z / (1 + |z|); f'(z) = 1 / (1 + |z|)^2",
               .reference = "Bergstra, Desjardins, Lamblin & Bengio 2009, Quadratic Polynomials "
                            "Learn Better Image Features; Glorot & Bengio 2010, Understanding the "
                            "difficulty of training deep feedforward neural networks",
               .pytorch = "torch.nn.Softsign()",
               .index = BP_ACTIVATION_softsign},
    .derivative_from_z = true,
    .forward = forward,
    .backward = backward,
    .idleness = BP_IDLE_SATURATED,
    .idle_low = -0.99,
    .idle_high = 0.99,
};
