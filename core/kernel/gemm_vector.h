/* The vectors of the matrix product: one register of the widest kind that the variant may use, and
 * the few operations on it that its single source needs. Every fused multiply-add rounds once, in
 * hardware or through fma(), so all instruction sets give the same bits. */
#ifndef BP_CORE_KERNEL_GEMM_VECTOR_H
#define BP_CORE_KERNEL_GEMM_VECTOR_H

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "core/kernel/variant.h"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define BP_INLINE static inline __attribute__((always_inline))

/* BP_ROWS × 2 accumulators, two columns of B and one element of A fill the register file. */
#if defined(__AVX512F__)
enum { BP_LANES = 512 / BP_VARIANT_BITS, BP_ROWS = 12 };
#elif defined(__AVX2__)
enum { BP_LANES = 256 / BP_VARIANT_BITS, BP_ROWS = 6 };
#elif defined(__aarch64__)
enum { BP_LANES = 128 / BP_VARIANT_BITS, BP_ROWS = 12 };
#else
enum { BP_LANES = 128 / BP_VARIANT_BITS, BP_ROWS = 4 };
#endif

#if defined(__AVX512F__) && BP_VARIANT_BITS == 32
typedef __m512 bp_vector;
#define BP_X86(operation) _mm512_##operation##_ps
#elif defined(__AVX512F__)
typedef __m512d bp_vector;
#define BP_X86(operation) _mm512_##operation##_pd
#elif defined(__AVX2__) && BP_VARIANT_BITS == 32
typedef __m256 bp_vector;
#define BP_X86(operation) _mm256_##operation##_ps
#elif defined(__AVX2__)
typedef __m256d bp_vector;
#define BP_X86(operation) _mm256_##operation##_pd
#else
typedef bp_real bp_vector __attribute__((vector_size(16)));
#endif

#if defined(BP_X86)

BP_INLINE bp_vector bp_vector_zero(void)
{
    return BP_X86(setzero)();
}

BP_INLINE bp_vector bp_vector_load(const bp_real *from)
{
    return BP_X86(loadu)(from);
}

BP_INLINE void bp_vector_store(bp_real *to, bp_vector x)
{
    BP_X86(storeu)(to, x);
}

BP_INLINE bp_vector bp_vector_spread(bp_real x)
{
    return BP_X86(set1)(x);
}

/* a·b + c, rounded once. */
BP_INLINE bp_vector bp_vector_fma(bp_vector a, bp_vector b, bp_vector c)
{
    return BP_X86(fmadd)(a, b, c);
}

#elif defined(__aarch64__)

BP_INLINE bp_vector bp_vector_zero(void)
{
    return (bp_vector){0};
}

BP_INLINE bp_vector bp_vector_load(const bp_real *from)
{
    bp_vector x;
    memcpy(&x, from, sizeof x);
    return x;
}

BP_INLINE void bp_vector_store(bp_real *to, bp_vector x)
{
    memcpy(to, &x, sizeof x);
}

BP_INLINE bp_vector bp_vector_spread(bp_real x)
{
    return x - (bp_vector){0};
}

BP_INLINE bp_vector bp_vector_fma(bp_vector a, bp_vector b, bp_vector c)
{
#if BP_VARIANT_BITS == 32
    return (bp_vector)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return (bp_vector)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#endif
}

#else

BP_INLINE bp_vector bp_vector_zero(void)
{
    return (bp_vector){0};
}

BP_INLINE bp_vector bp_vector_load(const bp_real *from)
{
    bp_vector x;
    memcpy(&x, from, sizeof x);
    return x;
}

BP_INLINE void bp_vector_store(bp_real *to, bp_vector x)
{
    memcpy(to, &x, sizeof x);
}

BP_INLINE bp_vector bp_vector_spread(bp_real x)
{
    return x - (bp_vector){0};
}

/* A call for each lane where the processor has no fused multiply-add: slow, same bits. */
BP_INLINE bp_vector bp_vector_fma(bp_vector a, bp_vector b, bp_vector c)
{
    for (int lane = 0; lane < BP_LANES; lane++)
#if BP_VARIANT_BITS == 32
        c[lane] = fmaf(a[lane], b[lane], c[lane]);
#else
        c[lane] = fma(a[lane], b[lane], c[lane]);
#endif
    return c;
}

#endif

/* The first `count` lanes, 0 to BP_LANES; the others are zero. Touches no memory past them. */
BP_INLINE bp_vector bp_vector_load_part(const bp_real *from, size_t count)
{
#if defined(__AVX512F__) && BP_VARIANT_BITS == 32
    return _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
#elif defined(__AVX512F__)
    return _mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1), from);
#elif defined(__AVX2__) && BP_VARIANT_BITS == 32
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(from, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), index));
#elif defined(__AVX2__)
    const __m256i index = _mm256_setr_epi64x(0, 1, 2, 3);
    return _mm256_maskload_pd(from,
                              _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)count), index));
#else
    bp_vector x = {0};
    for (size_t lane = 0; lane < count; lane++)
        x[lane] = from[lane];
    return x;
#endif
}

BP_INLINE void bp_vector_store_part(bp_real *to, bp_vector x, size_t count)
{
#if defined(__AVX512F__) && BP_VARIANT_BITS == 32
    _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), x);
#elif defined(__AVX512F__)
    _mm512_mask_storeu_pd(to, (__mmask8)((1u << count) - 1), x);
#elif defined(__AVX2__) && BP_VARIANT_BITS == 32
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_ps(to, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), index), x);
#elif defined(__AVX2__)
    const __m256i index = _mm256_setr_epi64x(0, 1, 2, 3);
    _mm256_maskstore_pd(to, _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)count), index), x);
#else
    for (size_t lane = 0; lane < count; lane++)
        to[lane] = x[lane];
#endif
}

/* BP_LANES vectors as a square matrix, transposed in place. */
#if defined(__AVX512F__) && BP_VARIANT_BITS == 32
BP_INLINE void bp_vector_transpose(bp_vector x[BP_LANES])
{
    __m512 pair[16], quad[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        pair[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
        pair[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
    }
    /* quad[4g + c], 128-bit lane l: column 4l + c of rows 4g to 4g + 3 */
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
#define BP_JOIN(which, a, b)                                                                       \
    _mm512_castpd_ps(                                                                              \
        _mm512_unpack##which##_pd(_mm512_castps_pd(pair[a]), _mm512_castps_pd(pair[b])))
        quad[i] = BP_JOIN(lo, i, i + 2);
        quad[i + 1] = BP_JOIN(hi, i, i + 2);
        quad[i + 2] = BP_JOIN(lo, i + 1, i + 3);
        quad[i + 3] = BP_JOIN(hi, i + 1, i + 3);
#undef BP_JOIN
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        const __m512 low_even = _mm512_shuffle_f32x4(quad[c], quad[4 + c], 0x88);
        const __m512 low_odd = _mm512_shuffle_f32x4(quad[c], quad[4 + c], 0xdd);
        const __m512 high_even = _mm512_shuffle_f32x4(quad[8 + c], quad[12 + c], 0x88);
        const __m512 high_odd = _mm512_shuffle_f32x4(quad[8 + c], quad[12 + c], 0xdd);
        x[c] = _mm512_shuffle_f32x4(low_even, high_even, 0x88);
        x[4 + c] = _mm512_shuffle_f32x4(low_odd, high_odd, 0x88);
        x[8 + c] = _mm512_shuffle_f32x4(low_even, high_even, 0xdd);
        x[12 + c] = _mm512_shuffle_f32x4(low_odd, high_odd, 0xdd);
    }
}
#elif defined(__AVX512F__)
BP_INLINE void bp_vector_transpose(bp_vector x[BP_LANES])
{
    __m512d pair[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm512_unpacklo_pd(x[i], x[i + 1]);
        pair[i + 1] = _mm512_unpackhi_pd(x[i], x[i + 1]);
    }
#pragma GCC unroll 2
    for (int c = 0; c < 2; c++) {
        const __m512d low_even = _mm512_shuffle_f64x2(pair[c], pair[2 + c], 0x88);
        const __m512d low_odd = _mm512_shuffle_f64x2(pair[c], pair[2 + c], 0xdd);
        const __m512d high_even = _mm512_shuffle_f64x2(pair[4 + c], pair[6 + c], 0x88);
        const __m512d high_odd = _mm512_shuffle_f64x2(pair[4 + c], pair[6 + c], 0xdd);
        x[c] = _mm512_shuffle_f64x2(low_even, high_even, 0x88);
        x[2 + c] = _mm512_shuffle_f64x2(low_odd, high_odd, 0x88);
        x[4 + c] = _mm512_shuffle_f64x2(low_even, high_even, 0xdd);
        x[6 + c] = _mm512_shuffle_f64x2(low_odd, high_odd, 0xdd);
    }
}
#elif defined(__AVX2__) && BP_VARIANT_BITS == 32
BP_INLINE void bp_vector_transpose(bp_vector x[BP_LANES])
{
    __m256 pair[8], quad[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        quad[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
        quad[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xee);
        quad[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
        quad[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        x[c] = _mm256_permute2f128_ps(quad[c], quad[4 + c], 0x20);
        x[4 + c] = _mm256_permute2f128_ps(quad[c], quad[4 + c], 0x31);
    }
}
#elif defined(__AVX2__)
BP_INLINE void bp_vector_transpose(bp_vector x[BP_LANES])
{
    const __m256d a = _mm256_unpacklo_pd(x[0], x[1]), b = _mm256_unpackhi_pd(x[0], x[1]);
    const __m256d c = _mm256_unpacklo_pd(x[2], x[3]), d = _mm256_unpackhi_pd(x[2], x[3]);
    x[0] = _mm256_permute2f128_pd(a, c, 0x20);
    x[1] = _mm256_permute2f128_pd(b, d, 0x20);
    x[2] = _mm256_permute2f128_pd(a, c, 0x31);
    x[3] = _mm256_permute2f128_pd(b, d, 0x31);
}
#else
BP_INLINE void bp_vector_transpose(bp_vector x[BP_LANES])
{
    for (int i = 0; i < BP_LANES; i++)
        for (int j = 0; j < i; j++) {
            const bp_real other = x[i][j];
            x[i][j] = x[j][i];
            x[j][i] = other;
        }
}
#endif

#endif
