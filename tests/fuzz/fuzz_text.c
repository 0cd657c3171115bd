/* Words, vocabularies and ids of texts: whatever the bytes and however they are cut, the same outcome,
 * and every id stands for the text that it was made of. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "schema/language/token_encoder.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* The bytes that are UTF-8: what texts are made of once they are stored. */
static char *text_of(const unsigned char *data, size_t size, size_t *out_length)
{
    char *text = malloc(size + 1);
    size_t length = 0, begin = 0;
    bp_utf8 utf8 = {0};
    require(text != NULL);
    for (size_t i = 0; i < size; i++) {
        const bp_utf8_step step = bp_utf8_take(&utf8, data[i]);
        text[length++] = (char)data[i];
        if (step == BP_UTF8_BAD) {
            length = begin;
            utf8 = (bp_utf8){0};
        }
        if (step == BP_UTF8_CHARACTER)
            begin = length;
    }
    *out_length = begin;
    return text;
}

static bp_status build(bp_vocabulary **out, const bp_vocabulary_rule *rule, uint64_t limit,
                       const char *text, size_t length, size_t chunk)
{
    bp_vocabulary_builder *builder;
    bool full = false;
    bp_status status = bp_vocabulary_builder_create(&builder, rule, limit, length, NULL);
    require(status == BP_OK);
    for (size_t at = 0; at < length && status == BP_OK && !full; at += chunk)
        status = bp_vocabulary_builder_feed(builder, text + at,
                                            length - at < chunk ? length - at : chunk, &full, NULL);
    if (status == BP_OK)
        status = bp_vocabulary_builder_finish(builder, out, NULL);
    bp_vocabulary_builder_free(builder);
    return status;
}

static void check(const bp_vocabulary_rule *rule, uint64_t limit, const char *text, size_t length)
{
    bp_vocabulary *whole = NULL, *pieces = NULL;
    const bp_status status = build(&whole, rule, limit, text, length, length ? length : 1);
    require(status == build(&pieces, rule, limit, text, length, 1 + length % 7));
    if (status != BP_OK)
        return;
    require(bp_vocabulary_count(whole) == bp_vocabulary_count(pieces));
    require(!rule->max_count || bp_vocabulary_count(whole) <= rule->max_count ||
            bp_vocabulary_count(whole) == 1u + rule->padded);
    for (size_t id = 0; id < bp_vocabulary_count(whole); id++) {
        size_t a_length, b_length;
        const char *a = bp_vocabulary_text(whole, (int32_t)id, &a_length);
        const char *b = bp_vocabulary_text(pieces, (int32_t)id, &b_length);
        require(a_length == b_length && memcmp(a, b, a_length) == 0);
    }
    int32_t *ids = NULL;
    size_t count = 0;
    if (bp_tokens_encode(&ids, &count, whole, text, length, NULL) == BP_OK) {
        char *again;
        size_t again_length;
        for (size_t i = 0; i < count; i++)
            require(ids[i] >= 0 && (size_t)ids[i] < bp_vocabulary_count(whole));
        require(bp_vocabulary_decode(&again, &again_length, whole, ids, count, NULL) == BP_OK);
        if (rule->unit == BP_UNIT_CHARACTER)
            require(again_length == length && memcmp(again, text, length) == 0);
        free(again);
    } else {
        require(rule->unit == BP_UNIT_CHARACTER && limit != UINT64_MAX);
    }
    free(ids);
    bp_vocabulary_free(whole);
    bp_vocabulary_free(pieces);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const bp_vocabulary_rule rules[] = {
        {.unit = BP_UNIT_CHARACTER, .min_count = 1},
        {.unit = BP_UNIT_WORD, .min_count = 1},
        {.unit = BP_UNIT_WORD, .min_count = 1, .lowercase = true, .padded = true},
        {.unit = BP_UNIT_WORD, .min_count = 2, .max_count = 5},
    };
    size_t length;
    char *text = text_of(data, size, &length);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        check(&rules[i], UINT64_MAX, text, length);
        check(&rules[i], 3, text, length);
    }
    free(text);
    return 0;
}
