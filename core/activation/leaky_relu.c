#include "core/activation/activation.h"
#include "core/kernel/map.h"

enum { SLOPE, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [SLOPE] = {.name = "slope",
               .meaning = "derivative where z is not positive: k",
               .kind = BP_REAL_PARAMETER,
               .exclusive_minimum = true,
               .exclusive_maximum = true,
               .default_value = 0.01,
               .minimum = 0,
               .maximum = 1},
};

/* x, or k·x where sign ≤ 0; a NaN in sign is not, so that it hands x on. */
static bp_vector leak(bp_vector sign, bp_vector x, const double *value)
{
    bp_bits down = bp_vector_less_equal(sign, bp_vector_set(0));
    return bp_vector_select(down, x * (bp_real)value[SLOPE], x);
}

static bp_vector rectify(bp_vector z, const double *value)
{
    return leak(z, z, value);
}

static void forward(const void *z, void *a, size_t rows, size_t width, const double *value)
{
    bp_map(a, z, rows * width, value, rectify);
}

/* a has the sign of z, or is 0 where k·z is too small for a number: the derivative is k then too. */
static void backward(const void *kept, void *delta, size_t rows, size_t width, const double *value)
{
    bp_map2(delta, kept, delta, rows * width, value, leak);
}

static void piece(const void *z, unsigned char *piece, size_t count, const double *value)
{
    (void)value;
    const bp_real *real = z;
    for (size_t i = 0; i < count; i++)
        piece[i] = real[i] > 0;
}

extern const bp_activation BP_VARIANT(bp_activation_leaky_relu);
const bp_activation BP_VARIANT(bp_activation_leaky_relu) = {
    .member = {.name = "leaky_relu",
               .summary = "A rectified linear unit that never falls quite silent",
               .formula = "f(z) = max(z, k z), 0 < k < 1; f'(z) = 1 for z > 0, k for z <= 0",
               .reference = "Maas, Hannun & Ng 2013, Rectifier Nonlinearities Improve Neural "
                            "Network Acoustic Models",
               .pytorch =
                   "torch.nn.LeakyReLU(negative_slope=k): the derivative at 0 is k there too",
               .index = BP_ACTIVATION_leaky_relu,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .forward = forward,
    .backward = backward,
    .piece = piece,
};
