/* The contract against the records that the validation reads: names, hyperparameters, defaults and
 * ranges are the same. */
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/layer/layer.h"
#include "core/loss/loss.h"
#include "core/regularizer/regularizer.h"
#include "core/training/early_stopping.h"
#include "schema/catalog/catalog.h"
#include "schema/openapi.h"

static json_t *document;

static int load(void **state)
{
    (void)state;
    size_t length;
    const char *text = bp_openapi_text(&length);
    assert_int_equal(strlen(text), length);
    json_error_t error;
    document = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (!document)
        fail_msg("%s at line %d", error.text, error.line);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    json_decref(document);
    return 0;
}

static json_t *schema_of(const char *name)
{
    json_t *components = json_object_get(document, "components");
    json_t *schema = json_object_get(json_object_get(components, "schemas"), name);
    if (!schema)
        fail_msg("no schema %s", name);
    return schema;
}

/* Follows references until there is none. */
static json_t *follow(json_t *node)
{
    const char *reference;
    while ((reference = json_string_value(json_object_get(node, "$ref")))) {
        char *copy = strdup(reference), *rest = copy, *part;
        assert_string_equal(strsep(&rest, "/"), "#");
        node = document;
        while ((part = strsep(&rest, "/")))
            node = json_object_get(node, part);
        if (!node)
            fail_msg("%s leads nowhere", reference);
        free(copy);
    }
    return node;
}

static void check_references(json_t *node)
{
    const char *key;
    json_t *member;
    size_t index;
    if (json_is_object(node)) {
        follow(node);
        json_object_foreach(node, key, member) check_references(member);
    }
    json_array_foreach(node, index, member) check_references(member);
}

static void test_references_lead_somewhere(void **state)
{
    (void)state;
    assert_string_equal(json_string_value(json_object_get(document, "openapi")), "3.1.0");
    check_references(document);
}

static bool has_example(const json_t *content)
{
    return json_object_get(content, "example") || json_object_get(content, "examples");
}

static void check_contents(json_t *contents, const char *path, const char *what)
{
    const char *media;
    json_t *content;
    bool any = false;
    json_object_foreach(contents, media, content) any = any || has_example(content);
    if (contents && !any)
        fail_msg("%s: no example of %s", path, what);
}

static void test_operations_have_examples(void **state)
{
    (void)state;
    const char *path, *method, *status;
    json_t *item, *operation, *answer, *paths = json_object_get(document, "paths");
    size_t operations = 0;
    json_object_foreach(paths, path, item)
    {
        json_object_foreach(item, method, operation)
        {
            if (!strcmp(method, "parameters"))
                continue;
            operations++;
            json_t *body = json_object_get(operation, "requestBody");
            check_contents(json_object_get(body, "content"), path, "the request");
            json_object_foreach(json_object_get(operation, "responses"), status, answer)
                check_contents(json_object_get(follow(answer), "content"), path, status);
            assert_non_null(json_object_get(json_object_get(operation, "responses"), "4XX"));
        }
    }
    assert_true(operations >= 20);
}

/* How the contract calls the schemas of a family. */
static const char *const family_titles[][2] = {{"layer", "Layer"},
                                               {"dropout", "Dropout"},
                                               {"activation", "Activation"},
                                               {"initializer", "Initializer"},
                                               {"loss", "Loss"},
                                               {"optimizer", "Optimizer"},
                                               {"schedule", "Schedule"},
                                               {"scale", "Scaling"},
                                               {"missing", "Missing"},
                                               {"target", "TargetScaling"}};

static const char *title_of(const char *family)
{
    for (size_t index = 0; index < sizeof family_titles / sizeof *family_titles; index++)
        if (!strcmp(family_titles[index][0], family))
            return family_titles[index][1];
    fail_msg("the contract does not know the family %s", family);
    return NULL;
}

/* "mean_squared_error" to "MeanSquaredError". */
static void camel_case(char *out, const char *name)
{
    bool start = true;
    for (; *name; name++) {
        if (*name == '_')
            start = true;
        else {
            *out++ = (char)(start ? toupper((unsigned char)*name) : *name);
            start = false;
        }
    }
    *out = '\0';
}

static void check_bound(json_t *schema, const char *inclusive, const char *exclusive, double bound,
                        bool is_exclusive)
{
    json_t *alternatives = json_object_get(schema, "oneOf"); /* with "auto" */
    json_t *number = alternatives ? json_array_get(alternatives, 0) : schema;
    json_t *found = json_object_get(number, is_exclusive ? exclusive : inclusive);
    assert_null(json_object_get(number, is_exclusive ? inclusive : exclusive));
    assert_int_equal(found != NULL, isfinite(bound) != 0);
    if (found)
        assert_true(json_number_value(found) == bound);
}

static void check_parameter(json_t *schema, const bp_hyperparameter *parameter)
{
    assert_non_null(schema);
    assert_string_equal(json_string_value(json_object_get(schema, "description")),
                        parameter->meaning);
    json_t *value = json_object_get(schema, "default");
    assert_int_equal(value != NULL, !parameter->required);
    if (value && parameter->kind == BP_BOOLEAN_PARAMETER)
        assert_int_equal(json_is_true(value), parameter->default_value != 0);
    if (parameter->kind != BP_REAL_PARAMETER && parameter->kind != BP_INTEGER_PARAMETER)
        return;
    if (value)
        assert_true(json_number_value(value) == parameter->default_value);
    check_bound(schema, "minimum", "exclusiveMinimum", parameter->minimum,
                parameter->exclusive_minimum);
    check_bound(schema, "maximum", "exclusiveMaximum", parameter->maximum,
                parameter->exclusive_maximum);
}

/* Properties beside the hyperparameters and the one that names the member. */
static size_t extra_properties(const char *title, const bp_member *member)
{
    const bp_layer_type *type = bp_layer_type_of(member);
    if (!strcmp(title, "Layer") && member->index == BP_LAYER_embedding) /* init, dropout, vectors */
        return 3;
    if (!strcmp(title, "Layer")) /* activation, init, dropout */
        return type->is_mask ? 0 : type->is_fixed ? 2 : 3;
    if (!strcmp(title, "Loss")) /* class_weights */
        return bp_loss_of(member)->target_kind == BP_TARGET_CLASS;
    return 0;
}

static void check_member(const char *title, const bp_member *member)
{
    char name[128], camel[64];
    camel_case(camel, member->name);
    snprintf(name, sizeof name, "%s%s", title, camel);
    json_t *schema = schema_of(name), *properties = json_object_get(schema, "properties");
    const char *tag = strcmp(title, "Dropout") ? "type" : "of";
    assert_int_equal(json_object_size(properties),
                     1 + member->parameter_count + extra_properties(title, member));
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(properties, tag), "const")),
        member->name);
    for (size_t index = 0; index < member->parameter_count; index++)
        check_parameter(json_object_get(properties, member->parameters[index].name),
                        &member->parameters[index]);
}

static void check_family(const bp_family *family)
{
    char name[64];
    const char *title = title_of(family->name);
    snprintf(name, sizeof name, "%sName", title);
    json_t *names = json_object_get(schema_of(name), "enum");
    assert_int_equal(json_array_size(names), family->member_count);
    json_t *kinds = json_object_get(schema_of(title), "oneOf");
    assert_true(json_array_size(kinds) >= family->member_count);
    for (size_t member = 0; member < family->member_count; member++) {
        assert_string_equal(json_string_value(json_array_get(names, member)),
                            family->members[member]->name);
        check_member(title, family->members[member]);
    }
}

/* Each member is a property, and is written as its first hyperparameter. */
static void check_regularizers(void)
{
    json_t *properties = json_object_get(schema_of("Regularization"), "properties");
    assert_int_equal(json_object_size(properties), bp_regularizer_family.member_count);
    for (size_t index = 0; index < bp_regularizer_family.member_count; index++) {
        const bp_member *member = bp_regularizer_family.members[index];
        const bp_hyperparameter *number = &member->parameters[0];
        json_t *schema = json_object_get(properties, member->name);
        const char *description = json_string_value(json_object_get(schema, "description"));
        assert_int_equal(member->parameter_count, 1);
        assert_non_null(strstr(description, member->summary));
        assert_non_null(strstr(description, number->meaning));
        check_bound(schema, "minimum", "exclusiveMinimum", number->minimum,
                    number->exclusive_minimum);
        check_bound(schema, "maximum", "exclusiveMaximum", number->maximum,
                    number->exclusive_maximum);
    }
}

/* The one member's hyperparameters are the properties. */
static void check_stopping(void)
{
    const bp_member *member = bp_stopping_family.members[0];
    json_t *properties = json_object_get(schema_of("EarlyStopping"), "properties");
    assert_int_equal(json_object_size(properties), member->parameter_count);
    for (size_t index = 0; index < member->parameter_count; index++)
        check_parameter(json_object_get(properties, member->parameters[index].name),
                        &member->parameters[index]);
}

static void test_enums_equal_families(void **state)
{
    (void)state;
    const bp_family *family;
    size_t checked = 0;
    for (size_t index = 0; (family = bp_catalog_family(index)); index++) {
        if (family == &bp_regularizer_family) {
            check_regularizers();
        } else if (family == &bp_stopping_family) {
            check_stopping();
        } else {
            check_family(family);
            checked++;
        }
    }
    assert_int_equal(sizeof family_titles / sizeof *family_titles, checked);
}

static void test_catalog(void **state)
{
    (void)state;
    json_t *catalog = bp_catalog_json();
    json_t *families = json_object_get(catalog, "families");
    size_t index, inner;
    json_t *family, *member;
    bool momentum = false;
    json_array_foreach(families, index, family)
    {
        json_array_foreach(json_object_get(family, "members"), inner, member)
        {
            assert_true(json_string_length(json_object_get(member, "summary")) > 0);
            assert_true(json_string_length(json_object_get(member, "formula")) > 0);
            assert_true(json_string_length(json_object_get(member, "reference")) > 0);
            assert_true(json_string_length(json_object_get(member, "pytorch")) > 0);
            if (strcmp(json_string_value(json_object_get(member, "name")), "momentum") != 0)
                continue;
            momentum = true;
            json_t *rate = json_array_get(json_object_get(member, "hyperparameters"), 0);
            assert_string_equal(json_string_value(json_object_get(rate, "kind")), "real");
            assert_true(json_is_true(json_object_get(rate, "exclusive_minimum")));
            assert_null(json_object_get(rate, "maximum")); /* no bound */
        }
    }
    assert_true(momentum);
    json_decref(catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references_lead_somewhere),
        cmocka_unit_test(test_operations_have_examples),
        cmocka_unit_test(test_enums_equal_families),
        cmocka_unit_test(test_catalog),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
