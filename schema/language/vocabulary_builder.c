/* Counting, and then: which words are kept, in which order. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schema/language/vocabulary_parts.h"

struct bp_vocabulary_builder {
    bp_vocabulary_rule rule;
    uint64_t unit_limit, unit_count;
    uint64_t seed;
    bp_word_splitter splitter; /* of a text's words */
    bp_word_table *words;      /* NULL: characters */
    bp_utf8 utf8;
    unsigned char *seen; /* (BP_CODE_POINT_COUNT / 8) a bit a code point */
};

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a vocabulary");
}

static bp_status count_word(bp_vocabulary_builder *builder, const char *word, size_t length,
                            bp_error *error)
{
    bp_status status = bp_word_table_add(builder->words, NULL, word, length, error);
    if (status == BP_OK && (bp_word_table_count(builder->words) > BP_COUNTED_WORD_LIMIT ||
                            bp_word_table_bytes(builder->words) > BP_COUNTED_BYTES_LIMIT))
        status = bp_error_set(error, BP_TOO_LARGE, NULL,
                              "the training part has more than %d different words, or more than "
                              "%d bytes of them",
                              (int)BP_COUNTED_WORD_LIMIT, (int)BP_COUNTED_BYTES_LIMIT);
    builder->unit_count++;
    return status;
}

static bp_status too_long(bp_error *error)
{
    return bp_error_set(error, BP_TOO_LARGE, NULL,
                        "a word is longer than %d bytes: is this a text of words?",
                        (int)BP_WORD_LIMIT);
}

static bp_status take_word(void *context, const char *word, size_t length, bool cut,
                           bp_error *error)
{
    bp_vocabulary_builder *builder = context;
    if (builder->unit_count >= builder->unit_limit)
        return BP_OK;
    return cut ? too_long(error) : count_word(builder, word, length, error);
}

bp_status bp_vocabulary_builder_create(bp_vocabulary_builder **out, const bp_vocabulary_rule *rule,
                                       uint64_t unit_limit, uint64_t seed, bp_error *error)
{
    assert(rule->min_count >= 1);
    assert(rule->unit == BP_UNIT_WORD ||
           (!rule->lowercase && !rule->padded && rule->min_count == 1 && rule->max_count == 0));
    bp_vocabulary_builder *builder = calloc(1, sizeof *builder);
    if (!builder)
        return no_memory(error);
    builder->rule = *rule;
    builder->unit_limit = unit_limit;
    builder->seed = seed;
    builder->splitter.lowercase = rule->lowercase;
    builder->splitter.word = take_word;
    builder->splitter.context = builder;
    bp_status status = BP_OK;
    if (rule->unit == BP_UNIT_WORD) {
        status = bp_word_table_create(&builder->words, seed, error);
    } else {
        builder->seen = calloc(BP_CODE_POINT_COUNT / 8, 1);
        if (!builder->seen)
            status = no_memory(error);
    }
    if (status != BP_OK) {
        bp_vocabulary_builder_free(builder);
        return status;
    }
    *out = builder;
    return BP_OK;
}

void bp_vocabulary_builder_free(bp_vocabulary_builder *builder)
{
    if (!builder)
        return;
    bp_word_table_free(builder->words);
    free(builder->seen);
    free(builder);
}

static void take_characters(bp_vocabulary_builder *builder, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count && builder->unit_count < builder->unit_limit; i++) {
        if (bp_utf8_take(&builder->utf8, (unsigned char)bytes[i]) != BP_UTF8_CHARACTER)
            continue;
        const uint32_t code = builder->utf8.code;
        builder->seen[code / 8] |= (unsigned char)(1u << code % 8);
        builder->unit_count++;
    }
}

bp_status bp_vocabulary_builder_feed(bp_vocabulary_builder *builder, const char *bytes,
                                     size_t count, bool *out_full, bp_error *error)
{
    bp_status status = BP_OK;
    if (builder->words)
        status = bp_word_splitter_feed(&builder->splitter, bytes, count, error);
    else
        take_characters(builder, bytes, count);
    *out_full = builder->unit_count >= builder->unit_limit;
    return status;
}

bp_status bp_vocabulary_builder_word(bp_vocabulary_builder *builder, const char *word,
                                     size_t length, bp_error *error)
{
    char folded[BP_WORD_LIMIT];
    assert(builder->words);
    if (length <= BP_WORD_LIMIT && builder->rule.lowercase) {
        length = bp_word_lowercase(folded, word, length);
        word = folded;
    }
    if (length == 0 || length > BP_WORD_LIMIT)
        return too_long(error);
    return count_word(builder, word, length, error);
}

/* ---- what is kept ---- */

static int compare_words(const void *a, const void *b, void *context)
{
    const bp_word_table *words = context;
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    const uint64_t x_count = bp_word_table_occurrences(words, x);
    const uint64_t y_count = bp_word_table_occurrences(words, y);
    if (x_count != y_count)
        return x_count > y_count ? -1 : 1;
    return bp_word_table_compare(words, x, y);
}

static bool is_token(const char *word, size_t length, const char *token)
{
    return length == strlen(token) && memcmp(word, token, length) == 0;
}

/* Numbers of the words that are frequent enough and are not tokens of their own, in their order. */
static bp_status order_words(const bp_vocabulary_builder *builder, uint32_t **out,
                             size_t *out_count, bp_error *error)
{
    bp_word_table *words = builder->words;
    const size_t all = bp_word_table_count(words);
    uint32_t *order = malloc((all + 1) * sizeof *order);
    size_t count = 0;
    if (!order)
        return no_memory(error);
    for (size_t index = 0; index < all; index++) {
        size_t length;
        const char *word = bp_word_table_text(words, (uint32_t)index, &length);
        if (bp_word_table_occurrences(words, (uint32_t)index) >= builder->rule.min_count &&
            !is_token(word, length, BP_UNKNOWN_TOKEN) &&
            !(builder->rule.padded && is_token(word, length, BP_PADDING_TOKEN)))
            order[count++] = (uint32_t)index;
    }
    qsort_r(order, count, sizeof *order, compare_words, words);
    const uint64_t tokens = builder->rule.padded ? 2 : 1, limit = builder->rule.max_count;
    if (limit > 0 && count > (limit > tokens ? limit - tokens : 0))
        count = limit > tokens ? (size_t)(limit - tokens) : 0;
    *out = order;
    *out_count = count;
    return BP_OK;
}

static bp_status add_entry(bp_vocabulary *vocabulary, const char *word, size_t length,
                           bp_error *error)
{
    bp_status status = bp_word_table_add(vocabulary->words, NULL, word, length, error);
    if (status == BP_OK && (bp_word_table_count(vocabulary->words) > BP_VOCABULARY_LIMIT ||
                            bp_word_table_bytes(vocabulary->words) > BP_VOCABULARY_BYTES_LIMIT))
        status = bp_error_set(error, BP_TOO_LARGE, NULL,
                              "the vocabulary has more than %d words, or more than %d bytes of "
                              "them: leave rare words out with min_count or max_vocabulary",
                              (int)BP_VOCABULARY_LIMIT, (int)BP_VOCABULARY_BYTES_LIMIT);
    return status;
}

static bp_status keep_words(const bp_vocabulary_builder *builder, bp_vocabulary **out,
                            bp_error *error)
{
    bp_vocabulary *vocabulary = NULL;
    uint32_t *order = NULL;
    size_t count = 0;
    bp_status status = order_words(builder, &order, &count, error);
    if (status == BP_OK)
        status = bp_vocabulary_of_words(&vocabulary, builder->rule.lowercase, builder->rule.padded,
                                        builder->seed, error);
    if (status == BP_OK)
        status = add_entry(vocabulary, BP_UNKNOWN_TOKEN, strlen(BP_UNKNOWN_TOKEN), error);
    if (status == BP_OK && builder->rule.padded)
        status = add_entry(vocabulary, BP_PADDING_TOKEN, strlen(BP_PADDING_TOKEN), error);
    for (size_t i = 0; i < count && status == BP_OK; i++) {
        size_t length;
        const char *word = bp_word_table_text(builder->words, order[i], &length);
        status = add_entry(vocabulary, word, length, error);
    }
    free(order);
    if (status == BP_OK)
        *out = vocabulary;
    else
        bp_vocabulary_free(vocabulary);
    return status;
}

static bp_status keep_characters(const bp_vocabulary_builder *builder, bp_vocabulary **out,
                                 bp_error *error)
{
    size_t count = 0;
    for (size_t i = 0; i < BP_CODE_POINT_COUNT / 8; i++)
        count += (size_t)__builtin_popcount(builder->seen[i]);
    uint32_t *codes = malloc((count + 1) * sizeof *codes);
    if (!codes)
        return no_memory(error);
    count = 0;
    for (uint32_t i = 0; i < BP_CODE_POINT_COUNT / 8; i++)
        for (unsigned bits = builder->seen[i]; bits > 0; bits &= bits - 1)
            codes[count++] = 8 * i + (uint32_t)__builtin_ctz(bits);
    bp_status status = bp_vocabulary_of_characters(out, codes, count, error);
    free(codes);
    return status;
}

bp_status bp_vocabulary_builder_finish(bp_vocabulary_builder *builder, bp_vocabulary **out,
                                       bp_error *error)
{
    bp_status status = builder->words ? bp_word_splitter_finish(&builder->splitter, error) : BP_OK;
    if (status == BP_OK && builder->unit_count == 0)
        return bp_error_set(error, BP_INVALID, NULL, "the training part has no %s",
                            builder->words ? "words" : "characters");
    if (status != BP_OK)
        return status;
    return builder->words ? keep_words(builder, out, error) : keep_characters(builder, out, error);
}
