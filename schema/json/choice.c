#include "schema/json/choice.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "schema/json/stored.h"

enum { EXTRA_LIMIT = 8 };

static const char *member_name_at(const void *list, size_t index)
{
    const bp_family *family = list;
    return index < family->member_count ? family->members[index]->name : NULL;
}

/* For bp_field.read: out is the double of a hyperparameter, detail its record. */
static void read_hyperparameter(bp_reader *reader, const bp_place *place, const json_t *value,
                                void *out, const void *detail)
{
    const bp_hyperparameter *parameter = detail;
    double *number = out;
    if (parameter->accepts_auto)
        *number = parameter->minimum - 1; /* until it is read without a fault */
    if (parameter->accepts_auto && json_is_string(value) &&
        !strcmp(json_string_value(value), "auto")) {
        *number = NAN;
        return;
    }
    if (parameter->kind == BP_BOOLEAN_PARAMETER) {
        bp_given_bool given = {0};
        bp_read_bool(reader, place, value, &given, NULL);
        if (given.given)
            *number = given.value;
        return;
    }
    if (parameter->kind == BP_CHOICE_PARAMETER) {
        bp_given_count given = {0};
        bp_read_word(reader, place, value, &given, &(bp_word_list){parameter->choices});
        if (given.given)
            *number = (double)given.value;
        return;
    }
    bool whole = parameter->kind == BP_INTEGER_PARAMETER;
    if (whole ? !json_is_integer(value) : !json_is_number(value)) {
        bp_reader_fault_kind(reader, place,
                             !whole                    ? "a number"
                             : parameter->accepts_auto ? "a whole number or \"auto\""
                                                       : "a whole number",
                             value);
        return;
    }
    bp_real_range range = {parameter->minimum, parameter->maximum, parameter->exclusive_minimum,
                           parameter->exclusive_maximum};
    if (whole && range.maximum > (double)BP_JSON_INTEGER_MAXIMUM)
        range.maximum = (double)BP_JSON_INTEGER_MAXIMUM;
    double given = json_number_value(value);
    if (given < range.minimum || given > range.maximum ||
        (range.exclusive_minimum && given == range.minimum) ||
        (range.exclusive_maximum && given == range.maximum))
        bp_reader_fault_range(reader, place, &range, whole, given);
    else
        *number = given;
}

static void read_nothing(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                         const void *detail)
{
    (void)reader, (void)place, (void)value, (void)out, (void)detail;
}

/* What fields write to: the choice, then whatever the extra fields are relative to. */
typedef struct redirect {
    const bp_field *field;
    void *base;
} redirect;

static void read_extra(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                       const void *detail)
{
    (void)out;
    const redirect *to = detail;
    to->field->read(reader, place, value, (char *)to->base + to->field->offset, to->field->detail);
}

static const bp_member *find_member(bp_reader *reader, const bp_place *place, const json_t *value,
                                    const bp_family *family)
{
    const json_t *type = json_is_object(value) ? json_object_get(value, "type") : value;
    bp_place type_place = bp_place_member(place, "type");
    const bp_place *at = json_is_object(value) ? &type_place : place;
    if (!type) {
        bp_reader_fault(reader, at, BP_INVALID, "is required");
        return NULL;
    }
    const char *name = json_string_value(type);
    if (!name) {
        bp_reader_fault_kind(
            reader, at, json_is_object(value) ? "a string" : "a name or an object with \"type\"",
            type);
        return NULL;
    }
    const bp_member *member = bp_family_find(family, name);
    if (!member) {
        char *advice = bp_reader_advice(reader, name, member_name_at, family);
        bp_reader_fault(reader, at, BP_UNKNOWN_NAME, "unknown %s \"%.*s\"%s", family->name,
                        bp_quoted_length(name), name, advice ? advice : "");
        free(advice);
    }
    return member;
}

void bp_choice_read(bp_reader *reader, const bp_place *place, const json_t *value, bp_choice *out,
                    const bp_family *family, const bp_field *extra, size_t extra_count,
                    void *extra_base)
{
    assert(extra_count <= EXTRA_LIMIT);
    const bp_member *member = find_member(reader, place, value, family);
    if (!member)
        return;
    bp_choice choice = bp_choice_default(member);
    bp_field fields[1 + BP_HYPERPARAMETER_LIMIT + EXTRA_LIMIT];
    redirect redirects[EXTRA_LIMIT];
    size_t count = 0;
    fields[count++] = (bp_field){.name = "type", .read = read_nothing};
    for (size_t index = 0; index < member->parameter_count; index++) {
        const bp_hyperparameter *parameter = &member->parameters[index];
        if (parameter->accepts_auto)
            choice.value[index] = parameter->required ? parameter->minimum - 1 : NAN;
        fields[count++] = (bp_field){.name = parameter->name,
                                     .read = read_hyperparameter,
                                     .offset = index * sizeof(double),
                                     .detail = parameter,
                                     .required = parameter->required};
    }
    for (size_t index = 0; index < extra_count; index++) {
        redirects[index] = (redirect){&extra[index], extra_base};
        fields[count++] = (bp_field){.name = extra[index].name,
                                     .read = read_extra,
                                     .detail = &redirects[index],
                                     .required = extra[index].required};
    }
    if (json_is_object(value)) {
        bp_reader_object(reader, place, value, fields, count, choice.value);
    } else {
        for (size_t index = 0; index < count; index++)
            if (fields[index].required)
                bp_reader_fault(reader, place, BP_INVALID,
                                "needs \"%s\": write {\"type\": \"%s\", \"%s\": …}",
                                fields[index].name, member->name, fields[index].name);
    }
    *out = choice;
}

void bp_read_choice(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                    const void *detail)
{
    bp_choice_read(reader, place, value, out, detail, NULL, 0, NULL);
}

static json_t *hyperparameter_json(const bp_hyperparameter *parameter, double value)
{
    if (isnan(value))
        return json_string("auto");
    switch (parameter->kind) {
    case BP_REAL_PARAMETER:
        return bp_json_real(value);
    case BP_INTEGER_PARAMETER:
        return json_integer((json_int_t)value);
    case BP_BOOLEAN_PARAMETER:
        return json_boolean(value != 0);
    case BP_CHOICE_PARAMETER:
        return json_string(parameter->choices[(size_t)value]);
    }
    return NULL;
}

json_t *bp_choice_json(const bp_choice *choice, bp_choice_form form)
{
    const bp_member *member = choice->member;
    if (form == BP_CHOICE_WORD && member->parameter_count == 0)
        return json_string(member->name);
    json_t *json = json_pack("{s:s}", "type", member->name);
    for (size_t index = 0; json && index < member->parameter_count; index++)
        if (json_object_set_new(
                json, member->parameters[index].name,
                hyperparameter_json(&member->parameters[index], choice->value[index])) != 0) {
            json_decref(json);
            return NULL;
        }
    return json;
}

static double parse_hyperparameter(bp_stored *stored, const bp_hyperparameter *parameter,
                                   const json_t *value)
{
    double number = 0;
    if (parameter->kind == BP_BOOLEAN_PARAMETER && json_is_boolean(value))
        return json_is_true(value);
    if (parameter->kind == BP_CHOICE_PARAMETER && json_is_string(value))
        for (size_t index = 0; parameter->choices[index]; index++)
            if (!strcmp(parameter->choices[index], json_string_value(value)))
                return (double)index;
    if ((parameter->kind == BP_REAL_PARAMETER || parameter->kind == BP_INTEGER_PARAMETER) &&
        json_is_number(value))
        number = json_number_value(value);
    else
        bp_stored_corrupt(stored);
    return number;
}

bp_choice bp_choice_parse(bp_stored *stored, const json_t *value, const bp_family *family)
{
    const json_t *type = json_is_object(value) ? json_object_get(value, "type") : value;
    const char *name = json_string_value(type);
    const bp_member *member = name ? bp_family_find(family, name) : NULL;
    if (!member) {
        bp_stored_corrupt(stored);
        return (bp_choice){0};
    }
    bp_choice choice = bp_choice_default(member);
    for (size_t index = 0; index < member->parameter_count; index++)
        choice.value[index] =
            parse_hyperparameter(stored, &member->parameters[index],
                                 json_object_get(value, member->parameters[index].name));
    return choice;
}
