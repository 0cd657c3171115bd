/* Examples of any kind as batches, each what one pass of a network takes. Private to core/training. */
#ifndef BP_CORE_TRAINING_BATCH_H
#define BP_CORE_TRAINING_BATCH_H

#include "core/language/token_streams.h"
#include "core/training/trainer.h"

/* How examples are cut into batches. Borrows them. */
typedef struct bp_batches {
    const bp_examples *examples;
    bp_token_streams streams; /* of a text */
    size_t batch_count;
    size_t row_count;    /* of all batches: rows, windows, pairs, or steps of all streams */
    const size_t *order; /* (row_count) of rows or windows; NULL: as they are */
    bp_random corruption;
} bp_batches;

typedef struct bp_batch {
    size_t pass_rows;
    size_t rows;       /* that they are: half as many where they come in pairs */
    const void *input; /* (pass_rows, input_width), borrowed until the next batch is taken */
    bp_targets targets;
} bp_batch;

/* What batches are made in. */
typedef struct bp_batch_room {
    const bp_kernels *kernels;
    bp_examples_kind kind;
    bp_target_kind target_kind;
    bool paired;
    size_t input_width, output_width;
    size_t rows;    /* most rows of a batch */
    size_t streams; /* most streams of a text … */
    size_t steps;   /* … and steps of a chunk */
    /* One gathered batch; what its kind does not need, or uses in place, is NULL. */
    void *features;   /* (rows, input_width) */
    void *value;      /* (rows, output_width) */
    int32_t *ids;     /* (rows, input_width), twice that for pairs */
    int32_t *label;   /* (rows) */
    int32_t *scratch; /* (steps + 1) of one stream */
} bp_batch_room;

/* What a batch of examples of row_count takes at most: rows, streams and steps. kind and paired are set.
 * BP_INVALID: a text of fewer than two tokens. */
BP_CHECK_RESULT bp_status bp_batch_room_size(bp_batch_room *room, const bp_training_spec *spec,
                                             size_t row_count, bp_error *error);

/* Takes the buffers; everything else is set. gathers: rows are taken in another order. */
void bp_batch_room_plan(bp_batch_room *room, bp_arena *arena, bool gathers);

/* Cuts examples; a text into at most `streams` streams. In file order, to begin with.
 * BP_INVALID: a text of fewer than two tokens. */
BP_CHECK_RESULT bp_status bp_batches_cut(bp_batches *out, const bp_batch_room *room,
                                         const bp_examples *examples, bp_error *error);

/* Batch `index`, into room. Errors of a text's source. Allocates nothing. */
BP_CHECK_RESULT bp_status bp_batch_take(bp_batch *out, bp_batch_room *room,
                                        const bp_parallel *parallel, const bp_batches *batches,
                                        size_t index, bp_error *error);

#endif
