#include <math.h>

#include "core/initializer/fill.h"

static void fill_tensor(const bp_fill *fill)
{
    const double bound = sqrt(6 / (double)fill->fan_in);
    bp_fill_uniform(fill, -bound, bound);
}

extern const bp_initializer bp_initializer_he_uniform;
const bp_initializer bp_initializer_he_uniform = {
    .member = {.name = "he_uniform",
               .summary = "Uniform, wide enough to keep the size of signals through ReLU layers",
               .formula = "w ~ U[-r, r], r = sqrt(6 / fan_in)",
               .reference = "He, Zhang, Ren & Sun 2015, Delving Deep into Rectifiers, section 2.2: "
                            "the variance of equation 10",
               .pytorch = "torch.nn.init.kaiming_uniform_(w, mode='fan_in', nonlinearity='relu')",
               .index = BP_INITIALIZER_he_uniform},
    .fill = fill_tensor,
};
