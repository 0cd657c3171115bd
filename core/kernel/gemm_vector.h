/* What the matrix product adds to the vectors of simd.h: the height of its tiles, and squares. */
#ifndef BP_CORE_KERNEL_GEMM_VECTOR_H
#define BP_CORE_KERNEL_GEMM_VECTOR_H

#include "core/kernel/simd.h"

/* BP_ROWS × 2 accumulators, two columns of B and one element of A fill the register file. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define BP_ROWS 12
#elif defined(__AVX2__)
#define BP_ROWS 6
#else
#define BP_ROWS 4
#endif

enum { BP_LANES = BP_VECTOR_COUNT };

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
