/* The parameter block cut up for work on its elements: one segment for each tensor, each segment in
 * fixed blocks. The cut depends on shapes alone, so sums over blocks, joined in order, are the same
 * for any number of threads. Gaps between tensors belong to no segment.
 *
 * Where a step concerns only those rows of a tensor that a batch has read, its segment has blocks of such
 * rows instead, cut anew in each step: a function of the shapes and of the batch. */
#ifndef BP_CORE_TRAINING_SEGMENT_H
#define BP_CORE_TRAINING_SEGMENT_H

#include "core/base/arena.h"
#include "core/base/parallel.h"
#include "core/network/network.h"
#include "core/regularizer/regularizer.h"

/* One parameter tensor. */
typedef struct bp_segment {
    size_t offset, count; /* elements of the parameter block */
    size_t rows, columns; /* as a matrix: the outermost dimension, and all others */
    size_t layer;         /* in network.layers */
    size_t first_block, block_count;
    bool
        is_weight; /* and one that is trained: a frozen tensor is no weight here and has no blocks */
    const bp_touched *touched;           /* rows that a step is about; NULL: all of them */
    double sum;                          /* the last that bp_segments_sum added up */
    double slope[BP_REGULARIZER_LIMIT];  /* of each penalty, in this step */
    double scalar[BP_STEP_SCALAR_LIMIT]; /* of the optimiser, in this step */
} bp_segment;

/* What one task works on of one segment: elements of the parameter block, or places in `touched`. */
typedef struct bp_block {
    size_t segment;
    size_t offset, count;
} bp_block;

/* Elements of the parameter block that lie on end. */
typedef struct bp_span {
    size_t offset, count;
} bp_span;

typedef struct bp_segments {
    size_t segment_count, block_count;
    size_t whole_count;  /* of the first blocks, those of segments without `touched` */
    bp_segment *segment; /* (segment_count) */
    bp_block *block;     /* (block_count), segment by segment */
    double *partial;     /* (block_count): for sums */
} bp_segments;

/* Blocks that a network of this size is cut into, at most. */
size_t bp_segments_most_blocks(const bp_network_size *size);

/* Takes memory for a network of this size from the arena. */
void bp_segments_plan(bp_segments *segments, bp_arena *arena, const bp_network_size *size);

/* Fills in what has been planned. zero_rests: nothing happens to elements whose gradient is 0, so that tensors
 * which say what they touch are cut by that, as those that are sparse are anyway. */
void bp_segments_cut(bp_segments *segments, bp_network *network, bool zero_rests);

/* Cuts what the last backward has touched. */
void bp_segments_cut_touched(bp_segments *segments);

/* A block as spans, in order: one, or one for each row. */
size_t bp_block_span_count(const bp_segments *segments, const bp_block *block);
bp_span bp_block_span(const bp_segments *segments, const bp_block *block, size_t index);

/* parallel, or NULL where all elements together are too few to be worth handing over. */
const bp_parallel *bp_segments_parallel(const bp_segments *segments, const bp_parallel *parallel);

/* Sets `sum` of every weight segment that is cut whole to what sum() gives for its blocks of theta, added in order. */
void bp_segments_sum(bp_segments *segments, const bp_parallel *parallel, const void *theta,
                     size_t real_size, double (*sum)(const void *w, size_t count));

/* Adds up partial[] of one segment, in order. */
double bp_segment_total(const bp_segments *segments, const double *partial, size_t segment);

#endif
