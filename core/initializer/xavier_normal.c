#include <math.h>

#include "core/initializer/fill.h"
#include "core/initializer/initializer.h"

static void fill(void *data, bp_dtype dtype, size_t rows, size_t columns, size_t fan_in,
                 size_t fan_out, const bp_random *random, const double *value)
{
    (void)value;
    double deviation = sqrt(2 / ((double)fan_in + (double)fan_out));
    bp_fill_normal(data, dtype, rows, columns, random, deviation);
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
    .fill = fill,
};
