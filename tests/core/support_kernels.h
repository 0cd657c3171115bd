/* What the tests of kernels share: tables by index, arrays of either width, made-up numbers. */
#ifndef BP_TESTS_CORE_SUPPORT_KERNELS_H
#define BP_TESTS_CORE_SUPPORT_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/kernel/kernels.h"

/* Same numbers in every run: splitmix64 (Steele, Lea & Flood 2014). */
uint64_t support_bits(uint64_t *state);
double support_uniform(uint64_t *state, double low, double high);

/* Element i of an array of the table's width. */
double support_get(const bp_kernels *kernels, const void *array, size_t i);
void support_put(const bp_kernels *kernels, void *array, size_t i, double value);

/* Fills with values uniform in [low, high), rounded to the table's width. */
void support_fill(const bp_kernels *kernels, void *array, size_t count, uint64_t seed, double low,
                  double high);

/* Same bits, any NaN being as good as another. */
bool support_same(const bp_kernels *kernels, const void *x, const void *y, size_t count);

/* |got − reference| in units in the last place of the table's width at the reference. Infinite where
 * one of them is NaN or infinite and the other is not the same. */
double support_ulp(const bp_kernels *kernels, double got, long double reference);

/* The tables of a width on this machine; returns how many. At least the baseline. */
size_t support_tables(const bp_kernels *out[BP_ISA_COUNT], bp_dtype dtype);

#endif
