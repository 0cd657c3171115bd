#include "tests/core/support_recorded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/schedule/schedule.h"
#include "tests/core/support_network.h"

/* Where reading stands: a line, its words taken one by one. */
typedef struct reader {
    FILE *file;
    char *line;
    size_t size, number;
    char *rest;
} reader;

/* The next line that says something; NULL at the end. Returns its first word. */
static char *next_line(reader *r)
{
    while (getline(&r->line, &r->size, r->file) >= 0) {
        r->number++;
        char *word = strtok_r(r->line, " \n", &r->rest);
        if (word && *word != '#')
            return word;
    }
    return NULL;
}

/* The next word of the line; there must be one. */
static char *take_word(reader *r)
{
    char *word = strtok_r(NULL, " \n", &r->rest);
    if (!word)
        fail_msg("line %zu is too short", r->number);
    return word;
}

static double to_number(const reader *r, const char *word)
{
    char *end;
    const double value = strtod(word, &end);
    if (end == word || *end)
        fail_msg("line %zu: '%s' is no number", r->number, word);
    return value;
}

static double take_number(reader *r)
{
    return to_number(r, take_word(r));
}

/* The rest of the line. */
static void take_text(reader *r, char *out)
{
    const char *text = strtok_r(NULL, "\n", &r->rest);
    if (!text || snprintf(out, RECORDED_NAME_SIZE, "%s", text) >= RECORDED_NAME_SIZE)
        fail_msg("line %zu: no name, or a long one", r->number);
}

static double *take_numbers(reader *r, size_t *count)
{
    *count = (size_t)take_number(r);
    double *out = calloc(*count, sizeof *out);
    assert_non_null(out);
    for (size_t i = 0; i < *count; i++)
        out[i] = take_number(r);
    return out;
}

static void read_set(reader *r, recorded_set *set)
{
    snprintf(set->name, sizeof set->name, "%s", take_word(r));
    const size_t rows = (size_t)take_number(r);
    set->width = (size_t)take_number(r);
    set->by_class = strcmp(take_word(r), "class") == 0;
    set->target_count = (size_t)take_number(r);
    double *features = calloc(rows * set->width, sizeof *features);
    int32_t *label = calloc(rows, sizeof *label);
    double *value = calloc(rows * set->target_count, sizeof *value);
    assert_true(features && label && value);
    set->examples =
        (bp_examples){.row_count = rows, .features = features, .label = label, .value = value};
    for (size_t row = 0; row < rows; row++) {
        const char *word = next_line(r);
        assert_non_null(word);
        features[row * set->width] = to_number(r, word);
        for (size_t i = 1; i < set->width; i++)
            features[row * set->width + i] = take_number(r);
        if (set->by_class)
            label[row] = (int32_t)take_number(r);
        for (size_t i = 0; !set->by_class && i < set->target_count; i++)
            value[row * set->target_count + i] = take_number(r);
    }
}

static void add_setting(recorded_case *c, const char *what, const char *key,
                        const bp_hyperparameter *hyperparameter, double *value)
{
    assert_true(c->setting_count < RECORDED_SETTING_LIMIT);
    recorded_setting *setting = &c->setting[c->setting_count++];
    snprintf(setting->name, sizeof setting->name, "%s %s", what, key);
    setting->hyperparameter = hyperparameter;
    setting->value = value;
}

static double to_value(const reader *r, const bp_hyperparameter *hyperparameter, const char *word)
{
    if (hyperparameter->kind != BP_CHOICE_PARAMETER)
        return to_number(r, word);
    for (size_t i = 0; hyperparameter->choices[i]; i++)
        if (strcmp(hyperparameter->choices[i], word) == 0)
            return (double)i;
    fail_msg("line %zu: '%s' is none of the choices", r->number, word);
    return 0;
}

/* "member key=value …" */
static void take_choice(reader *r, recorded_case *c, const bp_family *family, bp_choice *out)
{
    *out = support_choice(family, take_word(r));
    for (char *word; (word = strtok_r(NULL, " \n", &r->rest));) {
        char *value = strchr(word, '=');
        assert_non_null(value);
        *value++ = 0;
        size_t i = 0;
        while (i < out->member->parameter_count &&
               strcmp(out->member->parameters[i].name, word) != 0)
            i++;
        if (i == out->member->parameter_count)
            fail_msg("line %zu: %s has no '%s'", r->number, out->member->name, word);
        out->value[i] = to_value(r, &out->member->parameters[i], value);
        if (family != &bp_layer_family)
            add_setting(c, out->member->name, word, &out->member->parameters[i], &out->value[i]);
    }
}

static void take_training(reader *r, recorded_case *c)
{
    for (char *word; (word = strtok_r(NULL, " =\n", &r->rest));) {
        const double value = to_number(r, strtok_r(NULL, " \n", &r->rest));
        if (strcmp(word, "batch_size") == 0)
            c->spec.batch_size = (size_t)value;
        else if (strcmp(word, "epochs") == 0)
            c->spec.epochs = (uint64_t)value;
        else if (strcmp(word, "clip_norm") == 0) {
            c->clip_norm = value;
            add_setting(c, "training", word, NULL, &c->clip_norm);
        } else
            fail_msg("line %zu: '%s'", r->number, word);
    }
}

static void take_set(reader *r, const recorded *file, recorded_case *c)
{
    const char *name = take_word(r);
    for (size_t i = 0; i < file->set_count; i++)
        if (strcmp(file->set[i].name, name) == 0)
            c->set = &file->set[i];
    if (!c->set)
        fail_msg("line %zu: no data named %s", r->number, name);
    c->spec.network.input_width = c->set->width;
}

static void take_class_weights(reader *r, recorded_case *c)
{
    assert_true(c->set->target_count <= RECORDED_CLASS_LIMIT);
    for (size_t i = 0; i < c->set->target_count; i++) {
        c->class_weight[i] = take_number(r);
        add_setting(c, "class", "weight", NULL, &c->class_weight[i]);
    }
}

static void read_network_line(reader *r, recorded_case *c, const char *word)
{
    bp_network_spec *network = &c->spec.network;
    if (strcmp(word, "layer") == 0) {
        assert_true(network->layer_count < RECORDED_LAYER_LIMIT);
        bp_layer_spec *layer = &c->layers[network->layer_count++];
        *layer = support_dense(1, "identity");
        take_choice(r, c, &bp_layer_family, &layer->layer);
    } else if (strcmp(word, "activation") == 0)
        take_choice(r, c, &bp_activation_family, &c->layers[network->layer_count - 1].activation);
    else if (strcmp(word, "loss") == 0)
        take_choice(r, c, &bp_loss_family, &network->loss);
    else if (strcmp(word, "class_weight") == 0)
        take_class_weights(r, c);
    else
        fail_msg("line %zu: '%s'", r->number, word);
}

/* Lines from the one after "case" to "final". */
static void read_case(reader *r, const recorded *file, recorded_case *c)
{
    bp_training_spec *spec = &c->spec;
    spec->network.dtype = BP_FLOAT64;
    for (const char *word; !c->final;) {
        size_t count;
        word = next_line(r);
        assert_non_null(word);
        if (strcmp(word, "by") == 0)
            continue;
        if (strcmp(word, "rows") == 0)
            take_set(r, file, c);
        else if (strcmp(word, "optimizer") == 0)
            take_choice(r, c, &bp_optimizer_family, &spec->optimizer);
        else if (strcmp(word, "schedule") == 0)
            take_choice(r, c, &bp_schedule_family, &spec->schedule);
        else if (strcmp(word, "regularizer") == 0) {
            assert_true(spec->regularizer_count < BP_REGULARIZER_LIMIT);
            take_choice(r, c, &bp_regularizer_family,
                        &spec->regularizers[spec->regularizer_count++]);
        } else if (strcmp(word, "stopping") == 0)
            take_choice(r, c, &bp_stopping_family, &spec->early_stopping);
        else if (strcmp(word, "training") == 0)
            take_training(r, c);
        else if (strcmp(word, "start") == 0)
            c->start = take_numbers(r, &c->number_count);
        else if (strcmp(word, "final") == 0) {
            c->final = take_numbers(r, &count);
            assert_int_equal(count, c->number_count);
        } else
            read_network_line(r, c, word);
    }
}

recorded *recorded_open(const char *path)
{
    reader r = {.file = fopen(path, "r")};
    recorded *file = calloc(1, sizeof *file);
    if (!r.file || !file) {
        if (r.file)
            fclose(r.file);
        free(file);
        return NULL;
    }
    for (const char *word; (word = next_line(&r));) {
        if (strcmp(word, "data") == 0) {
            assert_true(file->set_count < RECORDED_SET_LIMIT);
            read_set(&r, &file->set[file->set_count++]);
        } else if (strcmp(word, "case") == 0) {
            assert_true(file->case_count < RECORDED_CASE_LIMIT);
            recorded_case *c = &file->cases[file->case_count++];
            take_text(&r, c->name);
            read_case(&r, file, c);
        } else
            fail_msg("line %zu: '%s'", r.number, word);
    }
    free(r.line);
    fclose(r.file);
    return file;
}

void recorded_close(recorded *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->set_count; i++) {
        bp_examples *examples = &file->set[i].examples;
        free((void *)(uintptr_t)examples->features);
        free((void *)(uintptr_t)examples->label);
        free((void *)(uintptr_t)examples->value);
    }
    for (size_t i = 0; i < file->case_count; i++) {
        free(file->cases[i].start);
        free(file->cases[i].final);
    }
    free(file);
}

bp_training_spec recorded_spec(const recorded_case *c)
{
    bp_training_spec spec = c->spec;
    spec.network.layers = c->layers;
    spec.clip_norm = c->clip_norm;
    for (size_t i = 0; i < RECORDED_CLASS_LIMIT; i++)
        if (c->class_weight[i] != 0)
            spec.network.class_weight = c->class_weight;
    return spec;
}
