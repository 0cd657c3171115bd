#include "schema/model/sentence_rows.h"

#include <stdlib.h>

#include "schema/json/reader.h"

typedef struct sentence_reader {
    bp_reader reader;
    const bp_vocabulary *vocabulary;
    size_t token_limit;
    bp_sentence_rows *out;
} sentence_reader;

/* Tokens of a sentence, each of which is judged. */
static size_t count_tokens(sentence_reader *self, const bp_place *place, const json_t *sentence)
{
    if (!json_is_array(sentence)) {
        bp_reader_fault_kind(&self->reader, place, "a sentence: an array of tokens", sentence);
        return 0;
    }
    const size_t count = json_array_size(sentence);
    for (size_t index = 0; index < count; index++) {
        const json_t *token = json_array_get(sentence, index);
        const bp_place at = bp_place_element(place, index);
        if (!json_is_string(token))
            bp_reader_fault_kind(&self->reader, &at, "a string", token);
        else if (json_string_length(token) == 0)
            bp_reader_fault(&self->reader, &at, BP_INVALID, "a token must not be empty");
    }
    return count;
}

static bp_status count_rows(sentence_reader *self, const bp_place *place)
{
    bp_sentence_rows *out = self->out;
    for (size_t index = 0; index < out->sentence_count; index++) {
        const bp_place at = bp_place_element(place, index);
        out->first[index + 1] =
            out->first[index] + count_tokens(self, &at, json_array_get(out->sentences, index));
    }
    out->windows.row_count = out->first[out->sentence_count];
    if (out->windows.row_count > self->token_limit)
        bp_reader_fault(&self->reader, place, BP_TOO_LARGE, "must be at most %zu tokens, got %zu",
                        self->token_limit, out->windows.row_count);
    const bp_faults *faults = self->reader.faults;
    if (!bp_faults_any(faults))
        return BP_OK;
    return faults->count > 0 ? faults->items[0].status : BP_NO_MEMORY;
}

static void look_up(int32_t *token, const sentence_reader *self)
{
    const bp_sentence_rows *out = self->out;
    for (size_t index = 0; index < out->sentence_count; index++) {
        const json_t *sentence = json_array_get(out->sentences, index);
        for (size_t at = 0; at < json_array_size(sentence); at++) {
            const json_t *text = json_array_get(sentence, at);
            *token++ = bp_vocabulary_word(self->vocabulary, json_string_value(text),
                                          json_string_length(text));
        }
    }
}

/* Lengths of those that have tokens: others have no rows. Returns their number. */
static size_t measure_sentences(size_t *length, const bp_sentence_rows *rows)
{
    size_t count = 0;
    for (size_t index = 0; index < rows->sentence_count; index++)
        if (rows->first[index + 1] > rows->first[index])
            length[count++] = rows->first[index + 1] - rows->first[index];
    return count;
}

static bp_status lay_out(sentence_reader *self, const bp_model_info *info)
{
    bp_sentence_rows *out = self->out;
    const size_t rows = out->windows.row_count, room = rows > 0 ? rows : 1;
    size_t *length = calloc(out->sentence_count + 1, sizeof *length);
    int32_t *token = calloc(room, sizeof *token);
    out->place = calloc(room, sizeof *out->place);
    const size_t count = length ? measure_sentences(length, out) : 0;
    size_t id_count = 0;
    bp_status status = BP_NO_MEMORY;
    if (length && token && out->place &&
        bp_token_windows_id_count(&id_count, rows, count, info->window_width))
        out->ids = calloc(id_count + 1, sizeof *out->ids);
    if (out->ids) {
        look_up(token, self);
        bp_token_windows_lay_out(out->ids, out->place, token, length, count, info->window_width,
                                 bp_vocabulary_padding(self->vocabulary));
        out->windows.width = info->window_width;
        out->windows.ids = out->ids;
        out->windows.place = out->place;
        status = BP_OK;
    }
    free(length);
    free(token);
    return status;
}

bp_status bp_sentence_rows_parse(bp_sentence_rows *out, bp_faults *faults,
                                 const bp_model_info *info, const json_t *sentences,
                                 size_t token_limit)
{
    bp_sentence_rows rows = {.sentences = sentences, .sentence_count = json_array_size(sentences)};
    sentence_reader self = {{faults}, info->vocabulary, token_limit, &rows};
    const bp_place root = {0}, place = bp_place_member(&root, "sentences");
    if (!json_is_array(sentences)) {
        bp_reader_fault_kind(&self.reader, &place, "an array of sentences", sentences);
        return BP_INVALID;
    }
    if (rows.sentence_count > token_limit) {
        bp_reader_fault(&self.reader, &place, BP_TOO_LARGE,
                        "must be at most %zu sentences, got %zu", token_limit, rows.sentence_count);
        return BP_TOO_LARGE;
    }
    rows.first = calloc(rows.sentence_count + 1, sizeof *rows.first);
    bp_status status = rows.first ? count_rows(&self, &place) : BP_NO_MEMORY;
    if (status == BP_OK)
        status = lay_out(&self, info);
    if (status == BP_NO_MEMORY)
        faults->out_of_memory = true;
    if (status == BP_OK)
        *out = rows;
    else
        bp_sentence_rows_done(&rows);
    return status;
}

void bp_sentence_rows_done(bp_sentence_rows *rows)
{
    free(rows->first);
    free(rows->ids);
    free(rows->place);
    *rows = (bp_sentence_rows){0};
}
