#include "schema/job/job_request.h"

#include <string.h>

#include "schema/json/json_text.h"
#include "schema/json/reader.h"

typedef struct check_draft {
    bp_given_real epsilon;
    bp_given_count max_elements, method;
} check_draft;

typedef struct backpropagate_draft {
    bp_given_text model;
    bp_given_count version;
    bp_given_json rows, text, sentences, tags, windows, corrupted;
} backpropagate_draft;

static const char *const methods[] = {"central", "forward", NULL}; /* by bp_difference */
static const bp_word_list method_list = {methods};
static const bp_real_range epsilons = {0, 1, true, false};
static const bp_count_range from_one = {1, BP_JSON_INTEGER_MAXIMUM};

static const bp_field check_fields[] = {
    {"epsilon", bp_read_real, offsetof(check_draft, epsilon), &epsilons, false},
    {"max_elements", bp_read_count, offsetof(check_draft, max_elements), &from_one, false},
    {"method", bp_read_word, offsetof(check_draft, method), &method_list, false},
};

static const bp_field backpropagate_fields[] = {
    {"rows", bp_read_json, offsetof(backpropagate_draft, rows), NULL, false},
    {"text", bp_read_json, offsetof(backpropagate_draft, text), NULL, false},
    {"sentences", bp_read_json, offsetof(backpropagate_draft, sentences), NULL, false},
    {"tags", bp_read_json, offsetof(backpropagate_draft, tags), NULL, false},
    {"windows", bp_read_json, offsetof(backpropagate_draft, windows), NULL, false},
    {"corrupted", bp_read_json, offsetof(backpropagate_draft, corrupted), NULL, false},
    {"model", bp_read_name, offsetof(backpropagate_draft, model), NULL, false},
    {"version", bp_read_count, offsetof(backpropagate_draft, version), &from_one, false},
};

/* Reads the members of body that have a field, and gives back a copy without them. NULL: no memory. */
static json_t *split(bp_faults *faults, const json_t *body, const bp_field *fields, size_t count,
                     void *base)
{
    bp_reader reader = {faults};
    const bp_place root = {0};
    json_t *rest = json_copy(bp_json_mutable(body));
    faults->out_of_memory |= !rest;
    for (size_t index = 0; rest && index < count; index++) {
        const json_t *value = json_object_get(body, fields[index].name);
        const bp_place place = bp_place_member(&root, fields[index].name);
        if (!value)
            continue;
        fields[index].read(&reader, &place, value, (char *)base + fields[index].offset,
                           fields[index].detail);
        json_object_del(rest, fields[index].name);
    }
    return rest;
}

void bp_check_request_read(bp_check_request *out, json_t **out_job, bp_faults *faults,
                           const json_t *body)
{
    check_draft draft = {0};
    *out_job =
        split(faults, body, check_fields, sizeof check_fields / sizeof *check_fields, &draft);
    *out = (bp_check_request){.difference = draft.method.given ? (bp_difference)draft.method.value
                                                               : BP_DIFFERENCE_CENTRAL,
                              .epsilon = draft.epsilon.given ? draft.epsilon.value : 1e-5,
                              .max_elements = draft.max_elements.given
                                                  ? (size_t)draft.max_elements.value
                                                  : BP_CHECK_MAX_ELEMENTS};
}

const char *bp_difference_name(bp_difference difference)
{
    return difference == BP_DIFFERENCE_FOURTH_ORDER ? "fourth_order" : methods[difference];
}

void bp_backpropagate_request_read(bp_backpropagate_request *out, bp_faults *faults,
                                   const json_t *body)
{
    backpropagate_draft draft = {0};
    *out = (bp_backpropagate_request){0};
    if (!json_is_object(body)) {
        bp_faults_add(faults, BP_INVALID, "", "must be an object, got %s", bp_json_kind(body));
        return;
    }
    json_t *rest = split(faults, body, backpropagate_fields,
                         sizeof backpropagate_fields / sizeof *backpropagate_fields, &draft);
    if (!rest)
        return;
    const json_t *rows = draft.rows.value;
    const size_t count = json_array_size(rows);
    out->text = draft.text.value;
    out->sentences = draft.sentences.value;
    out->tags = draft.tags.value;
    out->windows = draft.windows.value;
    out->corrupted = draft.corrupted.value;
    const bool tokens = out->text || out->sentences || out->windows;
    if (!rows && !tokens)
        bp_faults_add(faults, BP_INVALID, "/rows",
                      "is required; of a language model \"text\", of a tagger \"sentences\" and "
                      "\"tags\", under max_margin \"windows\" and \"corrupted\"");
    else if (!rows)
        ;
    else if (!json_is_array(rows))
        bp_faults_add(faults, BP_INVALID, "/rows", "must be an array of rows, got %s",
                      bp_json_kind(rows));
    else if (count == 0 || count > BP_BACKPROPAGATE_ROW_LIMIT)
        bp_faults_add(faults, count ? BP_TOO_LARGE : BP_INVALID, "/rows",
                      "must be 1 to %d rows, got %zu", BP_BACKPROPAGATE_ROW_LIMIT, count);
    else
        out->rows = rows;
    const bool has_model = json_object_get(body, "model") != NULL;
    if (!has_model) {
        if (json_object_get(body, "version"))
            bp_faults_add(faults, BP_INVALID, "/version", "belongs to \"model\"");
        out->job = rest;
        return;
    }
    if (json_object_size(rest) > 0)
        bp_faults_add(
            faults, BP_INVALID, "/model",
            "must be alone with \"version\" and what is to be shown, such as \"rows\", or "
            "else the body must be a job specification with that");
    json_decref(rest);
    out->model = draft.model.value;
    out->version = draft.version.given ? (uint64_t)draft.version.value : 0;
}
