#include "core/random/random.h"

#include <math.h>

#include "core/math/scalar_math.h"

enum { ROUND_COUNT = 10 };

static void philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUND_COUNT; round++) {
        uint64_t product0 = (uint64_t)UINT32_C(0xD2511F53) * c0;
        uint64_t product1 = (uint64_t)UINT32_C(0xCD9E8D57) * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += UINT32_C(0x9E3779B9); /* Weyl sequences: the golden ratio and √3 − 1 */
        k1 += UINT32_C(0xBB67AE85);
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

bp_random bp_random_stream(uint64_t seed, uint32_t layer, bp_random_purpose purpose, uint64_t step)
{
    const uint32_t counter[4] = {(uint32_t)step, (uint32_t)(step >> 32), layer, (uint32_t)purpose};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t block[4];
    philox(block, counter, key);
    return (bp_random){.key = {block[0], block[1]}};
}

void bp_random_block(uint32_t out[4], const bp_random *random, uint64_t row, uint64_t block)
{
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)row,
                                 (uint32_t)(row >> 32)};
    philox(out, counter, random->key);
}

uint64_t bp_random_bits(const bp_random *random, uint64_t row, uint64_t unit)
{
    uint32_t block[4];
    bp_random_block(block, random, row, unit / 2);
    const uint32_t *half = block + 2 * (unit % 2);
    return half[0] | (uint64_t)half[1] << 32;
}

double bp_random_uniform(const bp_random *random, uint64_t row, uint64_t unit)
{
    return (double)(bp_random_bits(random, row, unit) >> 11) * 0x1p-53;
}

/* Σ coefficient[i] x^i, eight terms. */
static double polynomial(const double coefficient[8], double x)
{
    double sum = coefficient[7];
    for (int power = 6; power >= 0; power--)
        sum = fma(sum, x, coefficient[power]);
    return sum;
}

/* Numerators and denominators of the three rational functions of AS 241, PPND16: |p − ½| ≤ 0.425,
 * and below and above √(−ln p) = 5 in the tails. */
static const double middle_top[8] = {3.3871328727963666080e0, 1.3314166789178437745e2,
                                     1.9715909503065514427e3, 1.3731693765509461125e4,
                                     4.5921953931549871457e4, 6.7265770927008700853e4,
                                     3.3430575583588128105e4, 2.5090809287301226727e3};
static const double middle_bottom[8] = {1.0,
                                        4.2313330701600911252e1,
                                        6.8718700749205790830e2,
                                        5.3941960214247511077e3,
                                        2.1213794301586595867e4,
                                        3.9307895800092710610e4,
                                        2.8729085735721942674e4,
                                        5.2264952788528545610e3};
static const double tail_top[8] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                   5.76949722146069140550e0,  3.64784832476320460504e0,
                                   1.27045825245236838258e0,  2.41780725177450611770e-1,
                                   2.27238449892691845833e-2, 7.74545014278341407640e-4};
static const double tail_bottom[8] = {1.0,
                                      2.05319162663775882187e0,
                                      1.67638483018380384940e0,
                                      6.89767334985100004550e-1,
                                      1.48103976427480074590e-1,
                                      1.51986665636164571966e-2,
                                      5.47593808499534494600e-4,
                                      1.05075007164441684324e-9};
static const double far_top[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                  1.78482653991729133580e0,  2.96560571828504891230e-1,
                                  2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                  2.71155556874348757815e-5, 2.01033439929228813265e-7};
static const double far_bottom[8] = {1.0,
                                     5.99832206555887937690e-1,
                                     1.36929880922735805310e-1,
                                     1.48753612908506148525e-2,
                                     7.86869131145613259100e-4,
                                     1.84631831751005468180e-5,
                                     1.42151175831644588870e-7,
                                     2.04426310338993978564e-15};

/* Inverse of the standard normal distribution at p in (0, 1). */
static double normal_quantile(double p)
{
    double q = p - 0.5;
    if (fabs(q) <= 0.425) {
        double r = 0.180625 - q * q;
        return q * polynomial(middle_top, r) / polynomial(middle_bottom, r);
    }
    double r = sqrt(-bp_scalar_log(q < 0 ? p : 1 - p));
    double z = r <= 5 ? polynomial(tail_top, r - 1.6) / polynomial(tail_bottom, r - 1.6)
                      : polynomial(far_top, r - 5) / polynomial(far_bottom, r - 5);
    return q < 0 ? -z : z;
}

double bp_random_normal(const bp_random *random, uint64_t row, uint64_t unit)
{
    /* 52 bits and a half: never 0 or 1, and exact, so that both tails are the same. */
    double p = ((double)(bp_random_bits(random, row, unit) >> 12) + 0.5) * 0x1p-52;
    return normal_quantile(p);
}

/* Uniform in [0, bound), bound > 0: draws below 2^64 mod bound are rejected, since they would favour
 * the smaller numbers. */
static uint64_t below(const bp_random *random, uint64_t row, uint64_t bound)
{
    for (uint64_t unit = 0;; unit++) {
        uint64_t bits = bp_random_bits(random, row, unit);
        /* The surplus is less than bound, so that its costly division is hardly ever made. */
        if (bits >= bound || bits >= (0 - bound) % bound)
            return bits % bound;
    }
}

void bp_random_permutation(size_t *out, size_t count, const bp_random *random)
{
    for (size_t i = 0; i < count; i++)
        out[i] = i;
    for (size_t i = count; i-- > 1;) {
        size_t other = (size_t)below(random, i, i + 1);
        size_t moved = out[i];
        out[i] = out[other];
        out[other] = moved;
    }
}
