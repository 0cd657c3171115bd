#include "core/activation/activation.h"
#include "core/kernel/map.h"

/* z ≤ 0 is asked, not z > 0, so that NaN passes: divergence must be seen. */
static bp_vector rectify(bp_vector z, const double *value)
{
    (void)value;
    bp_bits off = bp_vector_less_equal(z, bp_vector_set(0));
    return (bp_vector)((bp_bits)z & ~off);
}

static void forward(const void *z, void *a, size_t rows, size_t width, const double *value)
{
    bp_map(a, z, rows * width, value, rectify);
}

/* a is never negative: a = 0 says that the unit was off, and a NaN hands δ on. */
static bp_vector gate(bp_vector a, bp_vector delta, const double *value)
{
    (void)value;
    bp_bits off = bp_vector_less_equal(a, bp_vector_set(0));
    return (bp_vector)((bp_bits)delta & ~off);
}

static void backward(const void *kept, void *delta, size_t rows, size_t width, const double *value)
{
    bp_map2(delta, kept, delta, rows * width, value, gate);
}

static void piece(const void *z, unsigned char *piece, size_t count, const double *value)
{
    (void)value;
    const bp_real *real = z;
    for (size_t i = 0; i < count; i++)
        piece[i] = real[i] > 0;
}

extern const bp_activation BP_VARIANT(bp_activation_relu);
const bp_activation BP_VARIANT(bp_activation_relu) = {
    .member = {.name = "relu",
               .summary = "The rectified linear unit: z where positive, 0 elsewhere",
               .formula = "f(z) = max(z, 0); f'(z) = 1 for z > 0, 0 for z <= 0",
               .reference = "Glorot, Bordes & Bengio 2011, Deep Sparse Rectifier Neural Networks; "
                            "Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.3.1",
               .pytorch = "torch.nn.ReLU(): the derivative at 0 is 0 there too",
               .index = BP_ACTIVATION_relu},
    .forward = forward,
    .backward = backward,
    .piece = piece,
    .idleness = BP_IDLE_DEAD,
    .idle_low = 0,
    .idle_high = __builtin_inf(),
};
