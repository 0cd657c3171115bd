#include "tests/core/support_network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/initializer/initializer.h"
#include "tests/core/support_kernels.h"

bp_choice support_choice(const bp_family *family, const char *name)
{
    const bp_member *member = bp_family_find(family, name);
    assert_non_null(member);
    return bp_choice_default(member);
}

bp_choice support_choice_of(const bp_family *family, const char *name, double first_value)
{
    bp_choice choice = support_choice(family, name);
    choice.value[0] = first_value;
    return choice;
}

bp_layer_spec support_dense(size_t units, const char *activation)
{
    return (bp_layer_spec){.layer = support_choice_of(&bp_layer_family, "dense", (double)units),
                           .activation = support_choice(&bp_activation_family, activation),
                           .initializer = support_choice(&bp_initializer_family, "xavier_uniform")};
}

bp_network_spec support_network_spec(const bp_layer_spec *layers, size_t layer_count,
                                     size_t input_width, size_t batch_rows, const char *loss)
{
    return (bp_network_spec){.dtype = BP_FLOAT64,
                             .isa = bp_isa_detect(),
                             .use = BP_USE_TRAINING,
                             .input_width = input_width,
                             .batch_rows = batch_rows,
                             .layer_count = layer_count,
                             .layers = layers,
                             .loss = support_choice(&bp_loss_family, loss)};
}

bp_network *support_network_create(const bp_network_spec *spec)
{
    bp_error error = {.status = BP_OK};
    bp_network *network = NULL;
    if (bp_network_create(&network, spec, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
    return network;
}

bp_evaluation support_evaluate(bp_trainer *trainer, const bp_examples *examples)
{
    bp_error error = {.status = BP_OK};
    bp_evaluation evaluation;
    if (bp_trainer_evaluate(&evaluation, trainer, examples, NULL, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
    return evaluation;
}

void support_values(void *out, bp_dtype dtype, size_t count, uint64_t seed)
{
    for (size_t index = 0; index < count; index++)
        support_set(out, dtype, index, (double)(support_bits(&seed) >> 11) * 0x1p-52 - 1);
}

void support_labels(int32_t *out, size_t count, size_t classes, uint64_t seed)
{
    for (size_t index = 0; index < count; index++)
        out[index] = (int32_t)(support_bits(&seed) % classes);
}

double support_at(const void *array, bp_dtype dtype, size_t index)
{
    return dtype == BP_FLOAT32 ? (double)((const float *)array)[index]
                               : ((const double *)array)[index];
}

void support_set(void *array, bp_dtype dtype, size_t index, double value)
{
    if (dtype == BP_FLOAT32)
        ((float *)array)[index] = (float)value;
    else
        ((double *)array)[index] = value;
}

void support_parameters(bp_network *network, uint64_t seed, double scale)
{
    for (size_t index = 0; index < bp_network_tensor_count(network); index++) {
        const bp_tensor tensor = bp_network_tensor(network, index);
        support_values(tensor.data, tensor.dtype, tensor.element_count, seed + index);
        for (size_t i = 0; i < tensor.element_count; i++)
            support_set(tensor.data, tensor.dtype, i,
                        scale * support_at(tensor.data, tensor.dtype, i));
    }
    bp_network_parameters_changed(network);
}
