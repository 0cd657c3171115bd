/* What each class weighs in the loss: "balanced", or an object of weights by class. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/loss/loss.h"
#include "schema/job/job_work.h"
#include "schema/job/labels.h"
#include "schema/json/json_text.h"

static const bp_real_range weights = {0, INFINITY, true, false};

/* Class that the name of a member stands for, as JSON would write it: setosa, 7, true. */
static size_t find_class(const bp_labels *classes, const char *name)
{
    if (classes->texts)
        return bp_labels_find_text(classes, name);
    json_t *label = json_loads(name, JSON_DECODE_ANY, NULL);
    size_t index = label ? bp_labels_find_json(classes, label) : SIZE_MAX;
    json_decref(label);
    return index;
}

static const char *class_at(const void *list, size_t index)
{
    const bp_labels *classes = list;
    return classes->texts && index < classes->count ? classes->texts[index] : NULL;
}

static void read_weights(bp_job_work *work, const bp_place *place, const json_t *given)
{
    bp_job_spec *spec = work->spec;
    bool *seen = bp_job_allocate(work, spec->classes.count, sizeof *seen);
    if (!seen)
        return;
    const char *name;
    json_t *value;
    json_object_foreach(bp_json_mutable(given), name, value)
    {
        bp_place at = bp_place_member(place, name);
        bp_given_real weight = {0};
        bp_read_real(&work->reader, &at, value, &weight, &weights);
        size_t index = find_class(&spec->classes, name);
        if (index == SIZE_MAX) {
            char *advice = spec->classes.texts
                               ? bp_reader_advice(&work->reader, name, class_at, &spec->classes)
                               : NULL;
            bp_reader_fault(&work->reader, &at, BP_UNKNOWN_NAME,
                            "unknown class \"%.*s\" of \"%s\"%s", bp_quoted_length(name), name,
                            work->corpus ? work->corpus->name : spec->targets[0].name,
                            advice ? advice : "");
            free(advice);
        } else if (seen[index]) {
            bp_reader_fault(&work->reader, &at, BP_INVALID, "names a class again");
        } else {
            seen[index] = true;
            if (weight.given)
                spec->class_weight[index] = weight.value;
        }
    }
    free(seen);
}

void bp_job_resolve_class_weights(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    const json_t *given = work->draft.class_weights.value;
    if (!given || !work->task_known)
        return;
    const bp_place root = {0}, loss = bp_place_member(&root, "loss");
    const bp_place place = bp_place_member(&loss, "class_weights");
    const bp_member *member = spec->training.network.loss.member;
    const char *word = json_string_value(given);
    if (!json_is_object(given) && (!word || strcmp(word, "balanced") != 0)) {
        bp_reader_fault(&work->reader, &place, BP_INVALID,
                        "must be \"balanced\" or an object of classes and their weights");
        return;
    }
    if (spec->task == BP_TASK_LANGUAGE_MODEL) {
        bp_reader_fault(&work->reader, &place, BP_INVALID,
                        "a language model does not weigh the entries of the vocabulary");
        return;
    }
    if (bp_loss_of(member)->target_kind != BP_TARGET_CLASS || bp_loss_of(member)->paired) {
        bp_reader_fault(&work->reader, &place, BP_INVALID, "%s has no classes to weigh",
                        member->name);
        return;
    }
    if (!work->targets_known || spec->task == BP_TASK_REGRESSION)
        return;
    spec->class_weight = bp_job_allocate(work, spec->classes.count, sizeof *spec->class_weight);
    if (!spec->class_weight)
        return;
    for (size_t index = 0; index < spec->classes.count; index++)
        spec->class_weight[index] = 1;
    spec->balances_classes = word != NULL;
    if (!word)
        read_weights(work, &place, given);
    spec->training.network.class_weight = spec->class_weight;
}

bp_status bp_job_balance_classes(bp_job_spec *spec, const int32_t *label, size_t row_count,
                                 bp_error *error)
{
    if (!spec->balances_classes)
        return BP_OK;
    size_t *count = calloc(spec->classes.count, sizeof *count);
    if (!count)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory to count classes");
    for (size_t row = 0; row < row_count; row++)
        count[label[row]]++;
    for (size_t index = 0; index < spec->classes.count; index++)
        if (count[index] > 0)
            spec->class_weight[index] =
                (double)row_count / ((double)spec->classes.count * (double)count[index]);
    free(count);
    return BP_OK;
}
