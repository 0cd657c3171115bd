/* exp, log, tanh and the logistic function over vectors, of our own making: libm chooses its code
 * by processor, and so its bits. Only IEEE operations and fused multiply-add are used. For variant
 * sources. NaN passes through all of them. Errors are at most 1 unit in the last place (exp, log)
 * and 2 (tanh, sigmoid), over the full range, results below the normal range included. */
#ifndef BP_CORE_KERNEL_VECTOR_MATH_H
#define BP_CORE_KERNEL_VECTOR_MATH_H

#include "core/kernel/simd.h"
#include "core/math/polynomials.h"

#if BP_VARIANT_BITS == 32
#define BP_POLYNOMIAL(name) bp_##name##_polynomial_32
/* ln 2 in two parts; the first has few bits, so that its product with an exponent is exact. */
#define BP_LN2_HIGH       0x1.62e4p-1F
#define BP_LN2_LOW        0x1.7f7d1cp-20F
#define BP_LOG2_E         0x1.715476p+0F
#define BP_EXP_LOWEST     (-104.0F) /* e^x rounds to 0 here, and to infinity at the highest */
#define BP_EXP_HIGHEST    89.0F
#define BP_SQRT_HALF_BITS UINT32_C(0x3f3504f3)
#else
#define BP_POLYNOMIAL(name) bp_##name##_polynomial_64
#define BP_LN2_HIGH         0x1.62e42fefp-1
#define BP_LN2_LOW          0x1.473de6af278edp-34
#define BP_LOG2_E           0x1.71547652b82fep+0
#define BP_EXP_LOWEST       (-746.0)
#define BP_EXP_HIGHEST      710.0
#define BP_SQRT_HALF_BITS   UINT64_C(0x3fe6a09e667f3bcd)
#endif
#define BP_VECTOR_POLYNOMIAL(name, x)                                                              \
    bp_vector_polynomial(x, BP_POLYNOMIAL(name),                                                   \
                         sizeof BP_POLYNOMIAL(name) / sizeof *BP_POLYNOMIAL(name))

/* Horner's rule. */
BP_INLINE bp_vector bp_vector_polynomial(bp_vector x, const bp_real *coefficient, size_t count)
{
    bp_vector sum = bp_vector_set(coefficient[count - 1]);
    for (size_t power = count - 1; power-- > 0;)
        sum = bp_vector_fma(sum, x, bp_vector_set(coefficient[power]));
    return sum;
}

/* e^x = 2^n · e^r, |r| ≤ ln(2)/2. */
BP_INLINE bp_vector bp_vector_exp(bp_vector x)
{
    x = bp_vector_min(x, bp_vector_set(BP_EXP_HIGHEST));
    x = bp_vector_max(x, bp_vector_set(BP_EXP_LOWEST));
    /* Adding 1.5 · 2^mantissa rounds to a whole number, which is then in the low bits. */
    const bp_vector shift = bp_vector_set((bp_real)1.5 * (bp_real)((bp_word)1 << BP_MANTISSA_BITS));
    bp_vector shifted = bp_vector_fma(x, bp_vector_set(BP_LOG2_E), shift);
    bp_vector n = shifted - shift;
    bp_vector r = bp_vector_fma(n, bp_vector_set(-BP_LN2_HIGH), x);
    r = bp_vector_fma(n, bp_vector_set(-BP_LN2_LOW), r);
    /* e^r = 1 + r + r² q, with what is lost when r is added to 1 handed to the smaller term. */
    bp_vector sum = 1 + r;
    bp_vector lost = r - (sum - 1);
    bp_vector power = sum + bp_vector_fma(r * r, BP_VECTOR_POLYNOMIAL(exp, r), lost);
    /* 2^n in two factors, as n may leave the range of exponents at both ends: the first product is
     * exact, the second rounds once. Biased, so that halving needs no signed shift. */
    bp_bits biased = (bp_bits)shifted - (bp_bits)shift + 2 * (BP_EXPONENT_BIAS + 1);
    bp_bits first = biased >> 1;
    bp_bits second = biased - first;
    return power * (bp_vector)((first - 1) << BP_MANTISSA_BITS) *
           (bp_vector)((second - 1) << BP_MANTISSA_BITS);
}

/* ln x = n ln 2 + ln m, √½ ≤ m < √2; with f = m − 1 and s = f / (2 + f), ln m is
 * ln((1 + s)/(1 − s)) = f − (f²/2 − s·(f²/2 + R)), R what the series has beyond 2s.
 * 0 gives −∞, negative numbers NaN. Source of the rearrangement: Tang 1990, "Table-driven
 * implementation of the logarithm function in IEEE floating-point arithmetic", and FDLIBM's e_log.
 */
BP_INLINE bp_vector bp_vector_log(bp_vector x)
{
    const bp_vector smallest_normal = (bp_vector)bp_bits_set((bp_word)1 << BP_MANTISSA_BITS);
    const bp_vector infinity = bp_vector_set((bp_real)__builtin_inf());
    bp_bits tiny = bp_vector_less(x, smallest_normal);
    const bp_real lift = (bp_real)((bp_word)1 << (BP_MANTISSA_BITS + 1));
    bp_bits bits = (bp_bits)bp_vector_select(tiny, x * lift, x);

    /* Biased by one more than the exponent, so that it is positive. */
    bp_bits biased = (bits - (bp_word)BP_SQRT_HALF_BITS +
                      ((bp_word)(BP_EXPONENT_BIAS + 1) << BP_MANTISSA_BITS)) >>
                     BP_MANTISSA_BITS;
    bp_vector m = (bp_vector)(bits - ((biased - (BP_EXPONENT_BIAS + 1)) << BP_MANTISSA_BITS));
    const bp_real whole = (bp_real)((bp_word)1 << BP_MANTISSA_BITS);
    bp_vector n = (bp_vector)(biased | (bp_bits)bp_vector_set(whole)) -
                  (whole + (bp_real)(BP_EXPONENT_BIAS + 1));
    n -= bp_vector_select(tiny, bp_vector_set(BP_MANTISSA_BITS + 1), bp_vector_set(0));

    bp_vector f = m - 1;
    bp_vector s = f / (f + 2);
    bp_vector z = s * s;
    bp_vector rest = z * BP_VECTOR_POLYNOMIAL(log, z);
    bp_vector half = f * (f * (bp_real)0.5);
    bp_vector low = bp_vector_fma(s, half + rest, n * BP_LN2_LOW);
    bp_vector result = n * BP_LN2_HIGH - ((half - low) - f);

    result = bp_vector_select(bp_vector_less(x, infinity), result, x);
    result = bp_vector_select(bp_vector_less(x, bp_vector_set(0)),
                              bp_vector_set((bp_real)__builtin_nan("")), result);
    return bp_vector_select(bp_vector_equal(x, bp_vector_set(0)), -infinity, result);
}

/* An odd polynomial near 0, where 1 − 2/(e^2x + 1) would cancel; that form from tanh x = ½ on. */
BP_INLINE bp_vector bp_vector_tanh(bp_vector x)
{
    bp_vector magnitude = bp_vector_absolute(x);
    bp_vector square = x * x;
    bp_vector near =
        bp_vector_fma(magnitude * square, BP_VECTOR_POLYNOMIAL(tanh, square), magnitude);
    bp_vector far = 1 - 2 / (bp_vector_exp(magnitude + magnitude) + 1);
    bp_bits is_near = bp_vector_less(magnitude, bp_vector_set((bp_real)0.5625));
    bp_vector result = bp_vector_select(is_near, near, far);
    return (bp_vector)((bp_bits)result | bp_vector_sign(x));
}

/* 1 / (1 + e^−x), by e^−|x|, which cannot overflow: e^x / (1 + e^x) where x is negative. */
BP_INLINE bp_vector bp_vector_sigmoid(bp_vector x)
{
    bp_vector power = bp_vector_exp(-bp_vector_absolute(x));
    bp_vector top = bp_vector_select(bp_vector_less(x, bp_vector_set(0)), power, bp_vector_set(1));
    return top / (power + 1);
}

#endif
