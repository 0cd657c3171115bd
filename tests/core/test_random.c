#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random/random.h"

enum { DRAW_COUNT = 1000000 };

/* The known answers published with the paper's library for Philox 4×32, 10 rounds. */
static void gives_the_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } answers[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const uint32_t *c = answers[i].counter;
        bp_random random = {.key = {answers[i].key[0], answers[i].key[1]}};
        uint32_t out[4];
        bp_random_block(out, &random, c[2] | (uint64_t)c[3] << 32, c[0] | (uint64_t)c[1] << 32);
        assert_memory_equal(out, answers[i].out, sizeof out);
    }
}

static int compare_bits(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void assert_all_different(uint64_t *bits, size_t count)
{
    qsort(bits, count, sizeof *bits, compare_bits);
    for (size_t i = 1; i < count; i++)
        assert_true(bits[i] != bits[i - 1]);
}

/* Among 10^6 draws of 64 bits a collision has a chance of 3 in 10^8: equal numbers are a fault. */
static void never_repeats_within_a_stream(void **state)
{
    (void)state;
    bp_random random = bp_random_stream(42, 3, BP_RANDOM_INITIALIZE, 0);
    uint64_t *bits = malloc(DRAW_COUNT * sizeof *bits);
    for (size_t i = 0; i < DRAW_COUNT; i++)
        bits[i] = bp_random_bits(&random, i / 1000, i % 1000);
    assert_all_different(bits, DRAW_COUNT);
    free(bits);
}

static void streams_depend_on_every_part_of_their_name(void **state)
{
    (void)state;
    uint64_t bits[3 * 3 * 4 * 3], count = 0;
    const uint64_t far[3] = {0, 1, UINT64_C(1) << 32}; /* the high word counts too */
    for (size_t seed = 0; seed < 3; seed++)
        for (uint32_t layer = 0; layer < 3; layer++)
            for (int purpose = 1; purpose <= 4; purpose++)
                for (size_t step = 0; step < 3; step++) {
                    bp_random random =
                        bp_random_stream(far[seed], layer, (bp_random_purpose)purpose, far[step]);
                    bits[count++] = bp_random_bits(&random, 0, 0);
                }
    assert_all_different(bits, count);
    bp_random random = bp_random_stream(7, 0, BP_RANDOM_SPLIT, 0);
    uint64_t places[9];
    count = 0;
    for (size_t row = 0; row < 3; row++)
        for (size_t unit = 0; unit < 3; unit++)
            places[count++] = bp_random_bits(&random, far[row], far[unit]);
    assert_all_different(places, count);
}

static void uniform_numbers_are_uniform(void **state)
{
    (void)state;
    bp_random random = bp_random_stream(1, 0, BP_RANDOM_INITIALIZE, 0);
    double sum = 0, squares = 0, lowest = 1, highest = 0;
    size_t bin[64] = {0};
    for (size_t i = 0; i < DRAW_COUNT; i++) {
        double u = bp_random_uniform(&random, i / 784, i % 784);
        assert_true(u >= 0 && u < 1);
        sum += u;
        squares += u * u;
        lowest = u < lowest ? u : lowest;
        highest = u > highest ? u : highest;
        bin[(size_t)(u * 64)]++;
    }
    /* Five standard errors: 1/√(12 n) of the mean, √(4/45/n) of the second moment. */
    assert_true(fabs(sum / DRAW_COUNT - 0.5) < 5 * 0.2887 / 1000);
    assert_true(fabs(squares / DRAW_COUNT - 1.0 / 3) < 5 * 0.2981 / 1000);
    assert_true(lowest < 2e-5 && highest > 1 - 2e-5);
    double chi_squared = 0;
    for (size_t i = 0; i < 64; i++) {
        double expected = DRAW_COUNT / 64.0, off = (double)bin[i] - expected;
        chi_squared += off * off / expected;
    }
    assert_true(chi_squared < 63 + 5 * 11.2); /* 63 degrees of freedom: σ = √126 */
}

static void normal_numbers_are_normal(void **state)
{
    (void)state;
    bp_random random = bp_random_stream(2, 0, BP_RANDOM_INITIALIZE, 0);
    double power[5] = {0};
    size_t beyond_two = 0, beyond_four = 0;
    for (size_t i = 0; i < DRAW_COUNT; i++) {
        double z = bp_random_normal(&random, i / 784, i % 784), product = 1;
        for (int k = 0; k < 5; k++, product *= z)
            power[k] += product / DRAW_COUNT;
        beyond_two += fabs(z) > 2;
        beyond_four += fabs(z) > 4;
    }
    /* Five standard errors: variances 1, 2, 15 and 96 of the four powers. */
    assert_true(fabs(power[1]) < 0.005);
    assert_true(fabs(power[2] - 1) < 0.0071);
    assert_true(fabs(power[3]) < 0.0194);
    assert_true(fabs(power[4] - 3) < 0.049);
    assert_true(fabs((double)beyond_two - 45500) < 5 * 209);
    assert_true(beyond_four > 20 && beyond_four < 120); /* 63 expected */
}

/* The distribution function at the quantile is the number that it was drawn from. */
static void normal_numbers_are_quantiles(void **state)
{
    (void)state;
    bp_random random = bp_random_stream(3, 0, BP_RANDOM_INITIALIZE, 0);
    for (size_t i = 0; i < 200000; i++) {
        uint64_t bits = bp_random_bits(&random, 0, i);
        long double p = ((long double)(bits >> 12) + 0.5L) * 0x1p-52L;
        long double z = (long double)bp_random_normal(&random, 0, i);
        long double tail = p < 0.5L ? p : 1 - p; /* compared where it is small: relative error */
        long double found = 0.5L * erfcl(fabsl(z) * sqrtl(0.5L));
        /* z is good to about 1e-15 of itself; the tail changes z² times as fast. */
        assert_true(fabsl(found - tail) <= tail * (1 + z * z) * 2e-15L);
        assert_true((z < 0) == (p < 0.5L));
    }
}

static void assert_permutation(const size_t *order, size_t count)
{
    unsigned char *seen = calloc(count + 1, 1);
    for (size_t i = 0; i < count; i++) {
        assert_true(order[i] < count && !seen[order[i]]);
        seen[order[i]] = 1;
    }
    free(seen);
}

static void permutations_are_permutations(void **state)
{
    (void)state;
    const size_t counts[] = {0, 1, 2, 3, 100, 60000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        size_t *order = malloc((counts[i] + 1) * sizeof *order);
        bp_random random = bp_random_stream(9, 0, BP_RANDOM_SHUFFLE, i);
        bp_random_permutation(order, counts[i], &random);
        assert_permutation(order, counts[i]);
        size_t fixed = 0;
        for (size_t j = 0; j < counts[i]; j++)
            fixed += order[j] == j;
        if (counts[i] >= 100)
            assert_true(fixed < 10); /* one is expected */
        free(order);
    }
}

/* All 24 orders of four equally often: a biased shuffle is off by far more than this. */
static void permutations_are_unbiased(void **state)
{
    (void)state;
    enum { TRIALS = 240000 };
    size_t seen[256] = {0}, kinds = 0;
    double chi_squared = 0;
    for (size_t trial = 0; trial < TRIALS; trial++) {
        size_t order[4];
        bp_random random = bp_random_stream(11, 0, BP_RANDOM_SHUFFLE, trial);
        bp_random_permutation(order, 4, &random);
        seen[order[0] | order[1] << 2 | order[2] << 4 | order[3] << 6]++;
    }
    for (size_t i = 0; i < 256; i++)
        if (seen[i]) {
            double off = (double)seen[i] - TRIALS / 24.0;
            chi_squared += off * off / (TRIALS / 24.0);
            kinds++;
        }
    assert_int_equal(kinds, 24);
    assert_true(chi_squared < 23 + 5 * 6.8); /* 23 degrees of freedom: σ = √46 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_known_answers),
        cmocka_unit_test(never_repeats_within_a_stream),
        cmocka_unit_test(streams_depend_on_every_part_of_their_name),
        cmocka_unit_test(uniform_numbers_are_uniform),
        cmocka_unit_test(normal_numbers_are_normal),
        cmocka_unit_test(normal_numbers_are_quantiles),
        cmocka_unit_test(permutations_are_permutations),
        cmocka_unit_test(permutations_are_unbiased),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
