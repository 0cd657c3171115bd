/* Gradients against differences, for every parameter tensor of a network, in float64.
 * An element passes when |a − n| ≤ 1e-7·max(|a|, |n|) + floor·max(1, |J|), a analytic, n numerical;
 * J is the mean loss of the batch and the penalties of the regularisers;
 * the floor is what rounding leaves: 2e-10 for the central difference at ε = 1e-5, 2e-11 for the
 * fourth-order one at h = 1e-3. Elements for which a unit (ReLU), the loss (hinge) or a penalty (|w| at 0)
 * changes its piece between the two sides are skipped and counted. */
#ifndef BP_CORE_CHECK_GRADIENT_CHECK_H
#define BP_CORE_CHECK_GRADIENT_CHECK_H

#include "core/network/network.h"
#include "core/regularizer/regularizer.h"

typedef enum bp_difference {
    BP_DIFFERENCE_CENTRAL,     /* (J(θ+ε) − J(θ−ε)) / 2ε */
    BP_DIFFERENCE_FORWARD,     /* (J(θ+ε) − J(θ)) / ε: for comparison, far less exact */
    BP_DIFFERENCE_FOURTH_ORDER /* (8(J(θ+h) − J(θ−h)) − (J(θ+2h) − J(θ−2h))) / 12h */
} bp_difference;

typedef struct bp_check_spec {
    bp_difference difference;
    double epsilon;      /* ε or h, above 0 */
    size_t max_elements; /* per tensor; a larger one is sampled, seeded */
    uint64_t seed;
    size_t regularizer_count;
    bp_choice regularizers[BP_REGULARIZER_LIMIT]; /* penalties are part of J; projections are not */
    bool (*cancelled)(void *context);             /* asked before each element; NULL: nobody will */
    void *context;
} bp_check_spec;

typedef struct bp_check_report { /* of one tensor */
    size_t checked, skipped, failed;
    size_t judged_relative; /* of checked: elements whose bound's relative part is the larger */
    double worst_relative_error; /* |a − n| / max(|a|, |n|), over judged elements */
    double worst_excess;         /* largest |a − n| / bound over all: above 1 fails */
    size_t worst_index;          /* element with worst_excess */
    double worst_analytic, worst_numerical;
} bp_check_report;

/* Checks all parameters of a float64 training network on one batch; every parameter is restored. What
 * recurrent layers carry is what every pass begins from, and stays.
 * reports: one per bp_network_tensor; nothing of a frozen one is checked. A network with kinks must be planned with keep_z, since
 * pieces are read from z. BP_INVALID (not float64, not for training, no z, ε not positive, regularisers),
 * BP_NO_MEMORY, BP_CANCELLED. Allocates one byte or two per kinked unit and row, and what a
 * cut of the parameters into blocks takes. Runs on the network's thread. */
BP_CHECK_RESULT bp_status bp_gradient_check(bp_check_report *reports, bp_network *network,
                                            const void *input, size_t rows,
                                            const bp_targets *targets, const bp_check_spec *spec,
                                            bp_error *error);

#endif
