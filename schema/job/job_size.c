/* What a job needs, against what it may have: exact, and before anything is allocated. */
#include <stdio.h>
#include <string.h>

#include "core/loss/loss.h"
#include "core/training/segment.h"
#include "core/training/trainer_state.h"
#include "schema/job/job_rows.h"
#include "schema/job/job_work.h"

/* What a run keeps of the data. */
static bp_byte_sum data_bytes(const bp_job_work *work)
{
    if (work->corpus)
        return bp_job_corpus_bytes(work);
    const bp_job_spec *spec = work->spec;
    size_t real_size = bp_dtype_size(spec->training.network.dtype);
    const uint64_t parts[] = {work->training_rows, work->validation_rows, work->test_rows};
    bp_byte_sum sum = {0};
    for (size_t part = 0; part < 3; part++) {
        bp_byte_sum_add(&sum, parts[part], spec->input_width, real_size);
        if (spec->task == BP_TASK_CLASSIFICATION)
            bp_byte_sum_add(&sum, parts[part], 1, sizeof(int32_t));
        else
            bp_byte_sum_add(&sum, parts[part], spec->target_width, real_size);
    }
    bp_byte_sum_add(&sum, work->preparation_bytes, 1, 1);
    return sum;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t longest_part(const bp_job_work *work)
{
    return larger(larger(work->training_rows, work->validation_rows), work->test_rows);
}

/* Beside the data while it is read, when there is no trainer yet: raw rows on their way through the
 * preparation, and what it takes to fit that. */
static bp_byte_sum loading_bytes(const bp_job_work *work)
{
    if (work->corpus)
        return bp_job_corpus_loading_bytes(work);
    const uint64_t longest = longest_part(work);
    const uint64_t staged = longest < BP_STAGING_ROWS ? longest : BP_STAGING_ROWS;
    bp_byte_sum sum = {0};
    bp_byte_sum_add(&sum, staged, work->raw_width, sizeof(double));
    bp_byte_sum_add(&sum, work->fitting_bytes, 1, 1);
    return sum;
}

/* Beside trainer and snapshot while a checkpoint is written: a piece of at most 4 MB as a row of the
 * database, and before the first one the preparation as predictions need it: a copy, in
 * base64 within a JSON document, its text, and that as a row; or the vocabulary, as a JSON document and its text. */
static bp_byte_sum writing_bytes(const bp_job_work *work, const bp_network_size *network)
{
    enum { PIECE_BYTES = 4 << 20, PREPARATION_COPIES = 4, VOCABULARY_COPIES = 2 };
    const uint64_t parameters = network->parameter_bytes;
    const bp_vocabulary *vocabulary = work->spec->corpus.vocabulary;
    bp_byte_sum sum = {0};
    bp_byte_sum_add(&sum, parameters < PIECE_BYTES ? parameters : PIECE_BYTES, 1, 1);
    bp_byte_sum_add(&sum, work->preparation_bytes, PREPARATION_COPIES, 1);
    if (vocabulary)
        bp_byte_sum_add(&sum, bp_vocabulary_bytes(vocabulary), VOCABULARY_COPIES, 1);
    return sum;
}

/* The layer with the most parameters, where the blame for the size of a network lies. */
static size_t largest_layer(const bp_job_spec *spec)
{
    bp_layer_input input = bp_network_first_input(&spec->training.network);
    size_t largest = 0;
    double most = 0;
    for (size_t index = 0; index < spec->layer_count; index++) {
        const bp_layer_type *type = (const bp_layer_type *)spec->layers[index].layer.member;
        bp_layer_shape shape;
        if (type->plan(&shape, &spec->layers[index], &input, NULL) != BP_OK)
            break;
        double count = 0;
        for (size_t tensor = 0; tensor < shape.tensor_count; tensor++)
            count += (double)shape.tensor[tensor].element_count;
        if (count > most) {
            most = count;
            largest = index;
        }
        input = bp_layer_above(input, &type->member, &shape);
    }
    return largest;
}

/* A fault about the size of the network: at its largest layer, where there is one in the document. */
static void network_fault(bp_job_work *work, const char *detail)
{
    const size_t index = largest_layer(work->spec);
    const bp_member *member = work->spec->layers[index].layer.member;
    if (work->draft.network.given)
        bp_job_layer_fault(work, BP_TOO_LARGE, index, member->parameters[0].name, "%s", detail);
    else
        bp_job_fault(work, BP_TOO_LARGE, "/data", "%s", detail);
}

static void data_fault(bp_job_work *work)
{
    bp_job_fault(work, BP_TOO_LARGE, "/data",
                 "the prepared data is larger than any memory; a job may have %llu bytes",
                 (unsigned long long)work->limits->memory_bytes);
}

static void check_limits(bp_job_work *work, const bp_job_size *size)
{
    char detail[300];
    const bp_job_limits *limits = work->limits;
    if (size->network.parameter_count > limits->parameter_count) {
        snprintf(detail, sizeof detail,
                 "the network has %zu parameters and needs %llu bytes in all; at most %llu "
                 "parameters are allowed",
                 size->network.parameter_count, (unsigned long long)size->total_bytes,
                 (unsigned long long)limits->parameter_count);
        network_fault(work, detail);
    }
    if (size->total_bytes <= limits->memory_bytes)
        return;
    snprintf(detail, sizeof detail,
             "the job needs %llu bytes of memory (training %llu, data %llu); a job may have %llu",
             (unsigned long long)size->total_bytes, (unsigned long long)size->training_bytes,
             (unsigned long long)size->data_bytes, (unsigned long long)limits->memory_bytes);
    if (size->data_bytes > size->training_bytes)
        bp_job_fault(work, BP_TOO_LARGE, "/data", "%s", detail);
    else if (size->network.parameter_bytes > size->training_bytes / 8)
        network_fault(work, detail);
    else
        bp_job_fault(work, BP_TOO_LARGE,
                     work->draft.training.batch_size.given ? "/training/batch_size" : "/network",
                     "%s", detail);
}

/* Rows of the first batch: all of a chunk; true windows and wrong ones. */
static void plan_first_batch(bp_network_spec *network, const bp_job_work *work)
{
    const bp_training_spec *training = &work->spec->training;
    const uint64_t rows = bp_job_epoch_rows(work);
    bp_job_chunk_size(&network->sequence.streams, &network->sequence.steps, work);
    network->batch_rows = training->batch_size < rows ? training->batch_size : (size_t)rows;
    if (network->sequence.streams > 0)
        network->batch_rows = network->sequence.streams * network->sequence.steps;
    if (bp_loss_of(network->loss.member)->paired)
        network->batch_rows *= 2;
}

/* What training.gradient_check takes beside the trainer: a float64 network of the same layers that keeps
 * every z, its batch with the order in which rows are taken, a cut of the parameters into blocks, and
 * two bytes for each unit and row that may have kinks. 0 where there is no check. */
static bp_status check_bytes(uint64_t *out, const bp_job_work *work, bp_error *error)
{
    const bp_job_spec *spec = work->spec;
    *out = 0;
    if (!spec->gradient_check)
        return BP_OK;
    const bp_training_spec *training = &spec->training;
    bp_network_spec network = training->network;
    network.dtype = BP_FLOAT64;
    network.use = BP_USE_TRAINING;
    network.keep_z = true;
    plan_first_batch(&network, work);
    bp_network_size size;
    bp_status status = bp_network_measure(&size, &network, error);
    if (status != BP_OK)
        return status;
    bp_segments segments = {0};
    bp_arena cut = bp_arena_measure();
    bp_segments_plan(&segments, &cut, &size);
    bp_byte_sum sum = {.bytes = size.total_bytes, .overflow = cut.overflow};
    bp_byte_sum_add(&sum, cut.used_bytes, 1, 1);
    if (work->corpus) {
        bp_byte_sum_add(&sum, network.batch_rows, spec->input_width, sizeof(int32_t));
        bp_byte_sum_add(&sum, network.batch_rows + spec->corpus.sequence_length + 1, 1,
                        sizeof(int32_t));
    } else {
        bp_byte_sum_add(&sum, network.batch_rows, spec->input_width, sizeof(double));
        bp_byte_sum_add(&sum, network.batch_rows, spec->target_width, sizeof(double));
    }
    bp_byte_sum_add(&sum, training->shuffle ? work->training_rows : 0, 1, sizeof(size_t));
    bp_layer_input input = bp_network_first_input(&network);
    for (size_t index = 0; index < spec->layer_count; index++) {
        const bp_layer_type *type = bp_layer_type_of(spec->layers[index].layer.member);
        bp_layer_shape shape;
        status = type->plan(&shape, &spec->layers[index], &input, error);
        if (status != BP_OK)
            return status;
        input = bp_layer_above(input, &type->member, &shape);
        bp_byte_sum_add(&sum, network.batch_rows, input.width, 2);
    }
    if (sum.overflow)
        return bp_error_set(error, BP_TOO_LARGE, "/training/gradient_check",
                            "the check of the gradient is larger than any memory");
    *out = sum.bytes;
    return BP_OK;
}

/* What each token of a part is taken for, where evaluations count entities: kept from one to the next. */
static bp_byte_sum decided_bytes(const bp_job_work *work)
{
    bp_byte_sum sum = {0};
    if (work->spec->task == BP_TASK_TAGGING &&
        !bp_loss_of(work->spec->training.network.loss.member)->paired)
        bp_byte_sum_add(&sum, longest_part(work), 1, sizeof(int32_t));
    return sum;
}

/* What is beside trainer and snapshot: what evaluations keep, and the most of what comes and goes, an
 * evaluation, a check of the gradient, a checkpoint being written. False after a fault. */
static bool beside_bytes(uint64_t *out, bp_job_work *work, const bp_network_size *network)
{
    bp_error error = {0};
    size_t evaluation_bytes = 0;
    const bp_evaluator_spec evaluator =
        bp_training_evaluator(&work->spec->training, network, (size_t)longest_part(work));
    bp_byte_sum sum = decided_bytes(work);
    if (work->targets_known &&
        bp_evaluator_measure(&evaluation_bytes, &evaluator, &error) != BP_OK) {
        bp_job_fault(work, error.status, "/data/target", "%s", error.message);
        return false;
    }
    uint64_t checking_bytes;
    if (check_bytes(&checking_bytes, work, &error) != BP_OK) {
        bp_job_fault(work, error.status, error.where, "%s", error.message);
        return false;
    }
    const bp_byte_sum writing = writing_bytes(work, network);
    bp_byte_sum_add(&sum, larger(larger(evaluation_bytes, checking_bytes), writing.bytes), 1, 1);
    if (writing.overflow || sum.overflow) {
        data_fault(work);
        return false;
    }
    *out = sum.bytes;
    return true;
}

void bp_job_resolve_size(bp_job_work *work, bp_job_size *out)
{
    bp_job_spec *spec = work->spec;
    bp_job_size size = {.training_rows = work->training_rows,
                        .validation_rows = work->validation_rows,
                        .test_rows = work->test_rows};
    bp_error error = {0};
    size_t training_bytes;
    const bp_byte_sum data = data_bytes(work), loading = loading_bytes(work);
    bp_job_chunk_size(&size.stream_count, &size.step_count, work);
    if (bp_trainer_measure(&training_bytes, &size.network, &spec->training,
                           (size_t)bp_job_epoch_rows(work), &error) != BP_OK) {
        bool inferred = !work->draft.network.given && !strncmp(error.where, "/network", 8);
        bp_job_fault(work, error.status, inferred ? "/data" : error.where, "%s", error.message);
        return;
    }
    uint64_t beside;
    if (!beside_bytes(&beside, work, &size.network))
        return;
    size_t snapshot_bytes;
    size.training_bytes = training_bytes;
    if (bp_snapshot_measure(&snapshot_bytes, &spec->training, &size.network, NULL) != BP_OK ||
        __builtin_add_overflow(size.training_bytes, snapshot_bytes, &size.training_bytes)) {
        char detail[120];
        snprintf(detail, sizeof detail,
                 "the network has %zu parameters, whose training takes more bytes than any memory",
                 size.network.parameter_count);
        network_fault(work, detail);
        return;
    }
    size.data_bytes = data.bytes;
    uint64_t while_loading;
    if (data.overflow || loading.overflow ||
        __builtin_add_overflow(size.training_bytes, beside, &size.training_bytes) ||
        __builtin_add_overflow(size.training_bytes, size.data_bytes, &size.total_bytes) ||
        __builtin_add_overflow(loading.bytes, size.data_bytes, &while_loading)) {
        data_fault(work);
        return;
    }
    size.total_bytes = larger(size.total_bytes, while_loading);
    check_limits(work, &size);
    *out = size;
}
