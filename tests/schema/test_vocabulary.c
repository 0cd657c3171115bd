/* Words of texts, vocabularies of words and of characters, and the ids that texts have in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/language/letters.h"
#include "schema/language/token_encoder.h"
#include "schema/language/word_table.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* ---- letters ---- */

static void test_lower_case_is_that_of_unicode(void **state)
{
    (void)state;
    /* Over all code points but surrogates, as str.lower() of Python 3.11 gives it for each alone (U+0130,
     * which it maps to two, as i). */
    uint64_t sum = 0;
    for (uint32_t code = 0; code < BP_CODE_POINT_COUNT; code++)
        if (code < 0xd800 || code > 0xdfff)
            sum = sum * 31 + bp_lowercase(code);
    assert_true(sum == UINT64_C(0xc8d663305cb74e90));
    assert_int_equal(bp_lowercase('Z'), 'z');
    assert_int_equal(bp_lowercase(0xc4), 0xe4);
    assert_int_equal(bp_lowercase(0x1e9e), 0xdf);
}

static void test_white_space_is_what_splits_in_python(void **state)
{
    (void)state;
    uint32_t sum = 0, count = 0;
    for (uint32_t code = 0; code < BP_CODE_POINT_COUNT; code++)
        if (bp_is_white_space(code)) {
            sum += code;
            count++;
        }
    assert_int_equal(count, 29);
    assert_int_equal(sum, 141704);
}

static void test_every_code_point_goes_both_ways(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < BP_CODE_POINT_COUNT; code++) {
        char bytes[BP_UTF8_BYTES];
        bp_utf8 utf8 = {0};
        const size_t length = bp_utf8_put(bytes, code);
        const int surrogate = code >= 0xd800 && code <= 0xdfff;
        bp_utf8_step step = BP_UTF8_INSIDE;
        for (size_t i = 0; i < length && step == BP_UTF8_INSIDE; i++)
            step = bp_utf8_take(&utf8, (unsigned char)bytes[i]);
        assert_int_equal(step, surrogate ? BP_UTF8_BAD : BP_UTF8_CHARACTER);
        if (!surrogate)
            assert_int_equal(utf8.code, code);
    }
    static const char *const bad[] = {"\x80",         "\xc0\x80",     "\xc1\xbf", "\xe0\x9f\xbf",
                                      "\xf0\x8f\xbf", "\xf4\x90\x80", "\xf5",     "\xff",
                                      "\xe2\x28",     "\xc3\xc3"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        bp_utf8 utf8 = {0};
        bp_utf8_step step = BP_UTF8_INSIDE;
        for (const char *at = bad[i]; *at && step == BP_UTF8_INSIDE; at++)
            step = bp_utf8_take(&utf8, (unsigned char)*at);
        assert_int_equal(step, BP_UTF8_BAD);
    }
}

/* ---- words ---- */

typedef struct word_list {
    char text[32768];
    size_t length, cut_count;
} word_list;

static bp_status note_word(void *context, const char *word, size_t length, bool cut,
                           bp_error *error)
{
    word_list *list = context;
    (void)error;
    list->cut_count += cut;
    memcpy(list->text + list->length, word, length);
    list->length += length;
    list->text[list->length++] = '|';
    return BP_OK;
}

static void split(word_list *out, const char *text, size_t length, size_t chunk, bool lowercase)
{
    bp_word_splitter *splitter = calloc(1, sizeof *splitter);
    assert_non_null(splitter);
    memset(out, 0, sizeof *out);
    splitter->lowercase = lowercase;
    splitter->word = note_word;
    splitter->context = out;
    for (size_t at = 0; at < length; at += chunk)
        assert_int_equal(bp_word_splitter_feed(splitter, text + at,
                                               length - at < chunk ? length - at : chunk, NULL),
                         BP_OK);
    assert_int_equal(bp_word_splitter_finish(splitter, NULL), BP_OK);
    free(splitter);
}

static void test_words_however_a_text_is_cut(void **state)
{
    (void)state;
    static const char text[] = "  One,\ttwo\n\u00c4rger\u2003na\u00efve \u65e5\u672c\u8a9e\x1c end";
    word_list list;
    for (size_t chunk = 1; chunk <= sizeof text; chunk++) {
        split(&list, text, sizeof text - 1, chunk, false);
        assert_string_equal(list.text, "One,|two|\u00c4rger|na\u00efve|\u65e5\u672c\u8a9e|end|");
        split(&list, text, sizeof text - 1, chunk, true);
        assert_string_equal(list.text, "one,|two|\u00e4rger|na\u00efve|\u65e5\u672c\u8a9e|end|");
    }
    split(&list, " \n ", 3, 1, false);
    assert_int_equal(list.length, 0);
}

static void test_words_beyond_the_limit_are_cut_between_characters(void **state)
{
    (void)state;
    enum { LONG = BP_WORD_LIMIT + 10 };
    char text[LONG + 3];
    word_list list;
    memset(text, 'a', LONG);
    memcpy(text + LONG, " b", 3);
    split(&list, text, BP_WORD_LIMIT, 1000, false);
    assert_int_equal(list.cut_count, 0);
    assert_int_equal(list.length, BP_WORD_LIMIT + 1);
    for (size_t chunk = 1; chunk < LONG + 2; chunk += 1000) {
        split(&list, text, LONG + 2, chunk, true);
        assert_int_equal(list.cut_count, 1);
        assert_int_equal(list.length, BP_WORD_LIMIT + 3);
        assert_string_equal(list.text + BP_WORD_LIMIT, "|b|");
    }
    memcpy(text + BP_WORD_LIMIT - 1, "\u00e4", 2);
    split(&list, text, LONG, 7, false);
    assert_int_equal(list.cut_count, 1);
    assert_int_equal(list.length, BP_WORD_LIMIT);
    assert_int_equal(bp_word_lowercase(text, "\u0130\u00c4B", 5), 4);
    assert_memory_equal(text, "i\u00e4b", 4);
    /* U+023A grows from two bytes to three. */
    char grows[BP_WORD_LIMIT];
    for (size_t i = 0; i < BP_WORD_LIMIT; i += 2)
        memcpy(grows + i, "\u023a", 2);
    assert_int_equal(bp_word_lowercase(text, grows, BP_WORD_LIMIT), 0);
}

static void test_many_words_keep_their_numbers(void **state)
{
    (void)state;
    enum { WORDS = 100000 };
    bp_word_table *table;
    assert_int_equal(bp_word_table_create(&table, 12345, NULL), BP_OK);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < WORDS; i++) {
            char word[16];
            uint32_t index;
            const int length = snprintf(word, sizeof word, "w%u", i * 7919u);
            assert_int_equal(bp_word_table_add(table, &index, word, (size_t)length, NULL), BP_OK);
            assert_int_equal(index, i);
        }
    assert_int_equal(bp_word_table_count(table), WORDS);
    assert_int_equal(bp_word_table_occurrences(table, WORDS - 1), 2);
    assert_true(bp_word_table_find(table, "w", 1) == BP_WORD_NONE);
    assert_int_equal(bp_word_table_find(table, "w7919", 5), 1);
    assert_true(bp_word_table_compare(table, 0, 1) < 0);
    bp_word_table_free(table);
}

/* ---- vocabularies ---- */

static bp_vocabulary *vocabulary_of(const char *text, const bp_vocabulary_rule *rule,
                                    uint64_t unit_limit, size_t chunk)
{
    bp_vocabulary_builder *builder;
    bp_vocabulary *vocabulary = NULL;
    const size_t length = strlen(text);
    bool full = false;
    assert_int_equal(bp_vocabulary_builder_create(&builder, rule, unit_limit, 7, NULL), BP_OK);
    for (size_t at = 0; at < length && !full; at += chunk)
        assert_int_equal(bp_vocabulary_builder_feed(builder, text + at,
                                                    length - at < chunk ? length - at : chunk,
                                                    &full, NULL),
                         BP_OK);
    assert_int_equal(bp_vocabulary_builder_finish(builder, &vocabulary, NULL), BP_OK);
    bp_vocabulary_builder_free(builder);
    return vocabulary;
}

static void assert_tokens(const bp_vocabulary *vocabulary, const char *expected)
{
    char shown[4096];
    size_t at = 0;
    for (size_t id = 0; id < bp_vocabulary_count(vocabulary); id++) {
        size_t length;
        const char *text = bp_vocabulary_text(vocabulary, (int32_t)id, &length);
        at += (size_t)snprintf(shown + at, sizeof shown - at, "%.*s|", (int)length, text);
    }
    assert_string_equal(shown, expected);
}

static const bp_vocabulary_rule characters = {.unit = BP_UNIT_CHARACTER, .min_count = 1};
static const bp_vocabulary_rule words = {.unit = BP_UNIT_WORD, .min_count = 1};

static void test_characters_are_the_code_points_of_the_training_part(void **state)
{
    (void)state;
    static const char text[] = "hello \u00e9\u65e5\U0001f600\n!";
    for (size_t chunk = 1; chunk < 9; chunk++) {
        bp_vocabulary *vocabulary = vocabulary_of(text, &characters, UINT64_MAX, chunk);
        assert_tokens(vocabulary, "\n| |!|e|h|l|o|\u00e9|\u65e5|\U0001f600|");
        assert_int_equal(bp_vocabulary_unit(vocabulary), BP_UNIT_CHARACTER);
        assert_int_equal(bp_vocabulary_unknown(vocabulary), -1);
        assert_int_equal(bp_vocabulary_padding(vocabulary), -1);
        assert_int_equal(bp_vocabulary_character(vocabulary, 'h'), 4);
        assert_int_equal(bp_vocabulary_character(vocabulary, 0x1f600), 9);
        assert_int_equal(bp_vocabulary_character(vocabulary, 'H'), -1);
        assert_int_equal(bp_vocabulary_character(vocabulary, 0x65e6), -1);
        bp_vocabulary_free(vocabulary);
        vocabulary = vocabulary_of(text, &characters, 8, chunk);
        assert_tokens(vocabulary, " |e|h|l|o|\u00e9|\u65e5|");
        bp_vocabulary_free(vocabulary);
    }
}

static void test_words_by_count_and_code_point(void **state)
{
    (void)state;
    static const char text[] = "b a B \u00e9 a c b a <unk> z\n<unk> <pad>";
    bp_vocabulary *vocabulary;
    for (size_t chunk = 1; chunk < 9; chunk++) {
        vocabulary = vocabulary_of(text, &words, UINT64_MAX, chunk);
        assert_tokens(vocabulary, "<unk>|a|b|<pad>|B|c|z|\u00e9|");
        bp_vocabulary_free(vocabulary);
        vocabulary = vocabulary_of(text, &words, 3, chunk);
        assert_tokens(vocabulary, "<unk>|B|a|b|");
        bp_vocabulary_free(vocabulary);
    }
    bp_vocabulary_rule rule = words;
    rule.lowercase = rule.padded = true;
    vocabulary = vocabulary_of(text, &rule, UINT64_MAX, 100);
    assert_tokens(vocabulary, "<unk>|<pad>|a|b|c|z|\u00e9|");
    assert_int_equal(bp_vocabulary_unknown(vocabulary), 0);
    assert_int_equal(bp_vocabulary_padding(vocabulary), 1);
    assert_int_equal(bp_vocabulary_word(vocabulary, "B", 1), 3);
    assert_int_equal(bp_vocabulary_word(vocabulary, "\u00c9", 2), 6);
    assert_int_equal(bp_vocabulary_word(vocabulary, "new", 3), 0);
    assert_int_equal(bp_vocabulary_word(vocabulary, "", 0), 0);
    bp_vocabulary_free(vocabulary);
    rule.min_count = 2;
    vocabulary = vocabulary_of(text, &rule, UINT64_MAX, 100);
    assert_tokens(vocabulary, "<unk>|<pad>|a|b|");
    bp_vocabulary_free(vocabulary);
    rule.min_count = 1;
    for (uint64_t most = 1; most < 5; most++) {
        rule.max_count = most;
        vocabulary = vocabulary_of(text, &rule, UINT64_MAX, 100);
        assert_int_equal(bp_vocabulary_count(vocabulary), most > 2 ? most : 2);
        bp_vocabulary_free(vocabulary);
    }
}

static void test_the_order_of_words_does_not_depend_on_the_seed(void **state)
{
    (void)state;
    char *shown[3];
    for (uint64_t seed = 0; seed < 3; seed++) {
        bp_vocabulary_builder *builder;
        bp_vocabulary *vocabulary;
        assert_int_equal(
            bp_vocabulary_builder_create(&builder, &words, UINT64_MAX, seed * 1000003, NULL),
            BP_OK);
        for (unsigned i = 0; i < 5000; i++) {
            char word[16];
            const int length = snprintf(word, sizeof word, "w%u", i * i % 1009);
            assert_int_equal(bp_vocabulary_builder_word(builder, word, (size_t)length, NULL),
                             BP_OK);
        }
        assert_int_equal(bp_vocabulary_builder_finish(builder, &vocabulary, NULL), BP_OK);
        bp_vocabulary_builder_free(builder);
        json_t *json = bp_vocabulary_json(vocabulary);
        shown[seed] = json_dumps(json, JSON_COMPACT);
        json_decref(json);
        bp_vocabulary_free(vocabulary);
    }
    assert_string_equal(shown[0], shown[1]);
    assert_string_equal(shown[0], shown[2]);
    for (size_t i = 0; i < 3; i++)
        free(shown[i]);
}

static void test_what_cannot_be_a_vocabulary(void **state)
{
    (void)state;
    bp_vocabulary_builder *builder;
    bp_vocabulary *vocabulary = NULL;
    bp_error error = {0};
    char word[BP_WORD_LIMIT + 1];
    bool full;
    memset(word, 'x', sizeof word);
    assert_int_equal(bp_vocabulary_builder_create(&builder, &words, UINT64_MAX, 7, NULL), BP_OK);
    assert_int_equal(bp_vocabulary_builder_feed(builder, " \n", 2, &full, NULL), BP_OK);
    assert_false(full);
    assert_int_equal(bp_vocabulary_builder_finish(builder, &vocabulary, &error), BP_INVALID);
    assert_string_equal(error.message, "the training part has no words");
    assert_int_equal(bp_vocabulary_builder_word(builder, word, sizeof word, NULL), BP_TOO_LARGE);
    assert_int_equal(bp_vocabulary_builder_feed(builder, word, sizeof word, &full, NULL), BP_OK);
    error = (bp_error){0};
    assert_int_equal(bp_vocabulary_builder_feed(builder, " ", 1, &full, &error), BP_TOO_LARGE);
    assert_non_null(strstr(error.message, "longer than 4096 bytes"));
    bp_vocabulary_builder_free(builder);
    assert_null(vocabulary);
}

/* ---- documents ---- */

static void test_documents_go_both_ways(void **state)
{
    (void)state;
    bp_vocabulary_rule rule = words;
    rule.padded = rule.lowercase = true;
    const bp_vocabulary_rule *rules[] = {&characters, &words, &rule};
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        bp_vocabulary *vocabulary =
            vocabulary_of("to be\tor not \"to\" \u00e9\x01", rules[i], UINT64_MAX, 100);
        json_t *json = bp_vocabulary_json(vocabulary);
        char *text = json_dumps(json, JSON_COMPACT);
        json_t *read = json_loads(text, 0, NULL);
        bp_stored stored = {BP_OK};
        bp_vocabulary *again = bp_vocabulary_parse(&stored, read);
        assert_int_equal(stored.status, BP_OK);
        json_t *shown = bp_vocabulary_json(again);
        assert_true(json_equal(shown, json));
        assert_int_equal(bp_vocabulary_padding(again), bp_vocabulary_padding(vocabulary));
        json_decref(json);
        json_decref(read);
        json_decref(shown);
        free(text);
        bp_vocabulary_free(vocabulary);
        bp_vocabulary_free(again);
    }
}

static void test_damaged_documents_are_refused(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "{}",
        "[]",
        "{\"unit\": \"word\", \"lowercase\": false, \"unknown\": 0, \"padding\": null, \"tokens\": "
        "[]}",
        "{\"unit\": \"word\", \"lowercase\": false, \"unknown\": 0, \"padding\": 1, \"tokens\": "
        "[\"<unk>\"]}",
        "{\"unit\": \"word\", \"lowercase\": false, \"unknown\": 0, \"padding\": null, \"tokens\": "
        "[\"a\", \"a\"]}",
        "{\"unit\": \"word\", \"lowercase\": false, \"unknown\": 0, \"padding\": null, \"tokens\": "
        "[\"a\", 3]}",
        "{\"unit\": \"word\", \"lowercase\": false, \"unknown\": 1, \"padding\": null, \"tokens\": "
        "[\"a\", \"b\"]}",
        "{\"unit\": \"word\", \"lowercase\": false, \"unknown\": 0, \"padding\": 2, \"tokens\": "
        "[\"a\", \"b\", \"c\"]}",
        "{\"unit\": \"word\", \"lowercase\": false, \"unknown\": null, \"padding\": null, "
        "\"tokens\": "
        "[\"a\"]}",
        "{\"unit\": \"character\", \"lowercase\": true, \"unknown\": null, \"padding\": null, "
        "\"tokens\": [\"a\"]}",
        "{\"unit\": \"character\", \"lowercase\": false, \"unknown\": null, \"padding\": null, "
        "\"tokens\": [\"b\", \"a\"]}",
        "{\"unit\": \"character\", \"lowercase\": false, \"unknown\": null, \"padding\": null, "
        "\"tokens\": [\"a\", \"bc\"]}",
        "{\"unit\": \"character\", \"lowercase\": false, \"unknown\": null, \"padding\": null, "
        "\"tokens\": [\"\"]}",
        "{\"unit\": \"character\", \"lowercase\": false, \"unknown\": null, \"padding\": null, "
        "\"tokens\": [null]}",
        "{\"unit\": \"byte\", \"lowercase\": false, \"unknown\": null, \"padding\": null, "
        "\"tokens\": [\"a\"]}",
    };
    for (size_t i = 0; i < COUNT_OF(documents); i++) {
        json_t *json = json_loads(documents[i], 0, NULL);
        bp_stored stored = {BP_OK};
        assert_non_null(json);
        assert_null(bp_vocabulary_parse(&stored, json));
        assert_int_equal(stored.status, BP_CORRUPT);
        json_decref(json);
    }
}

/* ---- ids ---- */

static void test_texts_become_ids_and_texts_again(void **state)
{
    (void)state;
    int32_t *ids;
    size_t count, length;
    char *text;
    bp_vocabulary *vocabulary = vocabulary_of("to be or not to be", &words, UINT64_MAX, 100);
    assert_int_equal(bp_tokens_encode(&ids, &count, vocabulary, " to  sleep\nor", 13, NULL), BP_OK);
    assert_int_equal(count, 3);
    assert_memory_equal(ids, ((int32_t[]){2, 0, 4}), sizeof(int32_t[3]));
    assert_int_equal(bp_vocabulary_decode(&text, &length, vocabulary, ids, count, NULL), BP_OK);
    assert_string_equal(text, "to <unk> or");
    assert_int_equal(length, 11);
    free(ids);
    free(text);
    assert_int_equal(bp_tokens_encode(&ids, &count, vocabulary, "", 0, NULL), BP_OK);
    assert_int_equal(count, 0);
    free(ids);
    bp_vocabulary_free(vocabulary);

    vocabulary = vocabulary_of("ab\u00e9", &characters, UINT64_MAX, 100);
    enum { MANY = 2 * BP_TOKEN_BLOCK + 5 };
    char *many = malloc(MANY);
    assert_non_null(many);
    for (size_t i = 0; i < MANY; i++)
        many[i] = i % 3 ? 'a' : 'b';
    assert_int_equal(bp_tokens_encode(&ids, &count, vocabulary, many, MANY, NULL), BP_OK);
    assert_int_equal(count, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(ids[i], i % 3 == 0);
    assert_int_equal(bp_vocabulary_decode(&text, &length, vocabulary, ids, count, NULL), BP_OK);
    assert_int_equal(length, MANY);
    assert_memory_equal(text, many, MANY);
    free(many);
    free(ids);
    free(text);
    bp_error error = {0};
    assert_int_equal(bp_tokens_encode(&ids, &count, vocabulary, "a\u00e9\u00e8", 5, &error),
                     BP_INVALID);
    assert_string_equal(error.where, "character 3");
    assert_string_equal(error.message, "the character \u00e8, U+00E8 is not in the vocabulary");
    bp_vocabulary_free(vocabulary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lower_case_is_that_of_unicode),
        cmocka_unit_test(test_white_space_is_what_splits_in_python),
        cmocka_unit_test(test_every_code_point_goes_both_ways),
        cmocka_unit_test(test_words_however_a_text_is_cut),
        cmocka_unit_test(test_words_beyond_the_limit_are_cut_between_characters),
        cmocka_unit_test(test_many_words_keep_their_numbers),
        cmocka_unit_test(test_characters_are_the_code_points_of_the_training_part),
        cmocka_unit_test(test_words_by_count_and_code_point),
        cmocka_unit_test(test_the_order_of_words_does_not_depend_on_the_seed),
        cmocka_unit_test(test_what_cannot_be_a_vocabulary),
        cmocka_unit_test(test_documents_go_both_ways),
        cmocka_unit_test(test_damaged_documents_are_refused),
        cmocka_unit_test(test_texts_become_ids_and_texts_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
