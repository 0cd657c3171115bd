#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/schedule/plateau.h"

enum { STEPS_PER_EPOCH = 7, EPOCHS = 40, STEPS = STEPS_PER_EPOCH * EPOCHS };

static const bp_schedule_context at_start = {
    .base_rate = 0.3, .steps_per_epoch = STEPS_PER_EPOCH, .step_limit = STEPS};

static bp_choice choose(size_t member)
{
    return bp_choice_default(bp_schedule_family.members[member]);
}

static void set(bp_choice *choice, const char *name, double value)
{
    for (size_t i = 0; i < choice->member->parameter_count; i++)
        if (!strcmp(choice->member->parameters[i].name, name)) {
            choice->value[i] = value;
            return;
        }
    fail_msg("no %s in %s", name, choice->member->name);
}

static double rate_at(const bp_choice *choice, uint64_t step)
{
    bp_schedule_context context = at_start;
    context.step = step;
    return bp_schedule_rate(choice, &context);
}

static void assert_close(double got, double expected)
{
    assert_true(fabs(got - expected) <= 1e-14 * fabs(expected) + 1e-17);
}

/* The textbook's formulas with the values that set_all gives. */
static double plain_constant(double t, double total)
{
    (void)t, (void)total;
    return 0.3;
}

static double plain_step(double t, double total)
{
    (void)total;
    return 0.3 * pow(0.5, floor(t / 3));
}

static double plain_exponential(double t, double total)
{
    (void)total;
    return 0.3 * exp(-0.05 * t);
}

static double plain_inverse_time(double t, double total)
{
    (void)total;
    return 0.3 * 12.5 / fmax(t, 12.5);
}

static double plain_cosine(double t, double total)
{
    return 0.01 + 0.5 * (0.3 - 0.01) * (1 + cos(acos(-1) * t / total));
}

static double plain_plateau(double t, double total)
{
    (void)t, (void)total;
    return 0.3; /* no reduction in at_start */
}

static double (*const plain[BP_SCHEDULE_COUNT])(double t, double total) = {
    [BP_SCHEDULE_constant] = plain_constant,       [BP_SCHEDULE_step] = plain_step,
    [BP_SCHEDULE_exponential] = plain_exponential, [BP_SCHEDULE_inverse_time] = plain_inverse_time,
    [BP_SCHEDULE_cosine] = plain_cosine,           [BP_SCHEDULE_plateau] = plain_plateau,
};

static bp_choice choose_with_values(size_t member)
{
    bp_choice choice = choose(member);
    switch (member) {
    case BP_SCHEDULE_step:
        set(&choice, "factor", 0.5);
        set(&choice, "every", 3);
        break;
    case BP_SCHEDULE_exponential:
        set(&choice, "k", 0.05);
        break;
    case BP_SCHEDULE_inverse_time:
        set(&choice, "tau", 12.5);
        break;
    case BP_SCHEDULE_cosine:
        set(&choice, "minimum", 0.01);
        break;
    default:
        break;
    }
    return choice;
}

static void members_follow_their_formulas(void **state)
{
    (void)state;
    for (size_t member = 0; member < BP_SCHEDULE_COUNT; member++) {
        bp_choice choice = choose_with_values(member);
        assert_true(rate_at(&choice, 0) == 0.3);
        for (uint64_t step = 0; step < STEPS; step++)
            assert_close(rate_at(&choice, step), plain[member]((double)step, STEPS));
        set(&choice, "per", BP_PER_EPOCH);
        for (uint64_t step = 0; step < STEPS; step++)
            assert_close(rate_at(&choice, step),
                         plain[member](floor((double)step / STEPS_PER_EPOCH), EPOCHS));
    }
}

/* The s-th of w steps takes (s + 1)/w of what the schedule says, and t is not put back. */
static void warmup_grows_linearly(void **state)
{
    (void)state;
    for (size_t member = 0; member < BP_SCHEDULE_COUNT; member++) {
        bp_choice choice = choose_with_values(member), cold = choice;
        set(&choice, "warmup_steps", 10);
        for (uint64_t step = 0; step < 10; step++)
            assert_close(rate_at(&choice, step), rate_at(&cold, step) * (double)(step + 1) / 10);
        for (uint64_t step = 9; step < STEPS; step++)
            assert_true(rate_at(&choice, step) == rate_at(&cold, step));
        set(&choice, "warmup_steps", 1);
        assert_true(rate_at(&choice, 0) == rate_at(&cold, 0));
    }
}

static void long_runs_end_in_numbers(void **state)
{
    (void)state;
    for (size_t member = 0; member < BP_SCHEDULE_COUNT; member++) {
        bp_choice choice = choose_with_values(member);
        bp_schedule_context context = at_start;
        context.step_limit = UINT64_C(1) << 53;
        context.step = context.step_limit - 1;
        context.reductions = context.step;
        double rate = bp_schedule_rate(&choice, &context);
        assert_true(rate >= 0 && rate <= 0.3);
        context.step_limit = context.step = 0; /* a job of no epochs */
        assert_true(isfinite(bp_schedule_rate(&choice, &context)));
    }
}

static void only_the_flag_scales_by_fan_in(void **state)
{
    (void)state;
    bp_choice choice = choose(BP_SCHEDULE_constant);
    assert_false(bp_schedule_is_fan_in_scaled(&choice));
    set(&choice, "fan_in_scaled", 1);
    assert_true(bp_schedule_is_fan_in_scaled(&choice));
    assert_true(rate_at(&choice, 5) == 0.3); /* the caller divides, by tensor */
}

static void plateau_reduces_to_its_minimum(void **state)
{
    (void)state;
    bp_choice choice = choose(BP_SCHEDULE_plateau);
    set(&choice, "factor", 0.5);
    set(&choice, "minimum", 0.05);
    bp_schedule_context context = at_start;
    const double expected[] = {0.3, 0.15, 0.075, 0.05, 0.05};
    for (context.reductions = 0; context.reductions < 5; context.reductions++)
        assert_close(bp_schedule_rate(&choice, &context), expected[context.reductions]);
    context.base_rate = 0.01; /* already below: never raised */
    for (context.reductions = 0; context.reductions < 5; context.reductions++)
        assert_true(bp_schedule_rate(&choice, &context) == 0.01);
}

/* Metrics in a row and the reductions after each. */
static void check_observations(const bp_choice *choice, const double *metric,
                               const uint64_t *reductions, size_t count)
{
    bp_plateau_state state = {.started = 0};
    for (size_t i = 0; i < count; i++) {
        state = bp_plateau_observe(state, choice->value, metric[i]);
        assert_int_equal(state.reductions, reductions[i]);
    }
}

static void plateau_waits_with_patience(void **state)
{
    (void)state;
    bp_choice choice = choose(BP_SCHEDULE_plateau);
    set(&choice, "patience", 2);
    set(&choice, "min_delta", 0.1);
    /* 0.95 is no better by enough; the third that is not better reduces, and the count begins anew. */
    const double loss[] = {1, 0.95, 0.91, 0.9, 0.95, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.5};
    const uint64_t reductions[] = {0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3};
    check_observations(&choice, loss, reductions, sizeof loss / sizeof *loss);

    set(&choice, "metric", 1); /* an accuracy is to rise */
    assert_string_equal(choice.member->parameters[BP_PLATEAU_METRIC].choices[1],
                        "validation.accuracy");
    const double accuracy[] = {0.5, 0.55, 0.7, 0.7, 0.65, 0.75, 0.9, 0.3};
    const uint64_t rising[] = {0, 0, 0, 0, 0, 1, 1, 1};
    check_observations(&choice, accuracy, rising, sizeof accuracy / sizeof *accuracy);

    set(&choice, "metric", 0);
    set(&choice, "patience", 0);
    const double bad[] = {(double)NAN, 2, (double)NAN, 1, (double)INFINITY};
    const uint64_t at_once[] = {1, 1, 2, 2, 3};
    check_observations(&choice, bad, at_once, sizeof bad / sizeof *bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_follow_their_formulas),
        cmocka_unit_test(warmup_grows_linearly),
        cmocka_unit_test(long_runs_end_in_numbers),
        cmocka_unit_test(only_the_flag_scales_by_fan_in),
        cmocka_unit_test(plateau_reduces_to_its_minimum),
        cmocka_unit_test(plateau_waits_with_patience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
