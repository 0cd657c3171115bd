/* What sampled networks add to the answer of a prediction. */
#include <math.h>

#include "schema/json/json_text.h"
#include "schema/model/model_info.h"

/* One number of a prediction: probabilities and scores are shown as they are, values in the units of
 * their targets, of which a deviation knows the scale but not the offset. */
static double in_units(const bp_model_info *info, size_t index, double number, bool is_deviation)
{
    if (info->task == BP_TASK_CLASSIFICATION)
        return number;
    const bp_preparation *target = &info->target_preparation;
    if (is_deviation)
        return target->column_count > 0 ? number * target->scale[index] : number;
    return bp_model_info_value(info, index, number);
}

static json_t *numbers_json(const bp_model_info *info, const double *numbers, size_t width,
                            bool is_deviation)
{
    if (info->task != BP_TASK_CLASSIFICATION && width == 1)
        return bp_json_real(in_units(info, 0, numbers[0], is_deviation));
    json_t *array = json_array();
    int failed = !array;
    for (size_t index = 0; index < width; index++)
        failed |= json_array_append_new(
            array, bp_json_real(in_units(info, index, numbers[index], is_deviation)));
    if (failed) {
        json_decref(array);
        return NULL;
    }
    return array;
}

bool bp_predict_answer_add_samples(json_t *answer, const bp_model_info *info, const double *mean,
                                   const double *deviation, const double *entropy)
{
    const size_t width =
        info->task == BP_TASK_CLASSIFICATION ? info->classes.count : info->target_width;
    size_t row;
    json_t *prediction;
    int failed = 0;
    json_array_foreach(json_object_get(answer, "predictions"), row, prediction)
    {
        failed |= json_object_set_new(prediction, "mean",
                                      numbers_json(info, mean + row * width, width, false));
        failed |= json_object_set_new(prediction, "std",
                                      numbers_json(info, deviation + row * width, width, true));
        failed |= json_object_set_new(
            prediction, "entropy", isnan(entropy[row]) ? json_null() : bp_json_real(entropy[row]));
    }
    return !failed;
}
