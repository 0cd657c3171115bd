#include "schema/model/model_vocabulary.h"

#include "schema/json/json_text.h"

/* The first of the tokens. */
static bool cut_tokens(json_t *json)
{
    const json_t *tokens = json_object_get(json, "tokens");
    if (json_array_size(tokens) <= BP_SHOWN_TOKENS)
        return true;
    json_t *first = json_array();
    for (size_t id = 0; first && id < BP_SHOWN_TOKENS; id++)
        if (json_array_append(first, json_array_get(tokens, id)) != 0) {
            json_decref(first);
            return false;
        }
    return first && json_object_set_new(json, "tokens", first) == 0;
}

json_t *bp_model_vocabulary_json(const bp_model_info *info, bool full)
{
    const bp_vocabulary_rule *rule = &info->vocabulary_rule;
    json_t *json = bp_vocabulary_json(info->vocabulary);
    const bool ok =
        bp_json_add(json, "min_count", json_integer((json_int_t)rule->min_count)) &&
        bp_json_add(json, "max_vocabulary",
                    rule->max_count ? json_integer((json_int_t)rule->max_count) : json_null()) &&
        bp_json_add(json, "size",
                    json_integer((json_int_t)bp_vocabulary_count(info->vocabulary))) &&
        (full || cut_tokens(json));
    return bp_json_whole(json, ok);
}

void bp_model_vocabulary_parse(bp_stored *stored, bp_model_info *info, const json_t *json)
{
    bp_vocabulary_rule *rule = &info->vocabulary_rule;
    info->vocabulary = bp_vocabulary_parse(stored, json);
    rule->min_count = bp_stored_count(stored, json, "min_count");
    if (!json_is_null(json_object_get(json, "max_vocabulary")))
        rule->max_count = bp_stored_count(stored, json, "max_vocabulary");
    rule->lowercase = bp_stored_bool(stored, json, "lowercase");
    const bool tagging = info->task == BP_TASK_TAGGING;
    if (!info->vocabulary)
        return;
    rule->unit = bp_vocabulary_unit(info->vocabulary);
    rule->padded = bp_vocabulary_padding(info->vocabulary) >= 0;
    if (rule->padded != tagging || rule->min_count == 0)
        bp_stored_corrupt(stored);
}
