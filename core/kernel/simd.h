/* One native vector of bp_real and the operations that kernels are written in, for use in variant
 * sources only. Every operation works lane by lane and is IEEE's (or a fused multiply-add), so a
 * kernel written in them has the same bits for any vector width. Masks are bp_bits of all ones or
 * all zeros per lane. */
#ifndef BP_CORE_KERNEL_SIMD_H
#define BP_CORE_KERNEL_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/kernel/variant.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define BP_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define BP_VECTOR_BYTES 32
#else
#define BP_VECTOR_BYTES 16
#endif

#if BP_VARIANT_BITS == 32
typedef uint32_t bp_word;
#define BP_MANTISSA_BITS 23
#define BP_EXPONENT_BIAS 127
#else
typedef uint64_t bp_word;
#define BP_MANTISSA_BITS 52
#define BP_EXPONENT_BIAS 1023
#endif

typedef bp_real bp_vector __attribute__((vector_size(BP_VECTOR_BYTES)));
typedef bp_word bp_bits __attribute__((vector_size(BP_VECTOR_BYTES)));

enum { BP_VECTOR_COUNT = BP_VECTOR_BYTES / sizeof(bp_real) };

#define BP_INLINE static inline __attribute__((always_inline))

BP_INLINE bp_vector bp_vector_set(bp_real value)
{
    return value - (bp_vector){0}; /* not 0 + value, which would turn −0 into 0 */
}

BP_INLINE bp_bits bp_bits_set(bp_word value)
{
    return value + (bp_bits){0};
}

BP_INLINE bp_vector bp_vector_load(const bp_real *x)
{
    bp_vector v;
    memcpy(&v, x, sizeof v);
    return v;
}

BP_INLINE void bp_vector_store(bp_real *out, bp_vector v)
{
    memcpy(out, &v, sizeof v);
}

/* Rounded once; NaN below 0. */
BP_INLINE bp_vector bp_vector_sqrt(bp_vector a)
{
#if defined(__AVX512F__) && BP_VARIANT_BITS == 32
    return (bp_vector)_mm512_sqrt_ps((__m512)a);
#elif defined(__AVX512F__)
    return (bp_vector)_mm512_sqrt_pd((__m512d)a);
#elif defined(__AVX2__) && BP_VARIANT_BITS == 32
    return (bp_vector)_mm256_sqrt_ps((__m256)a);
#elif defined(__AVX2__)
    return (bp_vector)_mm256_sqrt_pd((__m256d)a);
#else
    bp_vector v;
    for (size_t lane = 0; lane < BP_VECTOR_COUNT; lane++)
#if BP_VARIANT_BITS == 32
        v[lane] = __builtin_sqrtf(a[lane]);
#else
        v[lane] = __builtin_sqrt(a[lane]);
#endif
    return v;
#endif
}

BP_INLINE bp_bits bp_vector_less(bp_vector a, bp_vector b)
{
    return (bp_bits)(a < b);
}

BP_INLINE bp_bits bp_vector_less_equal(bp_vector a, bp_vector b)
{
    return (bp_bits)(a <= b);
}

BP_INLINE bp_bits bp_vector_equal(bp_vector a, bp_vector b)
{
    return (bp_bits)(a == b);
}

/* mask ? a : b */
BP_INLINE bp_vector bp_vector_select(bp_bits mask, bp_vector a, bp_vector b)
{
    return (bp_vector)((mask & (bp_bits)a) | (~mask & (bp_bits)b));
}

#if defined(__AVX2__) && !defined(__AVX512F__)
/* All ones in the lanes below `count`. */
BP_INLINE __m256i bp_first_lanes(size_t count)
{
#if BP_VARIANT_BITS == 32
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lane);
#else
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)count), lane);
#endif
}
#endif

/* The first `count` lanes from x (count < BP_VECTOR_COUNT), the others `fill`; reads no further. */
BP_INLINE bp_vector bp_vector_load_partial(const bp_real *x, size_t count, bp_real fill)
{
#if defined(__AVX512F__) && BP_VARIANT_BITS == 32
    return (bp_vector)_mm512_mask_loadu_ps(_mm512_set1_ps(fill), (__mmask16)((1u << count) - 1), x);
#elif defined(__AVX512F__)
    return (bp_vector)_mm512_mask_loadu_pd(_mm512_set1_pd(fill), (__mmask8)((1u << count) - 1), x);
#elif defined(__AVX2__) && BP_VARIANT_BITS == 32
    __m256i mask = bp_first_lanes(count);
    bp_vector loaded = (bp_vector)_mm256_maskload_ps(x, mask);
    return bp_vector_select((bp_bits)mask, loaded, bp_vector_set(fill));
#elif defined(__AVX2__)
    __m256i mask = bp_first_lanes(count);
    bp_vector loaded = (bp_vector)_mm256_maskload_pd(x, mask);
    return bp_vector_select((bp_bits)mask, loaded, bp_vector_set(fill));
#else
    bp_vector v = bp_vector_set(fill);
    memcpy(&v, x, count * sizeof(bp_real));
    return v;
#endif
}

BP_INLINE void bp_vector_store_partial(bp_real *out, bp_vector v, size_t count)
{
#if defined(__AVX512F__) && BP_VARIANT_BITS == 32
    _mm512_mask_storeu_ps(out, (__mmask16)((1u << count) - 1), (__m512)v);
#elif defined(__AVX512F__)
    _mm512_mask_storeu_pd(out, (__mmask8)((1u << count) - 1), (__m512d)v);
#elif defined(__AVX2__) && BP_VARIANT_BITS == 32
    _mm256_maskstore_ps(out, bp_first_lanes(count), (__m256)v);
#elif defined(__AVX2__)
    _mm256_maskstore_pd(out, bp_first_lanes(count), (__m256d)v);
#else
    memcpy(out, &v, count * sizeof(bp_real));
#endif
}

/* a·b + c rounded once. Without the instruction the compiler calls fma: slow, same bits. */
BP_INLINE bp_vector bp_vector_fma(bp_vector a, bp_vector b, bp_vector c)
{
#if defined(__AVX512F__) && BP_VARIANT_BITS == 32
    return (bp_vector)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX512F__)
    return (bp_vector)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__AVX2__) && BP_VARIANT_BITS == 32
    return (bp_vector)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__AVX2__)
    return (bp_vector)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
    bp_vector v;
    for (size_t lane = 0; lane < BP_VECTOR_COUNT; lane++)
#if BP_VARIANT_BITS == 32
        v[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
#else
        v[lane] = __builtin_fma(a[lane], b[lane], c[lane]);
#endif
    return v;
#endif
}

/* a < b ? b : a: b NaN gives a, a NaN gives a. */
BP_INLINE bp_vector bp_vector_max(bp_vector a, bp_vector b)
{
    return bp_vector_select(bp_vector_less(a, b), b, a);
}

/* b < a ? b : a: b NaN gives a, a NaN gives a. */
BP_INLINE bp_vector bp_vector_min(bp_vector a, bp_vector b)
{
    return bp_vector_select(bp_vector_less(b, a), b, a);
}

BP_INLINE bp_bits bp_vector_sign(bp_vector a)
{
    return (bp_bits)a & bp_bits_set((bp_word)1 << (BP_VARIANT_BITS - 1));
}

BP_INLINE bp_vector bp_vector_absolute(bp_vector a)
{
    return (bp_vector)((bp_bits)a & bp_bits_set(((bp_word)1 << (BP_VARIANT_BITS - 1)) - 1));
}

#endif
