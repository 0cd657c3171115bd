/* The multiply-add peak of one core, measured: what the speed of products is held against. */
#ifndef BP_TESTS_BENCH_MULTIPLY_ADD_PEAK_H
#define BP_TESTS_BENCH_MULTIPLY_ADD_PEAK_H

#include <stddef.h>
#include <time.h>

#include "core/kernel/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { BENCH_SUMS = 16 };

/* Time of this thread on a processor, so that other processes disturb little. */
static inline double bench_thread_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static inline double multiply_add_512(size_t rounds)
{
    __m512 sum[BENCH_SUMS], factor = _mm512_set1_ps(0.999f);
    for (size_t i = 0; i < BENCH_SUMS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (size_t round = 0; round < rounds; round++)
#pragma GCC unroll 16
        for (size_t i = 0; i < BENCH_SUMS; i++)
            sum[i] = _mm512_fmadd_ps(sum[i], factor, factor);
    double total = 0;
    for (size_t i = 0; i < BENCH_SUMS; i++)
        total += (double)_mm512_reduce_add_ps(sum[i]);
    return total;
}

__attribute__((target("avx2,fma"))) static inline double multiply_add_256(size_t rounds)
{
    __m256 sum[BENCH_SUMS - 4], factor = _mm256_set1_ps(0.999f);
    for (size_t i = 0; i < BENCH_SUMS - 4; i++)
        sum[i] = _mm256_set1_ps((float)i);
    for (size_t round = 0; round < rounds; round++)
#pragma GCC unroll 16
        for (size_t i = 0; i < BENCH_SUMS - 4; i++)
            sum[i] = _mm256_fmadd_ps(sum[i], factor, factor);
    double total = 0;
    for (size_t i = 0; i < BENCH_SUMS - 4; i++)
        total += (double)_mm256_cvtss_f32(sum[i]);
    return total;
}
#endif

/* Operations a second of float32 multiply-adds in registers; 0 where this program knows no loop for
 * the instruction set. */
static inline double bench_float32_peak(bp_isa isa)
{
#if defined(__x86_64__)
    enum { ROUNDS = 40000 };
    static volatile double sink;
    double best = 0;
    if (isa == BP_ISA_BASELINE)
        return 0;
    for (int repeat = 0; repeat < 3; repeat++) {
        const double start = bench_thread_seconds();
        sink = isa == BP_ISA_AVX512 ? multiply_add_512(ROUNDS) : multiply_add_256(ROUNDS);
        const double seconds = bench_thread_seconds() - start;
        const double work = isa == BP_ISA_AVX512 ? BENCH_SUMS * 16.0 : (BENCH_SUMS - 4) * 8.0;
        const double rate = 2.0 * ROUNDS * work / seconds;
        if (rate > best)
            best = rate;
    }
    (void)sink;
    return best;
#else
    (void)isa;
    return 0;
#endif
}

#endif
