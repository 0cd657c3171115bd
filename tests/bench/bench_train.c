/* Samples a second of training steps on made-up data; compare figures within one run only.
 *   bench_train [SECONDS [CASE [THREADS]]]   time for each figure, 1 by default; only the cases whose
 *                                            name begins so; 1 or 2 threads only
 * A figure is the best of many runs of about one epoch, so that other work on the machine disturbs
 * little. Cases: a is 784-128-10, ReLU, softmax cross-entropy, momentum, 20,000 rows; d are tiny
 * networks of batch 16 (30-16-1 and 4-8-3); e is 800-800-800-10 with each form of dropout, keep 0.5.
 * All float32, shuffled. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/dropout/dropout.h"
#include "core/initializer/initializer.h"
#include "core/schedule/schedule.h"
#include "core/training/trainer.h"
#include "tests/core/support_parallel.h"

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static bp_choice choice(const bp_family *family, const char *name)
{
    const bp_member *member = bp_family_find(family, name);
    if (!member) {
        fprintf(stderr, "no %s %s\n", family->name, name);
        exit(1);
    }
    return bp_choice_default(member);
}

static bp_layer_spec dense(size_t units, const char *activation)
{
    bp_layer_spec layer = {.layer = choice(&bp_layer_family, "dense"),
                           .activation = choice(&bp_activation_family, activation),
                           .initializer = choice(&bp_initializer_family, "xavier_uniform")};
    layer.layer.value[0] = (double)units;
    return layer;
}

typedef struct bench_case {
    const char *name;
    size_t rows, input_width, hidden, output_width, batch;
    const char *activation, *loss;
    const char *dropout; /* NULL: none; otherwise a second hidden layer, "" without dropout */
} bench_case;

static double samples_per_second(const bench_case *bench, const bp_parallel *parallel,
                                 double seconds)
{
    bp_layer_spec layers[3] = {dense(bench->hidden, bench->activation)};
    size_t layer_count = 1;
    if (bench->dropout) {
        if (*bench->dropout)
            layers[0].dropout = choice(&bp_dropout_family, bench->dropout);
        layers[0].dropout.value[0] = 0.5;
        layers[layer_count++] = layers[0];
    }
    layers[layer_count++] = dense(bench->output_width, "identity");
    const bp_training_spec spec = {.network = {.dtype = BP_FLOAT32,
                                               .isa = bp_isa_detect(),
                                               .input_width = bench->input_width,
                                               .layer_count = layer_count,
                                               .layers = layers,
                                               .loss = choice(&bp_loss_family, bench->loss)},
                                   .optimizer = choice(&bp_optimizer_family, "momentum"),
                                   .schedule = choice(&bp_schedule_family, "constant"),
                                   .epochs = 1000000,
                                   .batch_size = bench->batch,
                                   .shuffle = true};
    float *features = malloc(bench->rows * bench->input_width * sizeof *features);
    float *value = malloc(bench->rows * bench->output_width * sizeof *value);
    int32_t *label = malloc(bench->rows * sizeof *label);
    bp_trainer *trainer = NULL;
    double rate = NAN;
    if (!features || !value || !label)
        goto done;
    uint32_t random = 1;
    for (size_t i = 0; i < bench->rows * bench->input_width; i++)
        features[i] = (float)((random = random * 1664525 + 1013904223) >> 8) * 0x1p-24f - 0.5f;
    for (size_t i = 0; i < bench->rows * bench->output_width; i++)
        value[i] = (float)((random = random * 1664525 + 1013904223) >> 8) * 0x1p-24f;
    for (size_t i = 0; i < bench->rows; i++)
        label[i] = (int32_t)(((random = random * 1664525 + 1013904223) >> 8) % bench->output_width);
    const bp_examples examples = {
        .row_count = bench->rows, .features = features, .label = label, .value = value};
    bp_error error = {.status = BP_OK};
    if (bp_trainer_create(&trainer, &spec, &examples, parallel, &error) != BP_OK) {
        fprintf(stderr, "%s: %s\n", error.where, error.message);
        goto done;
    }
    bp_step_report report;
    const size_t chunk = 20000 / bench->batch + 1;
    for (size_t i = 0; i < chunk; i++) /* warm up */
        if (bp_trainer_step(&report, trainer, false, NULL) != BP_OK)
            goto done;
    rate = 0;
    for (const double end = now() + seconds; now() < end;) {
        size_t rows = 0;
        const double start = now();
        for (size_t i = 0; i < chunk; i++) {
            if (bp_trainer_step(&report, trainer, false, NULL) != BP_OK)
                goto done;
            rows += report.rows;
        }
        const double chunk_rate = (double)rows / (now() - start);
        rate = chunk_rate > rate ? chunk_rate : rate;
    }
    if (!report.finite)
        rate = NAN;
done:
    bp_trainer_free(trainer);
    free(features);
    free(value);
    free(label);
    return rate;
}

int main(int argument_count, char **arguments)
{
    const double seconds = argument_count > 1 ? atof(arguments[1]) : 1;
    const bench_case cases[] = {
        {"a, batch 32", 20000, 784, 128, 10, 32, "relu", "softmax_cross_entropy", NULL},
        {"a, batch 64", 20000, 784, 128, 10, 64, "relu", "softmax_cross_entropy", NULL},
        {"a, batch 256", 20000, 784, 128, 10, 256, "relu", "softmax_cross_entropy", NULL},
        {"d, 30-16-1", 20000, 30, 16, 1, 16, "sigmoid", "mean_squared_error", NULL},
        {"d, 4-8-3", 20000, 4, 8, 3, 16, "tanh", "softmax_cross_entropy", NULL},
        {"e, 800-800-800", 2000, 800, 800, 10, 64, "relu", "softmax_cross_entropy", ""},
        {"e, units", 2000, 800, 800, 10, 64, "relu", "softmax_cross_entropy", "units"},
        {"e, connections", 2000, 800, 800, 10, 64, "relu", "softmax_cross_entropy", "connections"},
        {"e, layer", 2000, 800, 800, 10, 64, "relu", "softmax_cross_entropy", "layer"},
    };
    const char *only = argument_count > 2 ? arguments[2] : "";
    const int threads = argument_count > 3 ? atoi(arguments[3]) : 0;
    support_pool *pool = support_pool_open(2);
    const bp_parallel two = support_pool_parallel(pool);
    printf("%s, samples a second\n%-14s %14s %14s\n", bp_isa_name(bp_isa_detect()), "case",
           "1 thread", "2 threads");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strncmp(cases[i].name, only, strlen(only)) != 0)
            continue;
        printf("%-14s %14.0f %14.0f\n", cases[i].name,
               threads == 2 ? NAN : samples_per_second(&cases[i], NULL, seconds),
               threads == 1 ? NAN : samples_per_second(&cases[i], &two, seconds));
    }
    support_pool_close(pool);
    return 0;
}
