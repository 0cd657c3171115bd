/* What a job takes from a text or from tagged sentences: task, vocabulary, parts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/loss/loss.h"
#include "schema/job/job_rows.h"
#include "schema/job/job_work.h"
#include "schema/job/labels.h"
#include "schema/model/model_info.h"

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

static void rule_fault(bp_job_work *work, const char *pointer, const char *wanted)
{
    char *source = bp_job_source_text(work);
    if (source)
        bp_job_fault(
            work, BP_INVALID, pointer,
            "the vocabulary is that of %s, which was made with %s: give that, or leave this "
            "out",
            source, wanted);
    free(source);
}

/* The vocabulary is that of the model that the job goes on from: what is said of it must be true. */
static void check_rule(bp_job_work *work, const bp_vocabulary_rule *rule)
{
    const bp_corpus_draft *draft = &work->draft.data.corpus;
    char number[32];
    if (draft->unit.given && draft->unit.value != (int64_t)rule->unit)
        rule_fault(work, "/data/unit", rule->unit == BP_UNIT_WORD ? "\"word\"" : "\"character\"");
    if (draft->lowercase.given && draft->lowercase.value != rule->lowercase)
        rule_fault(work, "/data/lowercase", rule->lowercase ? "true" : "false");
    if (draft->min_count.given && (uint64_t)draft->min_count.value != rule->min_count) {
        snprintf(number, sizeof number, "%llu", (unsigned long long)rule->min_count);
        rule_fault(work, "/data/min_count", number);
    }
    if (draft->max_vocabulary.given && (uint64_t)draft->max_vocabulary.value != rule->max_count) {
        snprintf(number, sizeof number, "%llu", (unsigned long long)rule->max_count);
        rule_fault(work, "/data/max_vocabulary", rule->max_count ? number : "null");
    }
}

static void resolve_rule(bp_job_work *work)
{
    const bp_corpus_draft *draft = &work->draft.data.corpus;
    const bp_model_info *initial = work->initial;
    if (initial && initial->vocabulary && initial->task == work->spec->task) {
        work->spec->corpus.rule = initial->vocabulary_rule;
        check_rule(work, &initial->vocabulary_rule);
        return;
    }
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
    work->spec->training.shuffle = text ? false : shuffle->given ? shuffle->value : true;
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
static uint64_t resolve_part(bp_job_work *work, bp_job_part *out, const bp_dataset_info **out_info,
                             uint64_t *out_count, const bp_part_draft *draft, const char *pointer)
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
        *out_info = info;
        *out_count = bp_job_unit_count(info, rule);
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
    *out_count = bp_job_part_rows(out->fraction, bp_job_unit_count(work->corpus, rule));
    return *out_count;
}

/* Whether another part of a text has a token, but none to follow it. */
static bool short_part(bp_job_work *work)
{
    const bp_corpus_spec *corpus = &work->spec->corpus;
    const bool of_validation = corpus->validation_count == 1;
    if (!of_validation && corpus->test_count != 1)
        return false;
    bp_job_fault(work, BP_INVALID, of_validation ? "/data/validation" : "/data/test",
                 "this part has one token alone; to be evaluated it needs at least 2");
    return true;
}

static void resolve_parts(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    const bp_data_draft *draft = &work->draft.data;
    const bool text = work->corpus->kind == BP_DATASET_TEXT;
    const uint64_t count = bp_job_unit_count(work->corpus, &spec->corpus.rule);
    const uint64_t validation =
        resolve_part(work, &spec->validation, &work->validation, &spec->corpus.validation_count,
                     &draft->validation, "/data/validation");
    const uint64_t test = resolve_part(work, &spec->test, &work->test, &spec->corpus.test_count,
                                       &draft->test, "/data/test");
    const char *unit = !text                                         ? "sentences"
                       : spec->corpus.rule.unit == BP_UNIT_CHARACTER ? "characters"
                                                                     : "words";
    spec->corpus.training_count = validation + test < count ? count - validation - test : 0;
    if (spec->corpus.training_count == 0 && validation + test > 0)
        bp_job_fault(work, BP_INVALID,
                     validation > 0 ? "/data/validation/fraction" : "/data/test/fraction",
                     "the parts take %llu %s of %llu and leave none to train on",
                     (unsigned long long)(validation + test), unit, (unsigned long long)count);
    else if (text && short_part(work))
        return;
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
    work->task_known = true;
    bp_job_find_initial(work);
    resolve_rule(work);
    resolve_order(work);
    if (work->corpus->kind == BP_DATASET_TAGGED) {
        work->targets_known = true;
        if (bp_labels_create(&spec->classes, &work->corpus->columns[BP_TAGS_COLUMN]) != BP_OK) {
            work->targets_known = false;
            bp_job_no_memory(work);
            return;
        }
        spec->target_width = spec->classes.count;
        const bp_member *loss = work->draft.loss.member;
        if (spec->classes.count < 2 && !(loss && bp_loss_of(loss)->paired))
            bp_job_fault(work, BP_INVALID, "/data/dataset",
                         "data set \"%s\" has one tag alone; tagging needs at least 2",
                         work->corpus->name);
    }
    resolve_parts(work);
}
