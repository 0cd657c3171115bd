/* Training speed of language models on a made-up text: whole steps of the trainer, the embedding among what is
 * trained.
 *   bench_sequence [seconds per figure] [case] [threads]: 2 by default, all cases whose name begins so, one and two
 * A figure is the best of many runs of some steps, so that other work on the machine disturbs little.
 * Cases: f is two LSTMs of 200 units under 10,000 words, batch 20, 20 steps, SGD with clipping; g, h and i are an
 * RNN, an LSTM and a GRU of 256 units under 64 characters, batch 32, 64 steps, Adam with clipping. float32. The share of
 * the peak counts the multiply-adds of the products against those of registers, measured just before.
 * tests/torch/bench_sequence.py runs it beside the same in PyTorch. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/initializer/initializer.h"
#include "core/schedule/schedule.h"
#include "core/training/trainer.h"
#include "tests/bench/multiply_add_peak.h"
#include "tests/core/support_parallel.h"

enum { CHUNKS = 40, STEPS_OF_A_RUN = 5 }; /* of the text, each a step's */

typedef struct bench_case {
    const char *name, *layer, *activation, *optimizer;
    size_t depth, units, words, streams, steps;
    double rate;
} bench_case;

static const bench_case cases[] = {
    {"f, LSTM 2 x 200, words", "lstm", "identity", "sgd", 2, 200, 10000, 20, 20, 1},
    {"g, RNN 256, characters", "rnn", "tanh", "adam", 1, 256, 64, 32, 64, 1e-3},
    {"h, LSTM 256, characters", "lstm", "identity", "adam", 1, 256, 64, 32, 64, 1e-3},
    {"i, GRU 256, characters", "gru", "identity", "adam", 1, 256, 64, 32, 64, 1e-3},
};

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
    if (!member) {
        fprintf(stderr, "no %s %s\n", family->name, name);
        exit(1);
    }
    bp_choice made = bp_choice_default(member);
    made.value[0] = first;
    return made;
}

/* Operations of the products of a step: forward, of weights and of inputs. The embedding has none. */
static double operations(const bp_network *network, size_t rows)
{
    double sum = 0;
    for (size_t i = 1; i < bp_network_tensor_count(network); i++) {
        const bp_tensor tensor = bp_network_tensor(network, i);
        if (tensor.rank == 2)
            sum += 6 * (double)tensor.element_count * (double)rows;
    }
    return sum;
}

static void run(const bench_case *bench, const bp_parallel *parallel, double seconds,
                const char *label, size_t threads)
{
    bp_error error = {.status = BP_OK};
    const size_t rows = bench->streams * bench->steps, count = rows * CHUNKS + 1;
    bp_layer_spec layers[4] = {0};
    for (size_t i = 0; i < bench->depth + 2; i++) {
        const bool first = i == 0, last = i == bench->depth + 1;
        layers[i].layer = choice(&bp_layer_family,
                                 first  ? "embedding"
                                 : last ? "dense"
                                        : bench->layer,
                                 (double)(last ? bench->words : bench->units));
        layers[i].activation =
            choice(&bp_activation_family, first || last ? "identity" : bench->activation, 0);
        layers[i].initializer = choice(&bp_initializer_family, "xavier_uniform", 0);
    }
    int32_t *text = malloc(count * sizeof *text);
    if (!text)
        exit(1);
    uint32_t random = 1;
    for (size_t i = 0; i < count; i++)
        text[i] = (int32_t)(((random = random * 1664525 + 1013904223) >> 8) % bench->words);
    const bp_examples examples = {
        .kind = BP_EXAMPLES_STREAMS, .row_count = count, .text = {.count = count, .ids = text}};
    bp_choice optimizer = bp_choice_default(bp_family_find(&bp_optimizer_family, bench->optimizer));
    optimizer.value[0] = bench->rate;
    const bp_training_spec spec = {
        .network = {.dtype = BP_FLOAT32,
                    .isa = bp_isa_detect(),
                    .input_width = 1,
                    .input_kind = BP_INPUT_TOKENS,
                    .token_count = bench->words,
                    .layer_count = bench->depth + 2,
                    .layers = layers,
                    .loss = choice(&bp_loss_family, "softmax_cross_entropy", 0)},
        .kind = BP_EXAMPLES_STREAMS,
        .sequence_length = bench->steps,
        .optimizer = optimizer,
        .schedule = bp_choice_default(bp_family_find(&bp_schedule_family, "constant")),
        .clip_norm = 5,
        .seed = 1,
        .epochs = 1000000,
        .batch_size = bench->streams};
    bp_trainer *trainer = NULL;
    check(bp_trainer_create(&trainer, &spec, &examples, parallel, &error), &error);

    const double peak = bench_float32_peak(bp_isa_detect()) * (double)threads;
    bp_step_report report = {.loss = 0};
    size_t done = 0;
    double best = 0;
    for (const double end = now() + seconds; now() < end || done < CHUNKS;) {
        const double start = now();
        for (size_t i = 0; i < STEPS_OF_A_RUN; i++, done++)
            check(bp_trainer_step(&report, trainer, false, &error), &error);
        const double tokens = (double)(STEPS_OF_A_RUN * rows) / (now() - start);
        if (done > STEPS_OF_A_RUN && tokens > best)
            best = tokens;
    }
    const double speed = operations(bp_trainer_network(trainer), rows) / (double)rows * best;
    printf("%-24s %-10s %12.0f tokens/s %8.1f GFLOP/s, %4.1f %% of the peak, loss %.4g\n",
           bench->name, label, best, speed * 1e-9, peak > 0 ? 100 * speed / peak : 0, report.loss);
    fflush(stdout);
    bp_trainer_free(trainer);
    free(text);
}

int main(int argument_count, char **arguments)
{
    const double seconds = argument_count > 1 ? atof(arguments[1]) : 2;
    const char *only = argument_count > 2 ? arguments[2] : "";
    const int threads = argument_count > 3 ? atoi(arguments[3]) : 0;
    support_pool *pool = support_pool_open(2);
    const bp_parallel two = support_pool_parallel(pool);
    printf("%s\n", bp_isa_name(bp_isa_detect()));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strncmp(cases[i].name, only, strlen(only)) != 0)
            continue;
        if (threads != 2)
            run(&cases[i], NULL, seconds, "1 thread", 1);
        if (threads != 1)
            run(&cases[i], &two, seconds, "2 threads", 2);
    }
    support_pool_close(pool);
    return 0;
}
