/* A network as planned: private to core/network. */
#ifndef BP_CORE_NETWORK_NETWORK_PLAN_H
#define BP_CORE_NETWORK_NETWORK_PLAN_H

#include "core/network/network.h"

struct bp_network {
    const bp_kernels *kernels;
    const bp_kernels *kernels64; /* of the same instruction set: sums of row losses */
    bp_network_use use;
    size_t input_width, output_width;
    size_t batch_rows; /* most rows of a pass */
    size_t layer_count;
    bp_layer *layers;
    const bp_loss *loss;
    bp_choice loss_choice;
    double *class_weight; /* (shown_width) or NULL */
    size_t shown_width;
    void
        *shown_output; /* (batch_rows, shown_width); the last layer's a where widths are the same */
    bool owns_parameters;
    void *parameters;        /* the block; written only where owned */
    void *gradients;         /* same layout; NULL for prediction */
    size_t initialize_bytes; /* scratch of initialisers, which the gradients lend */
    size_t block_count;
    double *row_loss;     /* (batch_rows) */
    size_t first_trained; /* the lowest layer that training changes: δ goes no further down */
    bp_noise noise;       /* of the next passes */
    bp_layer_room room;
    size_t streams; /* of the next passes; 0 where there are no sequences */
    bool holds_state;
    void *state; /* what recurrent layers carry, all in one block */
    size_t state_bytes;
    /* Of the last pass. */
    size_t rows, pass_streams;
    bp_noise pass_noise;
    bool training; /* its activations and δ are there for backward */
    bool shown;    /* the output has been turned into what a prediction shows */
    /* Where everything above lies, this struct included. */
    bp_arena arena, block_arena;
};

/* Lays a network out: every pointer from `arena`, parameters from `block` (or, when `shared` is
 * given, from there). The measuring run (both arenas measuring) leaves the pointers NULL and counts
 * the same bytes. size is filled either way. network: zeroed. */
BP_CHECK_RESULT bp_status bp_network_plan(bp_network *network, bp_network_size *size,
                                          bp_arena *arena, bp_arena *block, const void *shared,
                                          const bp_network_spec *spec, bp_error *error);

/* Whether a network over tokens begins with the layers that it needs, and no other has them. BP_INVALID,
 * BP_SHAPE, BP_TOO_LARGE. */
BP_CHECK_RESULT bp_status bp_network_check_tokens(const bp_network_spec *spec, bp_error *error);

/* Writes "<before><index><separator><after>", cut to size. */
void bp_network_label(char *out, size_t size, const char *before, size_t index,
                      const char *separator, const char *after);

#endif
