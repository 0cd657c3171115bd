/* What a tagger answers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/evaluation/entity_score.h"
#include "core/loss/loss.h"
#include "schema/model/language_answer.h"
#include "schema/model/sentence_rows.h"

bool bp_tagger_has_tags(const bp_model_info *info)
{
    return !bp_loss_of(info->loss.member)->paired;
}

/* Outputs of a row: one for each tag, or a score. */
static size_t output_count(const bp_model_info *info)
{
    return bp_tagger_has_tags(info) ? info->classes.count : 1;
}

void bp_tag_answer_check(bp_faults *faults, const bp_model_info *info, const bp_sentence_rows *rows,
                         const void *shown)
{
    const size_t width = output_count(info);
    for (size_t sentence = 0; sentence < rows->sentence_count; sentence++)
        for (size_t row = rows->first[sentence]; row < rows->first[sentence + 1]; row++) {
            size_t index = 0;
            while (index < width && isfinite(bp_dtype_get(info->dtype, shown, row * width + index)))
                index++;
            if (index == width)
                continue;
            char pointer[64];
            snprintf(pointer, sizeof pointer, "/sentences/%zu/%zu", sentence,
                     row - rows->first[sentence]);
            bp_faults_add(faults, BP_NOT_FINITE, pointer,
                          "the model's answer is not finite: its training has diverged");
        }
}

typedef struct tag_writer {
    bp_json_writer *out;
    const bp_model_info *info;
    const bp_sentence_rows *rows;
    const void *shown;
    bool probabilities;
    const bp_tag_samples *samples;
    size_t width;
    int32_t *decided;          /* (rows) */
    bp_entity_tag *entity_tag; /* (tags); NULL: the tags are no entities' */
    const char **type_name;    /* (tags) */
} tag_writer;

static double number_at(const tag_writer *self, size_t row, size_t index)
{
    return bp_dtype_get(self->info->dtype, self->shown, row * self->width + index);
}

static void put_key(tag_writer *self, const char *key)
{
    bp_json_put_literal(self->out, ",\"");
    bp_json_put_literal(self->out, key);
    bp_json_put_literal(self->out, "\":");
}

static void put_text(tag_writer *self, const char *text)
{
    bp_json_put_string(self->out, text, strlen(text));
}

static void put_json_text(tag_writer *self, const json_t *text)
{
    bp_json_put_string(self->out, json_string_value(text), json_string_length(text));
}

/* numbers (rows, width) of float64 */
static void put_numbers(tag_writer *self, const char *key, const double *numbers, size_t row)
{
    put_key(self, key);
    if (!bp_tagger_has_tags(self->info)) {
        bp_json_put_real(self->out, numbers[row]);
        return;
    }
    for (size_t index = 0; index < self->width; index++) {
        bp_json_put_literal(self->out, index == 0 ? "[" : ",");
        bp_json_put_real(self->out, numbers[row * self->width + index]);
    }
    bp_json_put_literal(self->out, "]");
}

static void put_samples(tag_writer *self, size_t row)
{
    const double entropy = self->samples->entropy[row];
    put_numbers(self, "mean", self->samples->mean, row);
    put_numbers(self, "std", self->samples->deviation, row);
    put_key(self, "entropy");
    if (isnan(entropy))
        bp_json_put_literal(self->out, "null");
    else
        bp_json_put_real(self->out, entropy);
}

static void put_token(tag_writer *self, const json_t *token, size_t row)
{
    const bp_model_info *info = self->info;
    const size_t best = (size_t)self->decided[row];
    bp_json_put_literal(self->out, "{\"token\":");
    put_json_text(self, token);
    if (bp_tagger_has_tags(info)) {
        put_key(self, "tag");
        put_text(self, info->classes.texts[best]);
    }
    put_key(self, "score");
    bp_json_put_real(self->out, number_at(self, row, best));
    if (self->probabilities && bp_tagger_has_tags(info)) {
        put_key(self, bp_shown_name(bp_loss_of(info->loss.member)->shown));
        for (size_t index = 0; index < self->width; index++) {
            bp_json_put_literal(self->out, index == 0 ? "[" : ",");
            bp_json_put_real(self->out, number_at(self, row, index));
        }
        bp_json_put_literal(self->out, "]");
    }
    if (self->samples)
        put_samples(self, row);
    bp_json_put_literal(self->out, "}");
}

static void put_entity(tag_writer *self, const json_t *sentence, const bp_entity *entity)
{
    bp_json_put_literal(self->out, "{\"start\":");
    bp_json_put_integer(self->out, (int64_t)entity->begin);
    put_key(self, "end");
    bp_json_put_integer(self->out, (int64_t)entity->end);
    put_key(self, "type");
    put_text(self, self->type_name[entity->type]);
    put_key(self, "text");
    bp_json_writer text = {0};
    for (size_t at = entity->begin; at < entity->end; at++) {
        const json_t *token = json_array_get(sentence, at);
        bp_json_put_literal(&text, at > entity->begin ? " " : "");
        bp_json_put(&text, json_string_value(token), json_string_length(token));
    }
    self->out->failed |= text.failed;
    bp_json_put_string(self->out, text.bytes, text.failed ? 0 : text.length);
    free(text.bytes);
    bp_json_put_literal(self->out, "}");
}

static void put_sentence(tag_writer *self, size_t index)
{
    const json_t *sentence = json_array_get(self->rows->sentences, index);
    const size_t first = self->rows->first[index], length = self->rows->first[index + 1] - first;
    bp_json_put_literal(self->out, "{\"tokens\":[");
    for (size_t at = 0; at < length; at++) {
        bp_json_put_literal(self->out, at > 0 ? "," : "");
        put_token(self, json_array_get(sentence, at), first + at);
    }
    bp_json_put_literal(self->out, "]");
    if (self->entity_tag) {
        const int32_t *decided = self->decided + first;
        bp_entity entity = {.end = 0};
        put_key(self, "entities");
        bp_json_put_literal(self->out, "[");
        for (size_t count = 0;
             bp_entity_next(&entity, self->entity_tag, decided, length, entity.end); count++) {
            bp_json_put_literal(self->out, count > 0 ? "," : "");
            put_entity(self, sentence, &entity);
        }
        bp_json_put_literal(self->out, "]");
    }
    bp_json_put_literal(self->out, "}");
}

/* The largest number of each row, the first among equals. */
static void decide(tag_writer *self)
{
    for (size_t row = 0; row < self->rows->windows.row_count; row++) {
        size_t best = 0;
        for (size_t index = 1; index < self->width; index++)
            if (number_at(self, row, index) > number_at(self, row, best))
                best = index;
        self->decided[row] = (int32_t)best;
    }
}

/* False: no memory. */
static bool begin(tag_writer *self)
{
    const bp_model_info *info = self->info;
    const size_t rows = self->rows->windows.row_count, tags = info->classes.count;
    self->decided = calloc(rows > 0 ? rows : 1, sizeof *self->decided);
    if (!self->decided)
        return false;
    decide(self);
    if (!bp_tagger_has_tags(info))
        return true;
    self->entity_tag = calloc(tags + 1, sizeof *self->entity_tag);
    self->type_name = calloc(tags + 1, sizeof *self->type_name);
    if (!self->entity_tag || !self->type_name)
        return false;
    size_t type_count;
    if (!bp_entity_tags_parse(self->entity_tag, self->type_name, &type_count,
                              (const char *const *)info->classes.texts, tags)) {
        free(self->entity_tag);
        self->entity_tag = NULL;
    }
    return true;
}

void bp_tag_answer_write(bp_json_writer *out, const bp_model_info *info,
                         const bp_sentence_rows *rows, const void *shown, bool probabilities,
                         const bp_tag_samples *samples)
{
    tag_writer self = {.out = out,
                       .info = info,
                       .rows = rows,
                       .shown = shown,
                       .probabilities = probabilities,
                       .samples = samples,
                       .width = output_count(info)};
    if (!begin(&self))
        out->failed = true;
    bp_language_answer_begin(out, info);
    if (bp_tagger_has_tags(info)) {
        put_key(&self, "tags");
        for (size_t tag = 0; tag < info->classes.count; tag++) {
            bp_json_put_literal(out, tag == 0 ? "[" : ",");
            put_text(&self, info->classes.texts[tag]);
        }
        bp_json_put_literal(out, "]");
    }
    put_key(&self, "predictions");
    bp_json_put_literal(out, "[");
    for (size_t index = 0; index < rows->sentence_count && !out->failed; index++) {
        bp_json_put_literal(out, index > 0 ? "," : "");
        put_sentence(&self, index);
    }
    bp_json_put_literal(out, "]}");
    free(self.decided);
    free(self.entity_tag);
    free(self.type_name);
}
