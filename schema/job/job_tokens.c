/* Networks over tokens: their vocabulary, the layers that they begin with, their losses, the length of an
 * epoch. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/initializer/initializer.h"
#include "core/loss/loss.h"
#include "core/optimizer/optimizer.h"
#include "schema/job/job_work.h"
#include "schema/job/labels.h"
#include "schema/job/layer_json.h"
#include "schema/model/model_info.h"

/* What a job over a corpus gets that says nothing of its network. */
enum { DEFAULT_WINDOW = 5, DEFAULT_DIMENSION = 64, DEFAULT_DENSE = 64, DEFAULT_RECURRENT = 128 };

/* ---- the vocabulary ---- */

/* Whether all is known that a corpus is read by. */
static bool data_is_known(const bp_job_work *work)
{
    const bp_faults *faults = work->reader.faults;
    for (size_t index = 0; index < faults->count; index++)
        if (!strncmp(faults->items[index].pointer, "/data", 5))
            return false;
    return !faults->out_of_memory;
}

static bool takes_vocabulary(const bp_job_work *work)
{
    const bp_model_info *initial = work->initial;
    return initial && initial->vocabulary && initial->task == work->spec->task;
}

/* ---- vectors that the embedding begins with ---- */

/* "vectors" may be a name alone, which has no members for a fault to be at. */
static const bp_dataset_info *find_vectors(bp_job_work *work, const char *pointer,
                                           const bp_part_draft *draft)
{
    if (!draft->dataset.value)
        return NULL; /* at fault already */
    if (!json_is_string(draft->json.value))
        return bp_job_find_dataset(work, pointer, draft->dataset.value, draft->sha256.value,
                                   draft->version);
    const bp_dataset_info *info =
        work->lookup->find(work->lookup->context, draft->dataset.value, NULL);
    if (!info)
        bp_job_fault(work, BP_NOT_FOUND, pointer, "there is no data set \"%s\"",
                     draft->dataset.value);
    return info;
}

static void take_vectors(bp_job_work *work, size_t index)
{
    bp_job_spec *spec = work->spec;
    const bp_layer_spec *layer = &work->draft.network.layers[index];
    char pointer[64];
    snprintf(pointer, sizeof pointer, "/network/layers/%zu/vectors", index);
    const bp_dataset_info *info = find_vectors(work, pointer, &work->draft.network.vectors[index]);
    if (!info)
        return;
    const double dimension = bp_choice_value(&layer->layer, "dimension");
    if (info->kind != BP_DATASET_VECTORS)
        bp_job_fault(
            work, BP_INVALID, pointer,
            "data set \"%s\" is of kind \"%s\"; this takes one of kind \"vectors\": lines of "
            "a word and its numbers",
            info->name, bp_dataset_kind_name(info->kind));
    else if (dimension >= 1 && (double)info->columns[BP_VECTORS_COLUMN].width != dimension)
        bp_job_fault(work, BP_SHAPE, pointer,
                     "the vectors of data set \"%s\" have %zu numbers, the embedding's %.17g",
                     info->name, info->columns[BP_VECTORS_COLUMN].width, dimension);
    else if (work->draft.initial.model.value || work->draft.initial.job.given)
        bp_job_fault(work, BP_INVALID, pointer,
                     "the embedding begins with the weights of \"initial\": give one of the two");
    else if (!work->vectors) {
        work->vectors = info;
        spec->vectors.dataset = bp_job_copy(work, info->name);
        strcpy(spec->vectors.sha256, info->sha256);
        spec->vectors_layer = index;
    }
}

static void resolve_vectors(bp_job_work *work)
{
    const bp_network_draft *network = &work->draft.network;
    for (size_t index = 0; network->vectors && index < network->layer_count; index++)
        if (network->vectors[index].json.value && network->layers[index].layer.member)
            take_vectors(work, index);
}

static void warn_of_vectors(bp_job_work *work, uint64_t found)
{
    const bp_vocabulary *vocabulary = work->spec->corpus.vocabulary;
    if (work->vectors)
        bp_job_warn(
            work,
            "%llu of the %zu entries of the vocabulary begin with vectors of data set \"%s\", "
            "the others as \"init\" says",
            (unsigned long long)found, bp_vocabulary_count(vocabulary), work->vectors->name);
}

/* A network must have something to tell apart. */
static void check_vocabulary(bp_job_work *work)
{
    const bp_vocabulary *vocabulary = work->spec->corpus.vocabulary;
    const bool words = bp_vocabulary_unit(vocabulary) == BP_UNIT_WORD;
    const size_t count = bp_vocabulary_count(vocabulary);
    if (words && count == (bp_vocabulary_padding(vocabulary) < 0 ? 1u : BP_FIRST_WORD))
        bp_job_fault(
            work, BP_INVALID, "/data",
            "the vocabulary has no word of the training part: give a lower \"min_count\" or "
            "a higher \"max_vocabulary\"");
    else if (!words && count < 2)
        bp_job_fault(work, BP_INVALID, "/data",
                     "the vocabulary has one entry alone; there is nothing to tell apart");
}

/* Of a part that is a data set of its own, all its tokens; the others are counted with the training part. */
static uint64_t part_tokens(const bp_dataset_info *own, uint64_t counted)
{
    return own ? own->corpus.word_count : counted;
}

/* Those of them that are not tagged with BP_OUTSIDE_TAG. */
static uint64_t part_entities(const bp_dataset_info *own, uint64_t counted)
{
    if (!own)
        return counted;
    uint64_t count = own->corpus.word_count;
    for (size_t index = 0; index < own->corpus.tag_count; index++)
        if (!strcmp(own->corpus.tags[index].tag, BP_OUTSIDE_TAG))
            count -= own->corpus.tags[index].count;
    return count;
}

void bp_job_resolve_vocabulary(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    const bp_given_count *seed = &work->draft.training.seed;
    bp_error error = {0};
    bp_corpus_measure measure = {0};
    if (!work->corpus)
        return;
    resolve_vectors(work);
    if (!data_is_known(work))
        return;
    if (!work->lookup->measure_corpus) {
        bp_job_fault(work, BP_UNSUPPORTED, "/data/dataset", "corpora cannot be read here");
        return;
    }
    spec->training.seed = seed->given ? (uint64_t)seed->value : BP_DEFAULT_SEED;
    const bp_status status = work->lookup->measure_corpus(
        work->lookup->context, &measure, spec,
        takes_vocabulary(work) ? work->initial->vocabulary : NULL, &error);
    if (status != BP_OK) {
        bp_job_fault(work, status, "/data", "%s", error.message);
        return;
    }
    spec->corpus.vocabulary = measure.vocabulary;
    work->features_known = true;
    check_vocabulary(work);
    warn_of_vectors(work, measure.vector_words);
    if (spec->task == BP_TASK_LANGUAGE_MODEL) {
        spec->target_width = bp_vocabulary_count(measure.vocabulary);
        work->targets_known = true;
        work->training_rows = spec->corpus.training_count;
        work->validation_rows = spec->corpus.validation_count;
        work->test_rows = spec->corpus.test_count;
        if (spec->target_width < 2)
            work->targets_known = false;
        return;
    }
    work->training_rows = measure.training_rows;
    work->validation_rows = part_tokens(work->validation, measure.validation_rows);
    work->test_rows = part_tokens(work->test, measure.test_rows);
    work->training_entities = measure.training_entities;
    work->validation_entities = part_entities(work->validation, measure.validation_entities);
    work->test_entities = part_entities(work->test, measure.test_entities);
}

/* ---- layers ---- */

static bp_layer_spec layer_of(enum bp_layer_index type, const char *field, double value)
{
    bp_layer_spec layer = {.layer = bp_choice_default(bp_layer_family.members[type])};
    bp_job_set_value(&layer.layer, field, value);
    return layer;
}

void bp_job_default_token_layers(bp_job_work *work)
{
    enum { MOST = 4 };
    bp_job_spec *spec = work->spec;
    bp_layer_spec *layers = bp_job_allocate(work, MOST, sizeof *layers);
    size_t count = 0;
    if (!layers)
        return;
    if (spec->task == BP_TASK_TAGGING)
        layers[count++] = layer_of(BP_LAYER_window, "width", DEFAULT_WINDOW);
    layers[count++] = layer_of(BP_LAYER_embedding, "dimension", DEFAULT_DIMENSION);
    if (spec->task == BP_TASK_TAGGING) {
        layers[count] = layer_of(BP_LAYER_dense, "units", DEFAULT_DENSE);
        layers[count++].activation =
            bp_choice_default(bp_activation_family.members[BP_ACTIVATION_tanh]);
    } else {
        layers[count++] = layer_of(BP_LAYER_lstm, "units", DEFAULT_RECURRENT);
    }
    layers[count++] = layer_of(BP_LAYER_dense, "units", NAN);
    spec->layers = layers;
    spec->layer_count = count;
}

/* What a table's network cannot have. */
static void refuse_token_layers(bp_job_work *work)
{
    const bp_job_spec *spec = work->spec;
    for (size_t index = 0; index < spec->layer_count; index++) {
        const bp_member *member = spec->layers[index].layer.member;
        if (!member)
            continue;
        if (bp_layer_type_of(member)->is_token_layer)
            bp_job_layer_fault(work, BP_INVALID, index, "type",
                               "\"%s\" reads words or characters; this job reads a table",
                               member->name);
        else if (bp_layer_type_of(member)->cell)
            bp_job_layer_fault(work, BP_INVALID, index, "type",
                               "\"%s\" reads a text in its order; this job reads a table",
                               member->name);
    }
}

/* A window's width, whose neighbours must be as many on either side. */
static void take_window(bp_job_work *work, size_t index)
{
    bp_job_spec *spec = work->spec;
    const double width = bp_choice_value(&spec->layers[index].layer, "width");
    if (!(width >= 1))
        return; /* a fault already */
    if (fmod(width, 2) == 1)
        spec->corpus.window_width = (size_t)width;
    else
        bp_job_layer_fault(work, BP_INVALID, index, "width",
                           "must be odd, so that a word has as many neighbours on either side, got "
                           "%.17g",
                           width);
}

/* The layers that read tokens: an embedding, of sentences with a window before or after it, first of all. */
static void check_order(bp_job_work *work)
{
    const bp_job_spec *spec = work->spec;
    const bool text = spec->task == BP_TASK_LANGUAGE_MODEL;
    size_t embeddings = 0, windows = 0;
    bool begun = false, unknown = false; /* other layers have; one is at fault */
    for (size_t index = 0; index < spec->layer_count; index++) {
        const bp_member *member = spec->layers[index].layer.member;
        if (!member) {
            unknown = true;
            continue;
        }
        if (!bp_layer_type_of(member)->is_token_layer) {
            begun = true;
            if (!text && bp_layer_type_of(member)->cell)
                bp_job_layer_fault(work, BP_INVALID, index, "type",
                                   "\"%s\" reads a text in its order: it needs the task "
                                   "\"language_model\"; tagging reads windows",
                                   member->name);
            continue;
        }
        const bool window = member->index == BP_LAYER_window;
        if (window && text)
            bp_job_layer_fault(work, BP_INVALID, index, "type",
                               "a text is read token by token; only tagged sentences have windows");
        else if ((window ? windows : embeddings) > 0)
            bp_job_layer_fault(work, BP_INVALID, index, "type", "there is one \"%s\" already",
                               member->name);
        else if (begun)
            bp_job_layer_fault(work, BP_INVALID, index, "type",
                               "\"%s\" reads tokens, so it stands before all other layers",
                               member->name);
        if (window && windows++ == 0)
            take_window(work, index);
        embeddings += !window;
    }
    if (embeddings == 0 && !unknown && spec->layer_count > 0)
        bp_job_layer_fault(
            work, BP_INVALID, windows > 0 && spec->layer_count > 1 ? 1 : 0, "type",
            "tokens need an embedding before other layers: {\"type\": \"embedding\", "
            "\"dimension\": 50}");
    if (!text && windows == 0 && !unknown)
        bp_job_warn(work, "there is no window: each token is tagged by itself alone; {\"type\": "
                          "\"window\", \"width\": 5} beside the embedding shows it its neighbours");
}

/* Rows that a step leaves alone would have to be decayed, penalised or projected too. */
static void check_sparse(bp_job_work *work, size_t index)
{
    const bp_job_draft *draft = &work->draft;
    const bp_choice *optimizer = &draft->optimizer;
    for (size_t other = 0; other < BP_REGULARIZER_COUNT; other++)
        if (draft->regularizer[other].member)
            bp_job_layer_fault(
                work, BP_INVALID, index, "sparse",
                "does not go with regularization.%s, which changes every row in every "
                "step: give false, or leave that out",
                draft->regularizer[other].member->name);
    if (optimizer->member && optimizer->member->index == BP_OPTIMIZER_adam &&
        bp_choice_value(optimizer, "weight_decay") != 0)
        bp_job_layer_fault(
            work, BP_INVALID, index, "sparse",
            "does not go with optimizer.weight_decay, which changes every row in every "
            "step: give false, or leave that out");
    if (bp_choice_value(&work->spec->layers[index].layer, "trainable") == 0)
        bp_job_layer_fault(work, BP_INVALID, index, "sparse",
                           "a frozen embedding has no updates that could be sparse: give false");
}

static void check_embeddings(bp_job_work *work)
{
    const bp_job_spec *spec = work->spec;
    for (size_t index = 0; index < spec->layer_count; index++) {
        const bp_choice *layer = &spec->layers[index].layer;
        if (layer->member && layer->member->index == BP_LAYER_embedding &&
            bp_choice_value(layer, "sparse") != 0)
            check_sparse(work, index);
    }
}

/* The last layer's weights may be the vectors of the embedding, which then is trained as a whole. */
static void check_tied(bp_job_work *work)
{
    const bp_job_spec *spec = work->spec;
    for (size_t index = 0; index < spec->layer_count; index++) {
        bp_layer_spec *layer = &spec->layers[index];
        if (!bp_layer_spec_is_tied(layer))
            continue;
        const bool has_init = work->draft.network.given && layer->initializer.member;
        layer->initializer = /* of nothing; core wants one with every layer */
            bp_choice_default(bp_initializer_family.members[BP_INITIALIZER_xavier_uniform]);
        const bool elsewhere =
            (work->corpus || work->training) && spec->task != BP_TASK_LANGUAGE_MODEL;
        if (index + 1 < spec->layer_count || elsewhere)
            bp_job_layer_fault(work, BP_INVALID, index, "tied",
                               "only the last layer of a language model can share the vectors of "
                               "the embedding");
        else if (has_init)
            bp_job_layer_fault(
                work, BP_INVALID, index, "init",
                "the weights are the vectors of the embedding, which has an \"init\" "
                "of its own");
    }
}

void bp_job_check_token_layers(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    check_tied(work);
    if (!work->corpus) {
        if (work->training)
            refuse_token_layers(work);
        return;
    }
    spec->corpus.window_width = 1;
    check_order(work);
    check_embeddings(work);
}

void bp_job_resolve_token_input(bp_job_work *work)
{
    bp_job_spec *spec = work->spec;
    bp_training_spec *training = &spec->training;
    const bool text = spec->task == BP_TASK_LANGUAGE_MODEL;
    spec->input_width = spec->corpus.window_width;
    training->network.input_kind = BP_INPUT_TOKENS;
    training->network.input_width = spec->input_width;
    if (spec->corpus.vocabulary)
        training->network.token_count = bp_vocabulary_count(spec->corpus.vocabulary);
    training->kind = text ? BP_EXAMPLES_STREAMS : BP_EXAMPLES_WINDOWS;
    training->sequence_length = spec->corpus.sequence_length;
}

/* ---- loss ---- */

bp_corruption_kind bp_job_corruption(const bp_choice *loss)
{
    return (bp_corruption_kind)bp_choice_value(loss, "corruption");
}

/* Every part that has tokens must have both kinds of windows. */
static void check_entities(bp_job_work *work)
{
    const struct {
        const char *name;
        uint64_t rows, entities;
    } parts[] = {{"training", work->training_rows, work->training_entities},
                 {"validation", work->validation_rows, work->validation_entities},
                 {"test", work->test_rows, work->test_entities}};
    for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
        const uint64_t rows = parts[part].rows, entities = parts[part].entities;
        if (rows == 0 || (entities > 0 && entities < rows))
            continue;
        bp_job_fault(work, BP_INVALID, "/loss/corruption",
                     "\"other_window\" compares tokens of entities with others; %s of the %s "
                     "part's %llu tokens belong to one: give \"centre\"",
                     entities ? "all" : "none", parts[part].name, (unsigned long long)rows);
        return;
    }
}

static void check_pairs(bp_job_work *work)
{
    const bp_job_spec *spec = work->spec;
    const bool by_other = bp_job_corruption(&spec->training.network.loss) == BP_CORRUPT_BY_OTHER;
    if (by_other && bp_labels_find_text(&spec->classes, BP_OUTSIDE_TAG) == SIZE_MAX)
        bp_job_fault(
            work, BP_INVALID, "/loss/corruption",
            "\"other_window\" takes windows around tokens with the tag \"%s\", which data set "
            "\"%s\" does not have: give \"centre\"",
            BP_OUTSIDE_TAG, work->corpus->name);
    else if (by_other && work->features_known)
        check_entities(work);
    else if (!by_other && work->features_known &&
             bp_vocabulary_count(spec->corpus.vocabulary) < BP_FIRST_WORD + 2)
        bp_job_fault(work, BP_INVALID, "/loss/corruption",
                     "\"centre\" takes another word of the vocabulary, which has fewer than two");
}

void bp_job_check_corpus_loss(bp_job_work *work)
{
    const bp_member *member = work->spec->training.network.loss.member;
    const bp_loss *loss = bp_loss_of(member);
    if (work->spec->task == BP_TASK_LANGUAGE_MODEL) {
        if (member->index != BP_LOSS_softmax_cross_entropy)
            bp_job_fault(work, BP_INVALID, "/loss",
                         "a language model gives probabilities of the next token: its loss is "
                         "softmax_cross_entropy, got %s",
                         member->name);
    } else if (loss->paired) {
        check_pairs(work);
    } else if (loss->target_kind != BP_TARGET_CLASS) {
        bp_job_fault(work, BP_INVALID, "/loss", "%s is a loss for regression; the task is tagging",
                     member->name);
    }
}

/* ---- the length of an epoch ---- */

static uint64_t shares(uint64_t whole, uint64_t part)
{
    return whole / part + (whole % part != 0);
}

uint64_t bp_job_epoch_rows(const bp_job_work *work)
{
    const bp_choice *loss = &work->spec->training.network.loss;
    return bp_loss_of(loss->member)->paired && bp_job_corruption(loss) == BP_CORRUPT_BY_OTHER
               ? work->training_entities
               : work->training_rows;
}

uint64_t bp_job_step_count(const bp_job_work *work)
{
    const bp_job_spec *spec = work->spec;
    const uint64_t batch = spec->training.batch_size;
    if (spec->task != BP_TASK_LANGUAGE_MODEL)
        return shares(bp_job_epoch_rows(work), batch);
    if (work->training_rows < 2)
        return 0;
    const uint64_t inputs = work->training_rows - 1;
    const uint64_t streams = batch < inputs ? batch : inputs;
    return shares(inputs / streams, spec->corpus.sequence_length);
}
