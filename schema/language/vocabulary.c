#include "schema/language/vocabulary.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schema/language/letters.h"
#include "schema/language/vocabulary_parts.h"

const char *const bp_token_unit_names[] = {"character", "word", NULL};

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a vocabulary");
}

size_t bp_vocabulary_count(const bp_vocabulary *vocabulary)
{
    return vocabulary->words ? bp_word_table_count(vocabulary->words) : vocabulary->character_count;
}

bp_token_unit bp_vocabulary_unit(const bp_vocabulary *vocabulary)
{
    return vocabulary->words ? BP_UNIT_WORD : BP_UNIT_CHARACTER;
}

size_t bp_vocabulary_bytes(const bp_vocabulary *vocabulary)
{
    return sizeof *vocabulary + vocabulary->character_count * sizeof *vocabulary->characters +
           (vocabulary->words ? bp_word_table_memory(vocabulary->words) : 0);
}

const char *bp_vocabulary_text(const bp_vocabulary *vocabulary, int32_t id, size_t *out_length)
{
    assert(id >= 0 && (size_t)id < bp_vocabulary_count(vocabulary));
    if (vocabulary->words)
        return bp_word_table_text(vocabulary->words, (uint32_t)id, out_length);
    const vocabulary_character *character = &vocabulary->characters[id];
    *out_length = character->length;
    return character->text;
}

int32_t bp_vocabulary_unknown(const bp_vocabulary *vocabulary)
{
    return vocabulary->words ? 0 : -1;
}

int32_t bp_vocabulary_padding(const bp_vocabulary *vocabulary)
{
    return vocabulary->padded ? 1 : -1;
}

int32_t bp_vocabulary_character(const bp_vocabulary *vocabulary, uint32_t code)
{
    assert(!vocabulary->words);
    if (code < BP_PLAIN_CHARACTERS)
        return vocabulary->plain[code];
    size_t low = 0, high = vocabulary->character_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (vocabulary->characters[middle].code == code)
            return (int32_t)middle;
        if (vocabulary->characters[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

int32_t bp_vocabulary_word(const bp_vocabulary *vocabulary, const char *word, size_t length)
{
    char folded[BP_WORD_LIMIT];
    assert(vocabulary->words);
    if (length > BP_WORD_LIMIT)
        return 0;
    if (vocabulary->lowercase) {
        length = bp_word_lowercase(folded, word, length);
        word = folded;
    }
    const uint32_t index = bp_word_table_find(vocabulary->words, word, length);
    return index == BP_WORD_NONE ? 0 : (int32_t)index;
}

bp_status bp_vocabulary_decode(char **out_text, size_t *out_length, const bp_vocabulary *vocabulary,
                               const int32_t *ids, size_t count, bp_error *error)
{
    const bool spaced = vocabulary->words != NULL;
    size_t bytes = 1, length = 0;
    for (size_t i = 0; i < count; i++) {
        (void)bp_vocabulary_text(vocabulary, ids[i], &length);
        bytes += length + spaced;
    }
    char *text = malloc(bytes), *at = text;
    if (!text)
        return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        const char *token = bp_vocabulary_text(vocabulary, ids[i], &length);
        if (spaced && i > 0)
            *at++ = ' ';
        memcpy(at, token, length);
        at += length;
    }
    *at = '\0';
    *out_text = text;
    *out_length = (size_t)(at - text);
    return BP_OK;
}

bp_vocabulary *bp_vocabulary_share(bp_vocabulary *vocabulary)
{
    if (vocabulary)
        atomic_fetch_add(&vocabulary->owner_count, 1);
    return vocabulary;
}

void bp_vocabulary_free(bp_vocabulary *vocabulary)
{
    if (!vocabulary || atomic_fetch_sub(&vocabulary->owner_count, 1) > 0)
        return;
    bp_word_table_free(vocabulary->words);
    free(vocabulary->characters);
    free(vocabulary);
}

/* ---- making one of its entries; for the builder and for documents ---- */

bp_status bp_vocabulary_of_characters(bp_vocabulary **out, const uint32_t *codes, size_t count,
                                      bp_error *error)
{
    bp_vocabulary *vocabulary = calloc(1, sizeof *vocabulary);
    if (vocabulary)
        vocabulary->characters = calloc(count ? count : 1, sizeof *vocabulary->characters);
    if (!vocabulary || !vocabulary->characters) {
        free(vocabulary);
        return no_memory(error);
    }
    for (size_t i = 0; i < BP_PLAIN_CHARACTERS; i++)
        vocabulary->plain[i] = -1;
    for (size_t i = 0; i < count; i++) {
        vocabulary_character *character = &vocabulary->characters[i];
        character->code = codes[i];
        character->length = bp_utf8_put(character->text, codes[i]);
        if (codes[i] < BP_PLAIN_CHARACTERS)
            vocabulary->plain[codes[i]] = (int32_t)i;
    }
    vocabulary->character_count = count;
    *out = vocabulary;
    return BP_OK;
}

bp_status bp_vocabulary_of_words(bp_vocabulary **out, bool lowercase, bool padded, uint64_t seed,
                                 bp_error *error)
{
    bp_vocabulary *vocabulary = calloc(1, sizeof *vocabulary);
    if (!vocabulary)
        return no_memory(error);
    vocabulary->lowercase = lowercase;
    vocabulary->padded = padded;
    bp_status status = bp_word_table_create(&vocabulary->words, seed, error);
    if (status != BP_OK) {
        free(vocabulary);
        return status;
    }
    *out = vocabulary;
    return BP_OK;
}

/* ---- documents ---- */

json_t *bp_vocabulary_json(const bp_vocabulary *vocabulary)
{
    json_t *tokens = json_array();
    for (size_t id = 0; tokens && id < bp_vocabulary_count(vocabulary); id++) {
        size_t length;
        const char *text = bp_vocabulary_text(vocabulary, (int32_t)id, &length);
        if (json_array_append_new(tokens, json_stringn(text, length)) != 0) {
            json_decref(tokens);
            return NULL;
        }
    }
    const bool words = vocabulary->words != NULL;
    return json_pack(
        "{s:s, s:b, s:o, s:o, s:o}", "unit", bp_token_unit_names[bp_vocabulary_unit(vocabulary)],
        "lowercase", vocabulary->lowercase, "unknown", words ? json_integer(0) : json_null(),
        "padding", vocabulary->padded ? json_integer(1) : json_null(), "tokens", tokens);
}

/* Code points, ascending, each alone in its text. */
static void read_characters(bp_stored *stored, bp_vocabulary **out, const json_t *tokens)
{
    const size_t count = json_array_size(tokens);
    uint32_t *codes = bp_stored_allocate(stored, count, sizeof *codes);
    for (size_t i = 0; codes && i < count; i++) {
        const json_t *token = json_array_get(tokens, i);
        const char *text = json_string_value(token);
        bp_utf8 utf8 = {0};
        size_t length = text ? json_string_length(token) : 0, at = 0;
        while (at < length && bp_utf8_take(&utf8, (unsigned char)text[at++]) == BP_UTF8_INSIDE)
            ;
        if (length == 0 || at != length || utf8.pending > 0 || (i > 0 && utf8.code <= codes[i - 1]))
            bp_stored_corrupt(stored);
        codes[i] = utf8.code;
    }
    if (stored->status == BP_OK)
        stored->status = bp_vocabulary_of_characters(out, codes, count, NULL);
    free(codes);
}

static void read_words(bp_stored *stored, bp_vocabulary **out, const json_t *tokens, bool lowercase,
                       bool padded)
{
    const size_t count = json_array_size(tokens);
    bp_vocabulary *vocabulary = NULL;
    if (stored->status != BP_OK)
        return;
    /* An address is as good as a hash needs, and nobody who chose the words knows it. */
    const uint64_t seed = (uint64_t)(uintptr_t)tokens * UINT64_C(0x9e3779b97f4a7c15);
    stored->status = bp_vocabulary_of_words(&vocabulary, lowercase, padded, seed, NULL);
    for (size_t i = 0; stored->status == BP_OK && i < count; i++) {
        const json_t *token = json_array_get(tokens, i);
        uint32_t index = 0;
        if (!json_is_string(token))
            bp_stored_corrupt(stored);
        else
            stored->status = bp_word_table_add(vocabulary->words, &index, json_string_value(token),
                                               json_string_length(token), NULL);
        if (stored->status == BP_OK && index != i)
            bp_stored_corrupt(stored); /* twice */
    }
    if (stored->status == BP_OK)
        *out = vocabulary;
    else
        bp_vocabulary_free(vocabulary);
}

bp_vocabulary *bp_vocabulary_parse(bp_stored *stored, const json_t *json)
{
    bp_vocabulary *vocabulary = NULL;
    const size_t unit = bp_stored_name(stored, bp_token_unit_names, json, "unit");
    const bool lowercase = bp_stored_bool(stored, json, "lowercase");
    const json_t *unknown = json_object_get(json, "unknown");
    const json_t *padding = json_object_get(json, "padding");
    const bool padded = json_is_integer(padding);
    const json_t *tokens = bp_stored_array(stored, json, "tokens");
    const bool words = unit == BP_UNIT_WORD;
    if (json_array_size(tokens) <= (words && padded ? 1 : 0) || (!words && (lowercase || padded)) ||
        json_is_integer(unknown) != words || json_integer_value(unknown) != 0 ||
        json_integer_value(padding) != (padded ? 1 : 0))
        bp_stored_corrupt(stored);
    if (words)
        read_words(stored, &vocabulary, tokens, lowercase, padded);
    else
        read_characters(stored, &vocabulary, tokens);
    return vocabulary;
}
