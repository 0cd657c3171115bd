/* Vocabularies, ids and windows of stored corpora, against what a plain reading gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/language/token_streams.h"
#include "core/random/random.h"
#include "server/corpus/corpus_data.h"
#include "tests/server/support_upload.h"

static int open_data(void **state)
{
    support_data *data = calloc(1, sizeof *data);
    support_data_open(data);
    *state = data;
    return 0;
}

static int close_data(void **state)
{
    support_data_close(*state);
    free(*state);
    return 0;
}

static void upload(support_data *data, const char *name, bp_dataset_format format, const char *text,
                   size_t length)
{
    bp_upload_result result = support_upload(data, name, NULL, format, text, length, 50000);
    if (result.status != BP_OK)
        fail_msg("%s: %s", result.error.where, result.error.message);
    json_decref(result.document);
}

static bp_corpus_data load(support_data *data, const bp_corpus_request *request)
{
    bp_corpus_data corpus;
    bp_error error = {.status = BP_OK};
    if (bp_corpus_data_load(&corpus, data->datasets, request, NULL, NULL, NULL, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
    return corpus;
}

static void refuse(support_data *data, const bp_corpus_request *request, bp_status status,
                   const char *message)
{
    bp_corpus_data corpus;
    bp_error error = {.status = BP_OK};
    assert_int_equal(
        bp_corpus_data_load(&corpus, data->datasets, request, NULL, NULL, NULL, &error), status);
    if (!strstr(error.message, message))
        fail_msg("%s", error.message);
}

static void assert_text(const bp_corpus_data *corpus, const bp_token_source *tokens,
                        const char *expected)
{
    char *text;
    size_t length;
    int32_t *ids = malloc((tokens->count + 1) * sizeof *ids);
    assert_int_equal(bp_token_source_read(tokens, ids, 0, tokens->count, NULL), BP_OK);
    assert_int_equal(
        bp_vocabulary_decode(&text, &length, corpus->vocabulary, ids, tokens->count, NULL), BP_OK);
    assert_string_equal(text, expected);
    free(ids);
    free(text);
}

/* ---- texts ---- */

static const bp_vocabulary_rule characters = {.unit = BP_UNIT_CHARACTER, .min_count = 1};
static const bp_vocabulary_rule words = {.unit = BP_UNIT_WORD, .min_count = 1};

static void parts_of_a_text_are_its_end(void **state)
{
    support_data *data = *state;
    static const char text[] = "abcd\u00e9abc\nabcdabc\u00e9abcd"; /* 21 characters */
    upload(data, "t", BP_FORMAT_TEXT, text, sizeof text - 1);
    bp_corpus_request request = {.dataset = {"t"},
                                 .fraction = {0, 0.2, 0.1},
                                 .rule = characters,
                                 .memory_bytes = UINT64_MAX};
    for (size_t i = 0; i < 2; i++) {
        bp_corpus_data corpus = load(data, &request);
        assert_int_equal(bp_vocabulary_count(corpus.vocabulary), 6);
        assert_int_equal(corpus.parts[BP_CORPUS_TRAINING].tokens.count, 15);
        assert_int_equal(corpus.parts[BP_CORPUS_VALIDATION].tokens.count, 4);
        assert_int_equal(corpus.parts[BP_CORPUS_TEST].tokens.count, 2);
        assert_int_equal(corpus.parts[BP_CORPUS_TRAINING].tokens.ids != NULL, i == 0);
        assert_text(&corpus, &corpus.parts[BP_CORPUS_TRAINING].tokens, "abcd\u00e9abc\nabcdab");
        assert_text(&corpus, &corpus.parts[BP_CORPUS_VALIDATION].tokens, "c\u00e9ab");
        assert_text(&corpus, &corpus.parts[BP_CORPUS_TEST].tokens, "cd");
        bp_corpus_data_done(&corpus);
        request.memory_bytes = 21 * sizeof(int32_t) - 1; /* then from a file */
    }
    assert_int_equal(support_file_count(data, "tmp"), 0);

    bp_vocabulary *vocabulary;
    assert_int_equal(bp_corpus_vocabulary(&vocabulary, data->datasets, &request, NULL, NULL, NULL),
                     BP_OK);
    assert_int_equal(bp_vocabulary_count(vocabulary), 6);
    bp_vocabulary_free(vocabulary);
}

static void words_are_counted_in_the_training_part_alone(void **state)
{
    support_data *data = *state;
    static const char text[] = "to be or\nnot  to be\tthat is\u2003the question";
    upload(data, "t", BP_FORMAT_TEXT, text, sizeof text - 1);
    upload(data, "other", BP_FORMAT_TEXT, "not To be, question", 19);
    bp_corpus_request request = {.dataset = {"t", NULL, "other"},
                                 .fraction = {0, 0.3, 0},
                                 .rule = words,
                                 .memory_bytes = UINT64_MAX};
    bp_corpus_data corpus = load(data, &request);
    assert_int_equal(bp_vocabulary_count(corpus.vocabulary), 6);
    assert_text(&corpus, &corpus.parts[BP_CORPUS_TRAINING].tokens, "to be or not to be that");
    assert_text(&corpus, &corpus.parts[BP_CORPUS_VALIDATION].tokens, "<unk> <unk> <unk>");
    assert_text(&corpus, &corpus.parts[BP_CORPUS_TEST].tokens, "not <unk> <unk> <unk>");
    bp_corpus_data_done(&corpus);
    request.rule.lowercase = true;
    corpus = load(data, &request);
    assert_text(&corpus, &corpus.parts[BP_CORPUS_TEST].tokens, "not to <unk> <unk>");
    bp_corpus_data again;
    request.dataset[BP_CORPUS_TRAINING] = "other";
    assert_int_equal(
        bp_corpus_data_load(&again, data->datasets, &request, corpus.vocabulary, NULL, NULL, NULL),
        BP_OK);
    assert_ptr_equal(again.vocabulary, corpus.vocabulary);
    assert_text(&again, &again.parts[BP_CORPUS_TEST].tokens, "not to <unk> <unk>");
    bp_corpus_data_done(&again);
    bp_corpus_data_done(&corpus);
}

static void what_a_text_cannot_give_is_said(void **state)
{
    support_data *data = *state;
    upload(data, "t", BP_FORMAT_TEXT, "abcabcabx", 9);
    upload(data, "s", BP_FORMAT_CONLL, "a O\n", 4);
    support_upload_csv(data, "table", "a,b\n1,2\n");
    bp_corpus_request request = {
        .dataset = {"t"}, .fraction = {0, 0, 0.2}, .rule = characters, .memory_bytes = UINT64_MAX};
    refuse(data, &request, BP_INVALID,
           "character 9 of the data set \"t\": the character x, U+0078 is not in the vocabulary");
    request.fraction[BP_CORPUS_VALIDATION] = 0.9;
    refuse(data, &request, BP_INVALID, "all of the 9 characters");
    request = (bp_corpus_request){.dataset = {"t", "s"}, .rule = characters};
    refuse(data, &request, BP_INVALID, "kind \"tagged\"");
    request = (bp_corpus_request){.dataset = {"table"}, .rule = characters};
    refuse(data, &request, BP_INVALID, "kind \"table\"");
    request = (bp_corpus_request){.dataset = {"nothing"}, .rule = characters};
    refuse(data, &request, BP_NOT_FOUND, "no data set");
}

/* Larger than the blocks of reading: two bytes a character, words across their ends. */
static void a_long_text_is_read_by_blocks(void **state)
{
    support_data *data = *state;
    enum { WORDS = 200000 };
    char *text = malloc(WORDS * 16);
    size_t length = 0;
    for (unsigned i = 0; i < WORDS; i++)
        length += (size_t)sprintf(text + length, "\u00e9%u ", i * 7919 % 5003);
    upload(data, "t", BP_FORMAT_TEXT, text, length);
    free(text);
    bp_corpus_request request = {.dataset = {"t"}, .rule = words, .memory_bytes = 1000};
    bp_corpus_data corpus = load(data, &request);
    const bp_token_source *tokens = &corpus.parts[BP_CORPUS_TRAINING].tokens;
    assert_int_equal(tokens->count, WORDS);
    assert_null(tokens->ids);
    assert_int_equal(bp_vocabulary_count(corpus.vocabulary), 5004);
    bp_token_streams streams;
    int32_t input[7 * 20], target[7 * 20], scratch[21];
    assert_int_equal(bp_token_streams_cut(&streams, tokens, 7, NULL), BP_OK);
    for (size_t chunk = 0; chunk < bp_token_streams_chunk_count(&streams, 20); chunk += 97) {
        assert_int_equal(bp_token_streams_read(&streams, input, target, scratch, 20, chunk, NULL),
                         BP_OK);
        for (size_t t = 0; t < bp_token_streams_chunk_steps(&streams, 20, chunk); t++)
            for (size_t s = 0; s < 7; s++) {
                char word[16];
                const size_t i = s * streams.stream_length + chunk * 20 + t;
                int written = sprintf(word, "\u00e9%zu", i * 7919 % 5003);
                assert_int_equal(input[t * 7 + s],
                                 bp_vocabulary_word(corpus.vocabulary, word, (size_t)written));
                written = sprintf(word, "\u00e9%zu", (i + 1) * 7919 % 5003);
                assert_int_equal(target[t * 7 + s],
                                 bp_vocabulary_word(corpus.vocabulary, word, (size_t)written));
            }
    }
    bp_corpus_data_done(&corpus);
}

/* ---- sentences ---- */

static const bp_vocabulary_rule padded = {.unit = BP_UNIT_WORD, .min_count = 1, .padded = true};

/* The tokens and tags of a part, written as "token/tag" with a bar after each sentence, out of its windows
 * of width 1 or more. */
static void show(char *out, const bp_corpus_data *corpus, const bp_corpus_part *part)
{
    const bp_token_windows *windows = &part->windows;
    int32_t window[9], label;
    *out = '\0';
    for (size_t i = 0; i < part->sentence_count; i++) {
        for (size_t row = part->sentence[i]; row < part->sentence[i + 1]; row++) {
            size_t length;
            bp_token_windows_gather(window, &label, windows, &row, 0, 1);
            const char *text =
                bp_vocabulary_text(corpus->vocabulary, window[windows->width / 2], &length);
            out += sprintf(out, "%.*s/%s ", (int)length, text, corpus->tags[label]);
        }
        out += sprintf(out, "|");
    }
}

static void sentences_become_windows(void **state)
{
    support_data *data = *state;
    static const char train[] = "Paris B-loc\nis O\nbig O\n\nYes O\n\nIn O\nParis B-loc\n";
    static const char test[] = "Rome B-loc\nis O\n";
    upload(data, "train", BP_FORMAT_CONLL, train, sizeof train - 1);
    upload(data, "test", BP_FORMAT_CONLL, test, sizeof test - 1);
    const bp_corpus_request request = {
        .dataset = {"train", NULL, "test"}, .rule = padded, .width = 3};
    bp_corpus_data corpus = load(data, &request);
    assert_int_equal(corpus.tag_count, 2);
    assert_string_equal(corpus.tags[0], "B-loc");
    /* <unk> <pad> Paris In Yes big is */
    assert_int_equal(bp_vocabulary_count(corpus.vocabulary), 7);
    assert_int_equal(bp_vocabulary_word(corpus.vocabulary, "Paris", 5), 2);
    const bp_corpus_part *part = &corpus.parts[BP_CORPUS_TRAINING];
    static const int32_t expected[6][3] = {{1, 2, 6}, {2, 6, 5}, {6, 5, 1},
                                           {1, 4, 1}, {1, 3, 2}, {3, 2, 1}};
    int32_t windows[6][3], labels[6];
    assert_int_equal(part->windows.row_count, 6);
    assert_int_equal(part->sentence_count, 3);
    assert_memory_equal(part->sentence, ((size_t[]){0, 3, 4, 6}), sizeof(size_t[4]));
    bp_token_windows_gather(&windows[0][0], labels, &part->windows, NULL, 0, 6);
    assert_memory_equal(windows, expected, sizeof expected);
    assert_memory_equal(labels, ((int32_t[]){0, 1, 1, 1, 1, 0}), sizeof labels);
    assert_int_equal(corpus.parts[BP_CORPUS_VALIDATION].sentence_count, 0);
    char shown[200];
    show(shown, &corpus, &corpus.parts[BP_CORPUS_TEST]);
    assert_string_equal(shown, "<unk>/B-loc is/O |");
    bp_corpus_data_done(&corpus);
}

/* Sentences of many lengths, long enough for several blocks of every file. */
static void sentences_are_drawn_into_parts(void **state)
{
    support_data *data = *state;
    enum { SENTENCES = 20000 };
    char *text = malloc(SENTENCES * 10 * 16), *expected = malloc(SENTENCES * 10 * 16);
    char *shown = malloc(SENTENCES * 10 * 16);
    size_t *order = malloc(SENTENCES * sizeof *order);
    unsigned char *part_of = calloc(SENTENCES, 1);
    size_t length = 0;
    for (unsigned i = 0; i < SENTENCES; i++) {
        for (unsigned j = 0; j < 1 + i % 9; j++)
            length += (size_t)sprintf(text + length, "s%u.%u %c\n", i, j, "OPQ"[(i + j) % 3]);
        length += (size_t)sprintf(text + length, "\n");
    }
    upload(data, "s", BP_FORMAT_CONLL, text, length);
    const bp_corpus_request request = {
        .dataset = {"s"}, .fraction = {0, 0.25, 0.1}, .rule = padded, .seed = 11, .width = 5};
    bp_corpus_data corpus = load(data, &request);
    const bp_random random = bp_random_stream(11, 0, BP_RANDOM_SPLIT, 0);
    bp_random_permutation(order, SENTENCES, &random);
    for (size_t i = 0; i < 7000; i++)
        part_of[order[i]] = i < 5000 ? 1 : 2;
    for (unsigned part = 0; part < BP_CORPUS_PART_COUNT; part++) {
        length = 0;
        for (unsigned i = 0; i < SENTENCES; i++) {
            for (unsigned j = 0; part_of[i] == part && j < 1 + i % 9; j++) {
                /* Every word is there once, so only the training part's are known. */
                if (part == 0)
                    length +=
                        (size_t)sprintf(expected + length, "s%u.%u/%c ", i, j, "OPQ"[(i + j) % 3]);
                else
                    length += (size_t)sprintf(expected + length, "<unk>/%c ", "OPQ"[(i + j) % 3]);
            }
            if (part_of[i] == part)
                expected[length++] = '|';
        }
        expected[length] = '\0';
        show(shown, &corpus, &corpus.parts[part]);
        assert_true(strcmp(shown, expected) == 0);
    }
    assert_int_equal(corpus.parts[BP_CORPUS_TRAINING].windows.row_count + 2,
                     bp_vocabulary_count(corpus.vocabulary));
    bp_corpus_data_done(&corpus);
    free(text);
    free(expected);
    free(shown);
    free(order);
    free(part_of);
}

static void tags_must_be_known(void **state)
{
    support_data *data = *state;
    upload(data, "train", BP_FORMAT_CONLL, "a O\nb B-x\n\nc D-y\n", 17);
    upload(data, "fewer", BP_FORMAT_CONLL, "a D-y\n", 6);
    upload(data, "test", BP_FORMAT_CONLL, "a O\n\nb C-z\n", 11);
    bp_corpus_request request = {.dataset = {"train", "fewer"}, .rule = padded, .width = 1};
    bp_corpus_data corpus = load(data, &request);
    char shown[100];
    show(shown, &corpus, &corpus.parts[BP_CORPUS_VALIDATION]);
    assert_string_equal(shown, "a/D-y |");
    bp_corpus_data_done(&corpus);
    request.dataset[BP_CORPUS_TEST] = "test";
    refuse(data, &request, BP_INVALID, "sentence 2 of the data set \"test\" has the tag \"C-z\"");
    request = (bp_corpus_request){
        .dataset = {"train"}, .fraction = {0, 0.5, 0.5}, .rule = padded, .width = 1};
    refuse(data, &request, BP_INVALID, "all of the 2 sentences");
}

static bool at_once(void *context)
{
    return --*(int *)context < 0;
}

static void loading_can_be_cancelled(void **state)
{
    support_data *data = *state;
    upload(data, "t", BP_FORMAT_TEXT, "abc abc", 7);
    upload(data, "s", BP_FORMAT_CONLL, "a O\n", 4);
    for (size_t i = 0; i < 2; i++)
        for (int polls = 0;; polls++) {
            const bp_corpus_request request = {.dataset = {i ? "s" : "t"},
                                               .rule = i ? padded : words,
                                               .width = 1,
                                               .memory_bytes = 1000};
            bp_corpus_data corpus;
            int left = polls;
            const bp_status status =
                bp_corpus_data_load(&corpus, data->datasets, &request, NULL, at_once, &left, NULL);
            if (status == BP_OK) {
                bp_corpus_data_done(&corpus);
                assert_true(polls > 3);
                break;
            }
            assert_int_equal(status, BP_CANCELLED);
        }
}

static void damaged_files_are_refused(void **state)
{
    support_data *data = *state;
    upload(data, "s", BP_FORMAT_CONLL, "a O\nb O\n", 8);
    bp_dataset_info *info;
    assert_int_equal(bp_datasets_find(&info, data->datasets, "s", NULL, NULL), BP_OK);
    for (size_t i = 0; i < info->column_count; i++) {
        char path[SUPPORT_PATH_SIZE + 128];
        const bp_corpus_request request = {.dataset = {"s"}, .rule = padded, .width = 1};
        snprintf(path, sizeof path, "%s/columns/%s", data->directory, info->columns[i].sha256);
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        fseek(file, -1, SEEK_END);
        const int byte = fgetc(file);
        fseek(file, -1, SEEK_END);
        fputc(byte ^ 1, file);
        fflush(file);
        refuse(data, &request, BP_CORRUPT, "not what its name says");
        fseek(file, -1, SEEK_END);
        fputc(byte, file);
        fclose(file);
    }
    bp_dataset_info_free(info);
}

#define DATA_TEST(name) cmocka_unit_test_setup_teardown(name, open_data, close_data)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(parts_of_a_text_are_its_end),
        DATA_TEST(words_are_counted_in_the_training_part_alone),
        DATA_TEST(what_a_text_cannot_give_is_said),
        DATA_TEST(a_long_text_is_read_by_blocks),
        DATA_TEST(sentences_become_windows),
        DATA_TEST(sentences_are_drawn_into_parts),
        DATA_TEST(tags_must_be_known),
        DATA_TEST(loading_can_be_cancelled),
        DATA_TEST(damaged_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
