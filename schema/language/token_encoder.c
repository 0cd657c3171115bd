#include "schema/language/token_encoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bp_status flush(bp_token_encoder *encoder, bp_error *error)
{
    const size_t count = encoder->held;
    encoder->held = 0;
    return count > 0 ? encoder->ids(encoder->context, encoder->block, count, error) : BP_OK;
}

static bp_status put(bp_token_encoder *encoder, int32_t id, bp_error *error)
{
    encoder->block[encoder->held++] = id;
    return encoder->held == BP_TOKEN_BLOCK ? flush(encoder, error) : BP_OK;
}

/* A word beyond the limit is in no vocabulary. */
static bp_status take_word(void *context, const char *word, size_t length, bool cut,
                           bp_error *error)
{
    bp_token_encoder *encoder = context;
    return put(encoder,
               cut ? bp_vocabulary_unknown(encoder->vocabulary)
                   : bp_vocabulary_word(encoder->vocabulary, word, length),
               error);
}

void bp_token_encoder_begin(bp_token_encoder *out, const bp_vocabulary *vocabulary,
                            bp_token_function ids, void *context)
{
    memset(out, 0, offsetof(bp_token_encoder, block));
    out->vocabulary = vocabulary;
    out->ids = ids;
    out->context = context;
    out->splitter.word = take_word;
    out->splitter.context = out;
}

static bp_status refuse(const bp_token_encoder *encoder, uint32_t code, bp_error *error)
{
    char where[48], text[BP_UTF8_BYTES + 1], name[16];
    text[bp_utf8_put(text, code)] = '\0';
    snprintf(where, sizeof where, "character %llu",
             (unsigned long long)encoder->character_count + 1);
    snprintf(name, sizeof name, "U+%04X", (unsigned)code);
    const bool shown = code > ' ' && (code < 0x7f || code > 0x9f);
    return bp_error_set(error, BP_INVALID, where, "the character %s%s%s is not in the vocabulary",
                        shown ? text : "", shown ? ", " : "", name);
}

bp_status bp_token_encoder_feed(bp_token_encoder *encoder, const char *bytes, size_t count,
                                bp_error *error)
{
    if (bp_vocabulary_unit(encoder->vocabulary) == BP_UNIT_WORD)
        return bp_word_splitter_feed(&encoder->splitter, bytes, count, error);
    bp_status status = BP_OK;
    for (size_t i = 0; i < count && status == BP_OK; i++) {
        if (bp_utf8_take(&encoder->utf8, (unsigned char)bytes[i]) != BP_UTF8_CHARACTER)
            continue;
        const int32_t id = bp_vocabulary_character(encoder->vocabulary, encoder->utf8.code);
        status = id < 0 ? refuse(encoder, encoder->utf8.code, error) : put(encoder, id, error);
        encoder->character_count++;
    }
    return status;
}

bp_status bp_token_encoder_finish(bp_token_encoder *encoder, bp_error *error)
{
    bp_status status = BP_OK;
    if (bp_vocabulary_unit(encoder->vocabulary) == BP_UNIT_WORD)
        status = bp_word_splitter_finish(&encoder->splitter, error);
    return status == BP_OK ? flush(encoder, error) : status;
}

/* ---- whole texts ---- */

typedef struct id_list {
    int32_t *ids;
    size_t count, capacity;
} id_list;

static bp_status append(void *context, const int32_t *ids, size_t count, bp_error *error)
{
    id_list *list = context;
    if (count > list->capacity - list->count) {
        const size_t capacity = list->capacity * 2 + count;
        int32_t *grown = realloc(list->ids, capacity * sizeof *grown);
        if (!grown)
            return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the tokens of a text");
        list->ids = grown;
        list->capacity = capacity;
    }
    memcpy(list->ids + list->count, ids, count * sizeof *ids);
    list->count += count;
    return BP_OK;
}

bp_status bp_tokens_encode(int32_t **out, size_t *out_count, const bp_vocabulary *vocabulary,
                           const char *text, size_t length, bp_error *error)
{
    id_list list = {.ids = malloc(sizeof *list.ids), .capacity = 1};
    bp_token_encoder *encoder = malloc(sizeof *encoder);
    bp_status status = BP_OK;
    if (!list.ids || !encoder)
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the tokens of a text");
    if (status == BP_OK) {
        bp_token_encoder_begin(encoder, vocabulary, append, &list);
        status = bp_token_encoder_feed(encoder, text, length, error);
    }
    if (status == BP_OK)
        status = bp_token_encoder_finish(encoder, error);
    free(encoder);
    if (status != BP_OK) {
        free(list.ids);
        return status;
    }
    *out = list.ids;
    *out_count = list.count;
    return BP_OK;
}
