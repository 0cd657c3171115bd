#include <math.h>

#include "core/kernel/array_kernels.h"
#include "core/regularizer/regularizer.h"

enum { LIMIT, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [LIMIT] = {.name = "limit",
               .meaning = "greatest length of the weights that come into one unit: c",
               .kind = BP_REAL_PARAMETER,
               .required = true,
               .exclusive_minimum = true,
               .default_value = 1,
               .minimum = 0,
               .maximum = __builtin_inf()},
};

/* A length beyond all numbers is left alone: scaled to 0 it would hide that the run diverges. */
static void project(void *w, size_t rows, size_t columns, const double *value)
{
    bp_real *row = w;
    for (size_t i = 0; i < rows; i++, row += columns) {
        const double norm = sqrt(BP_VARIANT(bp_sum_squares)(row, columns));
        if (norm > value[LIMIT] && norm < __builtin_inf())
            BP_VARIANT(bp_scale)(row, value[LIMIT] / norm, columns);
    }
}

extern const bp_regularizer BP_VARIANT(bp_regularizer_max_norm);
const bp_regularizer BP_VARIANT(bp_regularizer_max_norm) = {
    .member = {.name = "max_norm",
               .summary = "A bound on the length of the weights that come into each unit",
               .formula = "after each update, for each row w of W longer than c: w ← w c / ‖w‖; "
                          "weights only, never biases",
               .reference = "Srebro & Shraibman 2005, Rank, Trace-Norm and Max-Norm; Srivastava et "
                            "al. 2014, Dropout, section 5.1",
               .pytorch = "torch.renorm(w, p=2, dim=0, maxnorm=c) after each step, but for the "
                          "1e-7 that it adds to the norm",
               .index = BP_REGULARIZER_max_norm,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .project = project,
};
