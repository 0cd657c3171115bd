#include <math.h>

#include "core/initializer/fill.h"

static void fill_tensor(const bp_fill *fill)
{
    double deviation = sqrt(2 / ((double)fill->fan_in + (double)fill->fan_out));
    bp_fill_normal(fill, deviation);
}

extern const bp_initializer bp_initializer_xavier_normal;
const bp_initializer bp_initializer_xavier_normal = {
    .member = {.name = "xavier_normal",
               .summary = "Normal, wide enough to keep the size of signals from layer to layer",
               .formula = "w ~ N(0, s^2), s = sqrt(2 / (fan_in + fan_out))",
               .reference = "Glorot & Bengio 2010, Understanding the difficulty of training deep "
                            "feedforward neural networks, equation 12",
               .pytorch = "torch.nn.init.xavier_normal_(w, gain=1)",
               .index = BP_INITIALIZER_xavier_normal},
    .fill = fill_tensor,
};
