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
} bp_target_kind;

/* Rows [first, first + count) of a batch. Arrays are whole-batch arrays of the variant's width. */
typedef struct bp_loss_call {
    const void *output;   /* (rows, width) of the last layer: logits where the loss merges */
    size_t width;         /* classes or targets */
    size_t rows;          /* of the batch: the gradient is of the mean over them */
    const int32_t *label; /* (rows) each in [0, width), for BP_TARGET_CLASS */
    const void *target;   /* (rows, width), for BP_TARGET_VALUE */
    void *gradient;       /* (rows, width): d(mean loss)/d(output), or NULL; may alias output */
    double *row_loss;     /* (rows) or NULL: loss of each row, unscaled by 1/rows */
    const double *value;  /* hyperparameters in member order */
} bp_loss_call;

typedef struct bp_loss {
    bp_member member;
    bp_target_kind target_kind;
    /* The output activation that this loss computes itself, from logits ("softmax"), or NULL. A last
     * layer with that activation then hands over its z. */
    const char *merges;
    /* Name under which a prediction shows the rows of output(): "probabilities", "value", "scores". */
    const char *output_name;
    /* Fills gradient and row_loss of rows [first, first + count). Rows are independent of each other,
     * so any split gives the same bits. */
    void (*rows)(const bp_loss_call *call, size_t first, size_t count);
    /* What a prediction shows: probabilities from logits, or a copy. shown may alias output. */
    void (*output)(const void *output, void *shown, size_t rows, size_t width, const double *value);
} bp_loss;

enum bp_loss_index {
#define BP_LOSS(name) BP_LOSS_##name,
#include "core/loss/loss.def"
#undef BP_LOSS
    BP_LOSS_COUNT
};

extern const bp_family bp_loss_family;

#endif
