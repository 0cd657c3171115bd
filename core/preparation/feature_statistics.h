/* What is known of one numeric feature after the passes over the training rows, and the two
 * families that turn it into numbers of a preparation. Private to core/preparation. */
#ifndef BP_CORE_PREPARATION_FEATURE_STATISTICS_H
#define BP_CORE_PREPARATION_FEATURE_STATISTICS_H

#include "core/preparation/preparation.h"

/* Over the present values; only fitted where there is at least one. */
typedef struct bp_feature_statistics {
    double mean, minimum, maximum;
    double deviation; /* population: √(Σ (v − mean)² / n) */
    double median;    /* only where the missing policy wants it, else 0 */
} bp_feature_statistics;

typedef struct bp_scaling {
    bp_member member;
    /* The divisor; 0 stands for a constant feature and becomes 1. */
    double (*divisor)(const bp_feature_statistics *feature);
} bp_scaling;

typedef struct bp_missing {
    bp_member member;
    bool needs_median;
    double (*fill)(const bp_feature_statistics *feature);
} bp_missing;

#define BP_SCALING(name) extern const bp_scaling bp_scaling_##name;
#include "core/preparation/scaling.def"
#undef BP_SCALING
#define BP_MISSING(name) extern const bp_missing bp_missing_##name;
#include "core/preparation/missing.def"
#undef BP_MISSING

/* Exact median of count ≥ 1 numbers (no NaN); an even count gives the mean of the middle two.
 * Linear in count whatever the order. Uses the array as working space. */
double bp_median(double *value, size_t count);

#endif
