/* Trainings over sequences recorded from PyTorch (tests/torch/record_sequences.py), replayed in float64:
 * outputs, loss, gradients and carried state of the first chunk, and weights and state after 100
 * updates, agree to 1e-10 on every instruction set of this machine; and carrying the state, the rate
 * and the clipping all show in the weights. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/arena.h"
#include "core/initializer/initializer.h"
#include "core/training/update.h"
#include "tests/core/support_kernels.h"
#include "tests/core/support_network.h"

static const double tolerance = 1e-10, noticeable = 1e-6;

enum { LAYERS = 4, NAME_SIZE = 64 };

/* Arrays of a case, in the order of its lines. */
enum { X, LABEL, START, OUTPUT, LOSS, GRADIENT, STATE, FINAL, CARRIED, ARRAYS };
static const char *const array_names[ARRAYS] = {"x",        "label", "start", "output", "loss",
                                                "gradient", "state", "final", "carried"};

typedef struct array {
    size_t count;
    double *value;
} array;

typedef struct sequence_case {
    char name[NAME_SIZE];
    bp_layer_spec layers[LAYERS]; /* the last is dense */
    size_t layer_count;
    bp_choice optimizer;
    double clip_norm;
    array arrays[ARRAYS];
} sequence_case;

static struct {
    size_t in, out, streams, steps, chunks, updates;
} sizes;
static sequence_case *cases;
static size_t case_count;

/* ---- reading ---- */

static bp_layer_spec recurrent(const char *cell, const char *activation, size_t units)
{
    return (bp_layer_spec){.layer = support_choice_of(&bp_layer_family, cell, (double)units),
                           .activation = support_choice(&bp_activation_family, activation),
                           .initializer = support_choice(&bp_initializer_family, "zeros")};
}

static bool take_array(array *out, char *rest)
{
    char *at = rest;
    out->count = (size_t)strtoul(at, &at, 10);
    out->value = calloc(out->count, sizeof *out->value);
    for (size_t i = 0; out->value && i < out->count; i++) {
        char *end;
        out->value[i] = strtod(at, &end);
        if (end == at)
            return false;
        at = end;
    }
    return out->value && *at == '\n';
}

/* One line into the case under way. */
static bool take_line(sequence_case *c, char *line)
{
    char cell[16], activation[16];
    size_t units;
    double rate, clip;
    if (sscanf(line, "layer %15s %15s %zu", cell, activation, &units) == 3) {
        c->layers[c->layer_count++] = recurrent(cell, activation, units);
        return c->layer_count < LAYERS;
    }
    if (sscanf(line, "update %15s %lf %lf", cell, &rate, &clip) == 3) {
        c->optimizer = support_choice_of(&bp_optimizer_family, cell, rate);
        c->clip_norm = clip;
        c->layers[c->layer_count++] = support_dense(sizes.out, "identity");
        return true;
    }
    for (size_t i = 0; i < ARRAYS; i++) {
        const size_t length = strlen(array_names[i]);
        if (strncmp(line, array_names[i], length) == 0 && line[length] == ' ')
            return take_array(&c->arrays[i], line + length);
    }
    return false;
}

static int open_file(void **state)
{
    (void)state;
    FILE *file = fopen(BP_TORCH_SEQUENCES, "r");
    char *line = NULL;
    size_t size = 0;
    bool ok = file != NULL;
    while (ok && getline(&line, &size, file) >= 0) {
        char name[NAME_SIZE];
        if (*line == '#' || *line == '\n')
            continue;
        if (sscanf(line, "sizes %zu %zu %zu %zu %zu %zu", &sizes.in, &sizes.out, &sizes.streams,
                   &sizes.steps, &sizes.chunks, &sizes.updates) == 6)
            continue;
        if (sscanf(line, "case %63[^\n]", name) == 1) {
            sequence_case *more = realloc(cases, (case_count + 1) * sizeof *cases);
            ok = more != NULL;
            if (!ok)
                break;
            cases = more;
            cases[case_count] = (sequence_case){.layer_count = 0};
            memcpy(cases[case_count++].name, name, sizeof name);
            continue;
        }
        ok = case_count > 0 && take_line(&cases[case_count - 1], line);
        if (!ok)
            print_error("not understood: %.60s\n", line);
    }
    free(line);
    if (file)
        fclose(file);
    return ok && case_count > 0 ? 0 : -1;
}

static int close_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < case_count; i++)
        for (size_t j = 0; j < ARRAYS; j++)
            free(cases[i].arrays[j].value);
    free(cases);
    return 0;
}

/* ---- replaying ---- */

typedef bp_tensor tensor_of(const bp_network *network, size_t index);

/* max |got − recorded| / max(1, max |recorded|) over tensors that follow each other in the array. */
static double distance(const array *recorded, const bp_network *network, size_t count,
                       tensor_of *tensor)
{
    double worst = 0;
    size_t first = 0;
    for (size_t i = 0; i < count; i++) {
        const bp_tensor t = tensor(network, i);
        double off = 0, largest = 1;
        assert_true(first + t.element_count <= recorded->count);
        for (size_t j = 0; j < t.element_count; j++) {
            const double wanted = recorded->value[first + j];
            off = fmax(off, fabs(((const double *)t.data)[j] - wanted));
            largest = fmax(largest, fabs(wanted));
            assert_true(isfinite(((const double *)t.data)[j]) != 0);
        }
        worst = fmax(worst, off / largest);
        first += t.element_count;
    }
    assert_int_equal(first, recorded->count);
    return worst;
}

static void agrees(const sequence_case *c, const char *what, double off)
{
    if (!(off <= tolerance))
        fail_msg("%s: %s is %g off", c->name, what, off);
}

static void compare_first(const sequence_case *c, const bp_network *network, const double *output,
                          double loss)
{
    double off = 0;
    for (size_t i = 0; i < c->arrays[OUTPUT].count; i++)
        off = fmax(off, fabs(output[i] - c->arrays[OUTPUT].value[i]));
    agrees(c, "output", off);
    agrees(c, "loss", fabs(loss - *c->arrays[LOSS].value));
    agrees(c, "gradient",
           distance(&c->arrays[GRADIENT], network, bp_network_tensor_count(network),
                    bp_network_gradient_tensor));
    agrees(c, "state",
           distance(&c->arrays[STATE], network, bp_network_state_count(network),
                    bp_network_state_tensor));
}

typedef struct replay_spec {
    bp_isa isa;
    double rate_factor, clip_factor;
    bool forgets;  /* the state, at each chunk */
    bool compares; /* with what is recorded, and fails */
} replay_spec;

/* How far the weights are from the recorded ones in the end. */
static double replay(const sequence_case *c, const replay_spec *r)
{
    const size_t rows = sizes.streams * sizes.steps;
    bp_network_spec spec =
        support_network_spec(c->layers, c->layer_count, sizes.in, rows, "softmax_cross_entropy");
    spec.isa = r->isa;
    spec.sequence.streams = sizes.streams;
    spec.sequence.steps = sizes.steps;
    bp_network *network = support_network_create(&spec);
    const bp_kernels *kernels = bp_network_kernels(network);
    size_t first = 0;
    for (size_t i = 0; i < bp_network_tensor_count(network); i++) {
        const bp_tensor tensor = bp_network_tensor(network, i);
        assert_true(first + tensor.element_count <= c->arrays[START].count);
        memcpy(tensor.data, c->arrays[START].value + first, tensor.element_count * sizeof(double));
        first += tensor.element_count;
    }
    bp_update update = {.kernels = kernels,
                        .optimizer = kernels->optimizers[c->optimizer.member->index],
                        .choice = c->optimizer,
                        .clip_norm = c->clip_norm * r->clip_factor,
                        .count = bp_network_block_count(network)};
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
    bp_arena arena = bp_arena_measure();
    bp_update_plan(&update, &arena, &size);
    const size_t bytes = arena.used_bytes;
    assert_int_equal(bp_arena_open(&arena, bytes, NULL), BP_OK);
    bp_update_plan(&update, &arena, &size);
    bp_update_bind(&update, network);

    int32_t label[64];
    assert_true(rows <= sizeof label / sizeof *label);
    for (size_t step = 0; step < sizes.updates; step++) {
        const size_t chunk = step % sizes.chunks;
        if (chunk == 0 || r->forgets)
            bp_network_state_reset(network);
        for (size_t row = 0; row < rows; row++)
            label[row] = (int32_t)c->arrays[LABEL].value[chunk * rows + row];
        const bp_targets targets = {.label = label};
        bp_network_parameters_changed(network);
        const double *output = bp_network_forward(
            network, NULL, c->arrays[X].value + chunk * rows * sizes.in, rows, true);
        double first_output[64 * 8];
        assert_true(rows * sizes.out <= sizeof first_output / sizeof *first_output);
        memcpy(first_output, output, rows * sizes.out * sizeof *output);
        const double loss = bp_network_backward(network, NULL, &targets);
        if (step == 0 && r->compares)
            compare_first(c, network, first_output, loss);
        const bp_gradient_facts facts = bp_update_gradient(&update, NULL, false);
        bp_update_apply(&update, NULL, c->optimizer.value[0] * r->rate_factor, step, &facts, false);
    }
    const double off =
        distance(&c->arrays[FINAL], network, bp_network_tensor_count(network), bp_network_tensor);
    if (r->compares) {
        agrees(c, "weights after the last update", off);
        agrees(c, "state after the last update",
               distance(&c->arrays[CARRIED], network, bp_network_state_count(network),
                        bp_network_state_tensor));
    }
    bp_network_free(network);
    bp_arena_done(&arena);
    return off;
}

static void test_agrees(void **state)
{
    (void)state;
    const bp_kernels *tables[BP_ISA_COUNT];
    const size_t table_count = support_tables(tables, BP_FLOAT64);
    double worst = 0;
    for (size_t i = 0; i < case_count; i++)
        for (size_t table = 0; table < table_count; table++) {
            const replay_spec r = {tables[table]->isa, 1, 1, false, true};
            worst = fmax(worst, replay(&cases[i], &r));
        }
    print_message("%zu trainings, largest distance %.3g\n", case_count, worst);
}

static void test_settings_show(void **state)
{
    (void)state;
    const bp_isa isa = bp_isa_detect();
    const replay_spec others[] = {{isa, 1, 1, true, false}, {isa, 1.01, 1, false, false}};
    for (size_t i = 0; i < case_count; i++) {
        for (size_t j = 0; j < 2; j++)
            assert_true(replay(&cases[i], &others[j]) > noticeable);
        const replay_spec clipped = {isa, 1, 0.99, false, false};
        if (cases[i].clip_norm > 0)
            assert_true(replay(&cases[i], &clipped) > noticeable);
    }
}

static void test_every_cell_is_recorded(void **state)
{
    (void)state;
    size_t alone = 0, stacked = 0; /* bits: type, and twice for relu */
    for (size_t i = 0; i < case_count; i++)
        for (size_t j = 0; j + 1 < cases[i].layer_count; j++) {
            const bp_layer_spec *layer = &cases[i].layers[j];
            const size_t relu = layer->activation.member->index == BP_ACTIVATION_relu;
            const size_t bit = (size_t)1 << (layer->layer.member->index + relu * BP_LAYER_COUNT);
            *(cases[i].layer_count > 2 ? &stacked : &alone) |= bit;
        }
    size_t wanted = (size_t)1 << (BP_LAYER_rnn + BP_LAYER_COUNT);
    for (size_t i = 0; i < BP_LAYER_COUNT; i++)
        wanted |= (bp_layer_type_of(bp_layer_family.members[i])->cell ? (size_t)1 << i : 0);
    assert_int_equal(alone, wanted);
    assert_int_equal(stacked, wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees),
        cmocka_unit_test(test_settings_show),
        cmocka_unit_test(test_every_cell_is_recorded),
    };
    return cmocka_run_group_tests(tests, open_file, close_file);
}
