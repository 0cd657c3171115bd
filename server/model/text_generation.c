#include "server/model/text_generation.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema/language/token_encoder.h"
#include "server/model/text_place.h"

/* Streams of random numbers of one text: the draws from the model, and the one that begins a text without
 * a prompt. */
enum { DRAWN = 0, BEGUN = 1 };

struct bp_text_generation {
    bp_text_place place;
    bp_sampler_spec sampler;
    uint64_t seed;
    size_t first_id; /* that may be drawn: the unknown token comes before all others */
    size_t id_count; /* entries of the vocabulary */
    int32_t *tokens; /* the prompt, then what is written; room for all of it */
    size_t prompt_count, read_count, count, end;
    double *scratch; /* (2 · id_count), of a turn */
};

/* Puts in place what comes before a text without a prompt. */
static void begin_without_prompt(bp_text_generation *self, const bp_vocabulary *vocabulary)
{
    const int32_t line_break = bp_vocabulary_unit(vocabulary) == BP_UNIT_CHARACTER
                                   ? bp_vocabulary_character(vocabulary, '\n')
                                   : -1;
    if (line_break >= 0) {
        self->tokens[0] = line_break;
        self->prompt_count = self->count = 1;
        self->end++;
        return;
    }
    const bp_random random = bp_random_stream(self->seed, 0, BP_RANDOM_GENERATE, BEGUN);
    const size_t choices = self->id_count - self->first_id;
    const size_t number = (size_t)(bp_random_uniform(&random, 0, 0) * (double)choices);
    /* The product may be rounded up to all of them. */
    self->tokens[0] = (int32_t)(self->first_id + (number < choices ? number : choices - 1));
    self->count = 1;
}

static bp_status take_prompt(bp_text_generation *self, const bp_vocabulary *vocabulary,
                             const bp_generate_request *request, bp_error *error)
{
    int32_t *prompt = NULL;
    bp_status status = bp_tokens_encode(&prompt, &self->prompt_count, vocabulary, request->prompt,
                                        request->prompt_length, error);
    if (status != BP_OK)
        return status;
    /* One more for the line break. */
    self->tokens = calloc(self->prompt_count + request->length + 1, sizeof *self->tokens);
    if (self->tokens) {
        memcpy(self->tokens, prompt, self->prompt_count * sizeof *prompt);
        self->count = self->prompt_count;
        self->end = self->prompt_count + request->length;
        if (self->prompt_count == 0)
            begin_without_prompt(self, vocabulary);
    } else {
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a text");
    }
    free(prompt);
    return status;
}

bp_status bp_text_generation_create(bp_text_generation **out, bp_model *model,
                                    const bp_generate_request *request, bp_error *error)
{
    const bp_vocabulary *vocabulary = bp_model_info_of(model)->vocabulary;
    bp_text_generation *self = calloc(1, sizeof *self);
    if (!self)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a text");
    self->sampler = request->sampler;
    self->seed = request->seed;
    self->id_count = bp_vocabulary_count(vocabulary);
    self->first_id =
        bp_vocabulary_unknown(vocabulary) == 0 && !request->unknown && self->id_count > 1;
    bp_status status = take_prompt(self, vocabulary, request, error);
    if (status != BP_OK) {
        bp_text_generation_free(self);
        return status;
    }
    self->place.model = model;
    *out = self;
    return BP_OK;
}

/* Through the prompt but for its last token, which is read when the next one is drawn. Returns tokens
 * read. */
static size_t read_prompt(bp_text_generation *self, const bp_model_arena *used, size_t most)
{
    const size_t before = self->count - 1 - self->read_count;
    const size_t rows = before < most ? before : most;
    if (rows > 0)
        bp_network_forward(used->network, NULL, self->tokens + self->read_count, rows, false);
    self->read_count += rows;
    return rows;
}

static bool are_finite(const void *logits, bp_dtype dtype, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(bp_dtype_get(dtype, logits, i)))
            return false;
    return true;
}

static bp_status write_token(bp_text_generation *self, const bp_model_arena *used, bp_error *error)
{
    const bp_dtype dtype = bp_model_info_of(self->place.model)->dtype;
    const bp_random random = bp_random_stream(self->seed, 0, BP_RANDOM_GENERATE, DRAWN);
    const unsigned char *logits =
        bp_network_forward(used->network, NULL, self->tokens + self->read_count, 1, false);
    if (!are_finite(logits, dtype, self->id_count))
        return bp_error_set(error, BP_NOT_FINITE, NULL,
                            "the model's answer is not finite: its training has diverged");
    const int32_t drawn = bp_token_sample(
        &self->sampler, logits + self->first_id * bp_dtype_size(dtype), dtype,
        self->id_count - self->first_id, self->scratch, &random, self->count - self->prompt_count);
    self->read_count++;
    self->tokens[self->count++] = drawn + (int32_t)self->first_id;
    return BP_OK;
}

bp_status bp_text_generation_turn(bp_text_generation *self, bp_error *error)
{
    assert(!bp_text_generation_is_done(self));
    bp_model_arena used;
    bp_status status = bp_text_place_enter(&used, &self->place, error);
    if (status != BP_OK)
        return status;
    self->scratch = malloc(2 * self->id_count * sizeof *self->scratch);
    if (!self->scratch)
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a text");
    size_t left = bp_text_place_turn(&self->place);
    if (status == BP_OK)
        left -= read_prompt(self, &used, left);
    for (; left > 0 && status == BP_OK && !bp_text_generation_is_done(self); left--)
        status = write_token(self, &used, error);
    free(self->scratch);
    self->scratch = NULL;
    bp_text_place_leave(&self->place, &used);
    return status;
}

bool bp_text_generation_is_done(const bp_text_generation *self)
{
    return self->count == self->end;
}

const int32_t *bp_text_generation_tokens(const bp_text_generation *self, size_t *out_count)
{
    *out_count = self->count - self->prompt_count;
    return self->tokens + self->prompt_count;
}

const bp_model_info *bp_text_generation_model(const bp_text_generation *self)
{
    return bp_model_info_of(self->place.model);
}

void bp_text_generation_free(bp_text_generation *self)
{
    if (!self)
        return;
    bp_text_place_done(&self->place);
    free(self->tokens);
    free(self);
}
