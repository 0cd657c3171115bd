/* Losses: the value and gradient of rows of network outputs against their targets.
 * A training loss is the mean over the rows of a batch (and over the targets in regression). */
#ifndef BP_CORE_LOSS_LOSS_H
#define BP_CORE_LOSS_LOSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/family.h"

typedef enum bp_target_kind {
    BP_TARGET_CLASS, /* one int32 class index per row */
    BP_TARGET_VALUE, /* `width` numbers per row */
    BP_TARGET_NONE,  /* nothing: rows are compared with each other (paired) */
} bp_target_kind;

/* What a prediction shows of a row: the kind, and the name that it has in an answer. */
#define BP_SHOWN_LIST(X)                                                                           \
    X(PROBABILITIES, "probabilities")                                                              \
    X(SCORES, "scores")                                                                            \
    X(VALUE, "value")

typedef enum bp_shown {
#define BP_SHOWN_ENUM(name, text) BP_SHOWN_##name,
    BP_SHOWN_LIST(BP_SHOWN_ENUM)
#undef BP_SHOWN_ENUM
} bp_shown;

/* Never NULL. */
const char *bp_shown_name(bp_shown shown);

/* Rows [first, first + count) of a batch. Arrays are whole-batch arrays of the variant's width. */
typedef struct bp_loss_call {
    const void *output;   /* (rows, width) of the last layer: logits where the loss merges */
    size_t width;         /* of the last layer: classes or targets, 1 where the loss is binary */
    size_t rows;          /* of the batch: the gradient is of the mean over them */
    const int32_t *label; /* (rows) each in [0, classes), for BP_TARGET_CLASS */
    const void *target;   /* (rows, width), for BP_TARGET_VALUE */
    /* (rows, width): d(mean loss)/d(output), or NULL; may alias output unless rows are paired */
    void *gradient;
    double *row_loss; /* (rows) or NULL: loss of each row, unscaled by 1/rows */
    /* (classes) at least 0, or NULL for all 1, for BP_TARGET_CLASS: multiplies loss and gradient of
     * the rows of a class. The mean stays one over rows, whatever their weights. */
    const double *class_weight;
    const double *value; /* hyperparameters in member order */
} bp_loss_call;

typedef struct bp_loss {
    bp_member member;
    bp_target_kind target_kind;
    /* The output activation that this loss computes itself, from logits ("softmax"), or NULL. A last
     * layer with that activation then hands over its z. */
    const char *merges;
    /* One output for two classes: the last layer is 1 wide, and output() makes 2 of it. */
    bool binary;
    /* Rows come in pairs, an even number of them, and the last layer is 1 wide: of 2n rows, n and their
     * counterparts, row i is to have a higher output than row n + i. Nothing else is a target; the mean
     * is over pairs, and row_loss is (n), of each pair. */
    bool paired;
    bp_shown shown; /* what output() makes */
    /* Fills gradient and row_loss of rows [first, first + count). Rows (or pairs) are independent of each
     * other, so any split gives the same bits. */
    void (*rows)(const bp_loss_call *call, size_t first, size_t count);
    /* Writes the piece of the loss that each output lies on as a small integer, (rows, width), as
     * bp_activation.piece does. NULL where the loss is smooth. */
    void (*piece)(const bp_loss_call *call, unsigned char *piece);
    /* What a prediction shows, (rows, bp_loss_shown_width): probabilities from logits, or a copy.
     * shown may alias output where the widths are the same. */
    void (*output)(const void *output, void *shown, size_t rows, size_t width, const double *value);
    /* The class that each row of outputs speaks for, the first among equals; NaN never wins. For
     * BP_TARGET_CLASS, NULL elsewhere. */
    void (*decide)(int32_t *label, const void *output, size_t rows, size_t width);
} bp_loss;

enum bp_loss_index {
#define BP_LOSS(name) BP_LOSS_##name,
#include "core/loss/loss.def"
#undef BP_LOSS
    BP_LOSS_COUNT
};

extern const bp_family bp_loss_family;

/* The record of a member of bp_loss_family. It says what is the same in every variant; arrays want
 * the record in a table of kernels. */
static inline const bp_loss *bp_loss_of(const bp_member *member)
{
    return (const bp_loss *)member; /* member is its first field */
}

/* Width of the last layer for so many classes or targets, whose number a paired loss has no use for. */
static inline size_t bp_loss_output_width(const bp_loss *loss, size_t target_count)
{
    return loss->binary || loss->paired ? 1 : target_count;
}

/* Numbers that output() shows for a row of `width` outputs: the classes, or the targets. */
static inline size_t bp_loss_shown_width(const bp_loss *loss, size_t width)
{
    return loss->binary ? 2 : width;
}

#endif
