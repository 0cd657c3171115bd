#include "core/activation/activation.h"

#include <string.h>

#include "core/kernel/variant.h"

static void forward(const void *z, void *a, size_t rows, size_t width, const double *value)
{
    (void)value;
    if (a != z)
        memcpy(a, z, rows * width * sizeof(bp_real));
}

static void backward(const void *kept, void *delta, size_t rows, size_t width, const double *value)
{
    (void)kept, (void)delta, (void)rows, (void)width, (void)value; /* f'(z) = 1 */
}

extern const bp_activation BP_VARIANT(bp_activation_identity);
const bp_activation BP_VARIANT(bp_activation_identity) = {
    .member = {.name = "identity",
               .summary = "Leaves z as it is: scores, and regression",
               .formula = "f(z) = z; f'(z) = 1",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2.1",
               .pytorch = "torch.nn.Identity()",
               .index = BP_ACTIVATION_identity},
    .forward = forward,
    .backward = backward,
};
