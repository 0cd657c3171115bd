/* Bytes go into the encoder at most BP_TOKEN_BLOCK at a time, and only when all ids that it gave have been
 * read: each byte is at most one token, so what it gives at once fits one block. */
#include "server/model/text_scoring.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema/language/token_encoder.h"
#include "server/model/text_place.h"

struct bp_text_scoring {
    bp_text_place place;
    const char *text; /* what has not been fed */
    size_t text_left;
    bool fed; /* the encoder has been told of the end */
    bp_token_encoder encoder;
    size_t held, taken; /* ids of the block, and those that have been read */
    int32_t block[BP_TOKEN_BLOCK];
    int32_t last; /* the token before them; −1: none */
    size_t count, unknown_count;
    double sum; /* of −ln p */
    bool shows_tokens;
    size_t room; /* of the two arrays */
    int32_t *ids;
    double *log_probability;
};

static bp_status take_ids(void *context, const int32_t *ids, size_t count, bp_error *error)
{
    (void)error;
    bp_text_scoring *self = context;
    assert(self->held == 0 && count <= BP_TOKEN_BLOCK);
    memcpy(self->block, ids, count * sizeof *ids);
    self->held = count;
    return BP_OK;
}

bp_status bp_text_scoring_create(bp_text_scoring **out, bp_model *model,
                                 const bp_score_request *request, bp_error *error)
{
    bp_text_scoring *self = calloc(1, sizeof *self);
    if (!self)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a text");
    self->place.model = model;
    self->text = request->text;
    self->text_left = request->text_length;
    self->last = -1;
    self->shows_tokens = request->tokens;
    bp_token_encoder_begin(&self->encoder, bp_model_info_of(model)->vocabulary, take_ids, self);
    *out = self;
    return BP_OK;
}

/* The next ids of the text, if there are any left. */
static bp_status feed(bp_text_scoring *self, bp_error *error)
{
    bp_status status = BP_OK;
    self->held = self->taken = 0;
    while (status == BP_OK && self->held == 0 && !self->fed) {
        const size_t bytes = self->text_left < BP_TOKEN_BLOCK ? self->text_left : BP_TOKEN_BLOCK;
        if (bytes > 0) {
            status = bp_token_encoder_feed(&self->encoder, self->text, bytes, error);
            self->text += bytes;
            self->text_left -= bytes;
        } else {
            status = bp_token_encoder_finish(&self->encoder, error);
            self->fed = true;
        }
    }
    return status;
}

static bp_status make_room(bp_text_scoring *self, size_t rows, bp_error *error)
{
    if (!self->shows_tokens)
        return BP_OK;
    if (self->count + rows > BP_SCORED_TOKEN_LIMIT)
        return bp_error_set(error, BP_TOO_LARGE, "/tokens",
                            "the text has more than %d tokens, the most that one answer shows",
                            BP_SCORED_TOKEN_LIMIT);
    if (self->count + rows <= self->room)
        return BP_OK;
    const size_t room = 2 * self->room + rows;
    int32_t *ids = realloc(self->ids, room * sizeof *ids);
    if (ids)
        self->ids = ids;
    double *numbers = realloc(self->log_probability, room * sizeof *numbers);
    if (numbers)
        self->log_probability = numbers;
    if (!ids || !numbers)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the scores of a text");
    self->room = room;
    return BP_OK;
}

/* At most `most` of the block's tokens, each judged after the one before it. */
static bp_status read_tokens(bp_text_scoring *self, const bp_model_arena *used, size_t most,
                             bp_error *error)
{
    if (self->last < 0)
        self->last = self->block[self->taken++];
    const size_t there = self->held - self->taken, rows = there < most ? there : most;
    if (rows == 0)
        return BP_OK;
    bp_status status = make_room(self, rows, error);
    if (status != BP_OK)
        return status;
    const int32_t *target = self->block + self->taken;
    const int32_t unknown = bp_vocabulary_unknown(bp_text_scoring_model(self)->vocabulary);
    int32_t *input = used->input;
    double row_loss[BP_PREDICTION_CHUNK];
    input[0] = self->last;
    memcpy(input + 1, target, (rows - 1) * sizeof *input);
    bp_network_forward(used->network, NULL, input, rows, false);
    bp_network_loss_value(used->network, NULL, &(bp_targets){.label = target}, row_loss);
    for (size_t row = 0; row < rows; row++) {
        self->sum += row_loss[row];
        self->unknown_count += target[row] == unknown;
        if (self->shows_tokens) {
            self->ids[self->count + row] = target[row];
            self->log_probability[self->count + row] = -row_loss[row];
        }
    }
    self->last = target[rows - 1];
    self->taken += rows;
    self->count += rows;
    if (!isfinite(self->sum))
        return bp_error_set(error, BP_NOT_FINITE, NULL,
                            "the model's answer is not finite: its training has diverged");
    return BP_OK;
}

bp_status bp_text_scoring_turn(bp_text_scoring *self, bp_error *error)
{
    assert(!bp_text_scoring_is_done(self));
    bp_status status = BP_OK;
    if (self->taken == self->held)
        status = feed(self, error);
    if (status == BP_OK && self->taken < self->held) {
        bp_model_arena used;
        status = bp_text_place_enter(&used, &self->place, error);
        if (status != BP_OK)
            return status;
        status = read_tokens(self, &used, bp_text_place_turn(&self->place), error);
        bp_text_place_leave(&self->place, &used);
    }
    if (status == BP_OK && bp_text_scoring_is_done(self) && self->count == 0)
        status = bp_error_set(error, BP_INVALID, "/text",
                              "must have two tokens or more: the first one is what the second is "
                              "judged after");
    return status;
}

bool bp_text_scoring_is_done(const bp_text_scoring *self)
{
    return self->fed && self->taken == self->held;
}

bp_text_score bp_text_scoring_result(const bp_text_scoring *self)
{
    assert(bp_text_scoring_is_done(self) && self->count > 0);
    return (bp_text_score){.count = self->count,
                           .unknown_count = self->unknown_count,
                           .loss = self->sum / (double)self->count,
                           .ids = self->ids,
                           .log_probability = self->log_probability};
}

const bp_model_info *bp_text_scoring_model(const bp_text_scoring *self)
{
    return bp_model_info_of(self->place.model);
}

void bp_text_scoring_free(bp_text_scoring *self)
{
    if (!self)
        return;
    bp_text_place_done(&self->place);
    free(self->ids);
    free(self->log_probability);
    free(self);
}
