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

void bp_read_hyperparameter(bp_reader *reader, const bp_place *place, const json_t *value,
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
    if (whole ? !bp_json_is_whole(value) : !json_is_number(value)) {
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

/* The member that value names, by its field `tag` or, where bare is allowed, itself. */
static const bp_member *find_member(bp_reader *reader, const bp_place *place, const json_t *value,
                                    const bp_choice_style *style)
{
    const json_t *type = json_is_object(value) ? json_object_get(value, style->tag) : value;
    bp_place type_place = bp_place_member(place, style->tag);
    const bp_place *at = json_is_object(value) ? &type_place : place;
    if (style->absent && (!type || !json_is_object(value)))
        return style->absent;
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
    const bp_member *member = bp_family_find(style->family, name);
    if (!member) {
        char *advice = bp_reader_advice(reader, name, member_name_at, style->family);
        bp_reader_fault(reader, at, BP_UNKNOWN_NAME, "unknown %s \"%.*s\"%s", style->family->name,
                        bp_quoted_length(name), name, advice ? advice : "");
        free(advice);
    }
    return member;
}

/* Reads the hyperparameters of a member, and the extra fields. tag: a field to pass over, or NULL. */
static bp_choice read_member(bp_reader *reader, const bp_place *place, const json_t *value,
                             const bp_member *member, const char *tag, const bp_field *extra,
                             size_t extra_count, void *extra_base)
{
    assert(extra_count <= EXTRA_LIMIT);
    bp_choice choice = bp_choice_default(member);
    bp_field fields[1 + BP_HYPERPARAMETER_LIMIT + EXTRA_LIMIT];
    redirect redirects[EXTRA_LIMIT];
    size_t count = 0;
    if (tag)
        fields[count++] = (bp_field){.name = tag, .read = read_nothing};
    for (size_t index = 0; index < member->parameter_count; index++) {
        const bp_hyperparameter *parameter = &member->parameters[index];
        if (parameter->accepts_auto)
            choice.value[index] = parameter->required ? parameter->minimum - 1 : NAN;
        fields[count++] = (bp_field){.name = parameter->name,
                                     .read = bp_read_hyperparameter,
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
                                "needs \"%s\": write {\"%s\": \"%s\", \"%s\": …}",
                                fields[index].name, tag, member->name, fields[index].name);
    }
    return choice;
}

void bp_choice_read(bp_reader *reader, const bp_place *place, const json_t *value, bp_choice *out,
                    const bp_family *family, const bp_field *extra, size_t extra_count,
                    void *extra_base)
{
    const bp_choice_style style = {.family = family, .tag = "type"};
    const bp_member *member = find_member(reader, place, value, &style);
    if (member)
        *out = read_member(reader, place, value, member, style.tag, extra, extra_count, extra_base);
}

void bp_read_styled_choice(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                           const void *detail)
{
    const bp_choice_style *style = detail;
    const bp_member *member = style->tag ? find_member(reader, place, value, style) : style->absent;
    if (member && !json_is_object(value))
        bp_reader_fault_kind(reader, place, "an object", value);
    else if (member)
        *(bp_choice *)out = read_member(reader, place, value, member, style->tag, NULL, 0, NULL);
}

void bp_read_choice(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                    const void *detail)
{
    bp_choice_read(reader, place, value, out, detail, NULL, 0, NULL);
}

json_t *bp_hyperparameter_json(const bp_hyperparameter *parameter, double value)
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

/* tag: the field that names the member; NULL: none. */
static json_t *choice_json(const bp_choice *choice, const char *tag)
{
    const bp_member *member = choice->member;
    json_t *json = tag ? json_pack("{s:s}", tag, member->name) : json_object();
    for (size_t index = 0; json && index < member->parameter_count; index++)
        if (json_object_set_new(
                json, member->parameters[index].name,
                bp_hyperparameter_json(&member->parameters[index], choice->value[index])) != 0) {
            json_decref(json);
            return NULL;
        }
    return json;
}

json_t *bp_choice_json(const bp_choice *choice, bp_choice_form form)
{
    if (form == BP_CHOICE_WORD && choice->member->parameter_count == 0)
        return json_string(choice->member->name);
    return choice_json(choice, "type");
}

json_t *bp_styled_choice_json(const bp_choice *choice, const bp_choice_style *style)
{
    return choice_json(choice, style->tag);
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

static bp_choice parse_choice(bp_stored *stored, const json_t *value, const bp_choice_style *style)
{
    const json_t *type = json_is_object(value) ? json_object_get(value, style->tag) : value;
    const char *name = json_string_value(type);
    const bp_member *member = name ? bp_family_find(style->family, name) : NULL;
    if (!member) {
        bp_stored_corrupt(stored);
        return (bp_choice){0};
    }
    bp_choice choice = bp_choice_default(member);
    for (size_t index = 0; index < member->parameter_count; index++) {
        const bp_hyperparameter *parameter = &member->parameters[index];
        const json_t *given = json_object_get(value, parameter->name);
        /* What was stored before the member had a hyperparameter was made with its default. */
        if (given || parameter->required)
            choice.value[index] = parse_hyperparameter(stored, parameter, given);
    }
    return choice;
}

bp_choice bp_choice_parse(bp_stored *stored, const json_t *value, const bp_family *family)
{
    return parse_choice(stored, value, &(bp_choice_style){.family = family, .tag = "type"});
}

bp_choice bp_styled_choice_parse(bp_stored *stored, const json_t *value,
                                 const bp_choice_style *style)
{
    return parse_choice(stored, value, style);
}
