#include "schema/model/example_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "core/loss/loss.h"
#include "schema/job/labels.h"
#include "schema/json/json_text.h"
#include "schema/json/reader.h"
#include "schema/language/token_encoder.h"
#include "schema/model/sentence_rows.h"

static bool is_paired(const bp_model_info *info)
{
    return bp_loss_of(info->loss.member)->paired;
}

bool bp_example_members_check(bp_faults *faults, const bp_model_info *info,
                              const bp_backpropagate_request *request)
{
    const bool text = info->task == BP_TASK_LANGUAGE_MODEL, tagging = info->task == BP_TASK_TAGGING;
    const bool pairs = tagging && is_paired(info);
    const struct {
        const char *pointer;
        const json_t *given;
        bool wanted;
        const char *owner;
    } members[] = {
        {"/rows", request->rows, !text && !tagging, "networks over tables"},
        {"/text", request->text, text, "language models"},
        {"/sentences", request->sentences, tagging && !pairs, "taggers"},
        {"/tags", request->tags, tagging && !pairs, "taggers"},
        {"/windows", request->windows, pairs, "networks under max_margin"},
        {"/corrupted", request->corrupted, pairs, "networks under max_margin"},
    };
    bool ok = true;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if ((members[i].given != NULL) == members[i].wanted)
            continue;
        ok = false;
        if (members[i].wanted)
            bp_faults_add(faults, BP_INVALID, members[i].pointer, "is required of %s",
                          members[i].owner);
        else
            bp_faults_add(faults, BP_INVALID, members[i].pointer, "belongs to %s",
                          members[i].owner);
    }
    return ok;
}

static bp_status no_memory(bp_faults *faults)
{
    faults->out_of_memory = true;
    return BP_NO_MEMORY;
}

static bp_status faulty(bp_faults *faults, const char *pointer, const char *message)
{
    bp_faults_add(faults, BP_INVALID, pointer, "%s", message);
    return BP_INVALID;
}

/* ---- a text ---- */

static bp_status read_text(bp_example_tokens *out, bp_faults *faults, const bp_model_info *info,
                           const json_t *text, size_t limit)
{
    int32_t *ids = NULL;
    size_t count = 0;
    bp_error error = {0};
    if (!json_is_string(text))
        return faulty(faults, "/text", "must be a string");
    const bp_status status = bp_tokens_encode(
        &ids, &count, info->vocabulary, json_string_value(text), json_string_length(text), &error);
    if (status == BP_NO_MEMORY)
        return no_memory(faults);
    if (status != BP_OK) {
        bp_faults_add(faults, status, "/text", "%s: %s", error.where, error.message);
        return status;
    }
    if (count < 2 || count > limit + 1) {
        free(ids);
        bp_faults_add(faults, count < 2 ? BP_INVALID : BP_TOO_LARGE, "/text",
                      "must be 2 to %zu tokens, got %zu", limit + 1, count);
        return BP_INVALID;
    }
    out->rows = count - 1;
    out->streams = 1;
    out->ids = ids;
    out->label = calloc(out->rows, sizeof *out->label);
    if (!out->label)
        return no_memory(faults);
    memcpy(out->label, ids + 1, out->rows * sizeof *ids);
    return BP_OK;
}

/* ---- tagged sentences ---- */

static const char *tag_at(const void *list, size_t index)
{
    const bp_labels *tags = list;
    return index < tags->count ? tags->texts[index] : NULL;
}

/* SIZE_MAX with a fault that says which tags there are. */
static size_t read_tag(bp_reader *reader, const bp_place *place, const bp_labels *tags,
                       const json_t *given)
{
    const char *text = json_string_value(given);
    const size_t label = text ? bp_labels_find_text(tags, text) : SIZE_MAX;
    if (!text) {
        bp_reader_fault_kind(reader, place, "a tag", given);
    } else if (label == SIZE_MAX) {
        char *advice = bp_reader_advice(reader, text, tag_at, tags);
        bp_reader_fault(reader, place, BP_UNKNOWN_NAME, "unknown tag \"%.*s\"%s",
                        bp_quoted_length(text), text, advice ? advice : "");
        free(advice);
    }
    return label;
}

/* The labels of tags, which must be arrays like those of the sentences. */
static bp_status read_tags(bp_example_tokens *out, bp_faults *faults, const bp_model_info *info,
                           const bp_sentence_rows *rows, const json_t *tags)
{
    const bp_place root = {0}, all = bp_place_member(&root, "tags");
    bp_reader reader = {faults};
    bool ok = true;
    if (json_array_size(tags) != rows->sentence_count)
        return faulty(faults, "/tags", "must be an array of as many arrays as \"sentences\"");
    for (size_t i = 0; i < rows->sentence_count; i++) {
        const json_t *own = json_array_get(tags, i);
        const bp_place at = bp_place_element(&all, i);
        const size_t first = rows->first[i], length = rows->first[i + 1] - first;
        if (!json_is_array(own) || json_array_size(own) != length) {
            bp_reader_fault(&reader, &at, BP_INVALID, "must be an array of %zu tags, one a token",
                            length);
            ok = false;
            continue;
        }
        for (size_t j = 0; j < length; j++) {
            const bp_place place = bp_place_element(&at, j);
            const size_t label = read_tag(&reader, &place, &info->classes, json_array_get(own, j));
            ok = ok && label != SIZE_MAX;
            out->label[first + j] = (int32_t)label;
        }
    }
    return ok ? BP_OK : BP_INVALID;
}

static bp_status read_sentences(bp_example_tokens *out, bp_faults *faults,
                                const bp_model_info *info, const bp_backpropagate_request *request,
                                size_t limit)
{
    bp_sentence_rows rows = {0};
    bp_status status = bp_sentence_rows_parse(&rows, faults, info, request->sentences, limit);
    if (status != BP_OK)
        return status;
    const size_t count = rows.windows.row_count;
    if (count == 0)
        status = faulty(faults, "/sentences", "must have a token at least");
    out->rows = count;
    out->ids = calloc(count + 1, info->window_width * sizeof *out->ids);
    out->label = calloc(count + 1, sizeof *out->label);
    if (status == BP_OK && (!out->ids || !out->label))
        status = no_memory(faults);
    if (status == BP_OK) {
        bp_token_windows_gather(out->ids, NULL, &rows.windows, NULL, 0, count);
        status = read_tags(out, faults, info, &rows, request->tags);
    }
    bp_sentence_rows_done(&rows);
    return status;
}

/* ---- windows and wrong ones ---- */

/* count windows into ids. */
static bool read_windows(int32_t *ids, bp_faults *faults, const bp_model_info *info,
                         const char *name, const json_t *windows, size_t count)
{
    const bp_place root = {0}, all = bp_place_member(&root, name);
    bp_reader reader = {faults};
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        const json_t *window = json_array_get(windows, i);
        const bp_place at = bp_place_element(&all, i);
        bool fits = json_array_size(window) == info->window_width;
        for (size_t j = 0; fits && j < info->window_width; j++) {
            const json_t *token = json_array_get(window, j);
            fits = json_is_string(token) && json_string_length(token) > 0;
            if (fits)
                *ids++ = bp_vocabulary_word(info->vocabulary, json_string_value(token),
                                            json_string_length(token));
        }
        if (!fits)
            bp_reader_fault(&reader, &at, BP_INVALID,
                            "must be an array of %zu words, as wide as the "
                            "window is",
                            info->window_width);
        ok = ok && fits;
    }
    return ok;
}

static bp_status read_pairs(bp_example_tokens *out, bp_faults *faults, const bp_model_info *info,
                            const bp_backpropagate_request *request, size_t limit)
{
    const size_t count = json_array_size(request->windows), width = info->window_width;
    if (count == 0 || 2 * count > limit) {
        bp_faults_add(faults, count ? BP_TOO_LARGE : BP_INVALID, "/windows",
                      "must be an array of 1 to %zu windows, got %zu", limit / 2, count);
        return BP_INVALID;
    }
    if (json_array_size(request->corrupted) != count)
        return faulty(faults, "/corrupted", "must be an array of as many windows as \"windows\"");
    out->rows = 2 * count;
    out->ids = calloc(out->rows * width, sizeof *out->ids);
    if (!out->ids)
        return no_memory(faults);
    bool ok = read_windows(out->ids, faults, info, "windows", request->windows, count);
    ok = read_windows(out->ids + count * width, faults, info, "corrupted", request->corrupted,
                      count) &&
         ok;
    return ok ? BP_OK : BP_INVALID;
}

bp_status bp_example_tokens_parse(bp_example_tokens *out, bp_faults *faults,
                                  const bp_model_info *info,
                                  const bp_backpropagate_request *request, size_t limit)
{
    bp_example_tokens tokens = {0};
    bp_status status;
    if (info->task == BP_TASK_LANGUAGE_MODEL)
        status = read_text(&tokens, faults, info, request->text, limit);
    else if (is_paired(info))
        status = read_pairs(&tokens, faults, info, request, limit);
    else
        status = read_sentences(&tokens, faults, info, request, limit);
    if (status == BP_OK)
        *out = tokens;
    else
        bp_example_tokens_done(&tokens);
    return status;
}

void bp_example_tokens_done(bp_example_tokens *tokens)
{
    free(tokens->ids);
    free(tokens->label);
    *tokens = (bp_example_tokens){0};
}

json_t *bp_example_tokens_json(const bp_example_tokens *tokens, const bp_model_info *info)
{
    json_t *rows = json_array();
    bool ok = rows != NULL;
    for (size_t row = 0; ok && row < tokens->rows; row++) {
        json_t *texts = json_array();
        for (size_t i = 0; texts && ok && i < info->window_width; i++) {
            size_t length;
            const char *text = bp_vocabulary_text(
                info->vocabulary, tokens->ids[row * info->window_width + i], &length);
            ok = json_array_append_new(texts, json_stringn(text, length)) == 0;
        }
        ok = json_array_append_new(rows, texts) == 0 && ok;
    }
    return bp_json_whole(rows, ok);
}
