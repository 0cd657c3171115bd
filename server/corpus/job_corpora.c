#include "server/corpus/job_corpora.h"

#include <stdlib.h>

#include "core/loss/loss.h"
#include "schema/job/labels.h"
#include "server/corpus/corpus_measure.h"

static const char *const part_names[] = {"training", "validation", "test"};

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the job's data");
}

/* Windows around tokens of entities, to be told from those around others. */
static bp_status select_pairs(bp_examples *examples, bp_job_corpora *corpora, size_t part,
                              int32_t outside, bp_error *error)
{
    const bp_token_windows *windows = &examples->windows;
    const size_t true_count = bp_token_windows_select(NULL, windows, outside, false);
    const size_t other_count = windows->row_count - true_count;
    if (true_count == 0 || other_count == 0)
        return bp_error_set(
            error, BP_INVALID, "/loss/corruption",
            "\"other_window\" compares tokens of entities with others; %s of the %s "
            "part's %zu tokens belong to one: give \"centre\"",
            true_count ? "all" : "none", part_names[part], windows->row_count);
    size_t *true_rows = calloc(true_count, sizeof *true_rows);
    size_t *other_rows = calloc(other_count, sizeof *other_rows);
    corpora->true_rows[part] = true_rows;
    corpora->other_rows[part] = other_rows;
    if (!true_rows || !other_rows)
        return no_memory(error);
    (void)bp_token_windows_select(true_rows, windows, outside, false);
    (void)bp_token_windows_select(other_rows, windows, outside, true);
    examples->row_count = true_count;
    examples->window_row = true_rows;
    examples->corruption = (bp_corruption){
        .kind = BP_CORRUPT_BY_OTHER, .others = other_rows, .other_count = other_count};
    return BP_OK;
}

static bp_status make_windows(bp_examples *out, bp_job_corpora *corpora, size_t part,
                              const bp_job_spec *spec, bp_error *error)
{
    const bp_choice *loss = &spec->training.network.loss;
    bp_examples examples = {.kind = BP_EXAMPLES_WINDOWS,
                            .windows = corpora->data.parts[part].windows};
    bp_status status = BP_OK;
    examples.row_count = examples.windows.row_count;
    if (examples.row_count > 0 && bp_loss_of(loss->member)->paired) {
        if (bp_job_corruption(loss) == BP_CORRUPT_BY_OTHER)
            status =
                select_pairs(&examples, corpora, part,
                             (int32_t)bp_labels_find_text(&spec->classes, BP_OUTSIDE_TAG), error);
        else
            examples.corruption =
                (bp_corruption){.kind = BP_CORRUPT_CENTRE,
                                .low = BP_FIRST_WORD,
                                .high = (int32_t)bp_vocabulary_count(corpora->data.vocabulary)};
    }
    *out = examples;
    return status;
}

bp_status bp_job_corpora_load(bp_job_data *out, bp_datasets *datasets, const bp_job_spec *spec,
                              bool (*cancelled)(void *context), void *context, bp_error *error)
{
    const bp_corpus_request request = bp_corpus_request_of(spec);
    bp_job_corpora *corpora = calloc(1, sizeof *corpora);
    bp_job_data data = {.corpora = corpora};
    bp_examples *const examples[] = {&data.training, &data.validation, &data.test};
    if (!corpora)
        return no_memory(error);
    bp_status status = bp_corpus_data_load(&corpora->data, datasets, &request,
                                           spec->corpus.vocabulary, cancelled, context, error);
    for (size_t part = 0; part < BP_CORPUS_PART_COUNT && status == BP_OK; part++) {
        const bp_token_source *text = &corpora->data.parts[part].tokens;
        if (spec->task == BP_TASK_TAGGING)
            status = make_windows(examples[part], corpora, part, spec, error);
        else
            *examples[part] =
                (bp_examples){.kind = BP_EXAMPLES_STREAMS, .row_count = text->count, .text = *text};
    }
    if (status == BP_OK)
        *out = data;
    else
        bp_job_corpora_free(corpora);
    return status;
}

void bp_job_corpora_free(bp_job_corpora *corpora)
{
    if (!corpora)
        return;
    if (corpora->data.owned)
        bp_corpus_data_done(&corpora->data);
    for (size_t part = 0; part < BP_CORPUS_PART_COUNT; part++) {
        free(corpora->true_rows[part]);
        free(corpora->other_rows[part]);
    }
    free(corpora);
}
