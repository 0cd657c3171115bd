#include "tests/core/support_kernels.h"

#include <math.h>
#include <string.h>

uint64_t support_bits(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

double support_uniform(uint64_t *state, double low, double high)
{
    return low + (high - low) * ((double)(support_bits(state) >> 11) * 0x1p-53);
}

double support_get(const bp_kernels *kernels, const void *array, size_t i)
{
    return kernels->dtype == BP_FLOAT32 ? (double)((const float *)array)[i]
                                        : ((const double *)array)[i];
}

void support_put(const bp_kernels *kernels, void *array, size_t i, double value)
{
    if (kernels->dtype == BP_FLOAT32)
        ((float *)array)[i] = (float)value;
    else
        ((double *)array)[i] = value;
}

void support_fill(const bp_kernels *kernels, void *array, size_t count, uint64_t seed, double low,
                  double high)
{
    uint64_t state = seed;
    for (size_t i = 0; i < count; i++)
        support_put(kernels, array, i, support_uniform(&state, low, high));
}

bool support_same(const bp_kernels *kernels, const void *x, const void *y, size_t count)
{
    size_t size = kernels->real_size;
    for (size_t i = 0; i < count; i++) {
        if (!memcmp((const char *)x + i * size, (const char *)y + i * size, size))
            continue;
        if (!isnan(support_get(kernels, x, i)) || !isnan(support_get(kernels, y, i)))
            return false;
    }
    return true;
}

double support_ulp(const bp_kernels *kernels, double got, long double reference)
{
    double rounded = kernels->dtype == BP_FLOAT32 ? (double)(float)reference : (double)reference;
    if (isnan(reference) || isnan(got))
        return isnan(reference) && isnan(got) ? 0 : INFINITY;
    if (isinf(rounded) || isinf(got))
        return rounded == got ? 0 : INFINITY;
    int digits = kernels->dtype == BP_FLOAT32 ? 24 : 53;
    int lowest = kernels->dtype == BP_FLOAT32 ? -149 : -1074;
    int exponent = lowest;
    if (reference != 0 && ilogbl(reference) - digits + 1 > lowest)
        exponent = ilogbl(reference) - digits + 1;
    return (double)(fabsl((long double)got - reference) / ldexpl(1, exponent));
}

size_t support_tables(const bp_kernels *out[BP_ISA_COUNT], bp_dtype dtype)
{
    size_t count = 0;
    for (int isa = 0; isa < BP_ISA_COUNT; isa++) {
        const bp_kernels *kernels = bp_kernels_get(dtype, (bp_isa)isa);
        if (kernels)
            out[count++] = kernels;
    }
    return count;
}
