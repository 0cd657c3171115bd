/* Sums and maxima in 64 bytes of logical lanes (16 floats, 8 doubles) whatever the vector width:
 * element i goes to lane i mod lanes, and one fixed tree joins the lanes. For variant sources. */
#ifndef BP_CORE_KERNEL_LANES_H
#define BP_CORE_KERNEL_LANES_H

#include "core/kernel/simd.h"

enum { BP_LANE_COUNT = 64 / sizeof(bp_real), BP_LANE_PARTS = 64 / BP_VECTOR_BYTES };

typedef struct bp_lanes {
    bp_vector part[BP_LANE_PARTS];
} bp_lanes;

BP_INLINE bp_lanes bp_lanes_set(bp_real value)
{
    bp_lanes lanes;
    for (size_t part = 0; part < BP_LANE_PARTS; part++)
        lanes.part[part] = bp_vector_set(value);
    return lanes;
}

/* The lanes that begin at x[0]; those at `count` and beyond are `fill`. */
BP_INLINE bp_lanes bp_lanes_load(const bp_real *x, size_t count, bp_real fill)
{
    bp_lanes lanes;
    for (size_t part = 0; part < BP_LANE_PARTS; part++) {
        size_t first = part * BP_VECTOR_COUNT;
        if (count >= first + BP_VECTOR_COUNT)
            lanes.part[part] = bp_vector_load(x + first);
        else if (count > first)
            lanes.part[part] = bp_vector_load_partial(x + first, count - first, fill);
        else
            lanes.part[part] = bp_vector_set(fill);
    }
    return lanes;
}

/* Stores the lanes below `count`. */
BP_INLINE void bp_lanes_store(bp_real *out, const bp_lanes *lanes, size_t count)
{
    for (size_t part = 0; part < BP_LANE_PARTS; part++) {
        size_t first = part * BP_VECTOR_COUNT;
        if (count >= first + BP_VECTOR_COUNT)
            bp_vector_store(out + first, lanes->part[part]);
        else if (count > first)
            bp_vector_store_partial(out + first, lanes->part[part], count - first);
    }
}

/* The fixed tree: the upper half is joined to the lower half until one lane is left. Where registers
 * can be halved it stays in them: through memory each level would wait for the one before. */
#if defined(__AVX2__) && BP_VARIANT_BITS == 32
BP_INLINE __m256 bp_lanes_lower(const bp_lanes *lanes)
{
#if defined(__AVX512F__)
    return _mm512_castps512_ps256((__m512)lanes->part[0]);
#else
    return (__m256)lanes->part[0];
#endif
}

BP_INLINE __m256 bp_lanes_upper(const bp_lanes *lanes)
{
#if defined(__AVX512F__)
    return _mm512_extractf32x8_ps((__m512)lanes->part[0], 1);
#else
    return (__m256)lanes->part[1];
#endif
}

BP_INLINE bp_real bp_lanes_sum(const bp_lanes *lanes)
{
    __m256 eight = _mm256_add_ps(bp_lanes_lower(lanes), bp_lanes_upper(lanes));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* NaN never wins: the instruction gives its second operand then. */
BP_INLINE bp_real bp_lanes_max(const bp_lanes *lanes)
{
    __m256 eight = _mm256_max_ps(bp_lanes_upper(lanes), bp_lanes_lower(lanes));
    __m128 four = _mm_max_ps(_mm256_extractf128_ps(eight, 1), _mm256_castps256_ps128(eight));
    __m128 two = _mm_max_ps(_mm_movehl_ps(four, four), four);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(two), two));
}
#elif defined(__AVX2__)
BP_INLINE __m256d bp_lanes_lower(const bp_lanes *lanes)
{
#if defined(__AVX512F__)
    return _mm512_castpd512_pd256((__m512d)lanes->part[0]);
#else
    return (__m256d)lanes->part[0];
#endif
}

BP_INLINE __m256d bp_lanes_upper(const bp_lanes *lanes)
{
#if defined(__AVX512F__)
    return _mm512_extractf64x4_pd((__m512d)lanes->part[0], 1);
#else
    return (__m256d)lanes->part[1];
#endif
}

BP_INLINE bp_real bp_lanes_sum(const bp_lanes *lanes)
{
    __m256d four = _mm256_add_pd(bp_lanes_lower(lanes), bp_lanes_upper(lanes));
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

BP_INLINE bp_real bp_lanes_max(const bp_lanes *lanes)
{
    __m256d four = _mm256_max_pd(bp_lanes_upper(lanes), bp_lanes_lower(lanes));
    __m128d two = _mm_max_pd(_mm256_extractf128_pd(four, 1), _mm256_castpd256_pd128(four));
    return _mm_cvtsd_f64(_mm_max_sd(_mm_unpackhi_pd(two, two), two));
}
#else
BP_INLINE bp_real bp_lanes_sum(const bp_lanes *lanes)
{
    bp_real lane[BP_LANE_COUNT];
    memcpy(lane, lanes, sizeof lane);
    for (size_t half = BP_LANE_COUNT / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

/* NaN never wins. */
BP_INLINE bp_real bp_lanes_max(const bp_lanes *lanes)
{
    bp_real lane[BP_LANE_COUNT];
    memcpy(lane, lanes, sizeof lane);
    for (size_t half = BP_LANE_COUNT / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            lane[i] = lane[i] < lane[i + half] ? lane[i + half] : lane[i];
    return lane[0];
}
#endif

/* accumulator ← f(accumulator, x[i]) in lane i mod lanes. f leaves an accumulator alone when x is
 * `fill`, which stands in for the elements past the end. */
typedef bp_vector bp_lanes_function(bp_vector accumulator, bp_vector x);

BP_INLINE bp_lanes bp_lanes_fold(const bp_real *x, size_t count, bp_real start, bp_real fill,
                                 bp_lanes_function *f)
{
    bp_lanes lanes = bp_lanes_set(start);
    for (size_t i = 0; i < count; i += BP_LANE_COUNT) {
        bp_lanes next = bp_lanes_load(x + i, count - i, fill);
        for (size_t part = 0; part < BP_LANE_PARTS; part++)
            lanes.part[part] = f(lanes.part[part], next.part[part]);
    }
    return lanes;
}

#endif
