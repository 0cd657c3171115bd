#include <string.h>

#include "core/initializer/initializer.h"

static void fill_tensor(const bp_fill *fill)
{
    memset(fill->data, 0, fill->rows * fill->columns * bp_dtype_size(fill->dtype));
}

extern const bp_initializer bp_initializer_zeros;
const bp_initializer bp_initializer_zeros = {
    .member = {.name = "zeros",
               .summary = "All zeros: for biases; units whose weights begin equal stay equal",
               .formula = "w = 0",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4",
               .pytorch = "torch.nn.init.zeros_(w)",
               .index = BP_INITIALIZER_zeros},
    .fill = fill_tensor,
};
