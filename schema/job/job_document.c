/* The resolved document, and the answer to validate_only. */
#include "core/layer/dense.h"
#include "schema/job/job_work.h"
#include "schema/job/layer_json.h"
#include "schema/json/choice.h"
#include "schema/json/json_text.h"
#include "schema/json/stored.h"

static json_t *names_json(const bp_job_column *columns, size_t count)
{
    json_t *array = json_array();
    for (size_t index = 0; array && index < count; index++)
        if (json_array_append_new(array, json_string(columns[index].name)) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *part_json(const bp_job_part *part, const bp_dataset_info *info)
{
    if (!part->dataset)
        return json_pack("{s:o}", "fraction", bp_json_real(part->fraction));
    return json_pack("{s:s, s:I, s:s}", "dataset", part->dataset, "version",
                     (json_int_t)info->version, "sha256", part->sha256);
}

/* What the user gave, or an empty one of the same kind. */
static json_t *given_or(const json_t *given, json_t *(*empty)(void))
{
    return given ? json_deep_copy(given) : empty();
}

/* How the vocabulary of a corpus is made. */
static bool add_rule(json_t *data, const bp_vocabulary_rule *rule)
{
    bool ok = bp_json_add(data, "unit", json_string(bp_token_unit_names[rule->unit]));
    ok &= bp_json_add(data, "lowercase", json_boolean(rule->lowercase));
    ok &= bp_json_add(data, "min_count", json_integer((json_int_t)rule->min_count));
    ok &= bp_json_add(data, "max_vocabulary",
                      rule->max_count ? json_integer((json_int_t)rule->max_count) : json_null());
    return ok;
}

static bool add_columns(json_t *data, const bp_job_work *work)
{
    const bp_job_spec *spec = work->spec;
    const bp_data_draft *draft = &work->draft.data;
    const bool several = json_is_array(draft->target.value);
    bool ok = bp_json_add(data, "features", names_json(spec->features, spec->feature_count));
    ok &= bp_json_add(data, "target",
                      several ? names_json(spec->targets, spec->target_count)
                              : json_string(spec->targets[0].name));
    ok &= bp_json_add(data, "exclude", given_or(draft->exclude.value, json_array));
    ok &= bp_json_add(data, "columns", given_or(draft->columns.value, json_object));
    return ok;
}

static json_t *data_json(const bp_job_work *work)
{
    const bp_job_spec *spec = work->spec;
    const bp_dataset_info *info = work->corpus ? work->corpus : work->training;
    json_t *data = json_object();
    bool ok = bp_json_add(data, "dataset", json_string(spec->dataset));
    ok &= bp_json_add(data, "version", json_integer((json_int_t)info->version));
    ok &= bp_json_add(data, "sha256", json_string(spec->dataset_sha256));
    ok &= work->corpus ? add_rule(data, &spec->corpus.rule) : add_columns(data, work);
    if (spec->validation.dataset || spec->validation.fraction > 0)
        ok &= bp_json_add(data, "validation", part_json(&spec->validation, work->validation));
    if (spec->test.dataset || spec->test.fraction > 0)
        ok &= bp_json_add(data, "test", part_json(&spec->test, work->test));
    return bp_json_whole(data, ok);
}

static json_t *network_json(const bp_job_work *work)
{
    const bp_job_spec *spec = work->spec;
    json_t *layers = json_array();
    bool ok = layers != NULL;
    for (size_t index = 0; ok && index < spec->layer_count; index++) {
        json_t *layer = bp_layer_spec_json(&spec->layers[index]);
        ok = layer != NULL;
        if (ok && work->vectors && index == spec->vectors_layer)
            ok = bp_json_add(layer, "vectors", part_json(&spec->vectors, work->vectors));
        ok = json_array_append_new(layers, layer) == 0 && ok;
    }
    if (ok)
        return json_pack("{s:o}", "layers", layers);
    json_decref(layers);
    return NULL;
}

bool bp_layer_spec_is_tied(const bp_layer_spec *spec)
{
    return spec->layer.member && spec->layer.member->index == BP_LAYER_dense &&
           spec->layer.value[BP_DENSE_TIED] != 0;
}

json_t *bp_layer_spec_json(const bp_layer_spec *spec)
{
    json_t *layer = bp_choice_json(&spec->layer, BP_CHOICE_OBJECT);
    bool ok = layer != NULL;
    if (ok && spec->activation.member)
        ok = bp_json_add(layer, "activation", bp_choice_json(&spec->activation, BP_CHOICE_WORD));
    if (ok && spec->initializer.member && !bp_layer_spec_is_tied(spec))
        ok = bp_json_add(layer, "init", bp_choice_json(&spec->initializer, BP_CHOICE_OBJECT));
    if (ok && spec->dropout.member)
        ok =
            bp_json_add(layer, "dropout", bp_styled_choice_json(&spec->dropout, &bp_dropout_style));
    return bp_json_whole(layer, ok);
}

static json_t *loss_json(const bp_job_work *work)
{
    json_t *loss = bp_choice_json(&work->spec->training.network.loss, BP_CHOICE_OBJECT);
    const json_t *weights = work->draft.class_weights.value;
    if (!weights || bp_json_add(loss, "class_weights", json_deep_copy(weights)))
        return loss;
    json_decref(loss);
    return NULL;
}

static json_t *preprocess_json(const bp_job_spec *spec)
{
    json_t *json =
        json_pack("{s:b, s:o, s:b}", "center", (int)spec->center, "scale",
                  bp_choice_json(&spec->scaling, BP_CHOICE_WORD), "whiten", (int)spec->whiten);
    bool ok = json != NULL;
    if (ok && spec->whiten)
        ok = bp_json_add(json, "epsilon", bp_json_real(spec->whiten_epsilon));
    if (ok)
        ok = bp_json_add(json, "missing", bp_choice_json(&spec->missing, BP_CHOICE_WORD));
    if (ok && spec->task == BP_TASK_REGRESSION)
        ok = bp_json_add(json, "target", bp_choice_json(&spec->target_scaling, BP_CHOICE_WORD));
    return bp_json_whole(json, ok);
}

static json_t *regularization_json(const bp_training_spec *training)
{
    json_t *json = json_object();
    bool ok = json != NULL;
    for (size_t index = 0; ok && index < training->regularizer_count; index++)
        ok = bp_json_add(json, training->regularizers[index].member->name,
                         bp_json_real(training->regularizers[index].value[0]));
    return bp_json_whole(json, ok);
}

static json_t *training_json(const bp_job_spec *spec)
{
    const bp_training_spec *training = &spec->training;
    json_t *json = json_pack(
        "{s:I, s:I, s:b, s:I, s:s, s:I, s:b}", "epochs", (json_int_t)training->epochs, "batch_size",
        (json_int_t)training->batch_size, "shuffle", (int)training->shuffle, "seed",
        (json_int_t)training->seed, "dtype", bp_dtype_name(training->network.dtype), "threads",
        (json_int_t)spec->threads, "gradient_check", (int)spec->gradient_check);
    const bp_choice_style style = {.family = &bp_stopping_family};
    bool ok = json != NULL;
    if (ok && spec->task == BP_TASK_LANGUAGE_MODEL)
        ok = bp_json_add(json, "sequence_length",
                         json_integer((json_int_t)spec->corpus.sequence_length));
    if (ok && training->clip_norm > 0)
        ok = bp_json_add(json, "clip_norm", bp_json_real(training->clip_norm));
    if (ok && training->early_stopping.member)
        ok = bp_json_add(json, "early_stopping",
                         bp_styled_choice_json(&training->early_stopping, &style));
    return bp_json_whole(json, ok);
}

json_t *bp_job_document(const bp_job_work *work)
{
    const bp_job_spec *spec = work->spec;
    const bp_training_spec *training = &spec->training;
    json_t *document = json_object();
    bool ok = bp_json_add(document, "name", json_string(spec->name));
    ok &= bp_json_add(document, "task", json_string(bp_task_names[spec->task]));
    ok &= bp_json_add(document, "priority", json_integer(spec->priority));
    ok &= bp_json_add(document, "data", data_json(work));
    if (!work->corpus)
        ok &= bp_json_add(document, "preprocess", preprocess_json(spec));
    ok &= bp_json_add(document, "network", network_json(work));
    ok &= bp_json_add(document, "loss", loss_json(work));
    ok &=
        bp_json_add(document, "optimizer", bp_choice_json(&training->optimizer, BP_CHOICE_OBJECT));
    ok &= bp_json_add(document, "schedule", bp_choice_json(&training->schedule, BP_CHOICE_OBJECT));
    ok &= bp_json_add(document, "regularization", regularization_json(training));
    ok &= bp_json_add(document, "training", training_json(spec));
    ok &= bp_json_add(document, "checkpoint", bp_job_checkpoint_json(&spec->checkpoint));
    ok &= bp_json_add(document, "metrics",
                      json_pack("{s:I}", "every_steps", (json_int_t)spec->metrics_every_steps));
    if (spec->initial_model || spec->initial_job)
        ok &= bp_json_add(document, "initial", bp_job_initial_json(spec));
    return bp_json_whole(document, ok);
}

/* ---- validate_only ---- */

static json_t *tensor_json(const bp_tensor *tensor)
{
    double shape[BP_RANK_LIMIT];
    for (size_t axis = 0; axis < tensor->rank; axis++)
        shape[axis] = (double)tensor->shape[axis];
    return json_pack("{s:s, s:o}", "name", tensor->name, "shape",
                     bp_numbers_json(shape, tensor->rank));
}

static json_t *shape_json(const bp_layer_spec *spec, const bp_layer_shape *shape)
{
    json_t *tensors = json_array();
    size_t parameters = 0;
    bool ok = tensors != NULL;
    for (size_t index = 0; ok && index < shape->tensor_count; index++) {
        parameters += shape->tensor[index].element_count;
        ok = json_array_append_new(tensors, tensor_json(&shape->tensor[index])) == 0;
    }
    if (ok)
        return json_pack("{s:s, s:I, s:I, s:I, s:o}", "type", spec->layer.member->name, "input",
                         (json_int_t)shape->input_width, "output", (json_int_t)shape->output_width,
                         "parameters", (json_int_t)parameters, "tensors", tensors);
    json_decref(tensors);
    return NULL;
}

json_t *bp_layer_shapes_json(const bp_layer_spec *layers, size_t layer_count, bp_layer_input input)
{
    json_t *array = json_array();
    bool ok = array != NULL;
    for (size_t index = 0; ok && index < layer_count; index++) {
        const bp_layer_type *type = (const bp_layer_type *)layers[index].layer.member;
        bp_layer_shape shape;
        ok = type->plan(&shape, &layers[index], &input, NULL) == BP_OK &&
             json_array_append_new(array, shape_json(&layers[index], &shape)) == 0;
        if (ok)
            input = bp_layer_above(input, &type->member, &shape);
    }
    return bp_json_whole(array, ok);
}

json_t *bp_job_validation_json(const bp_job_spec *spec, json_t *resolved, json_t *warnings,
                               const bp_job_size *size)
{
    json_t *json = json_object();
    bool ok = bp_json_add(json, "specification", json_incref(resolved));
    ok &= bp_json_add(json, "layers",
                      bp_layer_shapes_json(spec->layers, spec->layer_count,
                                           bp_network_first_input(&spec->training.network)));
    ok &= bp_json_add(json, "parameters", json_integer((json_int_t)size->network.parameter_count));
    ok &=
        bp_json_add(json, "memory",
                    json_pack("{s:I, s:I, s:I}", "training_bytes", (json_int_t)size->training_bytes,
                              "data_bytes", (json_int_t)size->data_bytes, "total_bytes",
                              (json_int_t)size->total_bytes));
    ok &= bp_json_add(json, "rows",
                      json_pack("{s:I, s:I, s:I}", "training", (json_int_t)size->training_rows,
                                "validation", (json_int_t)size->validation_rows, "test",
                                (json_int_t)size->test_rows));
    if (spec->corpus.vocabulary)
        ok &= bp_json_add(json, "vocabulary",
                          json_pack("{s:s, s:I}", "unit",
                                    bp_token_unit_names[spec->corpus.rule.unit], "size",
                                    (json_int_t)bp_vocabulary_count(spec->corpus.vocabulary)));
    if (size->stream_count > 0)
        ok &= bp_json_add(json, "sequence",
                          json_pack("{s:I, s:I}", "streams", (json_int_t)size->stream_count,
                                    "steps", (json_int_t)size->step_count));
    ok &= bp_json_add(json, "warnings", json_incref(warnings));
    return bp_json_whole(json, ok);
}
