/* What a training step of a window tagger costs by the size of its vocabulary, one thread, made-up data:
 *   bench_embedding [seconds per figure]: 1 by default
 * Windows of 5, vectors of 50 numbers, 100 tanh units, 9 tags, batches of 64 windows; float32. Words come as often as
 * in a text: word r with a chance that falls as 1/r. A figure is the best of many runs of some steps, beside the
 * distinct words that a step reads on average. Adam with all vectors is there for comparison: it must go through
 * all of them. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/arena.h"
#include "core/initializer/initializer.h"
#include "core/layer/token_layers.h"
#include "core/training/update.h"

enum { WIDTH = 5, DIMENSION = 50, HIDDEN = 100, TAGS = 9, ROWS = 64, BATCHES = 200, RUN = 10 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void check(bp_status status, const bp_error *error)
{
    if (status == BP_OK)
        return;
    fprintf(stderr, "%s: %s\n", error->where, error->message);
    exit(1);
}

static bp_choice choice(const bp_family *family, const char *name, double first)
{
    const bp_member *member = bp_family_find(family, name);
    if (!member)
        exit(1);
    bp_choice made = bp_choice_default(member);
    if (member->parameter_count > 0)
        made.value[0] = first;
    return made;
}

static bp_layer_spec dense(double units, const char *activation)
{
    return (bp_layer_spec){.layer = choice(&bp_layer_family, "dense", units),
                           .activation = choice(&bp_activation_family, activation, 0),
                           .initializer = choice(&bp_initializer_family, "xavier_uniform", 0)};
}

static double step(bp_network *network, bp_update *update, const int32_t *ids, const int32_t *label,
                   uint64_t t)
{
    const bp_targets targets = {.label = label};
    const double loss = bp_network_train(network, NULL, ids, ROWS, &targets);
    const bp_gradient_facts facts = bp_update_gradient(update, NULL, false);
    bp_update_apply(update, NULL, update->choice.value[0], t, &facts, false);
    bp_network_parameters_changed(network);
    return loss;
}

static void run(const char *optimizer, double rate, bool sparse, size_t words, double seconds)
{
    bp_error error = {.status = BP_OK};
    bp_layer_spec layers[] = {
        {.layer = choice(&bp_layer_family, "window", WIDTH)},
        {.layer = choice(&bp_layer_family, "embedding", DIMENSION),
         .initializer = choice(&bp_initializer_family, "normal", 0.1)},
        dense(HIDDEN, "tanh"),
        dense(TAGS, "identity"),
    };
    layers[1].layer.value[BP_EMBEDDING_SPARSE] = sparse;
    const bp_network_spec spec = {.dtype = BP_FLOAT32,
                                  .isa = bp_isa_detect(),
                                  .use = BP_USE_TRAINING,
                                  .input_kind = BP_INPUT_TOKENS,
                                  .token_count = words,
                                  .input_width = WIDTH,
                                  .batch_rows = ROWS,
                                  .layer_count = sizeof layers / sizeof *layers,
                                  .layers = layers,
                                  .loss = choice(&bp_loss_family, "softmax_cross_entropy", 0)};
    bp_network_size size;
    bp_network *network = NULL;
    check(bp_network_measure(&size, &spec, &error), &error);
    check(bp_network_create(&network, &spec, &error), &error);
    bp_network_initialize(network, 1);
    bp_update update = {.kernels = bp_network_kernels(network),
                        .choice = choice(&bp_optimizer_family, optimizer, rate),
                        .clip_norm = 5,
                        .count = bp_network_block_count(network)};
    update.optimizer = update.kernels->optimizers[update.choice.member->index];
    bp_arena arena = bp_arena_measure();
    bp_update_plan(&update, &arena, &size);
    const size_t bytes = arena.used_bytes;
    check(bp_arena_open(&arena, bytes, &error), &error);
    bp_update_plan(&update, &arena, &size);
    bp_update_bind(&update, network);

    static int32_t ids[BATCHES * ROWS * WIDTH], label[BATCHES * ROWS];
    const bp_random random = bp_random_stream(1, 0, BP_RANDOM_SPLIT, 0);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        ids[i] = (int32_t)(exp(log((double)words) * bp_random_uniform(&random, i, 0)) - 1);
    for (size_t i = 0; i < sizeof label / sizeof *label; i++)
        label[i] = ids[i * WIDTH + WIDTH / 2] % TAGS;
    uint64_t t = 0;
    double best = INFINITY, loss = 0, distinct = 0;
    for (const double end = now() + seconds; now() < end || t < BATCHES;) {
        const double start = now();
        for (size_t i = 0; i < RUN; i++, t++) {
            const size_t row = t % BATCHES * ROWS;
            loss = step(network, &update, ids + row * WIDTH, label + row, t);
            distinct += (double)bp_network_layer(network, 1)->touched.count;
        }
        best = fmin(best, (now() - start) / RUN);
    }
    printf("%-14s %9zu words %10.1f us/step, %5.0f distinct words in it, loss %.3g\n",
           sparse ? "sparse adam" : optimizer, words, 1e6 * best, distinct / (double)t, loss);
    bp_network_free(network);
    bp_arena_done(&arena);
}

int main(int argument_count, char **arguments)
{
    const double seconds = argument_count > 1 ? atof(arguments[1]) : 1;
    printf("%s\n", bp_isa_name(bp_isa_detect()));
    bp_kernels_thread_start();
    for (size_t words = 10000; words <= 1000000; words *= 100) {
        run("sgd", 0.1, false, words, seconds);
        run("adagrad", 0.05, false, words, seconds);
        run("adam", 0.001, true, words, seconds);
        run("adam", 0.001, false, words, seconds);
    }
    return 0;
}
