#include <math.h>

#include "core/initializer/fill.h"
#include "core/initializer/initializer.h"

static void fill(void *data, bp_dtype dtype, size_t rows, size_t columns, size_t fan_in,
                 size_t fan_out, const bp_random *random, const double *value)
{
    (void)value;
    double bound = sqrt(6 / ((double)fan_in + (double)fan_out));
    bp_fill_uniform(data, dtype, rows, columns, random, bound);
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
    .fill = fill,
};
