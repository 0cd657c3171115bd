/* How the vectors of a network over tokens are updated: bit for bit as if all of them were gone through, where a
 * zero gradient changes nothing; only those that are read, with their slots, where they are sparse; at a cost that
 * does not grow with the vocabulary; never where they are frozen. The linker wraps bp_kernels_get. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/training/update.h"
#include "tests/core/support_kernels.h"
#include "tests/core/support_tokens.h"

static const bp_kernels *replacement; /* NULL: the true table */

const bp_kernels *__real_bp_kernels_get(bp_dtype dtype, bp_isa isa);
const bp_kernels *__wrap_bp_kernels_get(bp_dtype dtype, bp_isa isa);
const bp_kernels *__wrap_bp_kernels_get(bp_dtype dtype, bp_isa isa)
{
    return replacement ? replacement : __real_bp_kernels_get(dtype, isa);
}

static const bp_kernels *true_table(void)
{
    return __real_bp_kernels_get(BP_FLOAT64, bp_isa_detect());
}

enum { TOKENS = 40, DIMENSION = 5, ROWS = 6, WIDTH = TOKENS_WIDTH, STEPS = 25, OUT = TOKENS_OUT };

/* A window network and what updates it. */
typedef struct rig {
    bp_layer_spec layers[TOKENS_LAYERS];
    bp_network *network;
    bp_update update;
    bp_arena arena;
    size_t tokens;
} rig;

static void open_rig(rig *r, size_t tokens, bp_layer_spec embedding, const char *optimizer,
                     const bp_choice *regularizer, double clip_norm)
{
    *r = (rig){.tokens = tokens};
    const size_t count =
        support_token_network(r->layers, TOKENS_WINDOW_FIRST, embedding, "softmax_cross_entropy");
    bp_network_spec spec = support_token_spec(r->layers, count, "softmax_cross_entropy");
    spec.token_count = tokens;
    r->network = support_network_create(&spec);
    support_parameters(r->network, 5, 0.5);
    const bp_kernels *kernels = bp_network_kernels(r->network);
    const bp_choice choice = support_choice_of(&bp_optimizer_family, optimizer, 0.1);
    r->update = (bp_update){.kernels = kernels,
                            .optimizer = kernels->optimizers[choice.member->index],
                            .choice = choice,
                            .clip_norm = clip_norm,
                            .count = bp_network_block_count(r->network)};
    if (regularizer) {
        r->update.regularizer_count = 1;
        r->update.regularizers[0] = *regularizer;
    }
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
    bp_arena measure = bp_arena_measure();
    bp_update_plan(&r->update, &measure, &size);
    assert_int_equal(bp_arena_open(&r->arena, measure.used_bytes, NULL), BP_OK);
    bp_update_plan(&r->update, &r->arena, &size);
    bp_update_bind(&r->update, r->network);
}

static void close_rig(rig *r)
{
    bp_network_free(r->network);
    bp_arena_done(&r->arena);
}

/* Ids of a step: of every tenth token none, of some several. */
static void fill_ids(int32_t ids[ROWS * WIDTH], uint64_t step)
{
    support_ids(ids, (size_t)ROWS * WIDTH, TOKENS, step);
    for (size_t p = 0; p < (size_t)ROWS * WIDTH; p++)
        ids[p] -= ids[p] % 10 == 0 && ids[p] > 0;
}

static bp_gradient_facts step_of(rig *r, uint64_t step, bool measure)
{
    int32_t ids[ROWS * WIDTH], label[ROWS];
    fill_ids(ids, step);
    support_labels(label, ROWS, OUT, step + 1000);
    const bp_targets targets = {.label = label};
    bp_network_train(r->network, NULL, ids, ROWS, &targets);
    const bp_gradient_facts facts = bp_update_gradient(&r->update, NULL, measure);
    bp_update_apply(&r->update, NULL, 0.1, step, &facts, measure);
    bp_network_parameters_changed(r->network);
    return facts;
}

/* The same table, whose optimisers do not say that they rest. */
static bp_kernels restless_table(bp_optimizer changed[BP_OPTIMIZER_COUNT],
                                 const bp_optimizer *pointers[BP_OPTIMIZER_COUNT])
{
    bp_kernels table = *true_table();
    for (size_t i = 0; i < BP_OPTIMIZER_COUNT; i++) {
        changed[i] = *true_table()->optimizers[i];
        changed[i].rests_at_zero = false;
        pointers[i] = &changed[i];
    }
    table.optimizers = pointers;
    return table;
}

static void same_bits(const rig *a, const rig *b)
{
    const size_t bytes = a->update.count * sizeof(double);
    assert_memory_equal(a->update.theta, b->update.theta, bytes);
    for (size_t slot = 0; slot < a->update.optimizer->slot_count; slot++)
        assert_memory_equal(a->update.slot[slot], b->update.slot[slot], bytes);
}

static void test_rows_alone_make_no_difference(void **state)
{
    (void)state;
    bp_optimizer changed[BP_OPTIMIZER_COUNT];
    const bp_optimizer *pointers[BP_OPTIMIZER_COUNT];
    const bp_kernels restless = restless_table(changed, pointers);
    size_t resting = 0;
    for (size_t i = 0; i < BP_OPTIMIZER_COUNT; i++) {
        const bp_layer_spec embedding = support_embedding(DIMENSION, true, false);
        const char *name = bp_optimizer_family.members[i]->name;
        rig rows, whole;
        open_rig(&rows, TOKENS, embedding, name, NULL, 0);
        resting += rows.update.segments.segment[0].touched != NULL;
        assert_int_equal(rows.update.segments.segment[0].touched != NULL,
                         true_table()->optimizers[i]->rests_at_zero);
        replacement = &restless;
        open_rig(&whole, TOKENS, embedding, name, NULL, 0);
        assert_null(whole.update.segments.segment[0].touched);
        replacement = NULL;
        for (uint64_t step = 0; step < STEPS; step++) {
            const bool measure = step % 2;
            const bp_gradient_facts a = step_of(&rows, step, measure);
            const bp_gradient_facts b = step_of(&whole, step, measure);
            same_bits(&rows, &whole);
            if (measure)
                assert_true(fabs(a.norm - b.norm) <= 1e-14 * b.norm && a.norm > 0);
        }
        close_rig(&rows);
        close_rig(&whole);
    }
    assert_int_equal(resting, 2); /* sgd and adagrad */
}

static void test_clipping(void **state)
{
    (void)state;
    bp_optimizer changed[BP_OPTIMIZER_COUNT];
    const bp_optimizer *pointers[BP_OPTIMIZER_COUNT];
    const bp_kernels restless = restless_table(changed, pointers);
    const bp_layer_spec embedding = support_embedding(DIMENSION, true, false);
    rig rows, whole;
    open_rig(&rows, TOKENS, embedding, "adagrad", NULL, 0.05);
    replacement = &restless;
    open_rig(&whole, TOKENS, embedding, "adagrad", NULL, 0.05);
    replacement = NULL;
    for (uint64_t step = 0; step < STEPS; step++) {
        const bp_gradient_facts a = step_of(&rows, step, false);
        const bp_gradient_facts b = step_of(&whole, step, false);
        assert_true(a.factor < 1 && fabs(a.factor - b.factor) <= 1e-12 * b.factor);
        for (size_t i = 0; i < rows.update.count; i++)
            assert_true(fabs(((double *)rows.update.theta)[i] -
                             ((double *)whole.update.theta)[i]) <= 1e-12);
    }
    /* Squares that overflow: shrunk first, and clipped all the same. */
    double *gradient = bp_network_gradient_tensor(rows.network, 0).data;
    const bp_touched *touched = rows.update.segments.segment[0].touched;
    for (size_t i = 0; i < touched->count; i++)
        gradient[touched->row[i] * DIMENSION] = 1e300;
    const bp_gradient_facts facts = bp_update_gradient(&rows.update, NULL, false);
    assert_true(facts.finite && isfinite(facts.norm));
    assert_true(fabs(facts.norm - 1e300 * sqrt((double)touched->count)) <= 1e-10 * facts.norm);
    /* A row of the batch that is not finite is seen, wherever it is. */
    gradient[touched->row[touched->count - 1] * DIMENSION + DIMENSION - 1] = (double)NAN;
    assert_false(bp_update_gradient(&rows.update, NULL, false).finite);
    close_rig(&rows);
    close_rig(&whole);
}

/* Vectors and slots of tokens that a step has not read stay; those of the others are what the optimiser makes
 * of them with the count of all steps, whenever they were read before. */
static void test_sparse(void **state)
{
    (void)state;
    for (size_t i = 0; i < BP_OPTIMIZER_COUNT; i++) {
        const bp_optimizer *optimizer = true_table()->optimizers[i];
        rig r;
        open_rig(&r, TOKENS, support_embedding(DIMENSION, true, true), optimizer->member.name, NULL,
                 0);
        assert_non_null(r.update.segments.segment[0].touched);
        const size_t count = (size_t)TOKENS * DIMENSION, bytes = count * sizeof(double);
        double theta[TOKENS * DIMENSION], slots[BP_SLOT_LIMIT][TOKENS * DIMENSION] = {0};
        memcpy(theta, r.update.theta, bytes); /* the embedding's are the first */
        for (uint64_t step = 0; step < STEPS; step++) {
            int32_t ids[ROWS * WIDTH];
            fill_ids(ids, step);
            step_of(&r, step, step % 2);
            double scalar[BP_STEP_SCALAR_LIMIT];
            const bp_update_context context = {.learning_rate = 0.1, .t = step, .is_weight = true};
            optimizer->prepare(scalar, r.update.choice.value, &context);
            const double *gradient = bp_network_gradient_tensor(r.network, 0).data;
            for (size_t token = 0; token < TOKENS; token++) {
                bool read = false;
                for (size_t p = 0; p < (size_t)ROWS * WIDTH; p++)
                    read |= ids[p] == (int32_t)token;
                const size_t first = token * DIMENSION;
                void *const slot[BP_SLOT_LIMIT] = {&slots[0][first], &slots[1][first]};
                if (read)
                    optimizer->update(NULL, &theta[first], &gradient[first], slot, DIMENSION,
                                      scalar);
            }
            assert_memory_equal(theta, r.update.theta, bytes);
            for (size_t slot = 0; slot < optimizer->slot_count; slot++)
                assert_memory_equal(slots[slot], r.update.slot[slot], bytes);
        }
        close_rig(&r);
    }
}

/* A regulariser is about every vector, so all of them are gone through; frozen ones are not even then. */
static void test_regularizers(void **state)
{
    (void)state;
    for (size_t i = 0; i < bp_regularizer_family.member_count; i++) {
        const bp_choice regularizer =
            support_choice_of(&bp_regularizer_family, bp_regularizer_family.members[i]->name, 0.3);
        for (size_t frozen = 0; frozen < 2; frozen++) {
            rig r;
            open_rig(&r, TOKENS, support_embedding(DIMENSION, !frozen, false), "sgd", &regularizer,
                     0);
            assert_null(r.update.segments.segment[0].touched);
            const size_t bytes = (size_t)TOKENS * DIMENSION * sizeof(double);
            double *unread = (double *)r.update.theta + (size_t)10 * DIMENSION;
            double start[TOKENS * DIMENSION];
            unread[0] = 2; /* long enough for max_norm */
            memcpy(start, r.update.theta, bytes);
            for (uint64_t step = 0; step < 3; step++)
                step_of(&r, step, true);
            assert_int_equal(memcmp(start, r.update.theta, bytes) == 0, frozen);
            assert_int_equal(unread[0] == 2, frozen);
            /* What a penalty has left in rows that are not read is gone before the next step. */
            int32_t ids[ROWS * WIDTH], label[ROWS] = {0};
            fill_ids(ids, 9);
            const bp_targets targets = {.label = label};
            bp_network_train(r.network, NULL, ids, ROWS, &targets);
            const double *gradient = bp_network_gradient_tensor(r.network, 0).data;
            for (size_t k = 0; k < DIMENSION; k++)
                assert_true(gradient[10 * DIMENSION + k] == 0);
            assert_int_equal(isnan(bp_update_ratio(&r.update, 1)) != 0, frozen);
            close_rig(&r);
        }
    }
}

/* Over the vectors that were read: their lengths before, and how far they went. */
static void test_ratio(void **state)
{
    (void)state;
    rig r;
    open_rig(&r, TOKENS, support_embedding(DIMENSION, true, false), "sgd", NULL, 0);
    double before[TOKENS * DIMENSION];
    for (uint64_t step = 0; step < 3; step++) {
        memcpy(before, r.update.theta, sizeof before);
        step_of(&r, step, true);
        const double *theta = r.update.theta;
        const bp_touched *touched = r.update.segments.segment[0].touched;
        double length = 0, moved = 0;
        for (size_t i = 0; i < touched->count; i++)
            for (size_t k = touched->row[i] * DIMENSION; k < (touched->row[i] + 1) * DIMENSION;
                 k++) {
                length += before[k] * before[k];
                moved += (theta[k] - before[k]) * (theta[k] - before[k]);
            }
        const double ratio = bp_update_ratio(&r.update, 1);
        assert_true(fabs(ratio - sqrt(moved / length)) <= 1e-12 * ratio && ratio > 0);
    }
    close_rig(&r);
}

/* ---- cost ---- */

static size_t work; /* elements that kernels of an update have gone through */

static double counted_squares(const void *x, size_t count)
{
    work += count;
    return true_table()->sum_squares(x, count);
}

static void counted_chunks(double *out, const void *x, size_t count, size_t chunk)
{
    work += count;
    true_table()->sum_squares_chunks(out, x, count, chunk);
}

static int counted_finite(const void *x, size_t count)
{
    work += count;
    return true_table()->all_finite(x, count);
}

static void counted_scale(void *x, double factor, size_t count)
{
    work += count;
    true_table()->scale(x, factor, count);
}

static const bp_optimizer *counted_optimizer; /* the true one */

static void counted_update(double *measured, void *theta, const void *gradient, void *const *slot,
                           size_t count, const double *scalar)
{
    work += count;
    counted_optimizer->update(measured, theta, gradient, slot, count, scalar);
}

static size_t work_of_steps(size_t tokens, const char *name, bool sparse)
{
    bp_kernels table = *true_table();
    bp_optimizer changed;
    const bp_optimizer *pointers[BP_OPTIMIZER_COUNT];
    memcpy(pointers, table.optimizers, sizeof pointers);
    const size_t index = bp_family_find(&bp_optimizer_family, name)->index;
    counted_optimizer = pointers[index];
    changed = *counted_optimizer;
    changed.update = counted_update;
    pointers[index] = &changed;
    table.optimizers = pointers;
    table.sum_squares = counted_squares;
    table.sum_squares_chunks = counted_chunks;
    table.all_finite = counted_finite;
    table.scale = counted_scale;
    replacement = &table;
    rig r;
    open_rig(&r, tokens, support_embedding(DIMENSION, true, sparse), name, NULL, 1e-3);
    work = 0;
    for (uint64_t step = 0; step < 4; step++)
        step_of(&r, step, step % 2);
    close_rig(&r);
    replacement = NULL;
    return work;
}

static void test_cost(void **state)
{
    (void)state;
    for (size_t i = 0; i < BP_OPTIMIZER_COUNT; i++) {
        const char *name = bp_optimizer_family.members[i]->name;
        const size_t few = work_of_steps(TOKENS, name, false);
        const size_t many = work_of_steps((size_t)100 * TOKENS, name, false);
        if (true_table()->optimizers[i]->rests_at_zero)
            assert_int_equal(few, many);
        else
            assert_true(many > 50 * few);
        const size_t sparse = work_of_steps(TOKENS, name, true);
        assert_int_equal(sparse, work_of_steps((size_t)100 * TOKENS, name, true));
        assert_true(sparse > 0 && sparse <= few);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    bp_layer_spec layers[TOKENS_LAYERS];
    const size_t count =
        support_token_network(layers, TOKENS_WINDOW_FIRST, support_embedding(DIMENSION, true, true),
                              "softmax_cross_entropy");
    const bp_network_spec spec = support_token_spec(layers, count, "softmax_cross_entropy");
    const bp_choice l2 = support_choice_of(&bp_regularizer_family, "l2", 0.1);
    bp_choice adam = support_choice(&bp_optimizer_family, "adam");
    bp_error error = {.status = BP_OK};
    assert_int_equal(bp_update_check(&spec, &adam, NULL, 0, &error), BP_OK);
    assert_int_equal(bp_update_check(&spec, &adam, &l2, 1, &error), BP_INVALID);
    assert_string_equal(error.where, "/network/layers/1/sparse");
    assert_non_null(strstr(error.message, "l2"));
    for (size_t i = 0; i < adam.member->parameter_count; i++)
        if (strcmp(adam.member->parameters[i].name, "weight_decay") == 0)
            adam.value[i] = 0.01;
    error.status = BP_OK;
    assert_int_equal(bp_update_check(&spec, &adam, NULL, 0, &error), BP_INVALID);
    assert_non_null(strstr(error.message, "weight_decay"));
    layers[1].layer.value[BP_EMBEDDING_SPARSE] = 0;
    assert_int_equal(bp_update_check(&spec, &adam, &l2, 1, &error), BP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_alone_make_no_difference),
        cmocka_unit_test(test_clipping),
        cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_regularizers),
        cmocka_unit_test(test_ratio),
        cmocka_unit_test(test_cost),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
