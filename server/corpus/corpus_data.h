/* What a job over a text or over tagged sentences reads: a vocabulary made of its training part, and the
 * ids of every part. The mathematics of streams and windows is core's. */
#ifndef BP_SERVER_CORPUS_CORPUS_DATA_H
#define BP_SERVER_CORPUS_CORPUS_DATA_H

#include "core/language/token_source.h"
#include "core/language/token_windows.h"
#include "schema/language/vocabulary.h"
#include "server/dataset/datasets.h"

typedef enum bp_corpus_part_index {
    BP_CORPUS_TRAINING,
    BP_CORPUS_VALIDATION,
    BP_CORPUS_TEST,
    BP_CORPUS_PART_COUNT
} bp_corpus_part_index;

/* What of which corpora. Borrowed. */
typedef struct bp_corpus_request {
    /* By part; the training one's is there, another's NULL where there is no such data set. */
    const char *dataset[BP_CORPUS_PART_COUNT];
    const char *sha256[BP_CORPUS_PART_COUNT]; /* NULL: the newest version */
    /* Shares of the training set, where no data set is named: a text's end, the test part last; of tagged
     * sentences some drawn at random. [BP_CORPUS_TRAINING] is not looked at. */
    double fraction[BP_CORPUS_PART_COUNT];
    bp_vocabulary_rule rule;
    uint64_t seed;         /* tagged: which sentences belong to which part */
    size_t width;          /* tagged: of the windows, odd; their padding is a token: rule.padded */
    uint64_t memory_bytes; /* text: ids of a data set that need more of them are read from a file */
} bp_corpus_request;

/* Characters, words or sentences that a share takes, as bp_job_part_rows says, in each part of the
 * training set. False: none is left to train on. */
bool bp_corpus_split(uint64_t out[BP_CORPUS_PART_COUNT], const bp_corpus_request *request,
                     uint64_t count);

/* One part of a job's corpora; count 0: there is none. */
typedef struct bp_corpus_part {
    bp_token_source tokens; /* of a text. One thread reads at a time */

    bp_token_windows windows; /* of sentences: a row a token, labels by place in `tags` */
    size_t sentence_count;
    const size_t *sentence; /* (sentence_count + 1) each one's first row, and the end */
} bp_corpus_part;

typedef struct bp_corpus_data {
    const bp_vocabulary *vocabulary;
    size_t tag_count;
    char **tags; /* of the training set, sorted by code point */
    bp_corpus_part parts[BP_CORPUS_PART_COUNT];
    void *owned; /* what bp_corpus_data_done frees */
} bp_corpus_data;

/* The vocabulary of the training part alone, as a job over it will have it. cancelled is polled between
 * blocks (may be NULL). BP_NOT_FOUND; BP_INVALID: the data set is of another kind, or nothing is left to
 * train on; BP_TOO_LARGE: too many words; BP_CORRUPT (a file is not what its name says), BP_NO_MEMORY,
 * BP_CANCELLED. */
BP_CHECK_RESULT bp_status bp_corpus_vocabulary(bp_vocabulary **out, bp_datasets *datasets,
                                               const bp_corpus_request *request,
                                               bool (*cancelled)(void *context), void *context,
                                               bp_error *error);

/* Tokens of a tagged training set: those that each part takes of it, and of these those with a tag other than
 * BP_OUTSIDE_TAG. */
typedef struct bp_corpus_counts {
    uint64_t rows[BP_CORPUS_PART_COUNT], entities[BP_CORPUS_PART_COUNT];
} bp_corpus_counts;

/* Errors as above. */
BP_CHECK_RESULT bp_status bp_corpus_count(bp_corpus_counts *out, bp_datasets *datasets,
                                          const bp_corpus_request *request,
                                          bool (*cancelled)(void *context), void *context,
                                          bp_error *error);

/* Reads all texts of a request and says whether they consist of the characters of a vocabulary. BP_INVALID: one
 * does not, said with its place. Other errors as above. */
BP_CHECK_RESULT bp_status bp_corpus_check_characters(bp_datasets *datasets,
                                                     const bp_corpus_request *request,
                                                     const bp_vocabulary *vocabulary,
                                                     bool (*cancelled)(void *context),
                                                     void *context, bp_error *error);

/* The vocabulary and all parts. vocabulary: one to be used in place of making one (of a model that the
 * job goes on from), borrowed and as long as *out; NULL: none. Errors as above, and BP_INVALID: a
 * character that is not in the vocabulary, a tag that the training set does not have. */
BP_CHECK_RESULT bp_status bp_corpus_data_load(bp_corpus_data *out, bp_datasets *datasets,
                                              const bp_corpus_request *request,
                                              const bp_vocabulary *vocabulary,
                                              bool (*cancelled)(void *context), void *context,
                                              bp_error *error);
void bp_corpus_data_done(bp_corpus_data *data); /* accepts zeroed */

#endif
