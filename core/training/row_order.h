/* The order in which an epoch takes its rows: a function of (seed, epoch) alone, so a position in a
 * run is all that is needed to go on from it. */
#ifndef BP_CORE_TRAINING_ROW_ORDER_H
#define BP_CORE_TRAINING_ROW_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bp_row_order {
    uint64_t seed;
    size_t row_count;
    size_t *index; /* (row_count) of `epoch`; NULL: file order */
    uint64_t epoch;
    bool is_current; /* index holds `epoch` */
} bp_row_order;

/* Rows in the order of `epoch`, computed where it is not the one at hand; NULL: file order.
 * Allocates nothing. */
const size_t *bp_row_order_of(bp_row_order *order, uint64_t epoch);

#endif
