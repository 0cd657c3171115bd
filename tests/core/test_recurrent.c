/* Recurrent layers: outputs against loops as plain as the formulas, what is carried from pass to pass,
 * masks through time, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/initializer/initializer.h"
#include "tests/core/support_kernels.h"
#include "tests/core/support_recurrent.h"

enum { STREAMS = 3, STEPS = 8, IN = 4, UNITS = 37, ROWS = STREAMS * STEPS, GATE_LIMIT = 4 };
enum { RNN_TANH, RNN_RELU, GRU, LSTM };

static bp_network_spec spec_of(const bp_layer_spec *layers, size_t count, bp_network_use use)
{
    bp_network_spec spec = support_network_spec(layers, count, IN, ROWS, "mean_squared_error");
    spec.use = use;
    spec.sequence.streams = STREAMS;
    spec.sequence.steps = STEPS;
    return spec;
}

/* ---- the formulas ---- */

static double sigmoid(double z)
{
    return 1 / (1 + exp(-z));
}

/* W_ih x + b_ih and W_hh h + b_hh of one unit of one gate. */
static void parts(double *from_x, double *from_h, const bp_network *network, size_t row,
                  const double *x, const double *h)
{
    const double *w_ih = bp_network_tensor(network, 0).data;
    const double *w_hh = bp_network_tensor(network, 1).data;
    *from_x = ((const double *)bp_network_tensor(network, 2).data)[row];
    *from_h = ((const double *)bp_network_tensor(network, 3).data)[row];
    for (size_t j = 0; j < IN; j++)
        *from_x += w_ih[row * IN + j] * x[j];
    for (size_t j = 0; j < UNITS; j++)
        *from_h += w_hh[row * UNITS + j] * h[j];
}

/* One step of one stream: h and c become the next ones. */
static void plain_step(double *h, double *c, const bp_network *network, size_t cell,
                       const double *x)
{
    double next[UNITS];
    for (size_t unit = 0; unit < UNITS; unit++) {
        double px[GATE_LIMIT] = {0}, ph[GATE_LIMIT] = {0}, p[GATE_LIMIT];
        const size_t gates = cell == LSTM ? 4 : cell == GRU ? 3 : 1;
        for (size_t gate = 0; gate < gates; gate++)
            parts(&px[gate], &ph[gate], network, gate * UNITS + unit, x, h);
        for (size_t gate = 0; gate < GATE_LIMIT; gate++)
            p[gate] = px[gate] + ph[gate];
        if (cell == LSTM) {
            c[unit] = sigmoid(p[1]) * c[unit] + sigmoid(p[0]) * tanh(p[2]);
            next[unit] = sigmoid(p[3]) * tanh(c[unit]);
        } else if (cell == GRU) {
            const double r = sigmoid(p[0]), z = sigmoid(p[1]), n = tanh(px[2] + r * ph[2]);
            next[unit] = (1 - z) * n + z * h[unit];
        } else {
            next[unit] = cell == RNN_TANH ? tanh(p[0]) : fmax(p[0], 0);
        }
    }
    memcpy(h, next, sizeof next);
}

static void fill_state(bp_network *network)
{
    for (size_t i = 0; i < bp_network_state_count(network); i++) {
        const bp_tensor state = bp_network_state_tensor(network, i);
        support_values(state.data, state.dtype, state.element_count, 50 + i);
    }
}

static void test_formulas(void **state)
{
    (void)state;
    const bp_kernels *tables[BP_ISA_COUNT];
    const size_t table_count = support_tables(tables, BP_FLOAT64);
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++)
        for (size_t table = 0; table < table_count; table++) {
            const bp_layer_spec layer = support_recurrent(cell, UNITS);
            bp_network_spec spec = spec_of(&layer, 1, BP_USE_TRAINING);
            spec.isa = tables[table]->isa;
            bp_network *network = support_network_create(&spec);
            support_parameters(network, 5, 0.4);
            fill_state(network);
            double x[ROWS * IN], h[STREAMS][UNITS], c[STREAMS][UNITS];
            support_values(x, BP_FLOAT64, ROWS * IN, 1);
            memcpy(h, bp_network_state_tensor(network, 0).data, sizeof h);
            if (cell == LSTM)
                memcpy(c, bp_network_state_tensor(network, 1).data, sizeof c);
            const double *got = bp_network_forward(network, NULL, x, ROWS, true);
            for (size_t row = 0; row < ROWS; row++) {
                const size_t stream = row % STREAMS;
                plain_step(h[stream], c[stream], network, cell, x + row * IN);
                for (size_t unit = 0; unit < UNITS; unit++)
                    assert_true(fabs(got[row * UNITS + unit] - h[stream][unit]) < 1e-13);
            }
            assert_memory_equal(bp_network_state_tensor(network, 0).data,
                                got + (ROWS - STREAMS) * UNITS, sizeof h);
            const double *c_end =
                cell == LSTM ? bp_network_state_tensor(network, 1).data : &c[0][0];
            for (size_t i = 0; i < STREAMS * UNITS; i++)
                assert_true(fabs(c_end[i] - (&c[0][0])[i]) < 1e-12 || cell != LSTM);
            bp_network_free(network);
        }
}

static void test_initial_weights(void **state)
{
    (void)state;
    bp_layer_spec layer = support_recurrent(LSTM, UNITS);
    layer.initializer = support_choice(&bp_initializer_family, "orthogonal");
    const bp_network_spec spec = spec_of(&layer, 1, BP_USE_TRAINING);
    bp_network *network = support_network_create(&spec);
    bp_network_initialize(network, 4);
    const bp_tensor tensor = bp_network_tensor(network, 1);
    assert_string_equal(tensor.name, "layers.0.weight_hh");
    assert_int_equal(tensor.shape[0], 4 * UNITS);
    assert_int_equal(tensor.shape[1], UNITS);
    const double *w = tensor.data;
    for (size_t gate = 0; gate < 4; gate++)
        for (size_t i = 0; i < UNITS; i++)
            for (size_t j = 0; j <= i; j++) {
                double dot = 0;
                for (size_t k = 0; k < UNITS; k++)
                    dot += w[(gate * UNITS + i) * UNITS + k] * w[(gate * UNITS + j) * UNITS + k];
                assert_true(fabs(dot - (i == j)) < 1e-13);
            }
    assert_memory_not_equal(w, w + UNITS * UNITS, UNITS * UNITS * sizeof *w);
    for (size_t i = 2; i < 4; i++)
        for (size_t j = 0; j < 4 * UNITS; j++)
            assert_true(((const double *)bp_network_tensor(network, i).data)[j] == 0);
    bp_network_free(network);
}

/* ---- what is carried ---- */

static const bp_noise a_sample = {BP_NOISE_SAMPLE, 9, 4}, a_step = {BP_NOISE_TRAINING, 3, 5};

/* Outputs of ROWS rows in passes of `steps` steps, in a network of the use, from its first state. */
static void run(double *out, void *end_state, const bp_layer_spec *layers, size_t count,
                bp_network_use use, size_t steps, bp_noise noise)
{
    const bp_network_spec spec = spec_of(layers, count, use);
    bp_network *network = support_network_create(&spec);
    support_parameters(network, 5, 0.4);
    fill_state(network);
    bp_network_set_noise(network, noise);
    double x[ROWS * IN];
    support_values(x, BP_FLOAT64, ROWS * IN, 1);
    const size_t width = bp_network_output_width(network);
    for (size_t step = 0; step < STEPS; step += steps) {
        const size_t row = step * STREAMS, rows = steps * STREAMS;
        const void *got =
            bp_network_forward(network, NULL, x + row * IN, rows, noise.kind == BP_NOISE_TRAINING);
        memcpy(out + row * width, got, rows * width * sizeof *out);
    }
    memcpy(end_state, bp_network_state(network), bp_network_state_bytes(network));
    bp_network_free(network);
}

enum { STATE_LIMIT = 4 * STREAMS * UNITS + 64 };

static void test_passes_may_be_cut(void **state)
{
    (void)state;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++)
        for (size_t form = 0; form < RECURRENT_FORMS; form++)
            for (size_t noisy = 0; noisy < 2; noisy++) {
                bp_layer_spec layers[RECURRENT_LAYERS];
                const size_t count = support_recurrent_network(layers, cell, 2, form);
                const bp_noise noise = noisy ? a_sample : (bp_noise){BP_NOISE_NONE, 0, 0};
                double whole[ROWS * RECURRENT_OUT], cut[ROWS * RECURRENT_OUT];
                double whole_state[STATE_LIMIT] = {0}, cut_state[STATE_LIMIT] = {0};
                run(whole, whole_state, layers, count, BP_USE_TRAINING, STEPS, noise);
                for (size_t steps = 1; steps <= STEPS; steps *= 2)
                    for (bp_network_use use = BP_USE_TRAINING; use <= BP_USE_PREDICTION; use++) {
                        run(cut, cut_state, layers, count, use, steps, noise);
                        assert_memory_equal(whole, cut, sizeof whole);
                        assert_memory_equal(whole_state, cut_state, sizeof whole_state);
                    }
            }
}

static void test_streams_are_apart(void **state)
{
    (void)state;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++) {
        const bp_layer_spec layer = support_recurrent(cell, UNITS);
        const bp_network_spec spec = spec_of(&layer, 1, BP_USE_TRAINING);
        bp_network *network = support_network_create(&spec);
        support_parameters(network, 5, 0.4);
        fill_state(network);
        double x[ROWS * IN], first[STEPS * IN], all[ROWS * UNITS], before[STATE_LIMIT];
        support_values(x, BP_FLOAT64, ROWS * IN, 1);
        const size_t bytes = bp_network_state_bytes(network);
        memcpy(before, bp_network_state(network), bytes);
        assert_false(bp_network_hold_state(network, true));
        memcpy(all, bp_network_forward(network, NULL, x, ROWS, true), sizeof all);
        assert_memory_equal(bp_network_state(network), before, bytes);
        assert_true(bp_network_hold_state(network, false));

        for (size_t step = 0; step < STEPS; step++)
            memcpy(first + step * IN, x + step * STREAMS * IN, IN * sizeof *x);
        bp_network_set_streams(network, 1);
        const double *alone = bp_network_forward(network, NULL, first, STEPS, true);
        for (size_t step = 0; step < STEPS; step++)
            assert_memory_equal(alone + step * UNITS, all + step * STREAMS * UNITS,
                                UNITS * sizeof *all);
        for (size_t i = 0; i < bp_network_state_count(network); i++) {
            const bp_tensor carried = bp_network_state_tensor(network, i);
            const size_t offset =
                (size_t)((double *)carried.data - (double *)bp_network_state(network));
            assert_memory_not_equal(carried.data, before + offset, UNITS * sizeof *before);
            assert_memory_equal((double *)carried.data + UNITS, before + offset + UNITS,
                                (STREAMS - 1) * UNITS * sizeof *before);
        }
        bp_network_state_reset(network);
        for (size_t i = 0; i < bytes / sizeof(double); i++)
            assert_true(((const double *)bp_network_state(network))[i] == 0);
        bp_network_free(network);
    }
}

static void test_samples_begin_from_the_same_state(void **state)
{
    (void)state;
    bp_layer_spec layers[RECURRENT_LAYERS];
    const size_t count = support_recurrent_network(layers, LSTM, 2, 1);
    const bp_network_spec spec = spec_of(layers, count, BP_USE_PREDICTION);
    bp_network *network = support_network_create(&spec);
    support_parameters(network, 5, 0.4);
    fill_state(network);
    enum { OUTPUTS = ROWS * RECURRENT_OUT };
    double x[ROWS * IN], first[OUTPUTS], second[OUTPUTS], mean[OUTPUTS], deviation[OUTPUTS];
    double entropy[ROWS], before[STATE_LIMIT];
    support_values(x, BP_FLOAT64, ROWS * IN, 1);
    memcpy(before, bp_network_state(network), bp_network_state_bytes(network));
    bp_network_hold_state(network, true);
    bp_network_set_noise(network, (bp_noise){BP_NOISE_SAMPLE, 9, 0});
    memcpy(first, bp_network_forward(network, NULL, x, ROWS, false), sizeof first);
    bp_network_set_noise(network, (bp_noise){BP_NOISE_SAMPLE, 9, 1});
    memcpy(second, bp_network_forward(network, NULL, x, ROWS, false), sizeof second);
    bp_network_hold_state(network, false);
    bp_network_predict_samples(mean, deviation, entropy, network, x, ROWS, 2, 9);
    for (size_t i = 0; i < OUTPUTS; i++)
        assert_true(fabs(mean[i] - (first[i] + second[i]) / 2) < 1e-14);
    assert_memory_not_equal(first, second, sizeof first);
    assert_memory_equal(bp_network_state(network), before, bp_network_state_bytes(network));
    assert_false(bp_network_hold_state(network, false));
    bp_network_free(network);
}

static void test_state_tensors(void **state)
{
    (void)state;
    const bp_layer_spec layers[] = {support_recurrent(GRU, 5), support_recurrent(LSTM, 7),
                                    support_dense(2, "identity")};
    const bp_network_spec spec = spec_of(layers, 3, BP_USE_PREDICTION);
    bp_network *network = support_network_create(&spec);
    static const char *const names[] = {"layers.0.h", "layers.1.h", "layers.1.c"};
    assert_int_equal(bp_network_state_count(network), 3);
    for (size_t i = 0; i < 3; i++) {
        const bp_tensor tensor = bp_network_state_tensor(network, i);
        assert_string_equal(tensor.name, names[i]);
        assert_int_equal(tensor.rank, 2);
        assert_int_equal(tensor.shape[0], STREAMS);
        assert_int_equal(tensor.shape[1], i == 0 ? 5 : 7);
        assert_int_equal(tensor.element_count, STREAMS * tensor.shape[1]);
    }
    bp_network_free(network);
    const bp_layer_spec dense = support_dense(2, "identity");
    const bp_network_spec plain = support_network_spec(&dense, 1, IN, 2, "mean_squared_error");
    network = support_network_create(&plain);
    assert_int_equal(bp_network_state_count(network), 0);
    assert_int_equal(bp_network_state_bytes(network), 0);
    bp_network_state_reset(network);
    bp_network_free(network);
}

/* ---- masks ---- */

/* A layer of ReLU units whose weights are the identity on the inputs, or on the state, and 0 on the
 * other, with ones for input and state: outputs are masks and scales. h: (STEPS, STREAMS, IN). */
static void masks_of(double *h, const bp_choice *dropout, bool of_state, bp_noise noise)
{
    bp_layer_spec layers[] = {support_recurrent(RNN_RELU, IN), support_dense(IN, "identity")};
    layers[0].dropout = *dropout;
    const bp_network_spec spec = spec_of(layers, 2, BP_USE_TRAINING);
    bp_network *network = support_network_create(&spec);
    double *weight = bp_network_tensor(network, of_state ? 1 : 0).data;
    for (size_t i = 0; i < IN; i++)
        weight[i * IN + i] = 1;
    double x[ROWS * IN], *carried = bp_network_state_tensor(network, 0).data;
    for (size_t i = 0; i < ROWS * IN; i++)
        x[i] = 1;
    for (size_t i = 0; i < STREAMS * IN; i++)
        carried[i] = 1;
    bp_network_set_noise(network, noise);
    bp_network_forward(network, NULL, x, ROWS, true);
    memcpy(h, bp_network_layer(network, 0)->output, ROWS * IN * sizeof *h);
    bp_network_free(network);
}

static bp_choice variational(double keep, double keep_recurrent)
{
    bp_choice choice = support_choice_of(&bp_dropout_family, "units", keep);
    choice.value[BP_DROPOUT_VARIATIONAL] = 1;
    choice.value[BP_DROPOUT_KEEP_RECURRENT] = keep_recurrent;
    return choice;
}

static void test_masks_of_inputs(void **state)
{
    (void)state;
    enum { MANY = 400 };
    double h[ROWS * IN], first[STREAMS * IN], sum = 0;
    const bp_choice dropout = variational(0.5, 1);
    size_t other_streams = 0, other_steps = 0;
    for (uint64_t step = 0; step < MANY; step++) {
        masks_of(h, &dropout, false, (bp_noise){BP_NOISE_TRAINING, 1, step});
        for (size_t t = 1; t < STEPS; t++)
            assert_memory_equal(h, h + t * STREAMS * IN, STREAMS * IN * sizeof *h);
        other_streams += memcmp(h, h + IN, IN * sizeof *h) != 0;
        other_steps += step > 0 && memcmp(h, first, sizeof first) != 0;
        memcpy(first, h, sizeof first);
        for (size_t i = 0; i < STREAMS * IN; i++) {
            assert_true(h[i] == 0 || h[i] == 2);
            sum += h[i] / (MANY * STREAMS * IN);
        }
    }
    assert_true(other_streams > MANY * 3 / 4 && other_steps > MANY * 3 / 4);
    assert_true(fabs(sum - 1) < 0.08); /* 5 σ = 0.072 */
}

static void test_masks_of_states(void **state)
{
    (void)state;
    double h[ROWS * IN], inputs[ROWS * IN];
    const bp_choice both = variational(0.5, 0), of_state = variational(1, 0.25);
    size_t kept = 0, differ = 0;
    for (uint64_t step = 0; step < 100; step++) {
        const bp_noise noise = {BP_NOISE_TRAINING, 1, step};
        masks_of(h, &of_state, true, noise);
        for (size_t i = 0; i < STREAMS * IN; i++) {
            kept += h[i] != 0;
            for (size_t t = 0; t < STEPS; t++) /* once kept, always kept */
                assert_true(h[t * STREAMS * IN + i] == (h[i] != 0 ? pow(4, (double)t + 1) : 0));
        }
        masks_of(h, &both, true, noise); /* keep_recurrent is keep where it is not given */
        masks_of(inputs, &both, false, noise);
        differ += memcmp(h, inputs, STREAMS * IN * sizeof *h) != 0;
        for (size_t i = 0; i < STREAMS * IN; i++)
            assert_true(h[i] == 0 || h[i] == 2);
    }
    assert_true(kept > 200 && kept < 400); /* of 1200, a quarter */
    assert_true(differ > 90);              /* two masks, not one */
}

/* Standard dropout: a mask for each step on what goes up, none on what goes on. */
static void test_standard_masks(void **state)
{
    (void)state;
    double h[ROWS * IN];
    const bp_choice dropout = support_choice_of(&bp_dropout_family, "units", 0.5);
    masks_of(h, &dropout, true, a_step);
    size_t kept = 0;
    for (size_t i = 0; i < ROWS * IN; i++) {
        assert_true(h[i] == 0 || h[i] == 2);
        kept += h[i] != 0;
    }
    assert_true(kept > ROWS * IN / 4 && kept < ROWS * IN * 3 / 4);
    bool later_than_dropped = false;
    for (size_t i = 0; i < STREAMS * IN; i++)
        later_than_dropped |= h[i] == 0 && h[STREAMS * IN + i] != 0;
    assert_true(later_than_dropped);
}

static void test_expectation(void **state)
{
    (void)state;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++)
        for (size_t form = 1; form < RECURRENT_FORMS; form++) {
            bp_layer_spec layers[RECURRENT_LAYERS], plain[RECURRENT_LAYERS];
            const size_t count = support_recurrent_network(layers, cell, 2, form);
            const size_t plain_count = support_recurrent_network(plain, cell, 2, 0);
            double with[ROWS * RECURRENT_OUT], without[ROWS * RECURRENT_OUT];
            double noisy[ROWS * RECURRENT_OUT], end[STATE_LIMIT];
            const bp_noise none = {BP_NOISE_NONE, 0, 0};
            run(with, end, layers, count, BP_USE_TRAINING, STEPS, none);
            run(without, end, plain, plain_count, BP_USE_TRAINING, STEPS, none);
            assert_memory_equal(with, without, sizeof with);
            run(noisy, end, layers, count, BP_USE_TRAINING, STEPS, a_step);
            assert_memory_not_equal(noisy, without, sizeof with);
        }
}

/* ---- what is refused ---- */

static void refused(const bp_layer_spec *layer, const bp_network_spec *changed, const char *where)
{
    const bp_layer_spec layers[] = {*layer, support_dense(2, "identity")};
    bp_network_spec spec = spec_of(layers, 2, BP_USE_TRAINING);
    if (changed)
        spec.sequence = changed->sequence;
    bp_network_size size;
    bp_error error = {.status = BP_OK};
    assert_int_equal(bp_network_measure(&size, &spec, &error), BP_INVALID);
    assert_string_equal(error.where, where);
}

static void test_refusals(void **state)
{
    (void)state;
    bp_network_spec other = {.sequence = {0, 0}};
    bp_layer_spec layer = support_recurrent(LSTM, UNITS);
    refused(&layer, &other, "/network/layers/0/type");
    other.sequence.streams = STREAMS;
    other.sequence.steps = STEPS - 1;
    refused(&layer, &other, "/training/batch_size");
    other.sequence.steps = SIZE_MAX / 2;
    refused(&layer, &other, "/training/batch_size");
    other.sequence.streams = 0;

    layer.activation = support_choice(&bp_activation_family, "tanh");
    refused(&layer, NULL, "/network/layers/0/activation");
    layer = support_recurrent(RNN_TANH, UNITS);
    layer.activation = support_choice(&bp_activation_family, "sigmoid");
    refused(&layer, NULL, "/network/layers/0/activation");
    layer = support_recurrent(GRU, UNITS);
    layer.layer.value[0] = 0;
    refused(&layer, NULL, "/network/layers/0/units");

    layer = support_recurrent(GRU, IN);
    layer.dropout = support_choice_of(&bp_dropout_family, "layer", 0.5);
    refused(&layer, NULL, "/network/layers/0/dropout");
    layer.dropout = support_choice_of(&bp_dropout_family, "connections", 0.5);
    refused(&layer, NULL, "/network/layers/0/dropout/variational");
    layer.dropout = variational(0.5, -0.1);
    refused(&layer, NULL, "/network/layers/0/dropout/keep_recurrent");
    layer.dropout = variational(0.5, 0.5);
    layer.dropout.value[BP_DROPOUT_VARIATIONAL] = 0;
    refused(&layer, NULL, "/network/layers/0/dropout/keep_recurrent");

    layer = support_dense(4, "tanh");
    layer.dropout = variational(0.5, 0.5);
    refused(&layer, NULL, "/network/layers/0/dropout/keep_recurrent");
    layer.dropout = variational(0.5, 0);
    refused(&layer, &other, "/network/layers/0/dropout/variational");
    layer.dropout = support_choice_of(&bp_dropout_family, "connections", 0.5);
    layer.dropout.value[BP_DROPOUT_VARIATIONAL] = 1;
    refused(&layer, NULL, "/network/layers/0/dropout/variational");
    layer = (bp_layer_spec){.layer = support_choice_of(&bp_layer_family, "dropout", 0.5)};
    layer.layer.value[BP_DROPOUT_VARIATIONAL] = 1;
    refused(&layer, &other, "/network/layers/0/variational");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_initial_weights),
        cmocka_unit_test(test_passes_may_be_cut),
        cmocka_unit_test(test_streams_are_apart),
        cmocka_unit_test(test_samples_begin_from_the_same_state),
        cmocka_unit_test(test_state_tensors),
        cmocka_unit_test(test_masks_of_inputs),
        cmocka_unit_test(test_masks_of_states),
        cmocka_unit_test(test_standard_masks),
        cmocka_unit_test(test_expectation),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
