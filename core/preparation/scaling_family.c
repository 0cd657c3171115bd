#include "core/preparation/feature_statistics.h"

static double none_divisor(const bp_feature_statistics *feature)
{
    (void)feature;
    return 1;
}

static double standard_divisor(const bp_feature_statistics *feature)
{
    return feature->deviation;
}

static double minmax_divisor(const bp_feature_statistics *feature)
{
    return feature->maximum - feature->minimum;
}

const bp_scaling bp_scaling_none = {
    .member = {.name = "none",
               .summary = "features keep their scale",
               .formula = "x = v - m, m the mean where centred, else 0",
               .reference = "LeCun, Bottou, Orr & Müller 1998, section 4.3",
               .pytorch = "none: data preparation is outside PyTorch",
               .index = BP_SCALING_none},
    .divisor = none_divisor,
};

const bp_scaling bp_scaling_standard = {
    .member = {.name = "standard",
               .summary = "divides each feature by its standard deviation over the training rows",
               .formula = "x = (v - m) / s, s = sqrt(sum (v - mean)^2 / n), 1 where it is 0",
               .reference = "LeCun, Bottou, Orr & Müller 1998, section 4.3",
               .pytorch = "none; torch.std(correction=0) is the same s, scikit-learn's "
                          "StandardScaler the same preparation",
               .index = BP_SCALING_standard},
    .divisor = standard_divisor,
};

const bp_scaling bp_scaling_minmax = {
    .member = {.name = "minmax",
               .summary = "divides each feature by its range over the training rows",
               .formula = "x = (v - m) / (max - min), 1 where it is 0; m the mean where centred, "
                          "else 0",
               .reference = "Han, Kamber & Pei 2011, section 3.5.2",
               .pytorch = "none: data preparation is outside PyTorch",
               .index = BP_SCALING_minmax},
    .divisor = minmax_divisor,
};

static const bp_member *const members[] = {
#define BP_SCALING(name) &bp_scaling_##name.member,
#include "core/preparation/scaling.def"
#undef BP_SCALING
};

const bp_family bp_scaling_family = {
    .name = "scale", .title = "Scaling", .member_count = BP_SCALING_COUNT, .members = members};
