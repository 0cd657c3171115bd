/* The area under the ROC curve as a statistic of ranks. Private to core/evaluation. */
#ifndef BP_CORE_EVALUATION_ROC_AUC_H
#define BP_CORE_EVALUATION_ROC_AUC_H

#include <stddef.h>
#include <stdint.h>

/* A key that sorts like the number; −0 like 0. Not for NaN. */
uint64_t bp_rank_key(double value);

/* The share of pairs (one of the first `positive` keys, one of the others up to count) in which the
 * former is larger, ties counting half: exact up to one division. NaN when either group is empty.
 * Sorts the keys; spare (count) is working space. Linear in count. */
double bp_roc_auc(uint64_t *key, uint64_t *spare, size_t positive, size_t count);

#endif
