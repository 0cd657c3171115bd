/* Regularisers: what keeps weights small. They concern weight tensors, embeddings included, and never
 * biases. A penalty adds to J a function of one sum over each tensor, Σ w² or Σ |w|, and to ∇W its
 * gradient, slope · d(w), where slope is one number for the tensor; a projection changes the weights
 * themselves after an update. Splitting the sum off lets the caller add it up in fixed blocks. */
#ifndef BP_CORE_REGULARIZER_REGULARIZER_H
#define BP_CORE_REGULARIZER_REGULARIZER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/family.h"

/* One record per variant; arrays are of the variant's width. Either the first five functions are there
 * (piece may be NULL) or project is. */
typedef struct bp_regularizer {
    bp_member member; /* hyperparameter 0 is the number that JSON gives for the member's name */
    /* The sum that the penalty is made of, over count elements of a tensor. */
    double (*sum)(const void *w, size_t count);
    /* What the tensor adds to J, given its whole sum. value: hyperparameters in member order. */
    double (*penalty)(const double *value, double sum);
    /* The slope, given the whole sum; reads it only where slope_needs_sum says so. */
    double (*slope)(const double *value, double sum);
    bool slope_needs_sum;
    /* g ← g + slope · d(w) for count elements. Elementwise: any split gives the same bits. */
    void (*add_gradient)(void *gradient, const void *w, size_t count, double slope);
    /* The piece of the penalty that an element lies on, given it and its tensor's sum, as
     * bp_activation.piece is for z. NULL where the penalty is smooth. */
    unsigned char (*piece)(double w, double sum);
    /* Changes `rows` whole rows of a weight tensor after an update. Rows are independent. */
    void (*project)(void *w, size_t rows, size_t columns, const double *value);
} bp_regularizer;

enum bp_regularizer_index {
#define BP_REGULARIZER(name) BP_REGULARIZER_##name,
#include "core/regularizer/regularizer.def"
#undef BP_REGULARIZER
    BP_REGULARIZER_COUNT
};

enum { BP_REGULARIZER_LIMIT = BP_REGULARIZER_COUNT }; /* of one training: each member once */

extern const bp_family bp_regularizer_family;

/* The record of a member of bp_regularizer_family. It says what is the same in every variant; arrays
 * want the record in a table of kernels. */
static inline const bp_regularizer *bp_regularizer_of(const bp_member *member)
{
    return (const bp_regularizer *)member; /* member is its first field */
}

#endif
