#include "core/training/row_order.h"

#include "core/random/random.h"

const size_t *bp_row_order_of(bp_row_order *order, uint64_t epoch)
{
    if (!order->index)
        return NULL;
    if (!order->is_current || order->epoch != epoch) {
        bp_random random = bp_random_stream(order->seed, 0, BP_RANDOM_SHUFFLE, epoch);
        bp_random_permutation(order->index, order->row_count, &random);
        order->epoch = epoch;
        order->is_current = true;
    }
    return order->index;
}
