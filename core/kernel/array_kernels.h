/* What reduce.c, elementwise.c, mask.c and the cells of one variant put into its table; meanings in kernels.h. */
#ifndef BP_CORE_KERNEL_ARRAY_KERNELS_H
#define BP_CORE_KERNEL_ARRAY_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "core/kernel/variant.h"

struct bp_gru_call;
struct bp_lstm_call;
struct bp_mask_call;

double BP_VARIANT(bp_sum)(const void *x, size_t count);
double BP_VARIANT(bp_sum_squares)(const void *x, size_t count);
void BP_VARIANT(bp_sum_squares_chunks)(double *out, const void *x, size_t count, size_t chunk);
double BP_VARIANT(bp_sum_absolute)(const void *x, size_t count);
void BP_VARIANT(bp_sum_rows)(void *out, const void *x, size_t m, size_t n);
size_t BP_VARIANT(bp_outside_columns)(const void *x, size_t m, size_t n, double low, double high);

void BP_VARIANT(bp_scale)(void *x, double factor, size_t count);
void BP_VARIANT(bp_axpy)(void *y, double factor, const void *x, size_t count);
void BP_VARIANT(bp_from_double)(void *out, const double *x, size_t count);
void BP_VARIANT(bp_to_double)(double *out, const void *x, size_t count);
int BP_VARIANT(bp_all_finite)(const void *x, size_t count);
void BP_VARIANT(bp_argmax_rows)(int32_t *out, const void *x, size_t m, size_t n);
void BP_VARIANT(bp_gather_rows)(void *out, const void *in, const size_t *index, size_t count,
                                size_t width);
void BP_VARIANT(bp_exp_array)(void *out, const void *x, size_t count);
void BP_VARIANT(bp_log_array)(void *out, const void *x, size_t count);
void BP_VARIANT(bp_tanh_array)(void *out, const void *x, size_t count);
void BP_VARIANT(bp_mask)(const struct bp_mask_call *call);
void BP_VARIANT(bp_lstm_forward)(const struct bp_lstm_call *call, size_t first, size_t count);
void BP_VARIANT(bp_lstm_backward)(const struct bp_lstm_call *call, size_t first, size_t count);
void BP_VARIANT(bp_gru_forward)(const struct bp_gru_call *call, size_t first, size_t count);
void BP_VARIANT(bp_gru_backward)(const struct bp_gru_call *call, size_t first, size_t count);

#endif
