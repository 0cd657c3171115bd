/* What the files that load corpora share. */
#ifndef BP_SERVER_CORPUS_CORPUS_LOADER_H
#define BP_SERVER_CORPUS_CORPUS_LOADER_H

#include "server/corpus/corpus_data.h"
#include "server/corpus/token_store.h"

typedef struct bp_corpus_loader {
    bp_datasets *datasets;
    const char *directory;
    const bp_corpus_request *request;
    bool (*cancelled)(void *context);
    void *context;
    bp_dataset_info *infos[BP_CORPUS_PART_COUNT]; /* NULL: not a data set of its own */
} bp_corpus_loader;

/* What a corpus's parts lie in. */
typedef struct bp_corpus_memory {
    bp_vocabulary *vocabulary; /* NULL: borrowed */
    bp_token_store *stores[BP_CORPUS_PART_COUNT];
    int32_t *ids[BP_CORPUS_PART_COUNT];
    uint32_t *places[BP_CORPUS_PART_COUNT];
    int32_t *labels[BP_CORPUS_PART_COUNT];
    size_t *sentences[BP_CORPUS_PART_COUNT];
} bp_corpus_memory;

/* The training text's part of a vocabulary, or that of its sentences. */
BP_CHECK_RESULT bp_status bp_text_vocabulary(bp_vocabulary **out, const bp_corpus_loader *loader,
                                             bp_error *error);
BP_CHECK_RESULT bp_status bp_tagged_vocabulary(bp_vocabulary **out, const bp_corpus_loader *loader,
                                               bp_error *error);

/* Whether all texts consist of the vocabulary's characters. BP_INVALID: not. */
BP_CHECK_RESULT bp_status bp_text_check(const bp_corpus_loader *loader,
                                        const bp_vocabulary *vocabulary, bp_error *error);

/* Of the training set, which is tagged. */
BP_CHECK_RESULT bp_status bp_tagged_count(bp_corpus_counts *out, const bp_corpus_loader *loader,
                                          bp_error *error);

/* Fill the parts of *out from the loader's data sets, into memory. */
BP_CHECK_RESULT bp_status bp_text_parts_load(bp_corpus_data *out, bp_corpus_memory *memory,
                                             const bp_corpus_loader *loader,
                                             const bp_vocabulary *vocabulary, bp_error *error);
BP_CHECK_RESULT bp_status bp_tagged_parts_load(bp_corpus_data *out, bp_corpus_memory *memory,
                                               const bp_corpus_loader *loader,
                                               const bp_vocabulary *vocabulary, bp_error *error);

/* BP_CANCELLED, once it has been asked for. */
BP_CHECK_RESULT bp_status bp_corpus_poll(const bp_corpus_loader *loader, bp_error *error);

#endif
