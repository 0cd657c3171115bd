#include "core/preparation/preparation.h"

static const bp_member none = {
    .name = "none",
    .summary = "targets stay in their units",
    .formula = "t = y",
    .reference = "LeCun, Bottou, Orr & Müller 1998, section 4.5",
    .pytorch = "none: data preparation is outside PyTorch",
    .index = BP_TARGET_SCALING_none,
};

static const bp_member standard = {
    .name = "standard",
    .summary =
        "each target less its mean, by its standard deviation over the training rows; losses "
        "are of scaled targets, predictions, RMSE and MAE in the original units",
    .formula = "t = (y - mean) / s, s = sqrt(sum (y - mean)^2 / n), 1 where it is 0; predicted "
               "y = t s + mean",
    .reference = "LeCun, Bottou, Orr & Müller 1998, section 4.5",
    .pytorch = "none; scikit-learn's TransformedTargetRegressor with StandardScaler is the same",
    .index = BP_TARGET_SCALING_standard,
};

static const bp_member *const members[] = {
#define BP_TARGET_SCALING(name) &name,
#include "core/preparation/target_scaling.def"
#undef BP_TARGET_SCALING
};

const bp_family bp_target_scaling_family = {.name = "target",
                                            .title = "Target scaling",
                                            .member_count = BP_TARGET_SCALING_COUNT,
                                            .members = members};
