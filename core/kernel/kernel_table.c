/* The table of one variant: every pointer of bp_kernels, and the family records of that variant. */
#include "core/kernel/array_kernels.h"
#include "core/kernel/gemm_variant.h"
#include "core/kernel/kernels.h"

#define BP_ACTIVATION(name) extern const bp_activation BP_VARIANT(bp_activation_##name);
#include "core/activation/activation.def"
#undef BP_ACTIVATION
#define BP_LOSS(name) extern const bp_loss BP_VARIANT(bp_loss_##name);
#include "core/loss/loss.def"
#undef BP_LOSS
#define BP_OPTIMIZER(name) extern const bp_optimizer BP_VARIANT(bp_optimizer_##name);
#include "core/optimizer/optimizer.def"
#undef BP_OPTIMIZER
#define BP_REGULARIZER(name) extern const bp_regularizer BP_VARIANT(bp_regularizer_##name);
#include "core/regularizer/regularizer.def"
#undef BP_REGULARIZER

static const bp_activation *const activations[] = {
#define BP_ACTIVATION(name) &BP_VARIANT(bp_activation_##name),
#include "core/activation/activation.def"
#undef BP_ACTIVATION
};
static const bp_loss *const losses[] = {
#define BP_LOSS(name) &BP_VARIANT(bp_loss_##name),
#include "core/loss/loss.def"
#undef BP_LOSS
};
static const bp_optimizer *const optimizers[] = {
#define BP_OPTIMIZER(name) &BP_VARIANT(bp_optimizer_##name),
#include "core/optimizer/optimizer.def"
#undef BP_OPTIMIZER
};
static const bp_regularizer *const regularizers[] = {
#define BP_REGULARIZER(name) &BP_VARIANT(bp_regularizer_##name),
#include "core/regularizer/regularizer.def"
#undef BP_REGULARIZER
};

#define BP_ISA_OF_baseline BP_ISA_BASELINE
#define BP_ISA_OF_avx2     BP_ISA_AVX2
#define BP_ISA_OF_avx512   BP_ISA_AVX512
#define BP_ISA_PASTE(isa)  BP_ISA_OF_##isa
#define BP_ISA_OF(isa)     BP_ISA_PASTE(isa)

extern const bp_kernels BP_VARIANT(bp_kernels);
const bp_kernels BP_VARIANT(bp_kernels) = {
    .dtype = BP_VARIANT_BITS == 32 ? BP_FLOAT32 : BP_FLOAT64,
    .isa = BP_ISA_OF(BP_VARIANT_ISA),
    .real_size = sizeof(bp_real),
    .gemm = BP_VARIANT(bp_gemm),
    .gemm_packed_bytes = BP_VARIANT(bp_gemm_packed_bytes),
    .gemm_pack = BP_VARIANT(bp_gemm_pack),
    .sum = BP_VARIANT(bp_sum),
    .sum_squares = BP_VARIANT(bp_sum_squares),
    .sum_squares_chunks = BP_VARIANT(bp_sum_squares_chunks),
    .sum_absolute = BP_VARIANT(bp_sum_absolute),
    .sum_rows = BP_VARIANT(bp_sum_rows),
    .outside_columns = BP_VARIANT(bp_outside_columns),
    .scale = BP_VARIANT(bp_scale),
    .axpy = BP_VARIANT(bp_axpy),
    .from_double = BP_VARIANT(bp_from_double),
    .to_double = BP_VARIANT(bp_to_double),
    .all_finite = BP_VARIANT(bp_all_finite),
    .argmax_rows = BP_VARIANT(bp_argmax_rows),
    .gather_rows = BP_VARIANT(bp_gather_rows),
    .exp = BP_VARIANT(bp_exp_array),
    .log = BP_VARIANT(bp_log_array),
    .tanh = BP_VARIANT(bp_tanh_array),
    .mask = BP_VARIANT(bp_mask),
    .lstm_forward = BP_VARIANT(bp_lstm_forward),
    .lstm_backward = BP_VARIANT(bp_lstm_backward),
    .gru_forward = BP_VARIANT(bp_gru_forward),
    .gru_backward = BP_VARIANT(bp_gru_backward),
    .activations = activations,
    .losses = losses,
    .optimizers = optimizers,
    .regularizers = regularizers,
};
