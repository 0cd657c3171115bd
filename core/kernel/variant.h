/* Sources in core/kernel, core/activation, core/loss, core/optimizer and core/regularizer (all but
 * *_family.c and dispatch.c) are compiled once per variant: two widths × the instruction sets of this
 * architecture. The build defines
 *   BP_VARIANT_BITS  32 or 64: the width of bp_real
 *   BP_VARIANT_ISA   avx512, avx2 or baseline: the suffix of every exported symbol
 * and passes the compiler flags of the instruction set. In such a source every symbol with external
 * linkage is spelled BP_VARIANT(name); everything else is static. See docs/decisions. */
#ifndef BP_CORE_KERNEL_VARIANT_H
#define BP_CORE_KERNEL_VARIANT_H

#if BP_VARIANT_BITS == 32
typedef float bp_real;
#elif BP_VARIANT_BITS == 64
typedef double bp_real;
#else
#error "BP_VARIANT_BITS must be 32 or 64"
#endif

#define BP_VARIANT_PASTE(name, bits, isa)  name##_##bits##_##isa
#define BP_VARIANT_EXPAND(name, bits, isa) BP_VARIANT_PASTE(name, bits, isa)
/* bp_gemm -> bp_gemm_32_avx2 */
#define BP_VARIANT(name) BP_VARIANT_EXPAND(name, BP_VARIANT_BITS, BP_VARIANT_ISA)

#endif
