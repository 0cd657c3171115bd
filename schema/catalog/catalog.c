#include "schema/catalog/catalog.h"

#include <math.h>
#include <stdbool.h>

#include "core/activation/activation.h"
#include "core/dropout/dropout.h"
#include "core/initializer/initializer.h"
#include "core/layer/layer.h"
#include "core/loss/loss.h"
#include "core/optimizer/optimizer.h"
#include "core/preparation/preparation.h"
#include "core/regularizer/regularizer.h"
#include "core/schedule/schedule.h"
#include "core/training/early_stopping.h"
#include "schema/json/choice.h"
#include "schema/json/json_text.h"

static const bp_family *const families[] = {
    &bp_layer_family,    &bp_dropout_family,   &bp_activation_family, &bp_initializer_family,
    &bp_loss_family,     &bp_optimizer_family, &bp_schedule_family,   &bp_regularizer_family,
    &bp_stopping_family, &bp_scaling_family,   &bp_missing_family,    &bp_target_scaling_family,
};

const bp_family *bp_catalog_family(size_t index)
{
    return index < sizeof families / sizeof *families ? families[index] : NULL;
}

static const char *kind_name(bp_hyperparameter_kind kind)
{
    switch (kind) {
    case BP_REAL_PARAMETER:
        return "real";
    case BP_INTEGER_PARAMETER:
        return "integer";
    case BP_BOOLEAN_PARAMETER:
        return "boolean";
    case BP_CHOICE_PARAMETER:
        return "choice";
    }
    return "";
}

static json_t *choices_json(const char *const *choices)
{
    json_t *array = json_array();
    for (; array && *choices; choices++)
        if (json_array_append_new(array, json_string(*choices)) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static bool add_range(json_t *json, const bp_hyperparameter *parameter)
{
    bool ok = true;
    if (isfinite(parameter->minimum))
        ok = bp_json_add(json, "minimum", bp_json_number(parameter->minimum)) &&
             bp_json_add(json, "exclusive_minimum", json_boolean(parameter->exclusive_minimum));
    if (ok && isfinite(parameter->maximum))
        ok = bp_json_add(json, "maximum", bp_json_number(parameter->maximum)) &&
             bp_json_add(json, "exclusive_maximum", json_boolean(parameter->exclusive_maximum));
    return ok;
}

static json_t *hyperparameter_json(const bp_hyperparameter *parameter)
{
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:b, s:b}", "name", parameter->name, "meaning",
                  parameter->meaning, "kind", kind_name(parameter->kind), "required",
                  (int)parameter->required, "accepts_auto", (int)parameter->accepts_auto);
    bool ok = json != NULL;
    if (ok && !parameter->required)
        ok = bp_json_add(json, "default",
                         bp_hyperparameter_json(parameter, parameter->default_value));
    if (ok && (parameter->kind == BP_REAL_PARAMETER || parameter->kind == BP_INTEGER_PARAMETER))
        ok = add_range(json, parameter);
    if (ok && parameter->kind == BP_CHOICE_PARAMETER)
        ok = bp_json_add(json, "choices", choices_json(parameter->choices));
    return bp_json_whole(json, ok);
}

static json_t *member_json(const bp_member *member)
{
    json_t *parameters = json_array();
    for (size_t index = 0; parameters && index < member->parameter_count; index++)
        if (json_array_append_new(parameters, hyperparameter_json(&member->parameters[index])) !=
            0) {
            json_decref(parameters);
            return NULL;
        }
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "name", member->name, "summary",
                     member->summary, "formula", member->formula, "reference", member->reference,
                     "pytorch", member->pytorch, "hyperparameters", parameters);
}

static json_t *family_json(const bp_family *family)
{
    json_t *members = json_array();
    for (size_t index = 0; members && index < family->member_count; index++)
        if (json_array_append_new(members, member_json(family->members[index])) != 0) {
            json_decref(members);
            return NULL;
        }
    return json_pack("{s:s, s:s, s:o}", "name", family->name, "title", family->title, "members",
                     members);
}

json_t *bp_catalog_json(void)
{
    json_t *array = json_array();
    const bp_family *family;
    for (size_t index = 0; array && (family = bp_catalog_family(index)); index++)
        if (json_array_append_new(array, family_json(family)) != 0) {
            json_decref(array);
            return NULL;
        }
    return json_pack("{s:o}", "families", array);
}
