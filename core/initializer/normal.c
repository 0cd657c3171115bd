#include "core/initializer/fill.h"

enum { STD, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [STD] = {.name = "std",
             .meaning = "standard deviation of the weights: s",
             .kind = BP_REAL_PARAMETER,
             .default_value = 0.01,
             .minimum = 0,
             .maximum = __builtin_inf()},
};

static void fill_tensor(const bp_fill *fill)
{
    bp_fill_normal(fill, fill->value[STD]);
}

extern const bp_initializer bp_initializer_normal;
const bp_initializer bp_initializer_normal = {
    .member = {.name = "normal",
               .summary = "Small random numbers, normally distributed around 0",
               .formula = "w ~ N(0, s^2)",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4",
               .pytorch = "torch.nn.init.normal_(w, mean=0, std=s)",
               .index = BP_INITIALIZER_normal,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .fill = fill_tensor,
};
