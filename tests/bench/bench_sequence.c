/* Training speed over sequences on made-up data, one thread and two.
 *   bench_sequence [seconds per figure] [case] [threads]: 2 by default, all cases whose name begins so
 * A figure is the best of many runs of some steps, so that other work on the machine disturbs little.
 * Cases, as in the shared benchmark of peers: f is two LSTMs of 200 units under 10,000 words, batch 20,
 * 20 steps, SGD with clipping; g is an RNN of 256 units under 64 characters, batch 32, 64 steps, Adam
 * with clipping. Inputs are vectors as wide as the layer, taken from a table that is not trained.
 * float32. The share of the peak counts the multiply-adds of the products against 268 GFLOP/s a core,
 * or what BP_PEAK says. Where BP_CPU_TIME is set the clock is the processor time of the process: for one
 * thread on a machine that is shared with others. tests/torch/bench_sequence.py is the same in PyTorch. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/arena.h"
#include "core/initializer/initializer.h"
#include "core/training/update.h"
#include "tests/core/support_parallel.h"

enum { CHUNKS = 40 }; /* of data, each a step's */

static double now(void)
{
    struct timespec time;
    clock_gettime(getenv("BP_CPU_TIME") ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static bp_choice choice(const bp_family *family, const char *name, double first)
{
    const bp_member *member = bp_family_find(family, name);
    if (!member) {
        fprintf(stderr, "no %s %s\n", family->name, name);
        exit(1);
    }
    bp_choice made = bp_choice_default(member);
    made.value[0] = first;
    return made;
}

typedef struct bench_case {
    const char *name, *layer, *activation, *optimizer;
    size_t depth, units, words, streams, steps;
    double rate;
} bench_case;

static void check(bp_status status, const bp_error *error)
{
    if (status == BP_OK)
        return;
    fprintf(stderr, "%s: %s\n", error->where, error->message);
    exit(1);
}

/* Operations of the products of a step: forward, weights and inputs, but not the lowest inputs. */
static double operations(const bp_network *network, size_t rows)
{
    double sum = 0;
    for (size_t i = 0; i < bp_network_tensor_count(network); i++) {
        const bp_tensor tensor = bp_network_tensor(network, i);
        if (tensor.rank == 2)
            sum += (i == 0 ? 4 : 6) * (double)tensor.element_count * (double)rows;
    }
    return sum;
}

static double step(bp_network *network, bp_update *update, const bp_parallel *parallel,
                   const float *x, const bp_targets *targets, size_t rows, uint64_t t, double rate)
{
    double loss;
    if (getenv("BP_TWO_PASSES")) {
        bp_network_forward(network, parallel, x, rows, true);
        loss = bp_network_backward(network, parallel, targets);
    } else
        loss = bp_network_train(network, parallel, x, rows, targets);
    const bp_gradient_facts facts = bp_update_gradient(update, parallel, false);
    bp_update_apply(update, parallel, rate, t, &facts, false);
    bp_network_parameters_changed(network);
    return loss;
}

static void run(const bench_case *bench, const bp_parallel *parallel, double seconds,
                const char *label, double peak)
{
    bp_error error = {.status = BP_OK};
    const size_t rows = bench->streams * bench->steps, all = rows * CHUNKS;
    bp_layer_spec layers[3];
    for (size_t i = 0; i <= bench->depth; i++)
        layers[i] = (bp_layer_spec){
            .layer = choice(&bp_layer_family, i < bench->depth ? bench->layer : "dense",
                            (double)(i < bench->depth ? bench->units : bench->words)),
            .activation =
                choice(&bp_activation_family, i < bench->depth ? bench->activation : "identity", 0),
            .initializer = choice(&bp_initializer_family, "xavier_uniform", 0)};
    layers[bench->depth].layer.value[1] = 1; /* bias */
    const bp_network_spec spec = {.dtype = BP_FLOAT32,
                                  .isa = bp_isa_detect(),
                                  .use = BP_USE_TRAINING,
                                  .input_width = bench->units,
                                  .batch_rows = rows,
                                  .sequence = {bench->streams, bench->steps},
                                  .layer_count = bench->depth + 1,
                                  .layers = layers,
                                  .loss = choice(&bp_loss_family, "softmax_cross_entropy", 0)};
    bp_network_size size;
    bp_network *network = NULL;
    check(bp_network_measure(&size, &spec, &error), &error);
    check(bp_network_create(&network, &spec, &error), &error);
    bp_network_initialize(network, 1);
    const bp_kernels *kernels = bp_network_kernels(network);
    bp_update update = {
        .kernels = kernels,
        .choice = bp_choice_default(bp_family_find(&bp_optimizer_family, bench->optimizer)),
        .clip_norm = 5,
        .count = bp_network_block_count(network)};
    update.optimizer = kernels->optimizers[update.choice.member->index];
    bp_arena arena = bp_arena_measure();
    bp_update_plan(&update, &arena, &size);
    const size_t bytes = arena.used_bytes;
    check(bp_arena_open(&arena, bytes, &error), &error);
    bp_update_plan(&update, &arena, &size);
    bp_update_bind(&update, network);

    float *x = malloc(all * bench->units * sizeof *x), *table;
    table = malloc(bench->words * bench->units * sizeof *table);
    int32_t *label_of = malloc(all * sizeof *label_of);
    if (!x || !table || !label_of)
        exit(1);
    uint32_t random = 1;
    for (size_t i = 0; i < bench->words * bench->units; i++)
        table[i] = (float)((random = random * 1664525 + 1013904223) >> 8) * 0x1p-23f - 1;
    for (size_t i = 0; i < all; i++) {
        const size_t word = ((random = random * 1664525 + 1013904223) >> 8) % bench->words;
        memcpy(x + i * bench->units, table + word * bench->units, bench->units * sizeof *x);
        label_of[i] = (int32_t)(((random = random * 1664525 + 1013904223) >> 8) % bench->words);
    }
    uint64_t t = 0;
    double rate = 0, loss = 0;
    for (const double end = now() + seconds; now() < end || t < CHUNKS;) {
        enum { STEPS_OF_A_RUN = 5 };
        const double start = now();
        for (size_t i = 0; i < STEPS_OF_A_RUN; i++, t++) {
            const size_t row = t % CHUNKS * rows;
            const bp_targets targets = {.label = label_of + row};
            loss = step(network, &update, parallel, x + row * bench->units, &targets, rows, t,
                        bench->rate);
        }
        const double tokens = (double)(STEPS_OF_A_RUN * rows) / (now() - start);
        if (t > STEPS_OF_A_RUN && tokens > rate)
            rate = tokens;
    }
    const double gigaflops = operations(network, rows) / (double)rows * rate * 1e-9;
    printf("%-24s %-10s %12.0f tokens/s %8.1f GFLOP/s, %4.1f %% of the peak, loss %.4g\n",
           bench->name, label, rate, gigaflops, 100 * gigaflops / peak, loss);
    bp_network_free(network);
    bp_arena_done(&arena);
    free(x);
    free(table);
    free(label_of);
}

int main(int argument_count, char **arguments)
{
    const double seconds = argument_count > 1 ? atof(arguments[1]) : 2;
    const char *only = argument_count > 2 ? arguments[2] : "";
    const int threads = argument_count > 3 ? atoi(arguments[3]) : 0;
    const char *given = getenv("BP_PEAK");
    const double peak = given ? atof(given) : 268;
    const bench_case cases[] = {
        {"f, LSTM 2 x 200, words", "lstm", "identity", "sgd", 2, 200, 10000, 20, 20, 1},
        {"g, RNN 256, characters", "rnn", "tanh", "adam", 1, 256, 64, 32, 64, 1e-3},
        {"h, LSTM 256, characters", "lstm", "identity", "adam", 1, 256, 64, 32, 64, 1e-3},
        {"i, GRU 256, characters", "gru", "identity", "adam", 1, 256, 64, 32, 64, 1e-3},
    };
    support_pool *pool = support_pool_open(2);
    const bp_parallel two = support_pool_parallel(pool);
    printf("%s\n", bp_isa_name(bp_isa_detect()));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strncmp(cases[i].name, only, strlen(only)) != 0)
            continue;
        if (threads != 2)
            run(&cases[i], NULL, seconds, "1 thread", peak);
        if (threads != 1)
            run(&cases[i], &two, seconds, "2 threads", 2 * peak);
    }
    support_pool_close(pool);
    return 0;
}
