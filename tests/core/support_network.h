/* What the tests of networks and trainings share: short ways to specify them, made-up data. */
#ifndef BP_TESTS_CORE_SUPPORT_NETWORK_H
#define BP_TESTS_CORE_SUPPORT_NETWORK_H

#include "core/training/trainer.h"

/* The member by name (it must exist) with defaults, and with its first value set. */
bp_choice support_choice(const bp_family *family, const char *name);
bp_choice support_choice_of(const bp_family *family, const char *name, double first_value);

/* A dense layer with bias, Xavier uniform weights. */
bp_layer_spec support_dense(size_t units, const char *activation);

/* A training network of these layers on this machine's best instruction set. */
bp_network_spec support_network_spec(const bp_layer_spec *layers, size_t layer_count,
                                     size_t input_width, size_t batch_rows, const char *loss);

/* Creates or fails the test. */
bp_network *support_network_create(const bp_network_spec *spec);

/* Evaluates or fails the test. */
bp_evaluation support_evaluate(bp_trainer *trainer, const bp_examples *examples);

/* Made-up numbers, the same in every run: values in [-1, 1), labels in [0, classes). */
void support_values(void *out, bp_dtype dtype, size_t count, uint64_t seed);
void support_labels(int32_t *out, size_t count, size_t classes, uint64_t seed);

/* Element of an array of either width. */
double support_at(const void *array, bp_dtype dtype, size_t index);
void support_set(void *array, bp_dtype dtype, size_t index, double value);

/* Fills all parameters, biases too, with made-up numbers in [-scale, scale). */
void support_parameters(bp_network *network, uint64_t seed, double scale);

#endif
