#include "schema/model/language_answer.h"

#include <stdlib.h>
#include <string.h>

#include "schema/model/corpus_evaluation.h"

static void put_key(bp_json_writer *out, const char *key)
{
    bp_json_put_literal(out, ",\"");
    bp_json_put_literal(out, key);
    bp_json_put_literal(out, "\":");
}

void bp_language_answer_begin(bp_json_writer *out, const bp_model_info *info)
{
    bp_json_put_literal(out, "{\"model\":");
    if (!info->checkpoint) {
        bp_json_put_string(out, info->name, strlen(info->name));
        put_key(out, "version");
        bp_json_put_integer(out, (int64_t)info->version);
        return;
    }
    bp_json_put_literal(out, "null,\"version\":null");
    put_key(out, "job");
    bp_json_put_integer(out, info->job);
    put_key(out, "checkpoint");
    bp_json_put_integer(out, (int64_t)info->checkpoint);
}

/* A token as it stands in a text: words after the first have a space before them. */
static void put_token(bp_json_writer *text, const bp_vocabulary *vocabulary, size_t index,
                      int32_t id)
{
    size_t length;
    const char *token = bp_vocabulary_text(vocabulary, id, &length);
    if (index > 0 && bp_vocabulary_unit(vocabulary) == BP_UNIT_WORD)
        bp_json_put(text, " ", 1);
    bp_json_put(text, token, length);
}

/* Puts what has been gathered as a string, and frees it. */
static void put_gathered(bp_json_writer *out, bp_json_writer *text)
{
    out->failed |= text->failed;
    bp_json_put_string(out, text->bytes, text->failed ? 0 : text->length);
    free(text->bytes);
}

void bp_generate_answer_write(bp_json_writer *out, const bp_model_info *info,
                              const bp_generate_request *request, const int32_t *ids, size_t count)
{
    bp_json_writer text = {0};
    for (size_t index = 0; index < count; index++)
        put_token(&text, info->vocabulary, index, ids[index]);
    bp_language_answer_begin(out, info);
    put_key(out, "prompt");
    bp_json_put_string(out, request->prompt, request->prompt_length);
    put_key(out, "text");
    put_gathered(out, &text);
    put_key(out, "tokens");
    bp_json_put_integer(out, (int64_t)count);
    bp_json_put_literal(out, "}");
}

void bp_token_event_write(bp_json_writer *out, const bp_model_info *info, size_t index, int32_t id)
{
    bp_json_writer text = {0};
    put_token(&text, info->vocabulary, index, id);
    bp_json_put_literal(out, "event: token\ndata: {\"index\":");
    bp_json_put_integer(out, (int64_t)index);
    put_key(out, "text");
    put_gathered(out, &text);
    bp_json_put_literal(out, "}\n\n");
}

void bp_generate_end_event_write(bp_json_writer *out, const bp_model_info *info,
                                 const bp_generate_request *request, const int32_t *ids,
                                 size_t count)
{
    bp_json_put_literal(out, "event: end\ndata: ");
    bp_generate_answer_write(out, info, request, ids, count);
    bp_json_put_literal(out, "\n\n");
}

void bp_generate_error_event_write(bp_json_writer *out, const char *detail)
{
    bp_json_put_literal(out, "event: error\ndata: {\"detail\":");
    bp_json_put_string(out, detail, strlen(detail));
    bp_json_put_literal(out, "}\n\n");
}

static void put_scores(bp_json_writer *out, const bp_vocabulary *vocabulary,
                       const bp_text_score *score)
{
    put_key(out, "scores");
    bp_json_put_literal(out, "[");
    for (size_t index = 0; index < score->count; index++) {
        size_t length;
        const char *token = bp_vocabulary_text(vocabulary, score->ids[index], &length);
        bp_json_put_literal(out, index > 0 ? ",{\"token\":" : "{\"token\":");
        bp_json_put_string(out, token, length);
        put_key(out, "log_probability");
        bp_json_put_real(out, score->log_probability[index]);
        bp_json_put_literal(out, "}");
    }
    bp_json_put_literal(out, "]");
}

void bp_score_answer_write(bp_json_writer *out, const bp_model_info *info,
                           const bp_text_score *score)
{
    const bool words = bp_vocabulary_unit(info->vocabulary) == BP_UNIT_WORD;
    bp_language_answer_begin(out, info);
    put_key(out, "tokens");
    bp_json_put_integer(out, (int64_t)score->count);
    if (words) {
        put_key(out, "unknown");
        bp_json_put_integer(out, (int64_t)score->unknown_count);
    }
    put_key(out, "loss");
    bp_json_put_real(out, score->loss);
    put_key(out, "perplexity");
    bp_json_put_real(out, bp_perplexity(score->loss));
    if (!words) {
        put_key(out, "bits_per_character");
        bp_json_put_real(out, bp_bits_per_token(score->loss));
    }
    if (score->ids)
        put_scores(out, info->vocabulary, score);
    bp_json_put_literal(out, "}");
}
