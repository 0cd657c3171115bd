#include "schema/model/evaluation_json.h"

#include "schema/job/labels.h"
#include "schema/json/json_text.h"

static bool add_real(json_t *object, const char *key, double value)
{
    return bp_json_add(object, key, bp_json_real(value));
}

static bool add_average(json_t *object, const bp_class_average *average)
{
    return add_real(object, "precision", average->precision) &&
           add_real(object, "recall", average->recall) && add_real(object, "f1", average->f1);
}

static json_t *class_json(const bp_evaluation_report *report, const bp_labels *classes,
                          size_t index)
{
    const bp_class_report *own = &report->classes[index];
    json_t *json = json_object();
    bool ok = bp_json_add(json, "label", bp_label_json(classes, index)) &&
              add_real(json, "precision", own->precision) &&
              add_real(json, "recall", own->recall) && add_real(json, "f1", own->f1) &&
              bp_json_add(json, "support", json_integer((json_int_t)own->support));
    if (!report->too_many_outputs)
        ok = ok && add_real(json, "roc_auc", own->roc_auc);
    return bp_json_whole(json, ok);
}

static json_t *per_class_json(const bp_evaluation_report *report, const bp_labels *classes)
{
    json_t *array = json_array();
    bool ok = array != NULL;
    for (size_t index = 0; ok && index < report->width; index++)
        ok = json_array_append_new(array, class_json(report, classes, index)) == 0;
    return bp_json_whole(array, ok);
}

static json_t *averages_json(const bp_evaluation_report *report)
{
    static const char *const names[] = {"macro", "micro", "weighted"};
    const bp_class_average *averages[] = {&report->macro, &report->micro, &report->weighted};
    json_t *json = json_object();
    bool ok = json != NULL;
    for (size_t index = 0; ok && index < 3; index++) {
        json_t *average = json_object();
        ok = add_average(average, averages[index]);
        ok = bp_json_add(json, names[index], average) && ok;
    }
    return bp_json_whole(json, ok);
}

static json_t *confusion_json(const bp_evaluation_report *report)
{
    const size_t width = report->width;
    json_t *rows = json_array();
    bool ok = rows != NULL;
    for (size_t actual = 0; ok && actual < width; actual++) {
        json_t *row = json_array();
        for (size_t decided = 0; ok && decided < width; decided++)
            ok = json_array_append_new(
                     row, json_integer((json_int_t)report->confusion[actual * width + decided])) ==
                 0;
        ok = json_array_append_new(rows, row) == 0 && ok;
    }
    return bp_json_whole(rows, ok);
}

static bool add_omitted(json_t *json, const bp_evaluation_report *report)
{
    if (!report->too_many_outputs && !report->too_many_classes)
        return true;
    json_t *omitted = json_object();
    bool ok = bp_json_add(json, "omitted", omitted); /* json keeps it, or it is gone */
    if (ok && report->too_many_outputs)
        ok = bp_json_add(omitted, "roc_auc",
                         json_sprintf("rows times classes are more than %d", BP_RANKED_LIMIT));
    if (ok && report->too_many_classes)
        ok = bp_json_add(omitted, "confusion_matrix",
                         json_sprintf("there are more than %d classes", BP_CONFUSION_CLASS_LIMIT));
    return ok;
}

static json_t *classes_json(const bp_evaluation_report *report, const bp_labels *classes)
{
    json_t *json = json_object();
    bool ok = add_real(json, "loss", report->loss) && add_real(json, "accuracy", report->accuracy);
    if (report->width > BP_TOP_COUNT)
        ok = ok && add_real(json, "top_5_accuracy", report->top_accuracy);
    if (report->has_log_loss)
        ok = ok && add_real(json, "log_loss", report->log_loss);
    if (!report->too_many_outputs)
        ok = ok && add_real(json, "roc_auc", report->roc_auc);
    ok = ok && add_average(json, &report->macro) &&
         bp_json_add(json, "rows", json_integer((json_int_t)report->rows)) &&
         bp_json_add(json, "per_class", per_class_json(report, classes)) &&
         bp_json_add(json, "averages", averages_json(report));
    if (report->confusion)
        ok = ok && bp_json_add(json, "confusion_matrix", confusion_json(report));
    return bp_json_whole(json, ok && add_omitted(json, report));
}

static bool add_values(json_t *json, const bp_value_report *values)
{
    return add_real(json, "rmse", values->rmse) && add_real(json, "mae", values->mae) &&
           add_real(json, "r2", values->r2);
}

static json_t *per_target_json(const bp_evaluation_report *report, const bp_job_column *targets,
                               size_t target_count)
{
    json_t *array = json_array();
    size_t index = 0;
    bool ok = array != NULL;
    for (size_t target = 0; ok && target < target_count; target++)
        for (size_t element = 0; ok && element < targets[target].width; element++) {
            json_t *json = json_object();
            ok = bp_json_add(json, "target", json_string(targets[target].name));
            if (targets[target].width > 1)
                ok = ok && bp_json_add(json, "element", json_integer((json_int_t)element));
            ok = ok && add_values(json, &report->targets[index++]);
            ok = json_array_append_new(array, json) == 0 && ok;
        }
    return bp_json_whole(array, ok);
}

json_t *bp_evaluation_json(const bp_evaluation_report *report, const bp_labels *classes,
                           const bp_job_column *targets, size_t target_count)
{
    if (report->kind == BP_TARGET_CLASS)
        return classes_json(report, classes);
    json_t *json = json_object();
    const bool ok = add_real(json, "loss", report->loss) && add_values(json, &report->values) &&
                    bp_json_add(json, "rows", json_integer((json_int_t)report->rows)) &&
                    bp_json_add(json, "per_target", per_target_json(report, targets, target_count));
    return bp_json_whole(json, ok);
}
