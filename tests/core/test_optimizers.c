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

/* The rule of a member for one parameter, as the textbook writes it. */
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

static plain_rule *const plain[BP_OPTIMIZER_COUNT] = {
    [BP_OPTIMIZER_sgd] = plain_sgd,
    [BP_OPTIMIZER_momentum] = plain_momentum,
};

/* What a run of STEPS leaves: parameters and slots. */
typedef struct outcome {
    double theta[COUNT], slot[BP_SLOT_LIMIT][COUNT];
} outcome;

/* Updates the elements in two pieces split at `split`. */
static void run(outcome *out, const bp_kernels *kernels, const bp_choice *choice, size_t split)
{
    const bp_optimizer *optimizer = kernels->optimizers[choice->member->index];
    *out = (outcome){0};
    support_fill(kernels, out->theta, COUNT, 1, -1, 1);
    for (uint64_t t = 0; t < STEPS; t++) {
        double gradient[COUNT], scalar[BP_STEP_SCALAR_LIMIT];
        support_fill(kernels, gradient, COUNT, 100 + t, -1, 1);
        optimizer->prepare(scalar, choice->value, choice->value[0] / (1 + 0.01 * (double)t), t);
        size_t first[3] = {0, split, COUNT};
        for (size_t piece = 0; piece < 2; piece++) {
            size_t offset = first[piece] * kernels->real_size;
            void *slot[BP_SLOT_LIMIT];
            for (size_t s = 0; s < BP_SLOT_LIMIT; s++)
                slot[s] = (char *)out->slot[s] + offset;
            optimizer->update((char *)out->theta + offset, (char *)gradient + offset, slot,
                              first[piece + 1] - first[piece], scalar);
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

        double theta[COUNT], start[COUNT], slot[COUNT][BP_SLOT_LIMIT] = {{0}};
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
        cmocka_unit_test(learning_rate_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
