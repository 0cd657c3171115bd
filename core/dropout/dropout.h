/* Dropout: noise on a layer whose expectation is the layer without it. p is the probability that
 * something is KEPT; what is kept is scaled by 1/p where that keeps the expectation ("inverted"), so
 * that a prediction needs no scaling.
 *
 * A mask is a function of (seed, layer, step, row, unit) in training and of (seed, sample, layer,
 * unit) in a sampled prediction, so that backward makes it again instead of keeping it, and neither
 * threads nor the rows around a row matter. The functions below are what a layer type calls at four
 * points of its passes; without dropout they do nothing. They allocate nothing and run on the
 * network's thread. */
#ifndef BP_CORE_DROPOUT_DROPOUT_H
#define BP_CORE_DROPOUT_DROPOUT_H

#include "core/layer/layer.h"

/* The hyperparameters: the first of every member and of the dropout layer, the second of those that
 * have it, the third of members for recurrent layers. */
enum { BP_DROPOUT_KEEP, BP_DROPOUT_VARIATIONAL, BP_DROPOUT_KEEP_RECURRENT };

typedef struct bp_dropout {
    bp_member member;
    bool masks_weights; /* needs bp_layer.masked_parameter */
    bool masks_output;  /* needs bp_layer.masked: what the layer above sees is not a */
    /* Whether a layer can have it, of which type, shape, specification and room are set; NULL: any. last:
     * its output is the network's; merged: and the loss applies the activation. BP_INVALID,
     * BP_SHAPE. */
    bp_status (*plan)(const bp_layer *layer, bool last, bool merged, bp_error *error);
    /* Fills masked_parameter for a pass with noise. NULL: weights are used as they are. */
    void (*weights)(bp_layer *layer, const bp_pass *pass);
    /* Turns the gradients of the masked weights into those of the weights, in a pass with noise. */
    void (*gradients)(bp_layer *layer, const bp_pass *pass);
    /* Sets layer->output from a. NULL: it is a. */
    void (*output)(bp_layer *layer, const bp_pass *pass);
    /* Turns delta from dJ/d(output) into dJ/da; true when it has begun dx (not NULL) with what
     * reaches x past the layer. */
    bool (*delta)(bp_layer *layer, const bp_pass *pass, void *dx);
} bp_dropout;

enum bp_dropout_index {
#define BP_DROPOUT(name) BP_DROPOUT_##name,
#include "core/dropout/dropout.def"
#undef BP_DROPOUT
    BP_DROPOUT_COUNT
};

#define BP_DROPOUT(name) extern const bp_dropout bp_dropout_##name;
#include "core/dropout/dropout.def"
#undef BP_DROPOUT

extern const bp_family bp_dropout_family;

/* Sets what a layer has of dropout, from its specification; `last` and `merged` as above. BP_INVALID,
 * BP_SHAPE; where is below the layer ("/dropout/keep"). */
BP_CHECK_RESULT bp_status bp_dropout_plan(bp_layer *layer, bool last, bool merged, bp_error *error);

/* Before the product: the weights that this pass computes with, masked anew where there is noise. */
const void *bp_dropout_weights(bp_layer *layer, const bp_pass *pass, size_t tensor);
/* In backward: the same weights again. */
const void *bp_dropout_same_weights(const bp_layer *layer, const bp_pass *pass, size_t tensor);
/* After the activation: sets layer->output. */
void bp_dropout_output(bp_layer *layer, const bp_pass *pass);
/* First in backward; true: dx has been begun, and the layer adds to it. dx may be NULL. */
bool bp_dropout_delta(bp_layer *layer, const bp_pass *pass, void *dx);
/* After the weight gradients. */
void bp_dropout_gradients(bp_layer *layer, const bp_pass *pass);

/* ---- for members and for the dropout layer ---- */

/* Rows after which masks of a layer with this choice repeat, as bp_mask_call has it: 1 in a sampled
 * network, the streams where variational, otherwise 0. */
uint64_t bp_dropout_period(const bp_choice *choice, const bp_pass *pass);

/* out (rows, width) ← m ∘ in / keep under this pass's mask of a layer, whose rows are counted from
 * first_row and repeat after `period` of them, if not 0. out may be in. Split over threads when large. */
typedef struct bp_dropout_masking {
    size_t layer; /* its index */
    double keep;  /* above 0, below 1 */
    void *out;
    const void *in;
    size_t rows, width;
    uint64_t first_row, period;
} bp_dropout_masking;
void bp_dropout_mask(const bp_dropout_masking *masking, const bp_pass *pass);

/* Masks of different arrays of one layer begin this many rows apart, so that no two share a number. */
#define BP_DROPOUT_ARRAY_ROWS (UINT64_C(1) << 40)

/* Whether unit 0 of a row is kept: the mask of something that a row has one of. */
bool bp_dropout_keeps_row(const bp_layer *layer, const bp_pass *pass, uint64_t row);

#endif
