/* What is read of corpora for resolving jobs, and remembered: by what it depends on, and not for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/corpus/corpus_measure.h"
#include "server/corpus/vector_table.h"
#include "tests/server/support_upload.h"

static const char sentences[] =
    "in\tO\nParis\tB-x\n\nOslo\tB-x\n\nis\tO\nfar\tO\naway\tO\n\nso\tO\n";
static const char text[] = "to be or not to be";
static const char vectors[] = "TO 1 2\nbe 3 4\nto 5 6\n<unk> 7 8\nx 9 9\n";

static void upload(support_data *data, const char *name, bp_dataset_format format,
                   const char *bytes)
{
    bp_upload_result result = support_upload(data, name, NULL, format, bytes, strlen(bytes), 50000);
    if (result.status != BP_OK)
        fail_msg("%s: %s", result.error.where, result.error.message);
    json_decref(result.document);
}

static int open_data(void **state)
{
    support_data *data = calloc(1, sizeof *data);
    support_data_open(data);
    upload(data, "s", BP_FORMAT_CONLL, sentences);
    upload(data, "t", BP_FORMAT_TEXT, text);
    upload(data, "v", BP_FORMAT_VECTORS, vectors);
    *state = data;
    return 0;
}

static int close_data(void **state)
{
    support_data_close(*state);
    free(*state);
    return 0;
}

static void content(support_data *data, char *sha256, const char *name)
{
    bp_dataset_info *info = NULL;
    assert_int_equal(bp_datasets_find(&info, data->datasets, name, NULL, NULL), BP_OK);
    strcpy(sha256, info->sha256);
    bp_dataset_info_free(info);
}

static char names[][2] = {"s", "t", "v"};

/* A job as far as reading goes. */
static bp_job_spec job(support_data *data, bool tagging)
{
    bp_job_spec spec = {
        .task = tagging ? BP_TASK_TAGGING : BP_TASK_LANGUAGE_MODEL,
        .dataset = names[!tagging],
        .corpus = {.rule = {.unit = BP_UNIT_WORD, .padded = tagging, .min_count = 1},
                   .window_width = 3},
        .training.seed = 1};
    content(data, spec.dataset_sha256, spec.dataset);
    return spec;
}

static bool knows(support_data *data, const bp_job_spec *spec)
{
    bp_corpus_measure measure;
    const bool known = bp_corpus_recall(&measure, data->datasets, spec, NULL);
    if (known)
        bp_vocabulary_free(measure.vocabulary);
    return known;
}

static bp_corpus_measure measured(support_data *data, const bp_job_spec *spec)
{
    bp_corpus_measure read, recalled;
    bp_error error = {.status = BP_OK};
    if (bp_corpus_read(&read, data->datasets, spec, NULL, NULL, NULL, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
    assert_true(bp_corpus_recall(&recalled, data->datasets, spec, NULL));
    assert_memory_equal(&read, &recalled, sizeof read); /* the vocabulary is one */
    bp_vocabulary_free(recalled.vocabulary);
    return read;
}

static void sentences_are_counted_by_part(void **state)
{
    support_data *data = *state;
    bp_job_spec spec = job(data, true);
    assert_false(knows(data, &spec));
    bp_corpus_measure all = measured(data, &spec);
    assert_int_equal(bp_vocabulary_count(all.vocabulary), 2 + 7);
    assert_int_equal(all.training_rows, 7);
    assert_int_equal(all.training_entities, 2);
    spec.validation.fraction = 0.5;
    assert_false(knows(data, &spec));
    bp_corpus_measure half = measured(data, &spec);
    assert_int_equal(half.training_rows + half.validation_rows, 7);
    assert_true(half.validation_rows > 0);
    assert_int_equal(half.training_entities + half.validation_entities, 2);
    assert_int_equal(bp_vocabulary_count(half.vocabulary), 2 + half.training_rows);
    /* Which sentences are drawn depends on the seed, where any are. */
    spec.training.seed = 2;
    assert_false(knows(data, &spec));
    spec.validation.fraction = 0;
    assert_true(knows(data, &spec));
    bp_vocabulary_free(all.vocabulary);
    bp_vocabulary_free(half.vocabulary);
}

static void what_it_depends_on_is_told_apart(void **state)
{
    support_data *data = *state;
    bp_job_spec spec = job(data, false);
    bp_corpus_measure measure = measured(data, &spec);
    assert_int_equal(bp_vocabulary_count(measure.vocabulary), 5);
    /* A vocabulary that is given need not be read for. */
    spec.corpus.rule.min_count = 2;
    assert_false(knows(data, &spec));
    bp_corpus_measure given;
    assert_true(bp_corpus_recall(&given, data->datasets, &spec, measure.vocabulary));
    assert_ptr_equal(given.vocabulary, measure.vocabulary);
    bp_vocabulary_free(given.vocabulary);
    bp_vocabulary_free(measure.vocabulary);
    measure = measured(data, &spec);
    assert_int_equal(bp_vocabulary_count(measure.vocabulary), 3);
    bp_vocabulary_free(measure.vocabulary);
    spec.corpus.rule.lowercase = true;
    assert_false(knows(data, &spec));
}

/* Sixteen are kept, the ones that were used last. */
static void the_oldest_goes(void **state)
{
    support_data *data = *state;
    bp_job_spec spec = job(data, false);
    for (uint64_t count = 1; count <= 16; count++) {
        spec.corpus.rule.max_count = count;
        bp_vocabulary_free(measured(data, &spec).vocabulary);
    }
    spec.corpus.rule.max_count = 1;
    assert_true(knows(data, &spec)); /* and is the newest now */
    spec.corpus.rule.max_count = 17;
    bp_vocabulary_free(measured(data, &spec).vocabulary);
    for (uint64_t count = 1; count <= 17; count++) {
        spec.corpus.rule.max_count = count;
        assert_int_equal(knows(data, &spec), count != 2);
    }
}

static bool always(void *context)
{
    (void)context;
    return true;
}

static void reading_fails_as_it_should(void **state)
{
    support_data *data = *state;
    bp_corpus_measure measure;
    bp_error error = {.status = BP_OK};
    bp_job_spec spec = job(data, false);
    assert_int_equal(bp_corpus_read(&measure, data->datasets, &spec, NULL, always, NULL, &error),
                     BP_CANCELLED);
    assert_false(knows(data, &spec));
    /* "be" are two characters of the end that nothing before has. */
    upload(data, "u", BP_FORMAT_TEXT, "aaaaaaaabe");
    char name[] = "u";
    spec.dataset = name;
    content(data, spec.dataset_sha256, "u");
    spec.corpus.rule = (bp_vocabulary_rule){.unit = BP_UNIT_CHARACTER, .min_count = 1};
    spec.validation.fraction = 0.2;
    spec.corpus.validation_count = 2;
    error = (bp_error){.status = BP_OK};
    assert_int_equal(bp_corpus_read(&measure, data->datasets, &spec, NULL, NULL, NULL, &error),
                     BP_INVALID);
    assert_non_null(strstr(error.message, "character 9"));
    spec.validation.fraction = 0;
    spec.corpus.validation_count = 0;
    bp_vocabulary_free(measured(data, &spec).vocabulary);
}

typedef struct taken {
    double first[8]; /* by id; 0: none */
    size_t count;
} taken;

static void take(void *context, int32_t id, const double *numbers)
{
    taken *to = context;
    to->first[id] = numbers[0];
    to->count++;
}

static void vectors_are_those_of_entries(void **state)
{
    support_data *data = *state;
    bp_job_spec spec = job(data, false);
    spec.vectors.dataset = names[2];
    content(data, spec.vectors.sha256, "v");
    assert_false(knows(data, &spec));
    bp_corpus_measure measure = measured(data, &spec);
    assert_int_equal(measure.vector_words, 3); /* be, to, <unk> */
    bp_vocabulary_free(measure.vocabulary);
    spec.corpus.rule.lowercase = true;
    measure = measured(data, &spec);
    assert_int_equal(measure.vector_words, 3);
    taken to = {.count = 0};
    size_t count = 0;
    assert_int_equal(bp_vectors_visit(&count, data->datasets, &spec.vectors, measure.vocabulary,
                                      take, &to, NULL, NULL, NULL),
                     BP_OK);
    assert_int_equal(count, 3);
    assert_int_equal(to.count, 3);
    assert_true(to.first[bp_vocabulary_word(measure.vocabulary, "to", 2)] == 1); /* TO came first */
    assert_true(to.first[bp_vocabulary_word(measure.vocabulary, "be", 2)] == 3);
    assert_true(to.first[bp_vocabulary_unknown(measure.vocabulary)] == 7);
    strcpy(spec.vectors.sha256, spec.dataset_sha256);
    assert_int_equal(bp_vectors_visit(&count, data->datasets, &spec.vectors, measure.vocabulary,
                                      take, &to, NULL, NULL, NULL),
                     BP_NOT_FOUND);
    bp_vocabulary_free(measure.vocabulary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sentences_are_counted_by_part, open_data, close_data),
        cmocka_unit_test_setup_teardown(what_it_depends_on_is_told_apart, open_data, close_data),
        cmocka_unit_test_setup_teardown(the_oldest_goes, open_data, close_data),
        cmocka_unit_test_setup_teardown(reading_fails_as_it_should, open_data, close_data),
        cmocka_unit_test_setup_teardown(vectors_are_those_of_entries, open_data, close_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
