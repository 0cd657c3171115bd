#include "core/check/numerics_fingerprint.h"

#include <string.h>

#include "core/dropout/dropout.h"
#include "core/initializer/initializer.h"
#include "core/layer/dense.h"
#include "core/layer/token_layers.h"
#include "core/math/scalar_math.h"
#include "core/random/random.h"
#include "core/training/trainer.h"

enum { ROWS = 24, IN = 96, HIDDEN = 40, CLASSES = 5, STEPS = 3, VALUES = 130 };
enum { TOKENS = 11, WORDS = 23, WIDTH = 3, DIMENSION = 7 };

/* FNV-1a, 64 bits. Source: Fowler, Noll & Vo. */
typedef struct bit_hash {
    uint64_t state;
} bit_hash;

static void add(bit_hash *hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        hash->state = (hash->state ^ at[i]) * UINT64_C(0x100000001b3);
}

static void add_double(bit_hash *hash, double value)
{
    add(hash, &value, sizeof value);
}

/* Multiples of 1/64 in [-4, 4), without any function that is looked at. */
static double made_up(size_t index)
{
    return (double)((int64_t)(index * 193 % 512) - 256) / 64;
}

static void add_functions(bit_hash *hash, const bp_kernels *kernels)
{
    double x[VALUES], wide[VALUES];
    _Alignas(BP_ALIGNMENT) double values[VALUES], out[VALUES]; /* of either width */
    for (size_t i = 0; i < VALUES; i++)
        x[i] = made_up(i) * (i % 3 == 0 ? 7 : 0.3);
    kernels->from_double(values, x, VALUES);
    const size_t bytes = VALUES * kernels->real_size;
    kernels->exp(out, values, VALUES);
    add(hash, out, bytes);
    kernels->log(values, out, VALUES);
    add(hash, values, bytes);
    kernels->from_double(values, x, VALUES);
    kernels->tanh(out, values, VALUES);
    add(hash, out, bytes);
    kernels->to_double(wide, out, VALUES);
    add_double(hash, wide[VALUES / 2]);
    add_double(hash, kernels->sum(out, VALUES));
    add_double(hash, kernels->sum_squares(out, VALUES));
    add_double(hash, kernels->sum_absolute(out, VALUES));
}

enum { CELL_ROWS = 3, CELL_UNITS = 19, CELL_COUNT = CELL_ROWS * CELL_UNITS, CELL_GATES = 4 };

typedef struct cell_arrays {
    _Alignas(BP_ALIGNMENT) double gates[CELL_GATES * CELL_COUNT]; /* all of either width */
    _Alignas(BP_ALIGNMENT) double state_part[CELL_GATES * CELL_COUNT];
    _Alignas(BP_ALIGNMENT) double before[CELL_COUNT], after[CELL_COUNT], tanh_c[CELL_COUNT];
    _Alignas(BP_ALIGNMENT) double h[CELL_COUNT], dh[CELL_COUNT], carried[CELL_COUNT];
} cell_arrays;

static void fill(void *out, const bp_kernels *kernels, size_t count, size_t offset)
{
    for (size_t i = 0; i < count; i++) {
        const double value = made_up(i + offset);
        kernels->from_double((unsigned char *)out + i * kernels->real_size, &value, 1);
    }
}

static void fill_cells(cell_arrays *a, const bp_kernels *kernels)
{
    memset(a, 0, sizeof *a);
    fill(a->gates, kernels, sizeof a->gates / sizeof *a->gates, 1);
    fill(a->state_part, kernels, sizeof a->state_part / sizeof *a->state_part, 70);
    fill(a->before, kernels, CELL_COUNT, 2);
    fill(a->dh, kernels, CELL_COUNT, 3);
    fill(a->carried, kernels, CELL_COUNT, 4);
}

/* A step of each cell, forward and backward. */
static void add_cells(bit_hash *hash, const bp_kernels *kernels)
{
    cell_arrays a;
    fill_cells(&a, kernels);
    const bp_lstm_call lstm = {.units = CELL_UNITS,
                               .gates = a.gates,
                               .c_before = a.before,
                               .c = a.after,
                               .tanh_c = a.tanh_c,
                               .h = a.h,
                               .dh = a.dh,
                               .dc = a.carried};
    kernels->lstm_forward(&lstm, 0, CELL_ROWS);
    kernels->lstm_backward(&lstm, 0, CELL_ROWS);
    add(hash, &a, sizeof a);
    fill_cells(&a, kernels);
    const bp_gru_call gru = {.units = CELL_UNITS,
                             .gates = a.gates,
                             .state_part = a.state_part,
                             .h_before = a.before,
                             .h = a.h,
                             .dh = a.dh,
                             .dh_before = a.carried};
    kernels->gru_forward(&gru, 0, CELL_ROWS);
    kernels->gru_backward(&gru, 0, CELL_ROWS);
    add(hash, &a, sizeof a);
}

static void add_scalars(bit_hash *hash)
{
    const bp_random random = bp_random_stream(7, 1, BP_RANDOM_SPLIT, 2);
    for (size_t i = 0; i < VALUES; i++) {
        add_double(hash, bp_random_uniform(&random, i, 2 * i));
        add_double(hash, bp_random_normal(&random, i, i));
        add_double(hash, bp_scalar_exp(made_up(i)));
        add_double(hash, bp_scalar_cos(made_up(i)));
        add_double(hash, bp_scalar_power(made_up(i), i % 9));
    }
}

static bp_choice choice_of(const bp_family *family, size_t index)
{
    return bp_choice_default(family->members[index]);
}

static bp_layer_spec dense(size_t units, size_t activation, size_t initializer)
{
    bp_layer_spec layer = {.layer = choice_of(&bp_layer_family, BP_LAYER_dense),
                           .activation = choice_of(&bp_activation_family, activation),
                           .initializer = choice_of(&bp_initializer_family, initializer)};
    layer.layer.value[0] = (double)units;
    return layer;
}

/* All steps of a training, in order: what they report, and the weights that they leave. */
static bp_status add_run(bit_hash *hash, const bp_training_spec *spec, const bp_examples *examples,
                         bp_error *error)
{
    bp_trainer *trainer = NULL;
    bp_status status = bp_trainer_create(&trainer, spec, examples, NULL, error);
    while (status == BP_OK && !bp_trainer_finished(trainer)) {
        bp_step_report report;
        status = bp_trainer_step(&report, trainer, true, error);
        if (status != BP_OK)
            break;
        add_double(hash, report.loss);
        add_double(hash, report.gradient_norm);
    }
    if (status == BP_OK) {
        bp_network *network = bp_trainer_network(trainer);
        add(hash, bp_network_parameters(network),
            bp_network_block_count(network) * bp_network_kernels(network)->real_size);
    }
    bp_trainer_free(trainer);
    return status;
}

/* Some steps of dropout, cross-entropy, a penalty, clipping and Adam over shuffled rows. */
static bp_status add_training(bit_hash *hash, bp_dtype dtype, bp_isa isa, bp_error *error)
{
    const bp_kernels *kernels = bp_kernels_get(dtype, isa);
    double x[ROWS * IN];
    _Alignas(BP_ALIGNMENT) double features[ROWS * IN]; /* of either width */
    int32_t label[ROWS];
    for (size_t i = 0; i < ROWS * IN; i++)
        x[i] = made_up(i * 31 + i / IN);
    kernels->from_double(features, x, ROWS * IN);
    for (size_t row = 0; row < ROWS; row++)
        label[row] = (int32_t)(row * 3 % CLASSES);
    bp_layer_spec layers[] = {
        dense(HIDDEN, BP_ACTIVATION_tanh, BP_INITIALIZER_xavier_uniform),
        dense(HIDDEN, BP_ACTIVATION_relu, BP_INITIALIZER_he_normal),
        dense(CLASSES, BP_ACTIVATION_identity, BP_INITIALIZER_xavier_uniform),
    };
    layers[0].dropout = choice_of(&bp_dropout_family, BP_DROPOUT_units);
    layers[0].dropout.value[BP_DROPOUT_KEEP] = 0.75;
    const bp_training_spec spec = {
        .network = {.dtype = dtype,
                    .isa = isa,
                    .input_width = IN,
                    .layer_count = sizeof layers / sizeof *layers,
                    .layers = layers,
                    .loss = choice_of(&bp_loss_family, BP_LOSS_softmax_cross_entropy)},
        .optimizer = choice_of(&bp_optimizer_family, BP_OPTIMIZER_adam),
        .schedule = choice_of(&bp_schedule_family, BP_SCHEDULE_cosine),
        .regularizer_count = 1,
        .regularizers = {choice_of(&bp_regularizer_family, BP_REGULARIZER_l2)},
        .clip_norm = 0.5,
        .seed = 11,
        .epochs = STEPS,
        .batch_size = ROWS,
        .shuffle = true};
    const bp_examples examples = {.row_count = ROWS, .features = features, .label = label};
    return add_run(hash, &spec, &examples, error);
}

/* Windows of a made-up sentence under the max-margin loss, with a sparse embedding; then the same tokens as a text
 * under a tied language model. */
static bp_status add_words(bit_hash *hash, bp_dtype dtype, bp_isa isa, bp_error *error)
{
    int32_t ids[WORDS + WIDTH - 1] = {0};
    uint32_t place[WORDS];
    int32_t token[WORDS];
    const size_t length = WORDS;
    for (size_t i = 0; i < WORDS; i++)
        token[i] = (int32_t)(i * i * 5 % 17 % TOKENS);
    bp_token_windows_lay_out(ids, place, token, &length, 1, WIDTH, 0);
    bp_layer_spec layers[] = {
        {.layer = choice_of(&bp_layer_family, BP_LAYER_window)},
        {.layer = choice_of(&bp_layer_family, BP_LAYER_embedding),
         .initializer = choice_of(&bp_initializer_family, BP_INITIALIZER_xavier_uniform)},
        dense(HIDDEN, BP_ACTIVATION_sigmoid, BP_INITIALIZER_xavier_uniform),
        dense(1, BP_ACTIVATION_identity, BP_INITIALIZER_xavier_uniform),
    };
    layers[0].layer.value[BP_WINDOW_WIDTH] = WIDTH;
    layers[1].layer.value[BP_EMBEDDING_DIMENSION] = DIMENSION;
    layers[1].layer.value[BP_EMBEDDING_SPARSE] = 1;
    bp_training_spec spec = {.network = {.dtype = dtype,
                                         .isa = isa,
                                         .input_kind = BP_INPUT_TOKENS,
                                         .token_count = TOKENS,
                                         .input_width = WIDTH,
                                         .layer_count = 4,
                                         .layers = layers,
                                         .loss = choice_of(&bp_loss_family, BP_LOSS_max_margin)},
                             .kind = BP_EXAMPLES_WINDOWS,
                             .optimizer = choice_of(&bp_optimizer_family, BP_OPTIMIZER_adam),
                             .schedule = choice_of(&bp_schedule_family, BP_SCHEDULE_constant),
                             .clip_norm = 0.125,
                             .seed = 5,
                             .epochs = STEPS,
                             .batch_size = WORDS};
    const bp_examples windows = {
        .kind = BP_EXAMPLES_WINDOWS,
        .row_count = WORDS,
        .windows = {.width = WIDTH, .row_count = WORDS, .ids = ids, .place = place},
        .corruption = {.kind = BP_CORRUPT_CENTRE, .low = 0, .high = TOKENS}};
    const bp_status status = add_run(hash, &spec, &windows, error);
    if (status != BP_OK)
        return status;
    bp_layer_spec model[] = {layers[1],
                             dense(TOKENS, BP_ACTIVATION_identity, BP_INITIALIZER_xavier_uniform)};
    model[0].layer.value[BP_EMBEDDING_SPARSE] = 0;
    model[1].layer.value[BP_DENSE_TIED] = 1;
    spec.network.layers = model;
    spec.network.layer_count = 2;
    spec.network.input_width = 1;
    spec.network.loss = choice_of(&bp_loss_family, BP_LOSS_softmax_cross_entropy);
    spec.kind = BP_EXAMPLES_STREAMS;
    spec.sequence_length = WIDTH;
    spec.batch_size = 2;
    spec.optimizer = choice_of(&bp_optimizer_family, BP_OPTIMIZER_adagrad);
    const bp_examples text = {
        .kind = BP_EXAMPLES_STREAMS, .row_count = WORDS, .text = {.count = WORDS, .ids = token}};
    return add_run(hash, &spec, &text, error);
}

static void write_text(char out[BP_FINGERPRINT_SIZE], uint64_t bits)
{
    static const char digits[] = "0123456789abcdef";
    _Static_assert(BP_NUMERICS_VERSION < 10, "the version is one digit");
    *out++ = digits[BP_NUMERICS_VERSION];
    *out++ = '-';
    for (int shift = 60; shift >= 0; shift -= 4)
        *out++ = digits[bits >> shift & 15];
    *out = '\0';
}

bp_status bp_numerics_fingerprint(char out[BP_FINGERPRINT_SIZE], bp_isa isa, bp_error *error)
{
    bit_hash hash = {UINT64_C(0xcbf29ce484222325)};
    add_scalars(&hash);
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, isa);
        if (!kernels)
            return bp_error_set(error, BP_UNSUPPORTED, "",
                                "this processor or build has no %s instructions", bp_isa_name(isa));
        add_functions(&hash, kernels);
        add_cells(&hash, kernels);
        bp_status status = add_training(&hash, (bp_dtype)dtype, isa, error);
        if (status == BP_OK)
            status = add_words(&hash, (bp_dtype)dtype, isa, error);
        if (status != BP_OK)
            return status;
    }
    write_text(out, hash.state);
    return BP_OK;
}
