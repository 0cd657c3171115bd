/* What every record of every family owes to those who read it: names, texts and sound defaults. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/dropout/dropout.h"
#include "core/initializer/initializer.h"
#include "core/kernel/kernels.h"
#include "core/schedule/schedule.h"
#include "core/training/early_stopping.h"

static const bp_family *const families[] = {
    &bp_activation_family, &bp_loss_family,        &bp_optimizer_family,
    &bp_schedule_family,   &bp_initializer_family, &bp_regularizer_family,
    &bp_stopping_family,   &bp_layer_family,       &bp_dropout_family};
enum { FAMILY_COUNT = sizeof families / sizeof *families };

static void assert_json_name(const char *name)
{
    assert_true(*name >= 'a' && *name <= 'z');
    assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
}

static void assert_line(const char *text)
{
    assert_non_null(text);
    assert_true(strlen(text) > 3);
    assert_null(strchr(text, '\n'));
}

static void assert_within_range(const bp_hyperparameter *parameter)
{
    double value = parameter->default_value;
    assert_true(parameter->minimum <= parameter->maximum);
    assert_true(parameter->exclusive_minimum ? value > parameter->minimum
                                             : value >= parameter->minimum);
    assert_true(parameter->exclusive_maximum ? value < parameter->maximum
                                             : value <= parameter->maximum);
    if (parameter->kind != BP_REAL_PARAMETER)
        assert_true(value == floor(value));
    if (parameter->kind == BP_BOOLEAN_PARAMETER)
        assert_true(parameter->minimum == 0 && parameter->maximum == 1);
    assert_int_equal(parameter->kind == BP_CHOICE_PARAMETER, parameter->choices != NULL);
    if (parameter->kind == BP_CHOICE_PARAMETER) {
        size_t count = 0;
        while (parameter->choices[count])
            count++;
        assert_true(parameter->minimum == 0 && parameter->maximum == (double)count - 1);
    }
}

static void check_member(const bp_member *member)
{
    assert_json_name(member->name);
    assert_line(member->summary);
    assert_line(member->formula);
    assert_line(member->reference);
    assert_line(member->pytorch);
    assert_true(member->parameter_count <= BP_HYPERPARAMETER_LIMIT);
    bp_choice choice = bp_choice_default(member);
    assert_ptr_equal(choice.member, member);
    for (size_t i = 0; i < member->parameter_count; i++) {
        const bp_hyperparameter *parameter = &member->parameters[i];
        assert_json_name(parameter->name);
        assert_string_not_equal(parameter->name, "type"); /* names the member itself in JSON */
        assert_line(parameter->meaning);
        if (!parameter->required)
            assert_within_range(parameter);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(parameter->name, member->parameters[j].name);
        assert_true(bp_choice_value(&choice, parameter->name) == parameter->default_value);
    }
}

static void records_are_complete(void **state)
{
    (void)state;
    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        const bp_family *family = families[f];
        assert_json_name(family->name);
        assert_line(family->title);
        assert_true(family->member_count > 0);
        for (size_t i = 0; i < family->member_count; i++)
            check_member(family->members[i]);
    }
}

static void members_are_found_by_name(void **state)
{
    (void)state;
    for (size_t f = 0; f < FAMILY_COUNT; f++) {
        const bp_family *family = families[f];
        for (size_t i = 0; i < family->member_count; i++) {
            assert_int_equal(family->members[i]->index, i);
            assert_ptr_equal(bp_family_find(family, family->members[i]->name), family->members[i]);
        }
        assert_null(bp_family_find(family, ""));
        assert_null(bp_family_find(family, "Relu"));
    }
    assert_string_equal(bp_activation_family.members[BP_ACTIVATION_relu]->name, "relu");
    assert_string_equal(bp_optimizer_family.members[BP_OPTIMIZER_momentum]->name, "momentum");
}

/* The tables of every variant list the same members in the same order as the families. */
static void variants_agree_with_the_families(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++)
        for (int isa = 0; isa < BP_ISA_COUNT; isa++) {
            const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, (bp_isa)isa);
            if (!kernels)
                continue;
            for (size_t i = 0; i < BP_ACTIVATION_COUNT; i++)
                assert_string_equal(kernels->activations[i]->member.name,
                                    bp_activation_family.members[i]->name);
            for (size_t i = 0; i < BP_LOSS_COUNT; i++)
                assert_string_equal(kernels->losses[i]->member.name,
                                    bp_loss_family.members[i]->name);
            for (size_t i = 0; i < BP_OPTIMIZER_COUNT; i++)
                assert_string_equal(kernels->optimizers[i]->member.name,
                                    bp_optimizer_family.members[i]->name);
            for (size_t i = 0; i < BP_REGULARIZER_COUNT; i++)
                assert_string_equal(kernels->regularizers[i]->member.name,
                                    bp_regularizer_family.members[i]->name);
        }
}

/* A loss that merges an activation names one that exists and works on rows. */
static void losses_merge_real_activations(void **state)
{
    (void)state;
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT32, BP_ISA_BASELINE);
    for (size_t i = 0; i < BP_LOSS_COUNT; i++) {
        const bp_loss *loss = kernels->losses[i];
        assert_json_name(bp_shown_name(loss->shown));
        if (loss->merges)
            assert_non_null(bp_family_find(&bp_activation_family, loss->merges));
    }
}

/* What code above reads by place, not by name. */
static void shared_hyperparameters_have_their_places(void **state)
{
    (void)state;
    const char *const common[BP_SCHEDULE_OWN] = {"per", "warmup_steps", "fan_in_scaled"};
    for (size_t i = 0; i < BP_SCHEDULE_COUNT; i++)
        for (size_t place = 0; place < BP_SCHEDULE_OWN; place++)
            assert_string_equal(bp_schedule_family.members[i]->parameters[place].name,
                                common[place]);
    for (size_t i = 0; i < BP_OPTIMIZER_COUNT; i++)
        assert_string_equal(bp_optimizer_family.members[i]->parameters[0].name, "learning_rate");
}

static void losses_of_classes_decide(void **state)
{
    (void)state;
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT32, BP_ISA_BASELINE);
    for (size_t i = 0; i < BP_LOSS_COUNT; i++)
        assert_int_equal(kernels->losses[i]->decide != NULL,
                         kernels->losses[i]->target_kind == BP_TARGET_CLASS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_complete),
        cmocka_unit_test(members_are_found_by_name),
        cmocka_unit_test(variants_agree_with_the_families),
        cmocka_unit_test(losses_merge_real_activations),
        cmocka_unit_test(shared_hyperparameters_have_their_places),
        cmocka_unit_test(losses_of_classes_decide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
