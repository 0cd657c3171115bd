#include <math.h>

#include "core/initializer/fill.h"

static void fill_tensor(const bp_fill *fill)
{
    double bound = sqrt(6 / ((double)fill->fan_in + (double)fill->fan_out));
    bp_fill_uniform(fill, -bound, bound);
}

extern const bp_initializer bp_initializer_xavier_uniform;
const bp_initializer bp_initializer_xavier_uniform = {
    .member = {.name = "xavier_uniform",
               .summary = "Uniform, wide enough to keep the size of signals from layer to layer",
               .formula = "w ~ U[-r, r], r = sqrt(6 / (fan_in + fan_out))",
               .reference = "Glorot & Bengio 2010, Understanding the difficulty of training deep "
                            "feedforward neural networks, equation 16",
               .pytorch = "torch.nn.init.xavier_uniform_(w, gain=1)",
               .index = BP_INITIALIZER_xavier_uniform},
    .fill = fill_tensor,
};
