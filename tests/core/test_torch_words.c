/* Trainings over tokens recorded from PyTorch (tests/torch/record_words.py), replayed in float64: output, loss and
 * gradients of the first batch and the weights after 100 updates agree to 1e-10 on every instruction set of this
 * machine; and rate, clipping and whether vectors are sparse, frozen or tied all show in the weights. */
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
#include "core/layer/dense.h"
#include "core/training/update.h"
#include "tests/core/support_kernels.h"
#include "tests/core/support_recurrent.h"
#include "tests/core/support_tokens.h"

static const double tolerance = 1e-10, noticeable = 1e-6;

enum { LAYERS = 5, NAME_SIZE = 64, ROW_LIMIT = 16, ID_LIMIT = 64 };

/* Arrays of a case, in the order of its lines. */
enum { IDS, LABEL, START, OUTPUT, LOSS, GRADIENT, FINAL, ARRAYS };
static const char *const array_names[ARRAYS] = {"ids",   "label",    "start", "output",
                                                "value", "gradient", "final"};

typedef struct array {
    size_t count;
    double *value;
} array;

typedef struct word_case {
    char name[NAME_SIZE];
    bp_layer_spec layers[LAYERS];
    size_t layer_count, embedding; /* its index */
    bp_choice optimizer;
    double clip_norm;
    char loss[NAME_SIZE];
    size_t updates, tokens, rows, width, streams, batches;
    array arrays[ARRAYS];
} word_case;

static word_case *cases;
static size_t case_count;

/* ---- reading ---- */

static bool take_layer(word_case *c, const char *line)
{
    char kind[16], activation[16];
    size_t units, tied;
    int trainable, sparse;
    bp_layer_spec *layer = &c->layers[c->layer_count++];
    if (c->layer_count > LAYERS)
        return false;
    if (sscanf(line, "layer embedding %zu %d %d", &units, &trainable, &sparse) == 3) {
        c->embedding = c->layer_count - 1;
        *layer = support_embedding(units, trainable, sparse);
    } else if (sscanf(line, "layer window %zu", &units) == 1)
        *layer = support_window(units);
    else if (sscanf(line, "layer dense %zu %15s %zu", &units, activation, &tied) == 3) {
        *layer = support_dense(units, activation);
        layer->layer.value[BP_DENSE_TIED] = (double)tied;
    } else if (sscanf(line, "layer %15s %zu", kind, &units) == 2)
        *layer = support_recurrent(strcmp(kind, "gru") == 0 ? 2 : 3, units);
    else
        return false;
    return true;
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
static bool take_line(word_case *c, char *line)
{
    char rule[16];
    double rate;
    if (strncmp(line, "layer ", 6) == 0)
        return take_layer(c, line);
    if (sscanf(line, "update %15s %lf %lf %zu", rule, &rate, &c->clip_norm, &c->updates) == 4) {
        c->optimizer = support_choice_of(&bp_optimizer_family, rule, rate);
        return true;
    }
    if (sscanf(line, "tokens %zu %zu %zu %zu %zu", &c->tokens, &c->rows, &c->width, &c->streams,
               &c->batches) == 5)
        return c->rows <= ROW_LIMIT && c->rows * c->width <= ID_LIMIT;
    if (sscanf(line, "loss %63s", c->loss) == 1)
        return true;
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
    FILE *file = fopen(BP_TORCH_WORDS, "r");
    char *line = NULL;
    size_t size = 0;
    bool ok = file != NULL;
    while (ok && getline(&line, &size, file) >= 0) {
        char name[NAME_SIZE];
        if (*line == '#' || *line == '\n')
            continue;
        if (sscanf(line, "case %63[^\n]", name) == 1) {
            word_case *more = realloc(cases, (case_count + 1) * sizeof *cases);
            ok = more != NULL;
            if (!ok)
                break;
            cases = more;
            cases[case_count] = (word_case){.layer_count = 0};
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
static double distance(const array *recorded, const bp_network *network, tensor_of *tensor)
{
    double worst = 0;
    size_t first = 0;
    for (size_t i = 0; i < bp_network_tensor_count(network); i++) {
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

static void agrees(const word_case *c, const char *what, double off)
{
    if (!(off <= tolerance))
        fail_msg("%s: %s is %g off", c->name, what, off);
}

typedef struct replay_spec {
    bp_isa isa;
    double rate_factor, clip_factor;
    int field;     /* of the embedding, to be turned over; -1: none */
    bool compares; /* with what is recorded, and fails */
} replay_spec;

/* How far the weights are from the recorded ones in the end. */
static double replay(const word_case *c, const replay_spec *r)
{
    bp_layer_spec layers[LAYERS];
    memcpy(layers, c->layers, sizeof layers);
    double *value = layers[c->embedding].layer.value;
    if (r->field >= 0)
        value[r->field] = value[r->field] == 0;
    bp_network_spec spec = support_network_spec(layers, c->layer_count, c->width, c->rows, c->loss);
    spec.isa = r->isa;
    spec.input_kind = BP_INPUT_TOKENS;
    spec.token_count = c->tokens;
    spec.sequence.streams = c->streams;
    spec.sequence.steps = c->streams ? c->rows / c->streams : 0;
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

    const size_t out = bp_network_output_width(network), positions = c->rows * c->width;
    for (size_t step = 0; step < c->updates; step++) {
        const size_t batch = step % c->batches;
        int32_t ids[ID_LIMIT], label[ROW_LIMIT];
        for (size_t p = 0; p < positions; p++)
            ids[p] = (int32_t)c->arrays[IDS].value[batch * positions + p];
        for (size_t row = 0; row < c->rows; row++)
            label[row] = (int32_t)c->arrays[LABEL].value[batch * c->rows + row];
        const bp_targets targets = {.label = label};
        if (batch == 0)
            bp_network_state_reset(network);
        bp_network_parameters_changed(network);
        const double *output = bp_network_forward(network, NULL, ids, c->rows, true);
        double off = 0;
        for (size_t i = 0; step == 0 && i < c->rows * out; i++)
            off = fmax(off, fabs(output[i] - c->arrays[OUTPUT].value[i]));
        const double loss = bp_network_backward(network, NULL, &targets);
        if (step == 0 && r->compares) {
            assert_int_equal(c->rows * out, c->arrays[OUTPUT].count);
            agrees(c, "output", off);
            agrees(c, "loss", fabs(loss - *c->arrays[LOSS].value));
            agrees(c, "gradient",
                   distance(&c->arrays[GRADIENT], network, bp_network_gradient_tensor));
        }
        const bp_gradient_facts facts = bp_update_gradient(&update, NULL, false);
        bp_update_apply(&update, NULL, c->optimizer.value[0] * r->rate_factor, step, &facts, false);
    }
    const double off = distance(&c->arrays[FINAL], network, bp_network_tensor);
    if (r->compares)
        agrees(c, "weights after the last update", off);
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
            const replay_spec r = {tables[table]->isa, 1, 1, -1, true};
            worst = fmax(worst, replay(&cases[i], &r));
        }
    print_message("%zu trainings, largest distance %.3g\n", case_count, worst);
}

static bool is_tied(const word_case *c)
{
    const bp_layer_spec *last = &c->layers[c->layer_count - 1];
    return last->layer.value[BP_DENSE_TIED] != 0;
}

/* Vectors that are frozen show everywhere; sparse ones under optimisers that move what is not read. */
static void test_settings_show(void **state)
{
    (void)state;
    const bp_isa isa = bp_isa_detect();
    for (size_t i = 0; i < case_count; i++) {
        const word_case *c = &cases[i];
        const double *embedding = c->layers[c->embedding].layer.value;
        const bool sparse = embedding[BP_EMBEDDING_SPARSE] != 0;
        const bool trainable = embedding[BP_EMBEDDING_TRAINABLE] != 0;
        const replay_spec faster = {isa, 1.01, 1, -1, false};
        assert_true(replay(c, &faster) > noticeable);
        const replay_spec clipped = {isa, 1, 0.99, -1, false};
        if (c->clip_norm > 0)
            assert_true(replay(c, &clipped) > noticeable);
        const replay_spec frozen = {isa, 1, 1, BP_EMBEDDING_TRAINABLE, false};
        if (!sparse && !is_tied(c))
            assert_true(replay(c, &frozen) > noticeable);
        const replay_spec other = {isa, 1, 1, BP_EMBEDDING_SPARSE, false};
        if (!trainable || is_tied(c))
            continue;
        const bp_kernels *kernels = bp_kernels_get(BP_FLOAT64, isa);
        const double off = replay(c, &other);
        if (kernels->optimizers[c->optimizer.member->index]->rests_at_zero)
            assert_true(off <= tolerance);
        else
            assert_true(off > noticeable);
    }
}

static void test_everything_is_recorded(void **state)
{
    (void)state;
    bool seen[2][2][BP_OPTIMIZER_COUNT] = {0}; /* by loss, and by whether vectors are sparse */
    size_t tied = 0, frozen = 0;
    for (size_t i = 0; i < case_count; i++) {
        const word_case *c = &cases[i];
        const double *embedding = c->layers[c->embedding].layer.value;
        seen[strcmp(c->loss, "max_margin") == 0][embedding[BP_EMBEDDING_SPARSE] != 0]
            [c->optimizer.member->index] = true;
        tied += is_tied(c);
        frozen += embedding[BP_EMBEDDING_TRAINABLE] == 0;
    }
    for (size_t i = 0; i < BP_OPTIMIZER_COUNT; i++)
        assert_true(seen[0][0][i] && seen[0][1][i] && seen[1][0][i] && seen[1][1][i]);
    assert_true(tied >= 2 && frozen >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees),
        cmocka_unit_test(test_settings_show),
        cmocka_unit_test(test_everything_is_recorded),
    };
    return cmocka_run_group_tests(tests, open_file, close_file);
}
