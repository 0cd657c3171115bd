#include "core/schedule/plateau.h"

#include "core/base/watched.h"
#include "core/math/scalar_math.h"

static const bp_hyperparameter parameters[BP_PLATEAU_PARAMETER_COUNT] = {
#include "core/schedule/common_hyperparameters.def"
    [BP_PLATEAU_FACTOR] = {.name = "factor",
                           .meaning = "what the rate is multiplied by: c",
                           .kind = BP_REAL_PARAMETER,
                           .exclusive_minimum = true,
                           .exclusive_maximum = true,
                           .default_value = 0.1,
                           .minimum = 0,
                           .maximum = 1},
    [BP_PLATEAU_PATIENCE] = {.name = "patience",
                             .meaning = "epochs in a row without a better metric that are borne; "
                                        "the next one reduces the rate",
                             .kind = BP_INTEGER_PARAMETER,
                             .default_value = 10,
                             .minimum = 0,
                             .maximum = 9007199254740991.0},
    [BP_PLATEAU_MIN_DELTA] = {.name = "min_delta",
                              .meaning = "by more than this a metric must differ to be better",
                              .kind = BP_REAL_PARAMETER,
                              .default_value = 1e-4,
                              .minimum = 0,
                              .maximum = __builtin_inf()},
    [BP_PLATEAU_MINIMUM] = {.name = "minimum",
                            .meaning = "below which no reduction leads: α_min",
                            .kind = BP_REAL_PARAMETER,
                            .default_value = 0,
                            .minimum = 0,
                            .maximum = __builtin_inf()},
    [BP_PLATEAU_METRIC] = {.name = "metric",
                           .meaning =
                               "what is watched at the end of each epoch: a loss is to fall, "
                               "an accuracy or F1 to rise",
                           .kind = BP_CHOICE_PARAMETER,
                           .default_value = BP_WATCHED_VALIDATION_LOSS,
                           .minimum = 0,
                           .maximum = BP_WATCHED_COUNT - 1,
                           .choices = bp_watched_names},
};

static double rate(const double *value, const bp_schedule_time *time)
{
    const double reduced =
        time->base_rate * bp_scalar_power(value[BP_PLATEAU_FACTOR], time->reductions);
    /* A learning rate below the minimum from the start stays as it is. */
    const double least =
        time->base_rate < value[BP_PLATEAU_MINIMUM] ? time->base_rate : value[BP_PLATEAU_MINIMUM];
    return reduced > least ? reduced : least;
}

bp_plateau_state bp_plateau_observe(bp_plateau_state state, const double *value, double metric)
{
    const bp_watched watched = (bp_watched)value[BP_PLATEAU_METRIC];
    const bool is_number = metric == metric;
    if (is_number && (!state.started || bp_watched_better(watched, metric, state.best,
                                                          value[BP_PLATEAU_MIN_DELTA]))) {
        state.best = metric;
        state.started = 1;
        state.waited = 0;
    } else if (++state.waited > (uint64_t)value[BP_PLATEAU_PATIENCE]) {
        state.waited = 0;
        state.reductions++;
    }
    return state;
}

extern const bp_schedule bp_schedule_plateau;
const bp_schedule bp_schedule_plateau = {
    .member = {.name = "plateau",
               .summary = "The rate falls by a factor whenever a metric has stopped getting better",
               .formula = "α = max(α₀ c^r, α_min), r the plateaus met so far, whatever `per` says",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, sections 7.8 and "
                            "8.3.1, for watching a validation error",
               .pytorch =
                   "torch.optim.lr_scheduler.ReduceLROnPlateau(mode='min' for a loss and "
                   "'max' for an accuracy, factor=c, patience=patience, threshold=min_delta, "
                   "threshold_mode='abs', min_lr=α_min, eps=0), stepped after each epoch",
               .index = BP_SCHEDULE_plateau,
               .parameter_count = BP_PLATEAU_PARAMETER_COUNT,
               .parameters = parameters},
    .rate = rate,
};
