/* Texts and tagged sentences: what is counted, what is kept, what is shown, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/dataset/column_file.h"
#include "server/upload/upload_pipeline.h"
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

static void upload(support_data *data, const char *name, bp_dataset_format format,
                   const void *bytes, size_t count, size_t chunk)
{
    bp_upload_result result = support_upload(data, name, NULL, format, bytes, count, chunk);
    if (result.status != BP_OK)
        fail_msg("%s: %s", result.error.where, result.error.message);
    json_decref(result.document);
}

static bp_dataset_info *find(support_data *data, const char *name)
{
    bp_dataset_info *info = NULL;
    assert_int_equal(bp_datasets_find(&info, data->datasets, name, NULL, NULL), BP_OK);
    return info;
}

static void assert_rows(support_data *data, const char *name, uint64_t offset, size_t limit,
                        const char *expected)
{
    json_t *json = NULL;
    bp_error error = {0};
    if (bp_datasets_rows_json(&json, data->datasets, name, offset, limit, &error) != BP_OK)
        fail_msg("%s", error.message);
    char *shown = json_dumps(json_object_get(json, "rows"), JSON_COMPACT);
    assert_string_equal(shown, expected);
    free(shown);
    json_decref(json);
}

/* ---- texts ---- */

static const char poem[] = "\xef\xbb\xbfOne fish,\r\n\ntwo fish \u65e5\u672c\nred\u00a0fish";

static void a_text_is_counted_and_kept_byte_by_byte(void **state)
{
    support_data *data = *state;
    for (size_t chunk = 1; chunk < sizeof poem + 10; chunk += 5)
        upload(data, "poem", BP_FORMAT_TEXT, poem, sizeof poem - 1, chunk);
    bp_dataset_info *info = find(data, "poem");
    assert_int_equal(info->kind, BP_DATASET_TEXT);
    assert_int_equal(info->version, 1);
    assert_int_equal(info->row_count, 4);
    assert_int_equal(info->corpus.byte_count, sizeof poem - 1);
    assert_int_equal(info->corpus.character_count, 33);
    assert_int_equal(info->corpus.distinct_character_count, 20);
    assert_int_equal(info->corpus.line_count, 4);
    assert_int_equal(info->corpus.word_count, 7);
    assert_int_equal(info->corpus.distinct_word_count, 6);
    assert_false(info->corpus.distinct_word_is_lower_bound);
    bp_column_reader reader;
    char kept[sizeof poem];
    const bp_column_info *text = &info->columns[BP_TEXT_COLUMN];
    assert_int_equal(text->row_count, sizeof poem - 1);
    assert_int_equal(bp_column_reader_open(&reader, data->directory, text, NULL), BP_OK);
    assert_int_equal(bp_column_reader_verify(&reader, NULL, NULL, NULL), BP_OK);
    assert_int_equal(bp_column_reader_read(&reader, kept, 0, sizeof poem - 1, NULL), BP_OK);
    assert_memory_equal(kept, poem, sizeof poem - 1);
    bp_column_reader_close(&reader);
    bp_dataset_info_free(info);
    assert_int_equal(support_file_count(data, "tmp"), 0);
    assert_int_equal(support_file_count(data, "columns"), 2);

    assert_rows(
        data, "poem", 0, 10,
        "[[\"\ufeffOne fish,\\r\"],[\"\"],[\"two fish \u65e5\u672c\"],[\"red\u00a0fish\"]]");
    assert_rows(data, "poem", 2, 1, "[[\"two fish \u65e5\u672c\"]]");
    assert_rows(data, "poem", 4, 1, "[]");
}

static void lines_are_found_by_their_index(void **state)
{
    support_data *data = *state;
    enum { LINES = 5000, LONG = 3000, LONG_BYTES = 2500000 };
    char *text = malloc(LINES * 8 + LONG_BYTES);
    size_t length = 0;
    for (unsigned line = 0; line < LINES; line++) {
        if (line == LONG || line == LONG + 5) { /* of two bytes a character, out of step */
            const size_t bytes = line == LONG ? LONG_BYTES - 200000 : 199001;
            text[length++] = 'x';
            for (size_t i = 1; i < bytes; i += 2, length += 2)
                memcpy(text + length, "\u00e4", 2);
        } else {
            length += (size_t)sprintf(text + length, "%u", line);
        }
        text[length++] = '\n';
    }
    upload(data, "long", BP_FORMAT_TEXT, text, length, 60000);
    free(text);
    bp_dataset_info *info = find(data, "long");
    assert_int_equal(info->row_count, LINES);
    assert_true(info->corpus.distinct_word_is_lower_bound); /* the long lines are one word each */
    assert_int_equal(info->columns[BP_LINES_COLUMN].row_count, 5);
    bp_dataset_info_free(info);
    assert_rows(data, "long", 0, 2, "[[\"0\"],[\"1\"]]");
    assert_rows(data, "long", 1023, 2, "[[\"1023\"],[\"1024\"]]");
    assert_rows(data, "long", LONG - 1, 1, "[[\"2999\"]]");
    assert_rows(data, "long", LONG + 1, 2, "[[\"3001\"],[\"3002\"]]");
    assert_rows(data, "long", LONG + 6, 1, "[[\"3006\"]]");
    assert_rows(data, "long", LINES - 1, 5, "[[\"4999\"]]");
    json_t *json;
    assert_int_equal(bp_datasets_rows_json(&json, data->datasets, "long", LONG - 1, 5, NULL),
                     BP_OK);
    const json_t *rows = json_object_get(json, "rows");
    assert_int_equal(json_array_size(rows), 2); /* the long line ends the answer, cut */
    assert_int_equal(json_string_length(json_array_get(json_array_get(rows, 1), 0)), 64 * 1024 - 1);
    json_decref(json);
}

/* ---- tagged sentences ---- */

static const char tagged[] =
    "-DOCSTART- -X- O\r\n\r\n# a comment\nMuseums NNS O\nin IN O\r\nParis NNP "
    "B-location\n\n \t\n# # O\nare VBP O\nZ\u00fcrich NNP I-location";

static void sentences_are_counted_and_kept(void **state)
{
    support_data *data = *state;
    for (size_t chunk = 1; chunk < sizeof tagged + 10; chunk += 9)
        upload(data, "s", BP_FORMAT_CONLL, tagged, sizeof tagged - 1, chunk);
    bp_dataset_info *info = find(data, "s");
    assert_int_equal(info->kind, BP_DATASET_TAGGED);
    assert_int_equal(info->version, 1);
    assert_int_equal(info->row_count, 2);
    assert_int_equal(info->corpus.sentence_count, 2);
    assert_int_equal(info->corpus.longest_sentence, 3);
    assert_int_equal(info->corpus.word_count, 6);
    assert_int_equal(info->corpus.distinct_word_count, 6);
    assert_int_equal(info->corpus.tag_count, 3);
    assert_string_equal(info->corpus.tags[0].tag, "B-location");
    assert_int_equal(info->corpus.tags[0].count, 1);
    assert_string_equal(info->corpus.tags[2].tag, "O");
    assert_int_equal(info->corpus.tags[2].count, 4);
    const bp_column_info *tags = &info->columns[BP_TAGS_COLUMN];
    assert_int_equal(tags->row_count, 6);
    assert_int_equal(tags->category_count, 3);
    bp_column_reader reader;
    uint32_t places[6];
    assert_int_equal(bp_column_reader_open(&reader, data->directory, tags, NULL), BP_OK);
    assert_int_equal(bp_column_reader_read(&reader, places, 0, 6, NULL), BP_OK);
    assert_memory_equal(places, ((uint32_t[]){2, 2, 0, 2, 2, 1}), sizeof places);
    bp_column_reader_close(&reader);
    bp_dataset_info_free(info);
    assert_int_equal(support_file_count(data, "tmp"), 0);
    assert_int_equal(support_file_count(data, "columns"), 3);
    assert_rows(data, "s", 0, 10,
                "[[[\"Museums\",\"in\",\"Paris\"],[\"O\",\"O\",\"B-location\"]],"
                "[[\"#\",\"are\",\"Z\u00fcrich\"],[\"O\",\"O\",\"I-location\"]]]");
    assert_rows(data, "s", 1, 1,
                "[[[\"#\",\"are\",\"Z\u00fcrich\"],[\"O\",\"O\",\"I-location\"]]]");
}

static void tokens_between_tabs_may_hold_blanks(void **state)
{
    support_data *data = *state;
    static const char text[] =
        "New York\tx\tB-location\n# no token\n#\tx\tO\n \t \n1 000\t\tx\tO\r\n";
    upload(data, "s", BP_FORMAT_CONLL, text, sizeof text - 1, 4);
    assert_rows(data, "s", 0, 10,
                "[[[\"New York\",\"#\"],[\"B-location\",\"O\"]],[[\"1 000\"],[\"O\"]]]");
}

static void a_hash_begins_comments_and_tokens(void **state)
{
    support_data *data = *state;
    static const char chunks[] = "# id 1\n#a O\n# newdoc\n# B-x\n#b O\n# id 2\n";
    upload(data, "s", BP_FORMAT_CONLL, chunks, sizeof chunks - 1, 5);
    assert_rows(data, "s", 0, 10, "[[[\"#a\",\"#\",\"#b\"],[\"O\",\"B-x\",\"O\"]]]");
    static const char words[] = "a DT\n# NN\n"; /* where tags are others, # may be a token */
    upload(data, "s", BP_FORMAT_CONLL, words, sizeof words - 1, 5);
    assert_rows(data, "s", 0, 10, "[[[\"a\",\"#\"],[\"DT\",\"NN\"]]]");
}

/* The ingest thread is handed back between slices, also while tags are renumbered. */
static void conversion_takes_turns(void **state)
{
    support_data *data = *state;
    enum { TOKENS = 100000 };
    static const bp_dataset_limits limits = {.decoded_bytes = TOKENS * 4, .columns = 10};
    char *text = malloc(TOKENS * 4);
    for (size_t i = 0; i < TOKENS; i++)
        memcpy(text + 4 * i, i % 3 ? "a O\n" : "b B\n", 4);
    bp_upload_pipeline *pipeline;
    bp_error error = {0};
    bool more = true;
    size_t turns = 0, count;
    assert_int_equal(bp_upload_pipeline_create(&pipeline, data->directory, NULL, BP_FORMAT_CONLL,
                                               &limits, &error),
                     BP_OK);
    assert_int_equal(bp_upload_pipeline_feed(pipeline, text, TOKENS * 4, &error), BP_OK);
    assert_int_equal(bp_upload_pipeline_end(pipeline, &error), BP_OK);
    for (; more; turns++)
        assert_int_equal(bp_upload_pipeline_convert(pipeline, &more, &error), BP_OK);
    (void)bp_upload_pipeline_columns(pipeline, &count);
    assert_int_equal(count, 3);
    assert_int_equal(turns, count + 2); /* 64 K tags at a time */
    bp_upload_pipeline_free(pipeline);
    free(text);
}

/* ---- what a file is ---- */

static void formats_are_found_from_the_content(void **state)
{
    support_data *data = *state;
    static const struct {
        const char *text;
        bp_dataset_kind kind;
    } cases[] = {
        {"a,b\n1,2\n", BP_DATASET_TABLE},
        {"a\n1\n2\n", BP_DATASET_TABLE},
        {"sepal length, sepal width\n1, 2\n", BP_DATASET_TABLE},
        {"token\ttag\nParis\tO\n", BP_DATASET_TABLE},
        {"name;note\nx;\"a long, long note; and more\"\n", BP_DATASET_TABLE},
        {"a, b\n1, 2\n", BP_DATASET_TABLE},
        {"First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n",
         BP_DATASET_TEXT},
        {"abcabcabc", BP_DATASET_TEXT},
        {"abcabcabc\n", BP_DATASET_TEXT},
        {"The quick brown fox, the lazy dog.\nThe quick brown fox, the lazy dog.\n",
         BP_DATASET_TEXT},
        {"Well then, friend.\nSo, what, friend?\nNothing.\n", BP_DATASET_TEXT},
        {"\u00c9t\u00e9 \u00e0 Paris\n", BP_DATASET_TEXT},
        {"Paris B-location\nis O\n", BP_DATASET_TAGGED},
        {"@paulwalk\tO\nIt\tO\n\t\nFrom\tO\n", BP_DATASET_TAGGED},
        {"The\tDT\ndog\tNN\n\nA\tDT\n", BP_DATASET_TAGGED},
        {"-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n", BP_DATASET_TAGGED},
        {"# text = It is\nIt\tO\nis\tO\n", BP_DATASET_TAGGED},
        {"\xef\xbb\xbf# text = It is\nIt\tO\nis\tO\n", BP_DATASET_TAGGED},
        {"\xef\xbb\xbf\r\nIt O\nis O\n", BP_DATASET_TAGGED},
        {"\xef\xbb\xbf"
         "a,b\n1,2\n",
         BP_DATASET_TABLE},
        {"It O\n\n# newdoc\nis O\n", BP_DATASET_TAGGED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        upload(data, "x", BP_FORMAT_AUTO, cases[i].text, strlen(cases[i].text), 7);
        bp_dataset_info *info = find(data, "x");
        if (info->kind != cases[i].kind)
            fail_msg("case %zu is taken for a %s", i, bp_dataset_kind_name(info->kind));
        assert_int_equal(info->version, i + 1);
        bp_dataset_info_free(info);
    }
    /* The same bytes as something else are other content. */
    upload(data, "x", BP_FORMAT_TEXT, "a,b\n1,2\n", 8, 8);
    upload(data, "x", BP_FORMAT_CSV, "a,b\n1,2\n", 8, 8);
    bp_dataset_info *info = find(data, "x");
    assert_int_equal(info->version, sizeof cases / sizeof *cases + 2);
    assert_int_equal(info->kind, BP_DATASET_TABLE);
    bp_dataset_info_free(info);
}

static void a_beginning_is_enough(void **state)
{
    support_data *data = *state;
    enum { LONG = 300000 };
    char *text = malloc(LONG);
    /* A header line longer than what is looked at. */
    size_t length = 0;
    for (unsigned i = 0; i < 40; i++)
        length += (size_t)sprintf(text + length, "%s%0250u", i ? "," : "", i);
    for (unsigned i = 0; i < 30000; i++)
        length += (size_t)sprintf(text + length, "%s%u", i % 40 ? "," : "\n", i % 10);
    upload(data, "wide", BP_FORMAT_AUTO, text, length, 5000);
    bp_dataset_info *info = find(data, "wide");
    assert_int_equal(info->kind, BP_DATASET_TABLE);
    bp_dataset_info_free(info);
    memset(text, 'a', LONG);
    upload(data, "one", BP_FORMAT_AUTO, text, LONG, 5000);
    info = find(data, "one");
    assert_int_equal(info->kind, BP_DATASET_TEXT);
    bp_dataset_info_free(info);
    free(text);
}

/* ---- faults ---- */

static void faults_name_the_line(void **state)
{
    support_data *data = *state;
    static const struct {
        bp_dataset_format format;
        const char *text;
        size_t length; /* 0: as strlen says */
        const char *where, *message;
    } cases[] = {
        {BP_FORMAT_TEXT, "", 0, "line 1", "empty"},
        {BP_FORMAT_TEXT, "a\nb\0c", 5, "line 2", "NUL"},
        {BP_FORMAT_TEXT, "a\n\n\xff", 0, "line 3", "UTF-8"},
        {BP_FORMAT_TEXT, "a\n\xed\xa0\x80", 0, "line 2", "UTF-8"},
        {BP_FORMAT_TEXT, "a\xc3", 0, "line 1", "inside a character"},
        {BP_FORMAT_TEXT, "\x93NUMPY\1\0", 8, "byte 0", "given as text"},
        {BP_FORMAT_CONLL, "", 0, "line 1", "no tokens"},
        {BP_FORMAT_CONLL, "\n\n-DOCSTART-\n", 0, "line 4", "no tokens"},
        {BP_FORMAT_CONLL, "a O\nb\n", 0, "line 2", "one column"},
        {BP_FORMAT_CONLL, "a\n", 0, "line 1", "one column"},
        {BP_FORMAT_CONLL, "a O\nb c O\n", 0, "line 2", "3 columns, where the first"},
        {BP_FORMAT_CONLL, "a\tO\nb c O\n", 0, "line 2", "one column"},
        {BP_FORMAT_CONLL, "a O\rb O\r", 0, "line 1", "carriage return"},
        {BP_FORMAT_CONLL, "a\tO\nb\tO\r\rc\tO\n", 0, "line 2", "carriage return"},
        {BP_FORMAT_CONLL, "a O\n\0", 5, "line 2", "NUL"},
        {BP_FORMAT_CONLL, "a O\n\xc0\x80", 0, "line 2", "UTF-8"},
        {BP_FORMAT_CONLL, "a O\nb \xe2\x82", 0, "line 2", "inside a character"},
        {BP_FORMAT_CONLL, "\0\0\x08\x01", 4, "byte 0", "like an IDX"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t chunk = 1; chunk < 10; chunk += 4) {
            const size_t length = cases[i].length ? cases[i].length : strlen(cases[i].text);
            bp_upload_result result =
                support_upload(data, "x", NULL, cases[i].format, cases[i].text, length, chunk);
            assert_int_equal(result.status, BP_INVALID);
            assert_string_equal(result.error.where, cases[i].where);
            if (!strstr(result.error.message, cases[i].message))
                fail_msg("case %zu: %s", i, result.error.message);
        }
    assert_int_equal(support_file_count(data, "tmp"), 0);
    assert_int_equal(support_file_count(data, "columns"), 0);
}

static void refuse_large(support_data *data, const char *text, size_t length, const char *where,
                         const char *message)
{
    bp_upload_result result =
        support_upload(data, "x", NULL, BP_FORMAT_CONLL, text, length, 100000);
    assert_int_equal(result.status, BP_TOO_LARGE);
    assert_string_equal(result.error.where, where);
    if (!strstr(result.error.message, message))
        fail_msg("%s", result.error.message);
}

static void sizes_have_limits(void **state)
{
    support_data *data = *state;
    enum { LONG = 4 * 1024 * 1024 };
    char *text = malloc(LONG);
    memset(text, 'x', LONG);
    refuse_large(data, text, LONG, "line 1", "longer than 64 KiB");
    memcpy(text + 5000, " O\n", 3);
    refuse_large(data, text, 5003, "line 1", "token is longer");
    memcpy(text, "a ", 2);
    text[1000] = '\n';
    refuse_large(data, text, 1001, "line 1", "tag is longer");
    size_t length = 0;
    while (length < LONG - 10)
        length += (size_t)sprintf(text + length, "a O\n");
    refuse_large(data, text, length, "line 524289", "sentence is longer than 1 MiB");
    length = 0;
    for (unsigned i = 0; i <= BP_TAG_LIMIT; i++)
        length += (size_t)sprintf(text + length, "a t%u\n", i);
    refuse_large(data, text, length, "line 10001", "more than 10000 different tags");
    /* One fewer is enough of them. */
    upload(data, "tags", BP_FORMAT_CONLL, text, length - strlen("a t10000\n"), 100000);
    free(text);
    json_t *document;
    assert_int_equal(bp_datasets_document_json(&document, data->datasets, "tags", NULL), BP_OK);
    assert_int_equal(json_array_size(json_object_get(document, "tags")), 100);
    json_decref(document);
}

static void a_corpus_takes_no_columns(void **state)
{
    support_data *data = *state;
    upload(data, "x", BP_FORMAT_TEXT, "abc", 3, 3);
    bp_upload_result result =
        support_upload(data, "x", "c", BP_FORMAT_AUTO, "\0\0\x08\x01\0\0\0\1x", 9, 9);
    assert_int_equal(result.status, BP_CONFLICT);
    assert_non_null(strstr(result.error.message, "kind \"text\""));
    assert_int_equal(support_file_count(data, "columns"), 2);
}

static void deletion_removes_the_files(void **state)
{
    support_data *data = *state;
    upload(data, "x", BP_FORMAT_TEXT, "abc", 3, 3);
    upload(data, "y", BP_FORMAT_TEXT, "abc", 3, 3);
    upload(data, "z", BP_FORMAT_CONLL, tagged, sizeof tagged - 1, 100);
    assert_int_equal(support_file_count(data, "columns"), 5);
    assert_int_equal(support_delete(data, "z", NULL), BP_OK);
    assert_int_equal(support_delete(data, "x", NULL), BP_OK);
    support_upload_csv(data, "later", "q\n9\n"); /* the sweep comes before the upload */
    assert_int_equal(support_file_count(data, "columns"), 3);
    support_data_reopen(data);
    assert_rows(data, "y", 0, 1, "[[\"abc\"]]");
}

static void damaged_files_are_not_believed(void **state)
{
    support_data *data = *state;
    upload(data, "s", BP_FORMAT_CONLL, tagged, sizeof tagged - 1, 100);
    bp_dataset_info *info = find(data, "s");
    for (size_t column = 0; column < BP_TAGGED_COLUMN_COUNT; column++) {
        char path[SUPPORT_PATH_SIZE + 128];
        unsigned char byte;
        snprintf(path, sizeof path, "%s/columns/%s", data->directory, info->columns[column].sha256);
        FILE *file = fopen(path, "r+b");
        assert_non_null(file);
        /* Of the tokens, the last line end; of the tags, a high byte; of the pairs, the last one's. */
        const long at = column == BP_TAGS_COLUMN ? BP_COLUMN_HEADER_BYTES + 4 * 3 + 3 : -1;
        fseek(file, at, column == BP_TAGS_COLUMN ? SEEK_SET : SEEK_END);
        assert_int_equal(fread(&byte, 1, 1, file), 1);
        fseek(file, at, column == BP_TAGS_COLUMN ? SEEK_SET : SEEK_END);
        fputc(byte ^ 0x41, file);
        fflush(file);
        json_t *json;
        assert_int_equal(bp_datasets_rows_json(&json, data->datasets, "s", 1, 1, NULL), BP_CORRUPT);
        fseek(file, at, column == BP_TAGS_COLUMN ? SEEK_SET : SEEK_END);
        fputc(byte, file);
        fclose(file);
    }
    bp_dataset_info_free(info);
    json_t *json;
    assert_int_equal(bp_datasets_rows_json(&json, data->datasets, "s", 1, 1, NULL), BP_OK);
    json_decref(json);
}

#define DATA_TEST(name) cmocka_unit_test_setup_teardown(name, open_data, close_data)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(a_text_is_counted_and_kept_byte_by_byte),
        DATA_TEST(lines_are_found_by_their_index),
        DATA_TEST(sentences_are_counted_and_kept),
        DATA_TEST(tokens_between_tabs_may_hold_blanks),
        DATA_TEST(a_hash_begins_comments_and_tokens),
        DATA_TEST(conversion_takes_turns),
        DATA_TEST(formats_are_found_from_the_content),
        DATA_TEST(a_beginning_is_enough),
        DATA_TEST(faults_name_the_line),
        DATA_TEST(sizes_have_limits),
        DATA_TEST(a_corpus_takes_no_columns),
        DATA_TEST(deletion_removes_the_files),
        DATA_TEST(damaged_files_are_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
