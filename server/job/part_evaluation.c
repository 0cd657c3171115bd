#include "server/job/part_evaluation.h"

#include <math.h>
#include <stdlib.h>

#include "core/loss/loss.h"
#include "schema/json/json_text.h"
#include "schema/model/corpus_evaluation.h"
#include "server/corpus/job_corpora.h"

const char *const bp_part_names[] = {"train", "validation", "test"};

struct bp_part_evaluation {
    const bp_job_spec *spec;
    const bp_job_data *data;
    bp_trainer *trainer;
    const bp_examples *parts[BP_PART_COUNT];
    size_t longest; /* rows of a part, at most */

    /* Tagging with tags of entities; elsewhere NULL. */
    int32_t *decided;        /* (longest) */
    bp_entity_tag *tags;     /* (classes) */
    const char **types;      /* (type_count), borrowed from the classes */
    bp_entity_count *counts; /* (type_count) */
    size_t type_count;
};

static bool is_paired(const bp_job_spec *spec)
{
    return bp_loss_of(spec->training.network.loss.member)->paired;
}

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for an evaluation");
}

/* What counting entities takes, where there are any to count. */
static bp_status prepare_entities(bp_part_evaluation *evaluation, bp_error *error)
{
    const bp_labels *classes = &evaluation->spec->classes;
    if (evaluation->spec->task != BP_TASK_TAGGING || is_paired(evaluation->spec))
        return BP_OK;
    evaluation->tags = calloc(classes->count, sizeof *evaluation->tags);
    evaluation->types = calloc(classes->count, sizeof *evaluation->types);
    if (!evaluation->tags || !evaluation->types)
        return no_memory(error);
    if (!bp_entity_tags_parse(evaluation->tags, evaluation->types, &evaluation->type_count,
                              (const char *const *)classes->texts, classes->count)) {
        evaluation->type_count = 0;
        return BP_OK;
    }
    evaluation->counts = calloc(evaluation->type_count, sizeof *evaluation->counts);
    evaluation->decided = calloc(evaluation->longest, sizeof *evaluation->decided);
    return evaluation->counts && evaluation->decided ? BP_OK : no_memory(error);
}

bp_status bp_part_evaluation_create(bp_part_evaluation **out, const bp_job_spec *spec,
                                    const bp_job_data *data, bp_trainer *trainer, bp_error *error)
{
    bp_part_evaluation *evaluation = calloc(1, sizeof *evaluation);
    if (!evaluation)
        return no_memory(error);
    *evaluation = (bp_part_evaluation){.spec = spec,
                                       .data = data,
                                       .trainer = trainer,
                                       .parts = {&data->training, &data->validation, &data->test}};
    for (size_t part = 0; part < BP_PART_COUNT; part++)
        if (evaluation->parts[part]->row_count > evaluation->longest)
            evaluation->longest = evaluation->parts[part]->row_count;
    const bp_status status = prepare_entities(evaluation, error);
    if (status == BP_OK)
        *out = evaluation;
    else
        bp_part_evaluation_free(evaluation);
    return status;
}

const bp_examples *bp_part_examples(const bp_part_evaluation *evaluation, size_t part)
{
    return evaluation->parts[part];
}

/* Counts entities in what the part's tokens were taken for. */
static void count_entities(bp_part_evaluation *evaluation, size_t part)
{
    const bp_corpus_part *corpus = &evaluation->data->corpora->data.parts[part];
    for (size_t type = 0; type < evaluation->type_count; type++)
        evaluation->counts[type] = (bp_entity_count){0};
    bp_entity_score_sentences(evaluation->counts, evaluation->tags, corpus->windows.label,
                              evaluation->decided, corpus->sentence, corpus->sentence_count);
}

static double entity_f1(const bp_part_evaluation *evaluation)
{
    const bp_entity_count sum = bp_entity_score_sum(evaluation->counts, evaluation->type_count);
    return bp_entity_score_ratio(&sum).f1;
}

bp_status bp_part_evaluate(bp_part_metrics *out, bp_part_evaluation *evaluation, size_t part,
                           bp_error *error)
{
    const bp_job_spec *spec = evaluation->spec;
    bp_evaluation result;
    const bp_status status = bp_trainer_evaluate(
        &result, evaluation->trainer, evaluation->parts[part], evaluation->decided, error);
    if (status != BP_OK)
        return status;
    bp_part_metrics metrics = {.loss = result.loss,
                               .accuracy = result.accuracy,
                               .perplexity = NAN,
                               .bits_per_character = NAN,
                               .entity_f1 = NAN};
    if (spec->task == BP_TASK_LANGUAGE_MODEL) {
        metrics.perplexity = bp_perplexity(result.loss);
        if (spec->corpus.rule.unit == BP_UNIT_CHARACTER)
            metrics.bits_per_character = bp_bits_per_token(result.loss);
    }
    if (evaluation->decided && !bp_trainer_interrupted(evaluation->trainer)) {
        count_entities(evaluation, part);
        metrics.entity_f1 = entity_f1(evaluation);
    }
    *out = metrics;
    return BP_OK;
}

/* ---- documents ---- */

static json_t *document(bp_part_evaluation *evaluation, const bp_evaluation_report *report,
                        size_t part)
{
    const bp_job_spec *spec = evaluation->spec;
    if (spec->task == BP_TASK_LANGUAGE_MODEL)
        return bp_text_evaluation_json(report, spec->corpus.rule.unit);
    if (is_paired(spec))
        return bp_pair_evaluation_json(report);
    json_t *json = bp_evaluation_json(report, &spec->classes, spec->targets, spec->target_count);
    if (!evaluation->decided)
        return json;
    count_entities(evaluation, part);
    const bool ok = bp_json_add(
        json, "entities",
        bp_entities_json(evaluation->counts, evaluation->types, evaluation->type_count));
    return bp_json_whole(json, ok);
}

static bp_status evaluate_full(json_t *metrics, bp_part_evaluation *evaluation, size_t part,
                               bp_evaluator *evaluator, bp_error *error)
{
    bp_evaluation_report report;
    const bp_status status =
        bp_trainer_evaluate_full(&report, evaluation->trainer, evaluation->parts[part], evaluator,
                                 evaluation->decided, error);
    if (status != BP_OK)
        return status;
    if (bp_trainer_interrupted(evaluation->trainer))
        return bp_error_set(error, BP_CANCELLED, NULL, "stopped");
    if (!isfinite(report.loss) && part == BP_PART_TRAIN)
        return bp_error_set(error, BP_NOT_FINITE, NULL, "diverged");
    return json_object_set_new(metrics, bp_part_names[part], document(evaluation, &report, part)) ==
                   0
               ? BP_OK
               : bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
}

bp_status bp_parts_evaluate_full(json_t *metrics, bp_part_evaluation *evaluation, bp_error *error)
{
    const bp_training_spec *training = &evaluation->spec->training;
    const bp_preparation *target = &evaluation->data->target_preparation;
    size_t bytes;
    bp_network_size size;
    bp_evaluator *evaluator = NULL;
    bp_status status = bp_trainer_measure(&bytes, &size, training,
                                          evaluation->parts[BP_PART_TRAIN]->row_count, error);
    if (status == BP_OK) {
        bp_evaluator_spec spec = bp_training_evaluator(training, &size, evaluation->longest);
        if (target->column_count > 0)
            spec.value_scale = target->scale;
        status = bp_evaluator_create(&evaluator, &spec, error);
    }
    for (size_t part = 0; part < BP_PART_COUNT && status == BP_OK; part++)
        if (evaluation->parts[part]->row_count > 0)
            status = evaluate_full(metrics, evaluation, part, evaluator, error);
    bp_evaluator_free(evaluator);
    return status;
}

void bp_part_evaluation_free(bp_part_evaluation *evaluation)
{
    if (!evaluation)
        return;
    free(evaluation->decided);
    free(evaluation->tags);
    free(evaluation->types);
    free(evaluation->counts);
    free(evaluation);
}
