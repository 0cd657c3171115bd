/* exp and log are line for line those of core/kernel/vector_math.h, which explains them, in the width of
 * double; a test compares the bits. */
#include "core/math/scalar_math.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/math/polynomials.h"

#define POLYNOMIAL(name, x)                                                                        \
    polynomial(x, bp_##name##_polynomial_64,                                                       \
               sizeof bp_##name##_polynomial_64 / sizeof *bp_##name##_polynomial_64)

static double polynomial(double x, const double *coefficient, size_t count)
{
    double sum = coefficient[count - 1];
    for (size_t power = count - 1; power-- > 0;)
        sum = fma(sum, x, coefficient[power]);
    return sum;
}

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t to_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static const double ln2_high = 0x1.62e42fefp-1, ln2_low = 0x1.473de6af278edp-34;

double bp_scalar_exp(double x)
{
    if (x != x)
        return x;
    x = x > 710 ? 710 : x < -746 ? -746 : x;
    const double shift = 0x1.8p52;
    double shifted = fma(x, 0x1.71547652b82fep+0, shift);
    double n = shifted - shift;
    double r = fma(n, -ln2_low, fma(n, -ln2_high, x));
    double sum = 1 + r;
    double lost = r - (sum - 1);
    double power = sum + fma(r * r, POLYNOMIAL(exp, r), lost);
    uint64_t biased = to_bits(shifted) - to_bits(shift) + 2048;
    uint64_t first = biased >> 1, second = biased - first;
    return power * from_bits((first - 1) << 52) * from_bits((second - 1) << 52);
}

double bp_scalar_log(double x)
{
    if (x == 0)
        return -(double)INFINITY;
    if (x < 0)
        return (double)NAN;
    if (!(x < (double)INFINITY))
        return x;
    double lifted = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p53;
        lifted = 53;
    }
    uint64_t bits = to_bits(x);
    uint64_t biased = (bits - UINT64_C(0x3fe6a09e667f3bcd) + (UINT64_C(1024) << 52)) >> 52; /* √½ */
    double m = from_bits(bits - ((biased - 1024) << 52));
    double n = (double)biased - 1024 - lifted;

    double f = m - 1;
    double s = f / (f + 2);
    double z = s * s;
    double rest = z * POLYNOMIAL(log, z);
    double half = f * (f * 0.5);
    double low = fma(s, half + rest, n * ln2_low);
    return n * ln2_high - ((half - low) - f);
}

/* An angle in [−π/4, π/4] as the sum of two doubles. */
typedef struct angle {
    double high, low;
} angle;

/* x − n π/2. π/2 is the sum of three doubles; the first difference is exact. */
static angle reduce(double x, double n)
{
    static const double half_pi[3] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54,
                                      -0x1.f1976b7ed8fbcp-110};
    double first = fma(-n, half_pi[0], x);
    double second = n * half_pi[1];
    double lost = fma(n, half_pi[1], -second) + n * half_pi[2];
    double high = first - second;
    double back = high - first; /* Knuth's two-sum: either operand may be the larger */
    double low = (first - (high - back)) - (second + back);
    low -= lost;
    return (angle){high, low};
}

static double cosine(angle a)
{
    double z = a.high * a.high, half = 0.5 * z, rest = 1 - half;
    return rest + (((1 - rest) - half) + fma(z * z, POLYNOMIAL(cos, z), -a.high * a.low));
}

static double sine(angle a)
{
    double z = a.high * a.high;
    double tail = fma(z * a.high, POLYNOMIAL(sin, z), a.low * (1 - 0.5 * z));
    return a.high + tail;
}

double bp_scalar_cos(double x)
{
    if (!(fabs(x) <= 0x1p20))
        return (double)NAN;
    double n = floor(fma(fabs(x), 0x1.45f306dc9c883p-1, 0.5));
    angle a = reduce(fabs(x), n);
    switch ((unsigned)n % 4) {
    case 0:
        return cosine(a);
    case 1:
        return -sine(a);
    case 2:
        return -cosine(a);
    default:
        return sine(a);
    }
}

double bp_scalar_power(double x, uint64_t n)
{
    double product = 1;
    for (double square = x; n > 0; n >>= 1, square *= square)
        if (n & 1)
            product *= square;
    return product;
}
