#include "core/initializer/fill.h"

enum { VALUE, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [VALUE] = {.name = "value",
               .meaning = "every weight: c",
               .kind = BP_REAL_PARAMETER,
               .default_value = 0,
               .minimum = -__builtin_inf(),
               .maximum = __builtin_inf()},
};

static void fill_tensor(const bp_fill *fill)
{
    for (size_t i = 0; i < fill->rows * fill->columns; i++)
        bp_fill_put(fill, i, fill->value[VALUE]);
}

extern const bp_initializer bp_initializer_constant;
const bp_initializer bp_initializer_constant = {
    .member = {.name = "constant",
               .summary = "One number for all; units whose weights begin equal stay equal",
               .formula = "w = c",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.4",
               .pytorch = "torch.nn.init.constant_(w, val=c)",
               .index = BP_INITIALIZER_constant,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .fill = fill_tensor,
};
