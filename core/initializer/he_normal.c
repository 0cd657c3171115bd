#include <math.h>

#include "core/initializer/fill.h"

static void fill_tensor(const bp_fill *fill)
{
    bp_fill_normal(fill, sqrt(2 / (double)fill->fan_in));
}

extern const bp_initializer bp_initializer_he_normal;
const bp_initializer bp_initializer_he_normal = {
    .member = {.name = "he_normal",
               .summary = "Normal, wide enough to keep the size of signals through ReLU layers",
               .formula = "w ~ N(0, s^2), s = sqrt(2 / fan_in)",
               .reference = "He, Zhang, Ren & Sun 2015, Delving Deep into Rectifiers, equation 10",
               .pytorch = "torch.nn.init.kaiming_normal_(w, mode='fan_in', nonlinearity='relu')",
               .index = BP_INITIALIZER_he_normal},
    .fill = fill_tensor,
};
