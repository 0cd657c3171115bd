#include "core/preparation/feature_statistics.h"

static double zero_fill(const bp_feature_statistics *feature)
{
    (void)feature;
    return 0;
}

static double mean_fill(const bp_feature_statistics *feature)
{
    return feature->mean;
}

static double median_fill(const bp_feature_statistics *feature)
{
    return feature->median;
}

const bp_missing bp_missing_mean = {
    .member = {.name = "mean",
               .summary = "a missing number becomes the feature's mean over the training rows",
               .formula = "v = sum of present values / their number",
               .reference = "Little & Rubin 2002, section 4.2.1",
               .pytorch = "none: data preparation is outside PyTorch",
               .index = BP_MISSING_mean},
    .fill = mean_fill,
};

const bp_missing bp_missing_median = {
    .member = {.name = "median",
               .summary = "a missing number becomes the feature's median over the training rows",
               .formula = "v = middle of the sorted present values, the mean of the middle two "
                          "where their number is even",
               .reference = "Little & Rubin 2002, section 4.2",
               .pytorch = "none: data preparation is outside PyTorch",
               .index = BP_MISSING_median},
    .needs_median = true,
    .fill = median_fill,
};

const bp_missing bp_missing_zero = {
    .member = {.name = "zero",
               .summary = "a missing number becomes 0, before centring and scaling",
               .formula = "v = 0",
               .reference = "Little & Rubin 2002, section 4.2",
               .pytorch = "none: data preparation is outside PyTorch",
               .index = BP_MISSING_zero},
    .fill = zero_fill,
};

const bp_missing bp_missing_drop_row = {
    .member = {.name = "drop_row",
               .summary =
                   "rows with a missing feature are left out; at prediction they are a fault",
               .formula = "-",
               .reference = "Little & Rubin 2002, section 3.2 (complete-case analysis)",
               .pytorch = "none: data preparation is outside PyTorch",
               .index = BP_MISSING_drop_row},
    .fill = zero_fill,
};

const bp_missing bp_missing_error = {
    .member = {.name = "error",
               .summary = "a missing feature is a fault, in training and at prediction",
               .formula = "-",
               .reference = "Little & Rubin 2002, chapter 3",
               .pytorch = "none: data preparation is outside PyTorch",
               .index = BP_MISSING_error},
    .fill = zero_fill,
};

static const bp_member *const members[] = {
#define BP_MISSING(name) &bp_missing_##name.member,
#include "core/preparation/missing.def"
#undef BP_MISSING
};

const bp_family bp_missing_family = {.name = "missing",
                                     .title = "Missing values",
                                     .member_count = BP_MISSING_COUNT,
                                     .members = members};
