#include "tests/core/support_dropout.h"

const bp_noise support_a_step = {BP_NOISE_TRAINING, 3, 5}, support_no_noise = {BP_NOISE_NONE, 0, 0};

bp_layer_spec support_mask_layer(double keep)
{
    return (bp_layer_spec){.layer = support_choice_of(&bp_layer_family, "dropout", keep)};
}

bp_choice support_dropout(const bp_dropout *form, double keep)
{
    return (bp_choice){.member = &form->member, .value = {keep}};
}

const bp_dropout *support_form(size_t index)
{
    return (const bp_dropout *)bp_dropout_family.members[index];
}

size_t support_dropout_network(bp_layer_spec layers[SUPPORT_LAYERS], size_t form,
                               const char *activation, double keep)
{
    size_t count = 0;
    layers[count++] = support_dense(SUPPORT_HIDDEN, activation);
    if (form < BP_DROPOUT_COUNT) {
        layers[count] = support_dense(SUPPORT_HIDDEN, activation);
        layers[count++].dropout = support_dropout(support_form(form), keep);
    } else {
        layers[count++] = support_mask_layer(keep);
        layers[count++] = support_dense(SUPPORT_HIDDEN, activation);
    }
    layers[count++] = support_dense(SUPPORT_OUT, "identity");
    return count;
}

const char *support_form_name(size_t form)
{
    return form < BP_DROPOUT_COUNT ? bp_dropout_family.members[form]->name : "dropout layer";
}
