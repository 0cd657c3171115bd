/* Early stopping: a run ends when a metric has not become better for some epochs. */
#ifndef BP_CORE_TRAINING_EARLY_STOPPING_H
#define BP_CORE_TRAINING_EARLY_STOPPING_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/family.h"
#include "core/base/watched.h"

enum bp_stopping_index { BP_STOPPING_early_stopping, BP_STOPPING_COUNT };

/* One member, early_stopping, whose hyperparameters are: */
enum {
    BP_EARLY_STOPPING_METRIC, /* bp_watched */
    BP_EARLY_STOPPING_PATIENCE,
    BP_EARLY_STOPPING_MIN_DELTA,
    BP_EARLY_STOPPING_RESTORE_BEST,
    BP_EARLY_STOPPING_PARAMETER_COUNT
};

extern const bp_family bp_stopping_family;

/* Whether a run keeps the weights of its best epoch. early_stopping: member NULL: none. */
static inline bool bp_early_stopping_keeps_best(const bp_choice *early_stopping)
{
    return early_stopping->member && early_stopping->value[BP_EARLY_STOPPING_RESTORE_BEST] != 0;
}

/* Begins as all zeros; a checkpoint keeps it as it is. */
typedef struct bp_early_stopping_state {
    double best;        /* best metric so far, where `started` */
    uint64_t best_step; /* finished steps then */
    uint64_t started;   /* 1 once a metric that is a number was seen */
    uint64_t waited;    /* observations since the best one */
    uint64_t stopped;   /* 1: the run is over */
} bp_early_stopping_state;

/* The state after one more observation, made at the end of an epoch after `step` finished steps:
 * stopped by the patience-th one in a row that is not better by more than min_delta. NaN is never
 * better. The observation was the best so far where waited is 0. value: hyperparameters. Pure. */
bp_early_stopping_state bp_early_stopping_observe(bp_early_stopping_state state,
                                                  const double *value, double metric,
                                                  uint64_t step);

#endif
