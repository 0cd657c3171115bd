/* What a job takes from a text or from tagged sentences: task, vocabulary, parts. */
#include <stdio.h>
#include <string.h>

#include "schema/job/job_rows.h"
#include "schema/job/job_work.h"
#include "schema/job/labels.h"

enum { DEFAULT_SEQUENCE_LENGTH = 64 };

void bp_job_refuse_corpus_fields(bp_job_work *work)
{
    const bp_job_draft *draft = &work->draft;
    const bp_corpus_draft *corpus = &draft->data.corpus;
    const struct {
        bool given;
        const char *pointer;
    } fields[] = {{corpus->unit.given, "/data/unit"},
                  {corpus->lowercase.given, "/data/lowercase"},
                  {corpus->min_count.given, "/data/min_count"},
                  {corpus->max_vocabulary.given, "/data/max_vocabulary"},
                  {draft->training.sequence_length.given, "/training/sequence_length"}};
    for (size_t index = 0; index < sizeof fields / sizeof *fields; index++)
        if (fields[index].given)
            bp_job_fault(work, BP_INVALID, fields[index].pointer,
                         "belongs to a text or to tagged sentences; data set \"%s\" is a table",
                         work->training->name);
    if (draft->task.given && draft->task.value > BP_TASK_REGRESSION)
        bp_job_fault(work, BP_INVALID, "/task",
                     "\"%s\" needs a data set of kind \"%s\"; \"%s\" is a table",
                     bp_task_names[draft->task.value],
                     bp_dataset_kind_name(draft->task.value == BP_TASK_TAGGING ? BP_DATASET_TAGGED
                                                                               : BP_DATASET_TEXT),
                     work->training->name);
}

/* Faults for what only a table has. */
static void refuse_table_fields(bp_job_work *work)
{
    const bp_job_draft *draft = &work->draft;
    const struct {
        bool given;
        const char *pointer;
    } fields[] = {
        {draft->data.features.value != NULL, "/data/features"},
        {draft->data.target.value != NULL, "/data/target"},
        {draft->data.exclude.value != NULL, "/data/exclude"},
        {draft->data.columns.value != NULL, "/data/columns"},
        {draft->preprocess.center.given, "/preprocess/center"},
        {draft->preprocess.scale.member != NULL, "/preprocess/scale"},
        {draft->preprocess.whiten.given, "/preprocess/whiten"},
        {draft->preprocess.epsilon.given, "/preprocess/epsilon"},
        {draft->preprocess.missing.member != NULL, "/preprocess/missing"},
        {draft->preprocess.target.member != NULL, "/preprocess/target"},
    };
    for (size_t index = 0; index < sizeof fields / sizeof *fields; index++)
        if (fields[index].given)
            bp_job_fault(work, BP_INVALID, fields[index].pointer,
                         "belongs to a table; data set \"%s\" is of kind \"%s\"",
                         work->corpus->name, bp_dataset_kind_name(work->corpus->kind));
}

static void resolve_task(bp_job_work *work)
{
    const bp_given_count *given = &work->draft.task;
    const bool text = work->corpus->kind == BP_DATASET_TEXT;
    work->spec->task = text ? BP_TASK_LANGUAGE_MODEL : BP_TASK_TAGGING;
    if (given->given && given->value != (int64_t)work->spec->task)
        bp_job_fault(work, BP_INVALID, "/task",
                     "data set \"%s\" is of kind \"%s\", which takes \"%s\", got \"%s\"",
                     work->corpus->name, bp_dataset_kind_name(work->corpus->kind),
                     bp_task_names[work->spec->task], bp_task_names[given->value]);
}

/* Characters are taken as they are, each of them. */
static void refuse_word_fields(bp_job_work *work)
{
    const bp_corpus_draft *draft = &work->draft.data.corpus;
    if (draft->lowercase.given && draft->lowercase.value)
        bp_job_fault(work, BP_INVALID, "/data/lowercase",
                     "characters are taken as they are; only words are put in lower case");
    if (draft->min_count.given && draft->min_count.value != 1)
        bp_job_fault(work, BP_INVALID, "/data/min_count",
                     "a vocabulary of characters has each that is there, so this must be 1");
    if (draft->max_vocabulary.given)
        bp_job_fault(work, BP_INVALID, "/data/max_vocabulary",
                     "a vocabulary of characters has each that is there, so this must be null");
}

static void resolve_rule(bp_job_work *work)
{
    const bp_corpus_draft *draft = &work->draft.data.corpus;
    const bool text = work->corpus->kind == BP_DATASET_TEXT;
    bp_vocabulary_rule *rule = &work->spec->corpus.rule;
    *rule = (bp_vocabulary_rule){.unit = text ? BP_UNIT_CHARACTER : BP_UNIT_WORD, .min_count = 1};
    if (draft->unit.given)
        rule->unit = (bp_token_unit)draft->unit.value;
    if (rule->unit == BP_UNIT_CHARACTER) {
        if (!text)
            bp_job_fault(work, BP_INVALID, "/data/unit",
                         "tagged sentences consist of words, so this must be \"word\"");
        refuse_word_fields(work);
        return;
    }
    rule->padded = !text;
    rule->lowercase = draft->lowercase.value; /* false where absent */
    if (draft->min_count.given)
        rule->min_count = (uint64_t)draft->min_count.value;
    if (draft->max_vocabulary.given)
        rule->max_count = (uint64_t)draft->max_vocabulary.value;
}

static void resolve_order(bp_job_work *work)
{
    const bp_given_count *length = &work->draft.training.sequence_length;
    const bp_given_bool *shuffle = &work->draft.training.shuffle;
    const bool text = work->corpus->kind == BP_DATASET_TEXT;
    work->spec->corpus.sequence_length = !text           ? 0
                                         : length->given ? (size_t)length->value
                                                         : (size_t)DEFAULT_SEQUENCE_LENGTH;
    if (length->given && !text)
        bp_job_fault(work, BP_INVALID, "/training/sequence_length",
                     "belongs to a text; tagged sentences are read by windows");
    if (text && shuffle->given && shuffle->value)
        bp_job_fault(work, BP_INVALID, "/training/shuffle",
                     "a text is read in its order, so this must be false");
}

/* ---- parts ---- */

static uint64_t unit_count(const bp_dataset_info *info, const bp_vocabulary_rule *rule)
{
    if (info->kind == BP_DATASET_TAGGED)
        return info->corpus.sentence_count;
    return rule->unit == BP_UNIT_CHARACTER ? info->corpus.character_count : info->corpus.word_count;
}

/* Every tag of a data set must be one of the training set's. */
static void check_tags(bp_job_work *work, const char *place, const bp_dataset_info *info)
{
    for (size_t index = 0; index < info->corpus.tag_count; index++) {
        const char *tag = info->corpus.tags[index].tag;
        if (bp_labels_find_text(&work->spec->classes, tag) != SIZE_MAX)
            continue;
        bp_job_fault(work, BP_INVALID, place,
                     "data set \"%s\" has the tag \"%.*s\", which the training set does not have",
                     info->name, bp_quoted_length(tag), tag);
        return;
    }
}

/* Returns what the part takes of the training set. */
static uint64_t resolve_part(bp_job_work *work, bp_job_part *out, uint64_t *out_count,
                             const bp_part_draft *draft, const char *pointer)
{
    const bp_vocabulary_rule *rule = &work->spec->corpus.rule;
    char place[64];
    if (draft->dataset.value && !draft->fraction.given) {
        const bp_dataset_info *info = bp_job_find_dataset(work, pointer, draft->dataset.value,
                                                          draft->sha256.value, draft->version);
        if (!info)
            return 0;
        snprintf(place, sizeof place, "%s/dataset", pointer);
        out->dataset = bp_job_copy(work, info->name);
        strcpy(out->sha256, info->sha256);
        *out_count = unit_count(info, rule);
        if (info->kind != work->corpus->kind)
            bp_job_fault(work, BP_INVALID, place,
                         "data set \"%s\" is of kind \"%s\", the training set of kind \"%s\"",
                         info->name, bp_dataset_kind_name(info->kind),
                         bp_dataset_kind_name(work->corpus->kind));
        else if (info->kind == BP_DATASET_TAGGED)
            check_tags(work, place, info);
        return 0;
    }
    if (!draft->fraction.given)
        return 0;
    out->fraction = draft->fraction.value;
    *out_count = bp_job_part_rows(out->fraction, unit_count(work->corpus, rule));
    return *out_count;
}

static void resolve_parts(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    const bp_data_draft *draft = &work->draft.data;
    const bool text = work->corpus->kind == BP_DATASET_TEXT;
    const uint64_t count = unit_count(work->corpus, &spec->corpus.rule);
    const uint64_t validation =
        resolve_part(work, &spec->validation, &spec->corpus.validation_count, &draft->validation,
                     "/data/validation");
    const uint64_t test =
        resolve_part(work, &spec->test, &spec->corpus.test_count, &draft->test, "/data/test");
    const char *unit = !text                                         ? "sentences"
                       : spec->corpus.rule.unit == BP_UNIT_CHARACTER ? "characters"
                                                                     : "words";
    spec->corpus.training_count = validation + test < count ? count - validation - test : 0;
    if (spec->corpus.training_count == 0 && validation + test > 0)
        bp_job_fault(work, BP_INVALID,
                     validation > 0 ? "/data/validation/fraction" : "/data/test/fraction",
                     "the parts take %llu %s of %llu and leave none to train on",
                     (unsigned long long)(validation + test), unit, (unsigned long long)count);
    else if (text && spec->corpus.training_count < 2)
        bp_job_fault(work, BP_INVALID, "/data/dataset",
                     "the training part of data set \"%s\" has %llu %s; a language model needs at "
                     "least 2",
                     work->corpus->name, (unsigned long long)spec->corpus.training_count, unit);
}

void bp_job_resolve_corpus(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    refuse_table_fields(work);
    resolve_task(work);
    resolve_rule(work);
    resolve_order(work);
    if (work->corpus->kind == BP_DATASET_TAGGED) {
        if (bp_labels_create(&spec->classes, &work->corpus->columns[BP_TAGS_COLUMN]) != BP_OK) {
            bp_job_no_memory(work);
            return;
        }
        if (spec->classes.count < 2)
            bp_job_fault(work, BP_INVALID, "/data/dataset",
                         "data set \"%s\" has %zu tags; tagging needs at least 2",
                         work->corpus->name, spec->classes.count);
    }
    resolve_parts(work);
}
