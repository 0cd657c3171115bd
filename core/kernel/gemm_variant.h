/* The matrix product's entries in the kernel table, one set per variant. */
#ifndef BP_CORE_KERNEL_GEMM_VARIANT_H
#define BP_CORE_KERNEL_GEMM_VARIANT_H

#include <stddef.h>

#include "core/base/parallel.h"
#include "core/kernel/gemm.h"
#include "core/kernel/variant.h"

void BP_VARIANT(bp_gemm)(const bp_gemm_call *call);
size_t BP_VARIANT(bp_gemm_packed_bytes)(size_t k, size_t n);
void BP_VARIANT(bp_gemm_pack)(void *packed, const void *b, size_t b_row_stride,
                              size_t b_column_stride, size_t k, size_t n,
                              const bp_parallel *parallel);

#endif
