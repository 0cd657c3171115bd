#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/support_kernels.h"

enum { COUNT = 37, STEPS = 100 };

/* The rule of a member for one weight, as the textbook writes it. Behind the slots it may count steps.
 */
typedef void plain_rule(double *theta, double *slot, double g, double alpha, const double *value);

static void plain_sgd(double *theta, double *slot, double g, double alpha, const double *value)
{
    (void)slot, (void)value;
    *theta -= alpha * g;
}

static void plain_momentum(double *theta, double *slot, double g, double alpha, const double *value)
{
    double mu = value[1];
    slot[0] = mu * slot[0] - alpha * g;
    *theta += value[2] != 0 ? mu * slot[0] - alpha * g : slot[0];
}

static void plain_adagrad(double *theta, double *slot, double g, double alpha, const double *value)
{
    slot[0] += g * g;
    *theta -= alpha * g / sqrt(slot[0] + value[1]);
}

static void plain_rmsprop(double *theta, double *slot, double g, double alpha, const double *value)
{
    slot[0] = value[1] * slot[0] + (1 - value[1]) * g * g;
    *theta -= alpha * g / (sqrt(slot[0]) + value[2]);
}

static void plain_adam(double *theta, double *slot, double g, double alpha, const double *value)
{
    double beta1 = value[1], beta2 = value[2], n = ++slot[BP_SLOT_LIMIT];
    slot[0] = beta1 * slot[0] + (1 - beta1) * g;
    slot[1] = beta2 * slot[1] + (1 - beta2) * g * g;
    double m = slot[0], v = slot[1];
    if (value[4] != 0) {
        m /= 1 - pow(beta1, n);
        v /= 1 - pow(beta2, n);
    }
    *theta -= alpha * m / (sqrt(v) + value[3]);
    *theta -= alpha * value[5] * *theta;
}

static plain_rule *const plain[BP_OPTIMIZER_COUNT] = {
    [BP_OPTIMIZER_sgd] = plain_sgd,         [BP_OPTIMIZER_momentum] = plain_momentum,
    [BP_OPTIMIZER_adagrad] = plain_adagrad, [BP_OPTIMIZER_rmsprop] = plain_rmsprop,
    [BP_OPTIMIZER_adam] = plain_adam,
};

/* What a run of STEPS leaves: parameters and slots. */
typedef struct outcome {
    double theta[COUNT], slot[BP_SLOT_LIMIT][COUNT];
} outcome;

/* Updates, and compares how far that is said to go with the kernels' own sums. */
static void update_measured(const bp_optimizer *optimizer, const bp_kernels *kernels, void *theta,
                            const void *gradient, void *const *slot, size_t count,
                            const double *scalar)
{
    double before[COUNT], squares[2] = {-1, -1};
    memcpy(before, theta, count * kernels->real_size);
    const double length = kernels->sum_squares(before, count);
    optimizer->update(squares, theta, gradient, slot, count, scalar);
    kernels->axpy(before, -1, theta, count);
    const double moved = kernels->sum_squares(before, count);
    assert_memory_equal(&squares[0], &length, sizeof length);
    assert_memory_equal(&squares[1], &moved, sizeof moved);
}

/* Updates the elements in two pieces split at `split`. */
static void run(outcome *out, const bp_kernels *kernels, const bp_choice *choice, size_t split)
{
    const bp_optimizer *optimizer = kernels->optimizers[choice->member->index];
    *out = (outcome){0};
    support_fill(kernels, out->theta, COUNT, 1, -1, 1);
    for (uint64_t t = 0; t < STEPS; t++) {
        double gradient[COUNT], scalar[BP_STEP_SCALAR_LIMIT];
        support_fill(kernels, gradient, COUNT, 100 + t, -1, 1);
        const bp_update_context context = {
            .learning_rate = choice->value[0] / (1 + 0.01 * (double)t), .t = t, .is_weight = true};
        optimizer->prepare(scalar, choice->value, &context);
        size_t first[3] = {0, split, COUNT};
        for (size_t piece = 0; piece < 2; piece++) {
            size_t offset = first[piece] * kernels->real_size;
            void *slot[BP_SLOT_LIMIT];
            for (size_t s = 0; s < BP_SLOT_LIMIT; s++)
                slot[s] = (char *)out->slot[s] + offset;
            void *theta = (char *)out->theta + offset, *slope = (char *)gradient + offset;
            const size_t count = first[piece + 1] - first[piece];
            if (t % 2 == 0)
                optimizer->update(NULL, theta, slope, slot, count, scalar);
            else
                update_measured(optimizer, kernels, theta, slope, slot, count, scalar);
        }
    }
}

static void check_member(const bp_choice *choice)
{
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        outcome got, other;
        run(&got, tables[0], choice, COUNT);

        double theta[COUNT], start[COUNT], slot[COUNT][BP_SLOT_LIMIT + 1] = {{0}};
        support_fill(tables[0], start, COUNT, 1, -1, 1);
        for (size_t i = 0; i < COUNT; i++)
            theta[i] = support_get(tables[0], start, i);
        for (uint64_t t = 0; t < STEPS; t++) {
            double gradient[COUNT];
            support_fill(tables[0], gradient, COUNT, 100 + t, -1, 1);
            for (size_t i = 0; i < COUNT; i++)
                plain[choice->member->index](
                    &theta[i], slot[i], support_get(tables[0], gradient, i),
                    choice->value[0] / (1 + 0.01 * (double)t), choice->value);
        }
        double tolerance = dtype == BP_FLOAT32 ? 2e-5 : 1e-13;
        const bp_optimizer *optimizer = tables[0]->optimizers[choice->member->index];
        for (size_t i = 0; i < COUNT; i++) {
            assert_true(fabs(support_get(tables[0], got.theta, i) - theta[i]) <= tolerance);
            assert_true(theta[i] != support_get(tables[0], start, i));
            for (size_t s = 0; s < optimizer->slot_count; s++)
                assert_true(fabs(support_get(tables[0], got.slot[s], i) - slot[i][s]) <= tolerance);
        }
        for (size_t t = 0; t < table_count; t++)
            for (size_t split = 0; split <= COUNT; split++) {
                run(&other, tables[t], choice, split);
                assert_memory_equal(&other, &got, sizeof got);
            }
    }
}

static void members_follow_their_formulas(void **state)
{
    (void)state;
    for (size_t index = 0; index < BP_OPTIMIZER_COUNT; index++) {
        bp_choice choice = bp_choice_default(bp_optimizer_family.members[index]);
        if (!plain[index])
            fail_msg("%s has no formula in plain C", choice.member->name);
        check_member(&choice);
        choice.value[0] = 0.3;
        check_member(&choice);
    }
}

static void momentum_has_its_variants(void **state)
{
    (void)state;
    bp_choice choice = bp_choice_default(bp_optimizer_family.members[BP_OPTIMIZER_momentum]);
    outcome polyak, nesterov, none, sgd;
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT64, BP_ISA_BASELINE);
    run(&polyak, kernels, &choice, 0);
    choice.value[2] = 1;
    check_member(&choice);
    run(&nesterov, kernels, &choice, 0);
    assert_memory_not_equal(polyak.theta, nesterov.theta, sizeof polyak.theta);

    choice.value[1] = 0; /* no velocity survives: plain descent, both ways */
    run(&none, kernels, &choice, 0);
    bp_choice plain_choice = bp_choice_default(bp_optimizer_family.members[BP_OPTIMIZER_sgd]);
    run(&sgd, kernels, &plain_choice, 0);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(fabs(none.theta[i] - sgd.theta[i]) < 1e-14);
}

static void adam_has_its_variants(void **state)
{
    (void)state;
    enum { BETA1 = 1, BETA2, EPSILON, BIAS_CORRECTION, WEIGHT_DECAY };
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT64, BP_ISA_BASELINE);
    const bp_choice base = bp_choice_default(bp_optimizer_family.members[BP_OPTIMIZER_adam]);
    const struct {
        size_t place;
        double value;
    } changes[] = {{BETA1, 0},     {BETA1, 0.5},         {BETA2, 0},         {BETA2, 0.99},
                   {EPSILON, 0.1}, {BIAS_CORRECTION, 0}, {WEIGHT_DECAY, 0.5}};
    outcome usual, changed;
    run(&usual, kernels, &base, 0);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        bp_choice choice = base;
        choice.value[changes[i].place] = changes[i].value;
        if (changes[i].place != BETA2 ||
            changes[i].value != 0) /* g/|g| jumps with the last digit */
            check_member(&choice);
        run(&changed, kernels, &choice, 0);
        assert_memory_not_equal(changed.theta, usual.theta, sizeof usual.theta);
    }
    /* The first step of corrected means is α whatever the gradient: m̂ = g, v̂ = g². */
    bp_choice choice = base;
    choice.value[0] = 0.25;
    double theta[2] = {1, 1}, gradient[2] = {1e-3, -7}, mean[2] = {0}, square[2] = {0}, scalar[8];
    void *slot[BP_SLOT_LIMIT] = {mean, square};
    const bp_optimizer *adam = kernels->optimizers[BP_OPTIMIZER_adam];
    adam->prepare(scalar, choice.value, &(bp_update_context){.learning_rate = 0.25});
    adam->update(NULL, theta, gradient, slot, 2, scalar);
    assert_true(fabs(theta[0] - 0.75) < 1e-5 && fabs(theta[1] - 1.25) < 1e-8);
}

/* Decay is of weights: a bias without a gradient stays where it is. */
static void decay_spares_biases(void **state)
{
    (void)state;
    const bp_optimizer *adam =
        bp_kernels_get(BP_FLOAT64, BP_ISA_BASELINE)->optimizers[BP_OPTIMIZER_adam];
    bp_choice choice = bp_choice_default(&adam->member);
    choice.value[5] = 0.5;
    for (int is_weight = 0; is_weight < 2; is_weight++) {
        double theta[3] = {8, 8, 8}, gradient[3] = {0}, mean[3] = {0}, square[3] = {0}, scalar[8];
        void *slot[BP_SLOT_LIMIT] = {mean, square};
        adam->prepare(scalar, choice.value,
                      &(bp_update_context){.learning_rate = 0.25, .is_weight = is_weight});
        adam->update(NULL, theta, gradient, slot, 3, scalar);
        for (size_t i = 0; i < 3; i++)
            assert_true(theta[i] == (is_weight ? 7 : 8));
    }
}

/* Gaps between tensors are such elements, and NaN there would look like divergence. */
static void what_is_zero_stays_zero(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++)
        for (size_t index = 0; index < BP_OPTIMIZER_COUNT; index++) {
            const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, bp_isa_detect());
            const bp_optimizer *optimizer = kernels->optimizers[index];
            bp_choice choice = bp_choice_default(&optimizer->member);
            for (size_t i = 0; i < optimizer->member.parameter_count; i++)
                if (!strcmp(optimizer->member.parameters[i].name, "epsilon"))
                    choice.value[i] = optimizer->member.parameters[i].minimum;
            double theta[COUNT] = {0}, gradient[COUNT] = {0}, slots[BP_SLOT_LIMIT][COUNT] = {{0}};
            double scalar[BP_STEP_SCALAR_LIMIT];
            void *slot[BP_SLOT_LIMIT] = {slots[0], slots[1]};
            for (uint64_t t = 0; t < STEPS; t++) {
                optimizer->prepare(
                    scalar, choice.value,
                    &(bp_update_context){.learning_rate = 0.1, .t = t, .is_weight = true});
                optimizer->update(NULL, theta, gradient, slot, COUNT, scalar);
            }
            for (size_t i = 0; i < COUNT; i++)
                assert_true(support_get(kernels, theta, i) == 0);
        }
}

static void learning_rate_comes_first(void **state)
{
    (void)state;
    for (size_t index = 0; index < BP_OPTIMIZER_COUNT; index++) {
        const bp_member *member = bp_optimizer_family.members[index];
        assert_string_equal(member->parameters[0].name, "learning_rate");
        const bp_kernels *kernels = bp_kernels_get(BP_FLOAT32, BP_ISA_BASELINE);
        const bp_optimizer *optimizer = kernels->optimizers[index];
        assert_true(optimizer->slot_count <= BP_SLOT_LIMIT);
        for (size_t slot = 0; slot < optimizer->slot_count; slot++)
            assert_non_null(optimizer->slot_names[slot]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_follow_their_formulas),
        cmocka_unit_test(momentum_has_its_variants),
        cmocka_unit_test(adam_has_its_variants),
        cmocka_unit_test(decay_spares_biases),
        cmocka_unit_test(what_is_zero_stays_zero),
        cmocka_unit_test(learning_rate_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
