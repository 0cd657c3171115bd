#include "core/training/early_stopping.h"

static const bp_hyperparameter parameters[BP_EARLY_STOPPING_PARAMETER_COUNT] = {
    [BP_EARLY_STOPPING_METRIC] = {.name = "metric",
                                  .meaning = "what is watched at the end of each epoch: a loss is "
                                             "to fall, an accuracy or F1 to rise",
                                  .kind = BP_CHOICE_PARAMETER,
                                  .default_value = BP_WATCHED_VALIDATION_LOSS,
                                  .minimum = 0,
                                  .maximum = BP_WATCHED_COUNT - 1,
                                  .choices = bp_watched_names},
    [BP_EARLY_STOPPING_PATIENCE] = {.name = "patience",
                                    .meaning = "epochs in a row without a better metric after "
                                               "which the run ends",
                                    .kind = BP_INTEGER_PARAMETER,
                                    .default_value = 5,
                                    .minimum = 1,
                                    .maximum = 9007199254740991.0},
    [BP_EARLY_STOPPING_MIN_DELTA] = {.name = "min_delta",
                                     .meaning = "by more than this a metric must differ to be "
                                                "better",
                                     .kind = BP_REAL_PARAMETER,
                                     .default_value = 0,
                                     .minimum = 0,
                                     .maximum = __builtin_inf()},
    [BP_EARLY_STOPPING_RESTORE_BEST] = {.name = "restore_best",
                                        .meaning = "give the weights of the best epoch as the "
                                                   "model, rather than those of the last",
                                        .kind = BP_BOOLEAN_PARAMETER,
                                        .default_value = 1,
                                        .minimum = 0,
                                        .maximum = 1},
};

bp_early_stopping_state bp_early_stopping_observe(bp_early_stopping_state state,
                                                  const double *value, double metric, uint64_t step)
{
    const bp_watched watched = (bp_watched)value[BP_EARLY_STOPPING_METRIC];
    const bool is_number = metric == metric;
    if (is_number && (!state.started || bp_watched_better(watched, metric, state.best,
                                                          value[BP_EARLY_STOPPING_MIN_DELTA]))) {
        state.best = metric;
        state.best_step = step;
        state.started = 1;
        state.waited = 0;
    } else if (++state.waited >= (uint64_t)value[BP_EARLY_STOPPING_PATIENCE])
        state.stopped = 1;
    return state;
}

static const bp_member early_stopping = {
    .name = "early_stopping",
    .summary = "Ends a run when a metric has stopped getting better, and keeps the best weights",
    .formula = "stop after epoch e when no m(e - p + 1), …, m(e) is better than the best before by "
               "more than min_delta, p the patience",
    .reference = "Prechelt 1998, Early Stopping - But When?; Goodfellow, Bengio & Courville 2016, "
                 "Deep Learning, section 7.8",
    .pytorch = "none: a loop of the caller's",
    .index = BP_STOPPING_early_stopping,
    .parameter_count = BP_EARLY_STOPPING_PARAMETER_COUNT,
    .parameters = parameters};

static const bp_member *const members[] = {&early_stopping};

const bp_family bp_stopping_family = {
    .name = "stopping", .title = "Stopping", .member_count = BP_STOPPING_COUNT, .members = members};
