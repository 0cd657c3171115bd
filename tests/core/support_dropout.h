/* What the tests of dropout share: a network for each form of it. */
#ifndef BP_TESTS_CORE_SUPPORT_DROPOUT_H
#define BP_TESTS_CORE_SUPPORT_DROPOUT_H

#include "core/dropout/dropout.h"
#include "tests/core/support_network.h"

/* The forms: members of the family by index, then the dropout layer. */
enum {
    SUPPORT_FORMS = BP_DROPOUT_COUNT + 1,
    SUPPORT_LAYERS = 4,
    SUPPORT_HIDDEN = 7,
    SUPPORT_OUT = 3
};
const char *support_form_name(size_t form);
const bp_dropout *support_form(size_t index); /* below BP_DROPOUT_COUNT */

bp_layer_spec support_mask_layer(double keep);
bp_choice support_dropout(const bp_dropout *form, double keep);

/* Dense, dense with the form (as wide as its input) or a dropout layer and dense, dense: index 1 is
 * what the form is on. Returns how many layers. */
size_t support_dropout_network(bp_layer_spec layers[SUPPORT_LAYERS], size_t form,
                               const char *activation, double keep);

/* Step 5 under seed 3; and none. */
extern const bp_noise support_a_step, support_no_noise;

#endif
