#include <string.h>

#include "core/initializer/initializer.h"

static void fill(void *data, bp_dtype dtype, size_t rows, size_t columns, size_t fan_in,
                 size_t fan_out, const bp_random *random, const double *value)
{
    (void)fan_in, (void)fan_out, (void)random, (void)value;
    memset(data, 0, rows * columns * bp_dtype_size(dtype));
}

extern const bp_initializer bp_initializer_zeros;
const bp_initializer bp_initializer_zeros = {
    .member = {.name = "zeros",
               .summary = "All zeros: for biases; units whose weights begin equal stay equal",
               .formula = "w = 0",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4",
               .pytorch = "torch.nn.init.zeros_(w)",
               .index = BP_INITIALIZER_zeros},
    .fill = fill,
};
