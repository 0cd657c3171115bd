#include "core/activation/activation.h"
#include "core/kernel/softmax_row.h"

static void forward(const void *z, void *a, size_t rows, size_t width, const double *value)
{
    (void)value;
    const bp_real *from = z;
    bp_real *to = a;
    for (size_t row = 0; row < rows; row++)
        bp_row_softmax(to + row * width, from + row * width, width);
}

static bp_real dot(const bp_real *x, const bp_real *y, size_t count)
{
    bp_lanes sum = bp_lanes_set(0);
    for (size_t i = 0; i < count; i += BP_LANE_COUNT) {
        bp_lanes left = bp_lanes_load(x + i, count - i, 0);
        bp_lanes right = bp_lanes_load(y + i, count - i, 0);
        for (size_t part = 0; part < BP_LANE_PARTS; part++)
            sum.part[part] = bp_vector_fma(left.part[part], right.part[part], sum.part[part]);
    }
    return bp_lanes_sum(&sum);
}

/* The Jacobian is diag(a) − a·aᵀ: δ_i ← a_i (δ_i − Σ_j δ_j a_j). */
static void backward(const void *kept, void *delta, size_t rows, size_t width, const double *value)
{
    (void)value;
    const bp_real *a = kept;
    bp_real *d = delta;
    for (size_t row = 0; row < rows; row++, a += width, d += width) {
        bp_real mean = dot(d, a, width);
        for (size_t i = 0; i < width; i++)
            d[i] = a[i] * (d[i] - mean);
    }
}

extern const bp_activation BP_VARIANT(bp_activation_softmax);
const bp_activation BP_VARIANT(bp_activation_softmax) = {
    .member = {.name = "softmax",
               .summary = "Probabilities over the units of an output layer",
               .formula = "f(z)_i = exp(z_i) / sum_j exp(z_j); "
                          "df_i/dz_j = f_i ([i = j] - f_j)",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2.3",
               .pytorch = "torch.nn.Softmax(dim=-1)",
               .index = BP_ACTIVATION_softmax},
    .rowwise = true,
    .forward = forward,
    .backward = backward,
};
