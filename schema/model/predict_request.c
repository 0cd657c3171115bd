#include "schema/model/predict_request.h"

#include <math.h>

#include "schema/json/json_text.h"
#include "schema/json/reader.h"
#include "schema/model/sentence_rows.h"

#define FIELD_COUNT(fields) (sizeof(fields) / sizeof *(fields))

static const bp_count_range seeds = {0, BP_JSON_INTEGER_MAXIMUM};

/* ---- predictions ---- */

typedef struct given_prediction {
    bp_given_json rows, sentences;
    bp_given_bool probabilities;
    bp_given_count mc_samples, seed;
} given_prediction;

/* What models of another kind take: known, but not here. */
static void refuse_other(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                         const void *detail)
{
    (void)value, (void)out;
    bp_reader_fault(reader, place, BP_INVALID, "%s", (const char *)detail);
}

void bp_predict_request_read(bp_predict_request *out, bp_faults *faults, const bp_model_info *info,
                             const json_t *body)
{
    static const bp_count_range samples = {0, BP_SAMPLE_LIMIT};
    static const bp_field row_fields[] = {
        {"rows", bp_read_json, offsetof(given_prediction, rows), NULL, true},
        {"mc_samples", bp_read_count, offsetof(given_prediction, mc_samples), &samples, false},
        {"seed", bp_read_count, offsetof(given_prediction, seed), &seeds, false},
        {"sentences", refuse_other, 0, "this model predicts rows; sentences are for taggers",
         false},
    };
    static const bp_field sentence_fields[] = {
        {"sentences", bp_read_json, offsetof(given_prediction, sentences), NULL, true},
        {"probabilities", bp_read_bool, offsetof(given_prediction, probabilities), NULL, false},
        {"mc_samples", bp_read_count, offsetof(given_prediction, mc_samples), &samples, false},
        {"seed", bp_read_count, offsetof(given_prediction, seed), &seeds, false},
        {"rows", refuse_other, 0, "this model tags sentences; rows are for models of columns",
         false},
    };
    const bool tags = info->task == BP_TASK_TAGGING;
    bp_reader reader = {faults};
    const bp_place root = {0};
    given_prediction given = {.seed.value = 1};
    bp_reader_object(&reader, &root, body, tags ? sentence_fields : row_fields,
                     tags ? FIELD_COUNT(sentence_fields) : FIELD_COUNT(row_fields), &given);
    if (tags && given.probabilities.value && !bp_tagger_has_tags(info)) {
        const bp_place place = bp_place_member(&root, "probabilities");
        bp_reader_fault(&reader, &place, BP_INVALID,
                        "this model scores windows; it has no tags that could have them");
    }
    *out = (bp_predict_request){.rows = given.rows.value,
                                .sentences = given.sentences.value,
                                .probabilities = given.probabilities.value,
                                .sample_count = (uint64_t)given.mc_samples.value,
                                .seed = (uint64_t)given.seed.value};
}

/* ---- texts ---- */

static void read_text(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                      const void *detail)
{
    (void)detail;
    if (json_is_string(value))
        ((bp_given_json *)out)->value = value;
    else
        bp_reader_fault_kind(reader, place, "a string", value);
}

/* A whole number, or null for what an absent one means. */
static void read_count_or_null(bp_reader *reader, const bp_place *place, const json_t *value,
                               void *out, const void *detail)
{
    if (!json_is_null(value))
        bp_read_count(reader, place, value, out, detail);
}

typedef struct given_generation {
    bp_given_json prompt;
    bp_given_count length, top_k, seed;
    bp_given_real temperature;
    bp_given_bool unknown, stream;
} given_generation;

void bp_generate_request_read(bp_generate_request *out, bp_faults *faults, const json_t *body)
{
    static const bp_count_range lengths = {1, BP_GENERATE_LIMIT};
    static const bp_count_range tops = {1, BP_JSON_INTEGER_MAXIMUM};
    static const bp_real_range temperatures = {0, INFINITY, false, false};
    static const bp_field fields[] = {
        {"prompt", read_text, offsetof(given_generation, prompt), NULL, false},
        {"length", bp_read_count, offsetof(given_generation, length), &lengths, false},
        {"temperature", bp_read_real, offsetof(given_generation, temperature), &temperatures,
         false},
        {"top_k", read_count_or_null, offsetof(given_generation, top_k), &tops, false},
        {"seed", bp_read_count, offsetof(given_generation, seed), &seeds, false},
        {"unknown", bp_read_bool, offsetof(given_generation, unknown), NULL, false},
        {"stream", bp_read_bool, offsetof(given_generation, stream), NULL, false},
    };
    bp_reader reader = {faults};
    const bp_place root = {0};
    given_generation given = {
        .length.value = BP_GENERATE_LENGTH, .temperature.value = 1, .seed.value = 1};
    bp_reader_object(&reader, &root, body, fields, FIELD_COUNT(fields), &given);
    const json_t *prompt = given.prompt.value;
    *out = (bp_generate_request){
        .prompt = prompt ? json_string_value(prompt) : "",
        .prompt_length = prompt ? json_string_length(prompt) : 0,
        .length = (uint64_t)given.length.value,
        .sampler = {.temperature = given.temperature.value, .top_count = (size_t)given.top_k.value},
        .seed = (uint64_t)given.seed.value,
        .unknown = given.unknown.value,
        .stream = given.stream.value};
}

typedef struct given_score {
    bp_given_json text;
    bp_given_bool tokens;
} given_score;

void bp_score_request_read(bp_score_request *out, bp_faults *faults, const json_t *body)
{
    static const bp_field fields[] = {
        {"text", read_text, offsetof(given_score, text), NULL, true},
        {"tokens", bp_read_bool, offsetof(given_score, tokens), NULL, false},
    };
    bp_reader reader = {faults};
    const bp_place root = {0};
    given_score given = {.tokens.value = false};
    bp_reader_object(&reader, &root, body, fields, FIELD_COUNT(fields), &given);
    *out = (bp_score_request){.text = json_string_value(given.text.value),
                              .text_length = json_string_length(given.text.value),
                              .tokens = given.tokens.value};
}
