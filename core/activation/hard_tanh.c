#include "core/activation/activation.h"
#include "core/kernel/map.h"

static bp_vector clamp(bp_vector z, const double *value)
{
    (void)value;
    bp_vector raised = bp_vector_max(z, bp_vector_set(-1)); /* NaN stays, in both */
    return bp_vector_min(raised, bp_vector_set(1));
}

static void forward(const void *z, void *a, size_t rows, size_t width, const double *value)
{
    bp_map(a, z, rows * width, value, clamp);
}

/* From z, since a = 1 does not tell z = 1, where the derivative is 1, from beyond. A NaN hands δ on. */
static bp_vector gate(bp_vector z, bp_vector delta, const double *value)
{
    (void)value;
    bp_bits outside = bp_vector_less(bp_vector_set(1), bp_vector_absolute(z));
    return (bp_vector)((bp_bits)delta & ~outside);
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
        piece[i] = (unsigned char)((real[i] >= -1) + (real[i] > 1));
}

extern const bp_activation BP_VARIANT(bp_activation_hard_tanh);
const bp_activation BP_VARIANT(bp_activation_hard_tanh) = {
    .member = {.name = "hard_tanh",
               .summary = "The hyperbolic tangent in three straight lines",
               .formula = "f(z) = -1 for z < -1, z for -1 <= z <= 1, 1 for z > 1; "
                          "f'(z) = 1 for -1 <= z <= 1, 0 elsewhere",
               .reference = "Collobert, Weston, Bottou, Karlen, Kavukcuoglu & Kuksa 2011, Natural "
                            "Language Processing (Almost) from Scratch",
               .pytorch = "torch.nn.Hardtanh(min_val=-1, max_val=1): the same but for z = -1 and "
                          "z = 1 exactly, where its derivative is 0",
               .index = BP_ACTIVATION_hard_tanh},
    .derivative_from_z = true,
    .forward = forward,
    .backward = backward,
    .piece = piece,
    .idleness = BP_IDLE_SATURATED,
    .idle_low = -0.99,
    .idle_high = 0.99,
};
