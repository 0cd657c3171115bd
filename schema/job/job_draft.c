#include "schema/job/job_draft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/dropout/dropout.h"
#include "core/initializer/initializer.h"
#include "core/network/network.h"
#include "core/preparation/preparation.h"
#include "core/schedule/schedule.h"
#include "core/training/early_stopping.h"
#include "schema/job/layer_json.h"
#include "schema/json/choice.h"
#include "schema/json/json_text.h"
#include "schema/language/vocabulary.h"

const char *const bp_task_names[] = {"classification", "regression", "tagging", "language_model",
                                     NULL};
const char *const bp_dtype_names[] = {"float32", "float64", NULL};

static const bp_word_list tasks = {bp_task_names}, dtypes = {bp_dtype_names};
static const bp_word_list units = {bp_token_unit_names};
static const bp_count_range priorities = {-BP_PRIORITY_LIMIT, BP_PRIORITY_LIMIT};
static const bp_count_range from_zero = {0, BP_JSON_INTEGER_MAXIMUM};
static const bp_count_range from_one = {1, BP_JSON_INTEGER_MAXIMUM};
static const bp_real_range fractions = {0, 1, true, true};
static const bp_real_range above_zero = {0, INFINITY, true, false};

#define BP_COUNT_OF(array) (sizeof(array) / sizeof *(array))

static void read_sha256(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                        const void *detail)
{
    (void)detail;
    const char *text = json_string_value(value);
    if (!text)
        bp_reader_fault_kind(reader, place, "a string", value);
    else if (strlen(text) != 64 || strspn(text, "0123456789abcdef") != 64)
        bp_reader_fault(reader, place, BP_INVALID, "must be a SHA-256: 64 of 0-9 a-f");
    else
        ((bp_given_text *)out)->value = text;
}

static const bp_field part_fields[] = {
    {"fraction", bp_read_real, offsetof(bp_part_draft, fraction), &fractions, false},
    {"dataset", bp_read_name, offsetof(bp_part_draft, dataset), NULL, false},
    {"version", bp_read_count, offsetof(bp_part_draft, version), &from_one, false},
    {"sha256", read_sha256, offsetof(bp_part_draft, sha256), NULL, false},
};

static void read_part(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                      const void *detail)
{
    (void)detail;
    bp_part_draft *part = out;
    part->json.value = value;
    bp_reader_object(reader, place, value, part_fields, BP_COUNT_OF(part_fields), part);
    if (!json_is_object(value))
        return;
    bool share = json_object_get(value, "fraction"), other = json_object_get(value, "dataset");
    if (share == other)
        bp_reader_fault(reader, place, BP_INVALID,
                        "must have either \"fraction\" (a share of the training set's rows) or "
                        "\"dataset\"");
    else if (share && (json_object_get(value, "sha256") || json_object_get(value, "version")))
        bp_reader_fault(reader, place, BP_INVALID,
                        "\"sha256\" and \"version\" belong to \"dataset\"");
}

static void read_count_or_null(bp_reader *reader, const bp_place *place, const json_t *value,
                               void *out, const void *detail)
{
    if (!json_is_null(value))
        bp_read_count(reader, place, value, out, detail);
}

static const bp_field data_fields[] = {
    {"dataset", bp_read_name, offsetof(bp_data_draft, dataset), NULL, true},
    {"version", bp_read_count, offsetof(bp_data_draft, version), &from_one, false},
    {"sha256", read_sha256, offsetof(bp_data_draft, sha256), NULL, false},
    {"features", bp_read_json, offsetof(bp_data_draft, features), NULL, false},
    {"target", bp_read_json, offsetof(bp_data_draft, target), NULL, false},
    {"exclude", bp_read_json, offsetof(bp_data_draft, exclude), NULL, false},
    {"columns", bp_read_json, offsetof(bp_data_draft, columns), NULL, false},
    {"unit", bp_read_word, offsetof(bp_data_draft, corpus.unit), &units, false},
    {"lowercase", bp_read_bool, offsetof(bp_data_draft, corpus.lowercase), NULL, false},
    {"min_count", bp_read_count, offsetof(bp_data_draft, corpus.min_count), &from_one, false},
    {"max_vocabulary", read_count_or_null, offsetof(bp_data_draft, corpus.max_vocabulary),
     &from_one, false},
    {"validation", read_part, offsetof(bp_data_draft, validation), NULL, false},
    {"test", read_part, offsetof(bp_data_draft, test), NULL, false},
};

/* Whether a target is required depends on the data set. */
static void read_data(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                      const void *detail)
{
    (void)detail;
    bp_data_draft *data = out;
    data->given = json_is_object(value);
    bp_reader_object(reader, place, value, data_fields, BP_COUNT_OF(data_fields), data);
}

static const bp_field preprocess_fields[] = {
    {"center", bp_read_bool, offsetof(bp_job_draft, preprocess.center), NULL, false},
    {"scale", bp_read_choice, offsetof(bp_job_draft, preprocess.scale), &bp_scaling_family, false},
    {"whiten", bp_read_bool, offsetof(bp_job_draft, preprocess.whiten), NULL, false},
    {"epsilon", bp_read_real, offsetof(bp_job_draft, preprocess.epsilon), &above_zero, false},
    {"missing", bp_read_choice, offsetof(bp_job_draft, preprocess.missing), &bp_missing_family,
     false},
    {"target", bp_read_choice, offsetof(bp_job_draft, preprocess.target), &bp_target_scaling_family,
     false},
};
static const bp_object_fields preprocess_table = {preprocess_fields,
                                                  BP_COUNT_OF(preprocess_fields)};

const bp_choice_style bp_dropout_style = {
    .family = &bp_dropout_family, .tag = "of", .absent = &bp_dropout_units.member};

typedef struct layer_draft {
    bp_layer_spec spec;
    bp_part_draft vectors;
} layer_draft;

static const bp_field vectors_fields[] = {
    {"dataset", bp_read_name, offsetof(bp_part_draft, dataset), NULL, true},
    {"version", bp_read_count, offsetof(bp_part_draft, version), &from_one, false},
    {"sha256", read_sha256, offsetof(bp_part_draft, sha256), NULL, false},
};

/* A data set, by its name alone or as the resolved document has it. */
static void read_vectors(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                         const void *detail)
{
    bp_part_draft *vectors = out;
    vectors->json.value = value;
    if (json_is_string(value))
        bp_read_name(reader, place, value, &vectors->dataset, detail);
    else if (!json_is_object(value))
        bp_reader_fault_kind(reader, place,
                             "the name of a data set of vectors, or an object with it", value);
    else
        bp_reader_object(reader, place, value, vectors_fields, BP_COUNT_OF(vectors_fields),
                         vectors);
}

static const bp_field layer_extra_fields[] = {
    /* first, so that it can be left out */
    {"activation", bp_read_choice, offsetof(layer_draft, spec.activation), &bp_activation_family,
     false},
    {"init", bp_read_choice, offsetof(layer_draft, spec.initializer), &bp_initializer_family,
     false},
    {"dropout", bp_read_styled_choice, offsetof(layer_draft, spec.dropout), &bp_dropout_style,
     false},
    /* last, for the same reason */
    {"vectors", read_vectors, offsetof(layer_draft, vectors), NULL, false},
};

/* What a layer may be given besides its hyperparameters: nothing where its type only masks, no
 * activation where its activations are its own, vectors in an embedding. */
static size_t extra_fields_of(const bp_field **fields, const json_t *layer)
{
    const json_t *type = json_is_object(layer) ? json_object_get(layer, "type") : layer;
    const char *name = json_string_value(type);
    const bp_member *member = name ? bp_family_find(&bp_layer_family, name) : NULL;
    const bp_layer_type *known = member ? bp_layer_type_of(member) : NULL;
    const size_t left_out = known && known->is_fixed;
    const size_t cut = !member || member->index != BP_LAYER_embedding;
    *fields = layer_extra_fields + left_out;
    return known && known->is_mask ? 0 : BP_COUNT_OF(layer_extra_fields) - left_out - cut;
}

static void read_layers(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                        const void *detail)
{
    (void)detail;
    bp_network_draft *network = out;
    if (!json_is_array(value)) {
        bp_reader_fault_kind(reader, place, "an array of layers", value);
        return;
    }
    size_t count = json_array_size(value);
    size_t limit = network->layer_limit < BP_LAYER_LIMIT ? network->layer_limit : BP_LAYER_LIMIT;
    if (count == 0 || count > limit) {
        bp_reader_fault(reader, place, count ? BP_TOO_LARGE : BP_INVALID,
                        "must be 1 to %zu layers, got %zu", limit, count);
        return;
    }
    network->layers = calloc(count, sizeof *network->layers);
    network->vectors = calloc(count, sizeof *network->vectors);
    if (!network->layers || !network->vectors) {
        reader->faults->out_of_memory = true;
        return;
    }
    network->layer_count = count;
    for (size_t index = 0; index < count; index++) {
        bp_place at = bp_place_element(place, index);
        layer_draft layer = {.vectors = {.json.value = NULL}};
        const json_t *given = json_array_get(value, index);
        const bp_field *fields;
        const size_t field_count = extra_fields_of(&fields, given);
        bp_choice_read(reader, &at, given, &layer.spec.layer, &bp_layer_family, fields, field_count,
                       &layer);
        network->layers[index] = layer.spec;
        network->vectors[index] = layer.vectors;
    }
}

static const bp_field network_fields[] = {
    {"layers", read_layers, 0, NULL, true},
};

static void read_network(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                         const void *detail)
{
    (void)detail;
    bp_network_draft *network = out;
    network->given = true;
    bp_reader_object(reader, place, value, network_fields, BP_COUNT_OF(network_fields), network);
}

/* Each member under its own name, written as the one number that it takes. */
static void read_regularizer(bp_reader *reader, const bp_place *place, const json_t *value,
                             void *out, const void *detail)
{
    const bp_member *member = detail;
    bp_choice choice = bp_choice_default(member);
    const double nothing = -1; /* below every minimum */
    choice.value[0] = nothing;
    bp_read_hyperparameter(reader, place, value, &choice.value[0], &member->parameters[0]);
    if (choice.value[0] != nothing)
        *(bp_choice *)out = choice;
}

static void read_regularization(bp_reader *reader, const bp_place *place, const json_t *value,
                                void *out, const void *detail)
{
    (void)detail;
    bp_field fields[BP_REGULARIZER_COUNT];
    for (size_t index = 0; index < BP_REGULARIZER_COUNT; index++) {
        const bp_member *member = bp_regularizer_family.members[index];
        fields[index] = (bp_field){.name = member->name,
                                   .read = read_regularizer,
                                   .offset = index * sizeof(bp_choice),
                                   .detail = member};
    }
    bp_reader_object(reader, place, value, fields, BP_REGULARIZER_COUNT, out);
}

static void read_early_stopping(bp_reader *reader, const bp_place *place, const json_t *value,
                                void *out, const void *detail)
{
    (void)detail;
    const bp_choice_style style = {.family = &bp_stopping_family,
                                   .absent =
                                       bp_stopping_family.members[BP_STOPPING_early_stopping]};
    bp_read_styled_choice(reader, place, value, out, &style);
}

static const bp_field training_fields[] = {
    {"epochs", bp_read_count, offsetof(bp_job_draft, training.epochs), &from_zero, false},
    {"batch_size", bp_read_count, offsetof(bp_job_draft, training.batch_size), &from_one, false},
    {"sequence_length", bp_read_count, offsetof(bp_job_draft, training.sequence_length), &from_one,
     false},
    {"shuffle", bp_read_bool, offsetof(bp_job_draft, training.shuffle), NULL, false},
    {"seed", bp_read_count, offsetof(bp_job_draft, training.seed), &from_zero, false},
    {"dtype", bp_read_word, offsetof(bp_job_draft, training.dtype), &dtypes, false},
    {"threads", bp_read_count, offsetof(bp_job_draft, training.threads), &from_one, false},
    {"clip_norm", bp_read_real, offsetof(bp_job_draft, training.clip_norm), &above_zero, false},
    {"early_stopping", read_early_stopping, offsetof(bp_job_draft, training.early_stopping), NULL,
     false},
    {"gradient_check", bp_read_bool, offsetof(bp_job_draft, training.gradient_check), NULL, false},
};
static const bp_object_fields training_table = {training_fields, BP_COUNT_OF(training_fields)};

static const bp_field checkpoint_fields[] = {
    {"every_epochs", bp_read_count, offsetof(bp_checkpoint_draft, every_epochs), &from_one, false},
    {"every_steps", bp_read_count, offsetof(bp_checkpoint_draft, every_steps), &from_one, false},
    {"every_seconds", bp_read_real, offsetof(bp_checkpoint_draft, every_seconds), &above_zero,
     false},
    {"keep_last", bp_read_count, offsetof(bp_checkpoint_draft, keep_last), &from_one, false},
    {"keep_best", bp_read_bool, offsetof(bp_checkpoint_draft, keep_best), NULL, false},
};
static const bp_object_fields checkpoint_table = {checkpoint_fields,
                                                  BP_COUNT_OF(checkpoint_fields)};

static const bp_field metrics_fields[] = {
    {"every_steps", bp_read_count, offsetof(bp_job_draft, metrics.every_steps), &from_one, false},
};
static const bp_object_fields metrics_table = {metrics_fields, BP_COUNT_OF(metrics_fields)};

static const bp_field loss_extra_fields[] = {
    {"class_weights", bp_read_json, offsetof(bp_job_draft, class_weights), NULL, false},
};

static void read_loss(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                      const void *detail)
{
    (void)detail;
    bp_job_draft *draft = out;
    bp_choice_read(reader, place, value, &draft->loss, &bp_loss_family, loss_extra_fields,
                   BP_COUNT_OF(loss_extra_fields), draft);
}

static const bp_field initial_fields[] = {
    {"model", bp_read_name, offsetof(bp_initial_draft, model), NULL, false},
    {"version", bp_read_count, offsetof(bp_initial_draft, version), &from_one, false},
    {"job", bp_read_count, offsetof(bp_initial_draft, job), &from_one, false},
    {"checkpoint", bp_read_count, offsetof(bp_initial_draft, checkpoint), &from_one, false},
};

static void read_initial(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                         const void *detail)
{
    (void)detail;
    bp_reader_object(reader, place, value, initial_fields, BP_COUNT_OF(initial_fields), out);
    if (!json_is_object(value))
        return;
    const bool model = json_object_get(value, "model"), job = json_object_get(value, "job");
    if (model == job)
        bp_reader_fault(reader, place, BP_INVALID, "must have either \"model\" or \"job\"");
    else if (model && json_object_get(value, "checkpoint"))
        bp_reader_fault(reader, place, BP_INVALID, "\"checkpoint\" belongs to \"job\"");
    else if (job && json_object_get(value, "version"))
        bp_reader_fault(reader, place, BP_INVALID, "\"version\" belongs to \"model\"");
}

/* Tables of nested objects whose offsets are from the draft itself have offset 0. */
static const bp_field job_fields[] = {
    {"name", bp_read_name, offsetof(bp_job_draft, name), NULL, false},
    {"task", bp_read_word, offsetof(bp_job_draft, task), &tasks, false},
    {"priority", bp_read_count, offsetof(bp_job_draft, priority), &priorities, false},
    {"data", read_data, offsetof(bp_job_draft, data), NULL, true},
    {"preprocess", bp_read_object, 0, &preprocess_table, false},
    {"network", read_network, offsetof(bp_job_draft, network), NULL, false},
    {"loss", read_loss, 0, NULL, false},
    {"optimizer", bp_read_choice, offsetof(bp_job_draft, optimizer), &bp_optimizer_family, false},
    {"schedule", bp_read_choice, offsetof(bp_job_draft, schedule), &bp_schedule_family, false},
    {"regularization", read_regularization, offsetof(bp_job_draft, regularizer), NULL, false},
    {"training", bp_read_object, 0, &training_table, false},
    {"checkpoint", bp_read_object, offsetof(bp_job_draft, checkpoint), &checkpoint_table, false},
    {"metrics", bp_read_object, 0, &metrics_table, false},
    {"initial", read_initial, offsetof(bp_job_draft, initial), NULL, false},
};

void bp_job_draft_read(bp_job_draft *out, bp_reader *reader, const json_t *body, size_t layer_limit)
{
    *out = (bp_job_draft){.network.layer_limit = layer_limit};
    const bp_place root = {0};
    bp_reader_object(reader, &root, body, job_fields, BP_COUNT_OF(job_fields), out);
}

void bp_job_draft_done(bp_job_draft *draft)
{
    free(draft->network.layers);
    free(draft->network.vectors);
    *draft = (bp_job_draft){0};
}
