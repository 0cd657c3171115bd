/* The next token of a generated text. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/language/token_sampler.h"

enum { COUNT = 7, DRAWS = 20000 };
static const double logits[COUNT] = {0.5, 2, -1, 2, 1.25, -30, 0};

static void count_draws(size_t *drawn, const bp_sampler_spec *spec)
{
    double scratch[2 * COUNT];
    const bp_random random = bp_random_stream(9, 0, BP_RANDOM_GENERATE, 0);
    memset(drawn, 0, COUNT * sizeof *drawn);
    for (uint64_t step = 0; step < DRAWS; step++)
        drawn[bp_token_sample(spec, logits, BP_FLOAT64, COUNT, scratch, &random, step)]++;
}

/* Shares within five standard deviations of the softmax over the ids in `kept`. */
static void assert_shares(const bp_sampler_spec *spec, unsigned kept)
{
    size_t drawn[COUNT];
    double sum = 0;
    count_draws(drawn, spec);
    for (size_t i = 0; i < COUNT; i++)
        sum += kept >> i & 1 ? exp(logits[i] / spec->temperature) : 0;
    for (size_t i = 0; i < COUNT; i++) {
        const double share = kept >> i & 1 ? exp(logits[i] / spec->temperature) / sum : 0;
        const double error = 5 * sqrt(share * (1 - share) * DRAWS);
        assert_true(fabs((double)drawn[i] - share * DRAWS) <= error);
    }
}

static void shares_are_those_of_the_softmax(void **state)
{
    (void)state;
    const double temperatures[] = {0.3, 1, 2.5, 100};
    for (size_t i = 0; i < 4; i++) {
        assert_shares(&(bp_sampler_spec){.temperature = temperatures[i]}, 0x7f);
        assert_shares(&(bp_sampler_spec){.temperature = temperatures[i], .top_count = COUNT}, 0x7f);
        assert_shares(&(bp_sampler_spec){.temperature = temperatures[i], .top_count = 100}, 0x7f);
    }
}

static void only_the_most_likely_are_drawn(void **state)
{
    (void)state;
    static const unsigned kept[] = {
        0,    1 << 1, 1 << 1 | 1 << 3, 1 << 1 | 1 << 3 | 1 << 4, 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4,
        0x5b, 0x5f};
    for (size_t top = 1; top < COUNT; top++)
        assert_shares(&(bp_sampler_spec){.temperature = 3, .top_count = top}, kept[top]);
}

static void without_temperature_the_first_best(void **state)
{
    (void)state;
    size_t drawn[COUNT];
    count_draws(drawn, &(bp_sampler_spec){.temperature = 0});
    assert_int_equal(drawn[1], DRAWS);
    /* Near it, the two best evenly, and nothing overflows. */
    count_draws(drawn, &(bp_sampler_spec){.temperature = 1e-320});
    assert_int_equal(drawn[1] + drawn[3], DRAWS);
    assert_true(drawn[1] > DRAWS / 3 && drawn[3] > DRAWS / 3);
}

static void draws_are_numbered(void **state)
{
    (void)state;
    double scratch[2 * COUNT];
    float narrow[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        narrow[i] = (float)logits[i];
    const bp_sampler_spec spec = {.temperature = 1, .top_count = 4};
    const bp_random random = bp_random_stream(9, 0, BP_RANDOM_GENERATE, 0);
    const bp_random other = bp_random_stream(10, 0, BP_RANDOM_GENERATE, 0);
    size_t same = 0;
    for (uint64_t step = 200; step-- > 0;) {
        const int32_t token =
            bp_token_sample(&spec, logits, BP_FLOAT64, COUNT, scratch, &random, step);
        assert_int_equal(bp_token_sample(&spec, narrow, BP_FLOAT32, COUNT, scratch, &random, step),
                         token);
        same += bp_token_sample(&spec, logits, BP_FLOAT64, COUNT, scratch, &other, step) == token;
    }
    assert_true(same < 150);
    assert_int_equal(bp_token_sample(&spec, logits, BP_FLOAT64, 1, scratch, &random, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_those_of_the_softmax),
        cmocka_unit_test(only_the_most_likely_are_drawn),
        cmocka_unit_test(without_temperature_the_first_best),
        cmocka_unit_test(draws_are_numbered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
