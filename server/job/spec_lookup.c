#include "server/job/spec_lookup.h"

#include <string.h>

#include "server/corpus/corpus_measure.h"
#include "server/model/checkpoint_model.h"

static void keep_error(bp_spec_lookup *lookup, const bp_error *error)
{
    if (error->status != BP_NOT_FOUND && lookup->error.status == BP_OK)
        lookup->error = *error;
}

static const bp_dataset_info *find(void *context, const char *name, const char *sha256)
{
    bp_spec_lookup *lookup = context;
    for (size_t i = 0; i < lookup->count; i++)
        if (sha256 && strcmp(lookup->found[i]->name, name) == 0 &&
            strcmp(lookup->found[i]->sha256, sha256) == 0)
            return lookup->found[i];
    bp_error error = {.status = BP_OK};
    if (lookup->count == BP_LOOKUP_LIMIT)
        return NULL;
    if (bp_datasets_find(&lookup->found[lookup->count], lookup->datasets, name, sha256, &error) ==
        BP_OK)
        return lookup->found[lookup->count++];
    keep_error(lookup, &error);
    return NULL;
}

static const bp_model_info *find_model(void *context, const char *name, uint64_t version)
{
    bp_spec_lookup *lookup = context;
    bp_error error = {.status = BP_OK};
    bp_model_row row = {.id = 0};
    if (lookup->model)
        return NULL; /* a job names one */
    if (bp_model_row_read(&row, lookup->store, name, version, &error) == BP_OK)
        lookup->model = row.info;
    else
        keep_error(lookup, &error);
    return lookup->model;
}

/* A job that has got beyond the checkpoint that it began with can do without it: its own have the same
 * layers. */
static bp_status find_own(bp_model_row *row, bp_spec_lookup *lookup, int64_t job, uint64_t number,
                          bp_error *error)
{
    const bp_status status = bp_checkpoint_row_read(row, lookup->store, lookup->own_job, 0, error);
    if (status != BP_OK)
        return status;
    row->info->job = job;
    row->info->checkpoint = number;
    return BP_OK;
}

static const bp_model_info *find_checkpoint(void *context, int64_t job, uint64_t number)
{
    bp_spec_lookup *lookup = context;
    bp_error error = {.status = BP_OK};
    bp_model_row row = {.id = 0};
    if (lookup->model)
        return NULL; /* a job names one */
    bp_status status = bp_checkpoint_row_read(&row, lookup->store, job, number, &error);
    if (status == BP_NOT_FOUND && lookup->own_job) {
        error = (bp_error){.status = BP_OK};
        status = find_own(&row, lookup, job, number, &error);
    }
    if (status == BP_OK)
        lookup->model = row.info;
    else
        keep_error(lookup, &error);
    return lookup->model;
}

static bp_status measure_corpus(void *context, bp_corpus_measure *out, const bp_job_spec *spec,
                                bp_vocabulary *vocabulary, bp_error *error)
{
    bp_spec_lookup *lookup = context;
    if (bp_corpus_recall(out, lookup->datasets, spec, vocabulary))
        return BP_OK;
    lookup->must_read = lookup->reads_nothing;
    if (lookup->must_read) {
        const bp_dataset_info *info = find(context, spec->dataset, spec->dataset_sha256);
        lookup->read_bytes = info ? info->corpus.byte_count : 0;
        return bp_error_set(error, BP_CANCELLED, NULL, "files must be read");
    }
    const bp_status status = bp_corpus_read(out, lookup->datasets, spec, vocabulary,
                                            lookup->cancelled, lookup->context, error);
    if (status != BP_OK && status != BP_INVALID && status != BP_TOO_LARGE)
        keep_error(lookup, error);
    return status;
}

bp_dataset_lookup bp_spec_lookup_of(bp_spec_lookup *lookup)
{
    return (bp_dataset_lookup){.context = lookup,
                               .find = find,
                               .find_model = find_model,
                               .find_checkpoint = find_checkpoint,
                               .measure_corpus = measure_corpus};
}

void bp_spec_lookup_done(bp_spec_lookup *lookup)
{
    for (size_t i = 0; i < lookup->count; i++)
        bp_dataset_info_free(lookup->found[i]);
    bp_model_info_free(lookup->model);
    lookup->count = 0;
    lookup->model = NULL;
}
