/* When a metric stops getting better: the state that the plateau schedule looks at. */
#ifndef BP_CORE_SCHEDULE_PLATEAU_H
#define BP_CORE_SCHEDULE_PLATEAU_H

#include "core/schedule/schedule.h"

/* Hyperparameters of the member "plateau". */
enum {
    BP_PLATEAU_FACTOR = BP_SCHEDULE_OWN,
    BP_PLATEAU_PATIENCE,
    BP_PLATEAU_MIN_DELTA,
    BP_PLATEAU_MINIMUM,
    BP_PLATEAU_METRIC, /* bp_watched */
    BP_PLATEAU_PARAMETER_COUNT
};

/* Begins as all zeros; a checkpoint keeps it as it is. */
typedef struct bp_plateau_state {
    double best;         /* best metric so far, where `started` */
    uint64_t started;    /* 1 once a metric that is a number was seen */
    uint64_t waited;     /* observations since the best one, or since the last reduction */
    uint64_t reductions; /* for bp_schedule_context */
} bp_plateau_state;

/* The state after one more observation, made at the end of an epoch. Better means smaller for a loss
 * and larger for an accuracy, by more than min_delta; NaN is never better. After more than `patience`
 * observations that are not, the rate is reduced and the count begins anew. value: hyperparameters of
 * the plateau schedule. Pure. */
bp_plateau_state bp_plateau_observe(bp_plateau_state state, const double *value, double metric);

#endif
