#include "server/corpus/corpus_data.h"

#include <assert.h>
#include <stdlib.h>

#include "schema/job/job_rows.h"
#include "server/corpus/corpus_loader.h"
#include "server/dataset/datasets_state.h"

bool bp_corpus_split(uint64_t out[BP_CORPUS_PART_COUNT], const bp_corpus_request *request,
                     uint64_t count)
{
    uint64_t left = count;
    for (size_t i = BP_CORPUS_VALIDATION; i < BP_CORPUS_PART_COUNT; i++) {
        out[i] = request->dataset[i] ? 0 : bp_job_part_rows(request->fraction[i], count);
        if (out[i] >= left)
            return false;
        left -= out[i];
    }
    out[BP_CORPUS_TRAINING] = left;
    return left > 0;
}

bp_status bp_corpus_poll(const bp_corpus_loader *loader, bp_error *error)
{
    if (loader->cancelled && loader->cancelled(loader->context))
        return bp_error_set(error, BP_CANCELLED, NULL, "cancelled");
    return BP_OK;
}

static void close_infos(bp_corpus_loader *loader)
{
    for (size_t i = 0; i < BP_CORPUS_PART_COUNT; i++)
        bp_dataset_info_free(loader->infos[i]);
}

/* Finds the data sets, the first part_count of them; all are of one kind, and none is a table. */
static bp_status open_infos(bp_corpus_loader *loader, size_t part_count, bp_error *error)
{
    const bp_corpus_request *request = loader->request;
    bp_status status = BP_OK;
    assert(request->dataset[BP_CORPUS_TRAINING]);
    for (size_t i = 0; i < part_count && status == BP_OK; i++) {
        if (!request->dataset[i])
            continue;
        status = bp_datasets_find(&loader->infos[i], loader->datasets, request->dataset[i],
                                  request->sha256[i], error);
        if (status != BP_OK)
            break;
        const bp_dataset_kind kind = loader->infos[i]->kind;
        if (kind == BP_DATASET_TABLE || kind != loader->infos[BP_CORPUS_TRAINING]->kind)
            status = bp_error_set(error, BP_INVALID, NULL,
                                  "the data set \"%s\" is of kind \"%s\", which does not fit here",
                                  request->dataset[i], bp_dataset_kind_name(kind));
    }
    return status;
}

/* Of the training set, which is open. */
static bp_dataset_kind kind_of(const bp_corpus_loader *loader)
{
    const bp_dataset_info *info = loader->infos[BP_CORPUS_TRAINING];
    return info ? info->kind : BP_DATASET_TABLE;
}

static bp_status make_vocabulary(bp_vocabulary **out, const bp_corpus_loader *loader,
                                 bp_error *error)
{
    return kind_of(loader) == BP_DATASET_TEXT ? bp_text_vocabulary(out, loader, error)
                                              : bp_tagged_vocabulary(out, loader, error);
}

bp_status bp_corpus_vocabulary(bp_vocabulary **out, bp_datasets *datasets,
                               const bp_corpus_request *request, bool (*cancelled)(void *context),
                               void *context, bp_error *error)
{
    bp_corpus_loader loader = {.datasets = datasets,
                               .directory = bp_store_directory(datasets->store),
                               .request = request,
                               .cancelled = cancelled,
                               .context = context};
    bp_status status = open_infos(&loader, 1, error);
    if (status == BP_OK)
        status = make_vocabulary(out, &loader, error);
    close_infos(&loader);
    return status;
}

bp_status bp_corpus_count(bp_corpus_counts *out, bp_datasets *datasets,
                          const bp_corpus_request *request, bool (*cancelled)(void *context),
                          void *context, bp_error *error)
{
    bp_corpus_loader loader = {.datasets = datasets,
                               .directory = bp_store_directory(datasets->store),
                               .request = request,
                               .cancelled = cancelled,
                               .context = context};
    bp_status status = open_infos(&loader, 1, error);
    if (status == BP_OK && kind_of(&loader) != BP_DATASET_TAGGED)
        status = bp_error_set(error, BP_INVALID, NULL, "the data set \"%s\" has no tags",
                              request->dataset[BP_CORPUS_TRAINING]);
    if (status == BP_OK)
        status = bp_tagged_count(out, &loader, error);
    close_infos(&loader);
    return status;
}

bp_status bp_corpus_check_characters(bp_datasets *datasets, const bp_corpus_request *request,
                                     const bp_vocabulary *vocabulary,
                                     bool (*cancelled)(void *context), void *context,
                                     bp_error *error)
{
    bp_corpus_loader loader = {.datasets = datasets,
                               .directory = bp_store_directory(datasets->store),
                               .request = request,
                               .cancelled = cancelled,
                               .context = context};
    assert(bp_vocabulary_unit(vocabulary) == BP_UNIT_CHARACTER);
    bp_status status = open_infos(&loader, BP_CORPUS_PART_COUNT, error);
    if (status == BP_OK)
        status = bp_text_check(&loader, vocabulary, error);
    close_infos(&loader);
    return status;
}

static bp_status load(bp_corpus_data *out, bp_corpus_memory *memory, const bp_corpus_loader *loader,
                      const bp_vocabulary *vocabulary, bp_error *error)
{
    bp_status status = BP_OK;
    if (!vocabulary) {
        status = make_vocabulary(&memory->vocabulary, loader, error);
        vocabulary = memory->vocabulary;
    }
    out->vocabulary = vocabulary;
    if (status != BP_OK)
        return status;
    return kind_of(loader) == BP_DATASET_TEXT
               ? bp_text_parts_load(out, memory, loader, vocabulary, error)
               : bp_tagged_parts_load(out, memory, loader, vocabulary, error);
}

bp_status bp_corpus_data_load(bp_corpus_data *out, bp_datasets *datasets,
                              const bp_corpus_request *request, const bp_vocabulary *vocabulary,
                              bool (*cancelled)(void *context), void *context, bp_error *error)
{
    bp_corpus_loader loader = {.datasets = datasets,
                               .directory = bp_store_directory(datasets->store),
                               .request = request,
                               .cancelled = cancelled,
                               .context = context};
    bp_corpus_data data = {.owned = calloc(1, sizeof(bp_corpus_memory))};
    bp_status status = BP_OK;
    if (!data.owned)
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the job's data");
    if (status == BP_OK)
        status = open_infos(&loader, BP_CORPUS_PART_COUNT, error);
    if (status == BP_OK)
        status = load(&data, data.owned, &loader, vocabulary, error);
    close_infos(&loader);
    if (status == BP_OK)
        *out = data;
    else
        bp_corpus_data_done(&data);
    return status;
}

void bp_corpus_data_done(bp_corpus_data *data)
{
    bp_corpus_memory *memory = data->owned;
    for (size_t i = 0; memory && i < BP_CORPUS_PART_COUNT; i++) {
        bp_token_store_free(memory->stores[i]);
        free(memory->ids[i]);
        free(memory->places[i]);
        free(memory->labels[i]);
        free(memory->sentences[i]);
    }
    if (memory)
        bp_vocabulary_free(memory->vocabulary);
    free(memory);
    bp_texts_free(data->tags, data->tag_count);
    *data = (bp_corpus_data){0};
}
