/* Trainings recorded by tests/torch/record.py, read back. The file is ours: what is wrong in it ends the
 * test that reads it. */
#ifndef BP_TESTS_CORE_SUPPORT_RECORDED_H
#define BP_TESTS_CORE_SUPPORT_RECORDED_H

#include "core/training/trainer.h"

enum {
    RECORDED_NAME_SIZE = 64,
    RECORDED_SET_LIMIT = 8,
    RECORDED_CASE_LIMIT = 128,
    RECORDED_LAYER_LIMIT = 4,
    RECORDED_CLASS_LIMIT = 8,
    RECORDED_SETTING_LIMIT = 32,
};

typedef struct recorded_set {
    char name[RECORDED_NAME_SIZE];
    bool by_class;
    size_t width, target_count; /* features of a row; classes, or numbers of a target */
    bp_examples examples;       /* float64; owned */
} recorded_set;

/* A number of the job, written down in the file. */
typedef struct recorded_setting {
    char name[RECORDED_NAME_SIZE]; /* "optimizer learning_rate" */
    const bp_hyperparameter
        *hyperparameter; /* NULL: not of a member (a class's weight, clip_norm) */
    double *value;       /* in the case */
} recorded_setting;

typedef struct recorded_case {
    char name[RECORDED_NAME_SIZE];
    const recorded_set *set;
    bp_layer_spec layers[RECORDED_LAYER_LIMIT];
    double class_weight[RECORDED_CLASS_LIMIT];
    double clip_norm;
    bp_training_spec
        spec; /* float64; instruction set, layers, weights and clipping still to be set */
    size_t setting_count;
    recorded_setting setting[RECORDED_SETTING_LIMIT];
    size_t number_count; /* over all tensors */
    double *start, *final;
} recorded_case;

typedef struct recorded {
    size_t set_count, case_count;
    recorded_set set[RECORDED_SET_LIMIT];
    recorded_case cases[RECORDED_CASE_LIMIT];
} recorded;

/* NULL where the file cannot be read; fails the test where its text is not as it should be. */
recorded *recorded_open(const char *path);
void recorded_close(recorded *file); /* accepts NULL */

/* The job of a case with its present settings, ready for bp_trainer_create but for the instruction
 * set; leads into the case. */
bp_training_spec recorded_spec(const recorded_case *c);

#endif
