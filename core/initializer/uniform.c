#include "core/initializer/fill.h"

enum { LOW, HIGH, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [LOW] = {.name = "low",
             .meaning = "one end of the interval: a",
             .kind = BP_REAL_PARAMETER,
             .default_value = -0.05,
             .minimum = -__builtin_inf(),
             .maximum = __builtin_inf()},
    [HIGH] = {.name = "high",
              .meaning = "the other end: b",
              .kind = BP_REAL_PARAMETER,
              .default_value = 0.05,
              .minimum = -__builtin_inf(),
              .maximum = __builtin_inf()},
};

static void fill_tensor(const bp_fill *fill)
{
    const double low = fill->value[LOW], high = fill->value[HIGH];
    bp_fill_uniform(fill, low < high ? low : high, low < high ? high : low);
}

extern const bp_initializer bp_initializer_uniform;
const bp_initializer bp_initializer_uniform = {
    .member = {.name = "uniform",
               .summary = "Small random numbers, equally likely all over an interval",
               .formula = "w ~ U[a, b]",
               .reference = "LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp, section 4.6",
               .pytorch = "torch.nn.init.uniform_(w, a=low, b=high)",
               .index = BP_INITIALIZER_uniform,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .fill = fill_tensor,
};
