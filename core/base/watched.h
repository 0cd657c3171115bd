/* The metrics that may be watched at the end of an epoch, by what reduces a rate on a plateau and by
 * what stops early. */
#ifndef BP_CORE_BASE_WATCHED_H
#define BP_CORE_BASE_WATCHED_H

#include <stdbool.h>

/* name, as in JSON, whether larger is better. */
#define BP_WATCHED_LIST(X)                                                                         \
    X(VALIDATION_LOSS, "validation.loss", false)                                                   \
    X(VALIDATION_ACCURACY, "validation.accuracy", true)                                            \
    X(TRAIN_LOSS, "train.loss", false)                                                             \
    X(TRAIN_ACCURACY, "train.accuracy", true)                                                      \
    X(VALIDATION_ENTITY_F1, "validation.entity_f1", true)

typedef enum bp_watched {
#define BP_WATCHED_ENUM(name, text, rises) BP_WATCHED_##name,
    BP_WATCHED_LIST(BP_WATCHED_ENUM)
#undef BP_WATCHED_ENUM
        BP_WATCHED_COUNT
} bp_watched;

/* In the order of the enum, then NULL: the choices of a hyperparameter. */
extern const char *const bp_watched_names[];

/* Whether `metric` is better than `best` by more than min_delta; NaN never is. */
bool bp_watched_better(bp_watched watched, double metric, double best, double min_delta);

#endif
