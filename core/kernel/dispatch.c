#include <assert.h>
#include <stdbool.h>

#include "core/kernel/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

extern const bp_kernels bp_kernels_32_baseline, bp_kernels_64_baseline;
#ifdef BP_BUILD_AVX2
extern const bp_kernels bp_kernels_32_avx2, bp_kernels_64_avx2;
#endif
#ifdef BP_BUILD_AVX512
extern const bp_kernels bp_kernels_32_avx512, bp_kernels_64_avx512;
#endif

const char *bp_isa_name(bp_isa isa)
{
    switch (isa) {
    case BP_ISA_BASELINE:
        return "baseline";
    case BP_ISA_AVX2:
        return "avx2";
    case BP_ISA_AVX512:
        return "avx512";
    }
    assert(false && "no such instruction set");
    return "";
}

/* __builtin_cpu_supports asks the processor, and the operating system whether it saves the wide
 * registers. The list is that of the compiler's flags in core/CMakeLists.txt. */
static bool runs(bp_isa isa)
{
    switch (isa) {
    case BP_ISA_BASELINE:
        return true;
    case BP_ISA_AVX2:
#ifdef BP_BUILD_AVX2
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
        return false;
#endif
    case BP_ISA_AVX512:
#ifdef BP_BUILD_AVX512
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
        return false;
#endif
    }
    return false;
}

bp_isa bp_isa_detect(void)
{
    return runs(BP_ISA_AVX512) ? BP_ISA_AVX512 : runs(BP_ISA_AVX2) ? BP_ISA_AVX2 : BP_ISA_BASELINE;
}

const bp_kernels *bp_kernels_get(bp_dtype dtype, bp_isa isa)
{
    static const bp_kernels *const table[BP_DTYPE_COUNT][BP_ISA_COUNT] = {
        [BP_FLOAT32] =
            {
                [BP_ISA_BASELINE] = &bp_kernels_32_baseline,
#ifdef BP_BUILD_AVX2
                [BP_ISA_AVX2] = &bp_kernels_32_avx2,
#endif
#ifdef BP_BUILD_AVX512
                [BP_ISA_AVX512] = &bp_kernels_32_avx512,
#endif
            },
        [BP_FLOAT64] =
            {
                [BP_ISA_BASELINE] = &bp_kernels_64_baseline,
#ifdef BP_BUILD_AVX2
                [BP_ISA_AVX2] = &bp_kernels_64_avx2,
#endif
#ifdef BP_BUILD_AVX512
                [BP_ISA_AVX512] = &bp_kernels_64_avx512,
#endif
            },
    };
    return runs(isa) ? table[dtype][isa] : NULL;
}

void bp_kernels_thread_start(void)
{
#if defined(__x86_64__)
    enum { ALL_MASKED_NEAREST = 0x1f80 }; /* neither flush-to-zero nor denormals-are-zero */
    _mm_setcsr(ALL_MASKED_NEAREST);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"((unsigned long long)0));
#endif
}
