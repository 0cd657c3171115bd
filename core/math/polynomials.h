/* Coefficients of the functions in core/kernel/vector_math.h and core/math/scalar_math.c, lowest
 * power first. Found by a Remez exchange in 60-digit arithmetic on the intervals given (each 0.2 %
 * wider than it is used), then rounded to the width; the errors given are absolute, of the
 * polynomial. */
#ifndef BP_CORE_MATH_POLYNOMIALS_H
#define BP_CORE_MATH_POLYNOMIALS_H

/* (e^r − 1 − r) / r², |r| ≤ ln(2)/2; 6.3e-8 and 1.1e-16 */
static const float bp_exp_polynomial_32[] = {0x1p-1F, 0x1.5554dcp-3F, 0x1.5554b8p-5F,
                                             0x1.120ceap-7F, 0x1.6d7754p-10F};
static const double bp_exp_polynomial_64[] = {
    0x1.0000000000001p-1,  0x1.5555555555558p-3,  0x1.5555555553cd2p-5,  0x1.111111110f76dp-7,
    0x1.6c16c178c4325p-10, 0x1.a01a01b053c06p-13, 0x1.a019b83327422p-16, 0x1.71ddf5ea1aa5dp-19,
    0x1.289287a9ea286p-22, 0x1.af64a6222a785p-26};

/* (ln((1+s)/(1−s))/s − 2) / s² in s², 0 ≤ s² ≤ ((√2−1)/(√2+1))²; 1.2e-9 and 3.1e-16 */
static const float bp_log_polynomial_32[] = {0x1.555556p-1F, 0x1.9999ecp-2F, 0x1.245bd6p-2F,
                                             0x1.dde45ap-3F};
static const double bp_log_polynomial_64[] = {
    0x1.5555555555558p-1, 0x1.999999999514fp-2, 0x1.2492492e1b616p-2, 0x1.c71c62b259083p-3,
    0x1.7462c2a4cb5eep-3, 0x1.39fc9fd6d645cp-3, 0x1.2b6d4da7493d4p-3};

/* (tanh(x)/x − 1) / x² in x², 0 ≤ x² ≤ 0.5625²; 1.6e-8 and 1.2e-17 */
static const float bp_tanh_polynomial_32[] = {-0x1.555554p-2F, 0x1.110fc2p-3F, -0x1.b9934ep-5F,
                                              0x1.5c809p-6F, -0x1.ac705p-8F};
static const double bp_tanh_polynomial_64[] = {
    -0x1.5555555555555p-2,  0x1.1111111110fcep-3,  -0x1.ba1ba1b9f33d8p-5,  0x1.664f48730013ep-6,
    -0x1.226e3236639b3p-7,  0x1.d6d31378e16f3p-9,  -0x1.7d957d85fe2e8p-10, 0x1.34af20ef32f96p-11,
    -0x1.eb0954d6b8db7p-13, 0x1.61ad17ac0a62bp-14, -0x1.509ad4c90a4d8p-16};

/* (cos(x) − 1 + x²/2) / x⁴ in x², 0 ≤ x² ≤ (π/4)²; 1.3e-18 */
static const double bp_cos_polynomial_64[] = {0x1.5555555555555p-5,  -0x1.6c16c16c1696p-10,
                                              0x1.a01a019f4d284p-16, -0x1.27e4fa15da53ap-22,
                                              0x1.1eeb66d1328bfp-29, -0x1.907c1fadc9b0ep-37};

/* (sin(x)/x − 1) / x² in x², 0 ≤ x² ≤ (π/4)²; 2.1e-17 */
static const double bp_sin_polynomial_64[] = {-0x1.5555555555555p-3,  0x1.1111111110ba6p-7,
                                              -0x1.a01a019e80a26p-13, 0x1.71de379292bc6p-19,
                                              -0x1.ae6006da41d00p-26, 0x1.5e0998c01cfcep-33};

#endif
