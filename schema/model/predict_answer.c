/* What a prediction answers. */
#include <math.h>
#include <stdio.h>

#include "schema/job/labels.h"
#include "schema/json/json_text.h"
#include "schema/model/model_info.h"

static json_t *row_json(const void *shown, bp_dtype dtype, size_t first, size_t width)
{
    json_t *array = json_array();
    for (size_t index = 0; array && index < width; index++)
        if (json_array_append_new(array, bp_json_real(bp_dtype_get(dtype, shown, first + index))) !=
            0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *values_json(const bp_model_info *info, const void *shown, size_t first)
{
    json_t *array = json_array();
    for (size_t index = 0; array && index < info->target_width; index++) {
        const double output = bp_dtype_get(info->dtype, shown, first + index);
        if (json_array_append_new(array, bp_json_real(bp_model_info_value(info, index, output))) !=
            0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* The label of the largest number, the first among equals. */
static json_t *label_json(const bp_model_info *info, const void *shown, size_t first)
{
    size_t best = 0;
    for (size_t index = 1; index < info->classes.count; index++)
        if (bp_dtype_get(info->dtype, shown, first + index) >
            bp_dtype_get(info->dtype, shown, first + best))
            best = index;
    return bp_label_json(&info->classes, best);
}

static json_t *prediction_json(const bp_model_info *info, const void *shown, size_t row)
{
    if (info->task == BP_TASK_CLASSIFICATION) {
        size_t first = row * info->classes.count;
        return json_pack("{s:o, s:o}", "label", label_json(info, shown, first),
                         bp_shown_name(bp_loss_of(info->loss.member)->shown),
                         row_json(shown, info->dtype, first, info->classes.count));
    }
    size_t first = row * info->target_width;
    if (info->target_width == 1)
        return json_pack(
            "{s:o}", "value",
            bp_json_real(bp_model_info_value(info, 0, bp_dtype_get(info->dtype, shown, first))));
    return json_pack("{s:o}", "value", values_json(info, shown, first));
}

void bp_predict_check(bp_faults *faults, const bp_model_info *info, const void *shown, size_t count)
{
    const size_t width = info->classes.count;
    for (size_t row = 0; info->task == BP_TASK_CLASSIFICATION && row < count; row++)
        for (size_t index = row * width; index < (row + 1) * width; index++)
            if (!isfinite(bp_dtype_get(info->dtype, shown, index))) {
                char pointer[32];
                snprintf(pointer, sizeof pointer, "/rows/%zu", row);
                bp_faults_add(faults, BP_NOT_FINITE, pointer,
                              "is too large for this model: its answer is not finite");
                break;
            }
}

json_t *bp_predict_answer_json(const bp_model_info *info, const void *shown, size_t count)
{
    json_t *predictions = json_array();
    for (size_t row = 0; predictions && row < count; row++)
        if (json_array_append_new(predictions, prediction_json(info, shown, row)) != 0) {
            json_decref(predictions);
            predictions = NULL;
        }
    json_t *answer =
        info->checkpoint
            ? json_pack("{s:n, s:n, s:I, s:I}", "model", "version", "job", (json_int_t)info->job,
                        "checkpoint", (json_int_t)info->checkpoint)
            : json_pack("{s:s, s:I}", "model", info->name, "version", (json_int_t)info->version);
    bool ok =
        answer && (info->task != BP_TASK_CLASSIFICATION ||
                   json_object_set_new(answer, "classes", bp_labels_json(&info->classes)) == 0);
    if (json_object_set_new(answer, "predictions", predictions) == 0 && ok)
        return answer;
    json_decref(answer);
    return NULL;
}
