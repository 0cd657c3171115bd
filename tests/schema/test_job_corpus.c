/* Jobs over texts and tagged sentences: what of a specification fits them, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/schema/support_datasets.h"

enum { FAULTS = 10 };

typedef struct corpus_row {
    const char *body;
    struct {
        const char *pointer, *words; /* words joined by '|' */
    } fault[FAULTS];
} corpus_row;

#define PLAYS(rest)  "{'data': {'dataset': 'plays'" rest "}}"
#define TWEETS(rest) "{'data': {'dataset': 'tweets'" rest "}}"
#define IRIS(rest)   "{'data': {'dataset': 'iris', 'target': 'species'" rest "}}"
/* What is left to say where everything fits. */
#define NOT_YET(kind)                                                                              \
    {                                                                                              \
        {                                                                                          \
            "/data/dataset", kind "|no job can be run yet"                                         \
        }                                                                                          \
    }

static const corpus_row rows[] = {
    {PLAYS(""), NOT_YET("\"text\"")},
    {PLAYS(", 'unit': 'character', 'lowercase': false, 'min_count': 1, 'max_vocabulary': null"),
     NOT_YET("\"text\"")},
    {PLAYS(", 'unit': 'word', 'lowercase': true, 'min_count': 3, 'max_vocabulary': 10000, "
           "'validation': {'fraction': 0.05}, 'test': {'dataset': 'plays'}"),
     NOT_YET("\"text\"")},
    {PLAYS("}, 'task': 'language_model', 'training': {'sequence_length': 20, 'shuffle': false"),
     NOT_YET("\"text\"")},
    {TWEETS(", 'unit': 'word', 'validation': {'fraction': 0.5}}, 'training': {'shuffle': true"),
     NOT_YET("\"tagged\"")},
    {TWEETS("}, 'task': 'tagging', 'x': {"), {{"/x", "unknown field"}}},
    /* fields of another kind */
    {PLAYS(", 'target': 'text', 'features': [], 'exclude': [], 'columns': {}}, 'preprocess': "
           "{'center': true, 'scale': 'none', 'whiten': false, 'missing': 'zero'"),
     {{"/data/features", "table|\"plays\""},
      {"/data/target", "belongs to a table"},
      {"/data/exclude", "belongs to a table"},
      {"/data/columns", "belongs to a table"},
      {"/preprocess/center", "belongs to a table"},
      {"/preprocess/scale", "belongs to a table"},
      {"/preprocess/whiten", "belongs to a table"},
      {"/preprocess/missing", "belongs to a table"}}},
    {IRIS(", 'unit': 'word', 'lowercase': false, 'min_count': 1, 'max_vocabulary': 5}, "
          "'training': {'sequence_length': 3"),
     {{"/data/unit", "\"iris\" is a table"},
      {"/data/lowercase", "table"},
      {"/data/min_count", "table"},
      {"/data/max_vocabulary", "table"},
      {"/training/sequence_length", "table"}}},
    {IRIS("}, 'task': 'tagging', 'metrics': {"), {{"/task", "\"tagging\"|kind \"tagged\""}}},
    {IRIS("}, 'task': 'language_model', 'metrics': {"), {{"/task", "kind \"text\""}}},
    {IRIS(", 'test': {'dataset': 'plays'}"), {{"/data/test/dataset", "\"text\"|take tables"}}},
    {PLAYS("}, 'task': 'tagging', 'metrics': {"),
     {{"/task", "\"text\"|\"language_model\"|got \"tagging\""}}},
    {TWEETS("}, 'task': 'classification', 'metrics': {"), {{"/task", "\"tagging\""}}},
    /* characters */
    {PLAYS(", 'lowercase': true, 'min_count': 2, 'max_vocabulary': 100"),
     {{"/data/lowercase", "as they are"},
      {"/data/min_count", "must be 1"},
      {"/data/max_vocabulary", "must be null"}}},
    {TWEETS(", 'unit': 'character'"), {{"/data/unit", "must be \"word\""}}},
    {PLAYS(", 'unit': 'syllable'"), {{"/data/unit", "character|word"}}},
    {PLAYS(", 'unit': 'word', 'min_count': 0, 'max_vocabulary': 0"),
     {{"/data/min_count", "at least 1"}, {"/data/max_vocabulary", "at least 1"}}},
    /* order */
    {PLAYS("}, 'training': {'shuffle': true, 'sequence_length': 0"),
     {{"/training/sequence_length", "at least 1"}, {"/training/shuffle", "must be false"}}},
    {TWEETS("}, 'training': {'sequence_length': 5"),
     {{"/training/sequence_length", "belongs to a text"}}},
    /* parts */
    {PLAYS(", 'validation': {'fraction': 0.6}, 'test': {'fraction': 0.5}"),
     {{"/data/validation/fraction", "5489 characters of 4990"}}},
    {PLAYS(", 'unit': 'word', 'test': {'fraction': 0.999}"),
     {{"/data/dataset", "1 words|at least 2"}}},
    {TWEETS(", 'test': {'fraction': 0.9}"), {{"/data/test/fraction", "2 sentences of 2"}}},
    {PLAYS(", 'validation': {'dataset': 'tweets'}, 'test': {'dataset': 'iris'}"),
     {{"/data/validation/dataset", "\"tagged\"|kind \"text\""},
      {"/data/test/dataset", "\"table\"|kind \"text\""}}},
    {PLAYS(", 'test': {'dataset': 'nothing'}"), {{"/data/test/dataset", "no data set"}}},
    {TWEETS(", 'test': {'dataset': 'odd-tweets'}"),
     {{"/data/test/dataset", "the tag \"B-y\"|does not have"}}},
    {"{'data': {'dataset': 'odd-tweets', 'test': {'dataset': 'tweets'}}}",
     {{"/data/test/dataset", "the tag \"B-x\"|does not have"}}},
};

static bool has_words(const char *detail, const char *words)
{
    char *copy = strdup(words), *rest = copy, *word;
    bool all = true;
    while ((word = strsep(&rest, "|")))
        all = all && strstr(detail, word);
    free(copy);
    return all;
}

static bool row_fits(const corpus_row *row, const bp_faults *faults)
{
    size_t wanted = 0;
    while (wanted < FAULTS && row->fault[wanted].pointer)
        wanted++;
    bool fits = faults->count == wanted;
    for (size_t i = 0; fits && i < wanted; i++) {
        bool found = false;
        for (size_t j = 0; j < faults->count; j++)
            found = found || (!strcmp(faults->items[j].pointer, row->fault[i].pointer) &&
                              has_words(faults->items[j].detail, row->fault[i].words));
        fits = found;
    }
    return fits;
}

static void test_corpora(void **state)
{
    (void)state;
    support_datasets datasets;
    support_datasets_open(&datasets);
    size_t failed = 0;
    for (size_t index = 0; index < sizeof rows / sizeof *rows; index++) {
        json_t *body = support_json(rows[index].body);
        support_job job;
        support_resolve(&job, &datasets, body);
        assert_int_not_equal(job.status, BP_OK);
        if (!row_fits(&rows[index], &job.faults)) {
            print_error("%s: status %d\n", rows[index].body, (int)job.status);
            for (size_t fault = 0; fault < job.faults.count; fault++)
                print_error("    %s: %s\n", job.faults.items[fault].pointer,
                            job.faults.items[fault].detail);
            failed++;
        }
        support_job_done(&job);
        json_decref(body);
    }
    assert_int_equal(failed, 0);
    support_datasets_close(&datasets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpora),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
