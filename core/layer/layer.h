/* Layers: how a network is planned and passed through. A layer type is one const record; a planned
 * layer is a bp_layer whose pointers lead into the network's one parameter block and one arena.
 *
 * Letters: x input, W weights [out, in], b bias, z = W x + b, a = f(z), δ the error arriving at z.
 *
 * Rows of a pass over sequences are time-major: row t·S + s is step t of stream s, S the streams of
 * the pass. Only recurrent layers, and masks that are the same at all steps, look at that. */
#ifndef BP_CORE_LAYER_LAYER_H
#define BP_CORE_LAYER_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/family.h"
#include "core/base/parallel.h"
#include "core/base/tensor.h"
#include "core/kernel/kernels.h"
#include "core/random/random.h"

enum { BP_LAYER_TENSOR_LIMIT = 4, BP_LAYER_STATE_LIMIT = 2 };

/* One entry of network.layers. */
typedef struct bp_layer_spec {
    bp_choice layer;       /* of bp_layer_family; "units" and the like are its hyperparameters */
    bp_choice activation;  /* of bp_activation_family */
    bp_choice initializer; /* of bp_initializer_family, for the weights */
    bp_choice dropout;     /* of bp_dropout_family; member NULL: none */
} bp_layer_spec;

/* What a layer stands on. */
typedef struct bp_layer_input {
    size_t width; /* elements of a row */
    /* They are ids of so many tokens (int32); 0: numbers of the network's dtype. */
    size_t token_count;
    /* Shape of the embedding further down, (tokens, dimension); 0: there is none. */
    size_t table[2];
} bp_layer_input;

/* What a layer asks of the plan, from its specification and what it stands on. */
typedef struct bp_layer_shape {
    size_t input_width, output_width; /* elements of a row */
    size_t tensor_count;
    bp_tensor tensor[BP_LAYER_TENSOR_LIMIT]; /* names ("weight", "bias") and shapes; data NULL */
    /* l2, l1, max-norm and fan-in scaling concern weight tensors only. */
    bool tensor_is_weight[BP_LAYER_TENSOR_LIMIT];
    bool tensor_is_frozen[BP_LAYER_TENSOR_LIMIT]; /* training leaves it alone; its gradient is 0 */
    size_t fan_in, fan_out;
    size_t initialize_bytes; /* of scratch that initialize needs */
    /* What is carried from pass to pass: state_count arrays (streams, output_width), 0 but in
     * recurrent layers, with names ("h", "c"). */
    size_t state_count;
    const char *state_name[BP_LAYER_STATE_LIMIT];
} bp_layer_shape;

/* Where the randomness of a pass comes from. */
typedef enum bp_noise_kind {
    BP_NOISE_NONE,     /* expectations: no dropout */
    BP_NOISE_TRAINING, /* masks of a training step, new ones for each row */
    BP_NOISE_SAMPLE    /* one of the networks that dropout makes of this one, for all rows */
} bp_noise_kind;

typedef struct bp_noise {
    bp_noise_kind kind;
    uint64_t seed;
    uint64_t step; /* of training, or number of the sample */
} bp_noise;

/* What a network is planned for, as far as layers must know. */
typedef struct bp_layer_room {
    size_t rows;    /* most rows of a pass */
    size_t streams; /* most streams of a pass; 0: rows are not parts of sequences */
    bool training;  /* backward may follow a pass */
} bp_layer_room;

/* One pass of a batch through a network. */
typedef struct bp_pass {
    const bp_kernels *kernels;
    const bp_parallel *parallel; /* may be NULL */
    size_t rows;                 /* of this batch, at most the planned number */
    size_t streams;   /* S, of which rows is a multiple; 0 where there are no sequences */
    bool holds_state; /* begin from the carried state, and leave it as it is */
    bool training;    /* backward follows: keep what it needs */
    bp_noise noise;
} bp_pass;

struct bp_layer_type;
struct bp_cell;
struct bp_dropout;

/* Rows of a weight tensor that a backward gave a gradient, each once, in the order in which the batch reads
 * them; that of all others is 0. */
typedef struct bp_touched {
    const uint32_t *row; /* (count) */
    size_t count;
} bp_touched;

/* A planned layer. Everything is borrowed from the network. */
typedef struct bp_layer {
    const struct bp_layer_type *type;
    bp_layer_spec spec;
    bp_layer_shape shape;
    const bp_activation *activation;  /* of the kernels in use; identity where the loss merges it */
    const struct bp_dropout *dropout; /* NULL: none, or one that keeps everything */
    size_t index;                     /* in network.layers */
    bp_layer_room room;
    /* Of a recurrent layer: the probabilities that an input, and an element of h before its product,
     * is kept under a mask that is the same at all steps of a pass; 1: there is no mask. */
    double keep_input, keep_recurrent;
    void *parameter[BP_LAYER_TENSOR_LIMIT];
    void *gradient[BP_LAYER_TENSOR_LIMIT]; /* NULL in a network planned for prediction only */
    /* Row-major, `planned rows` × width each. */
    const void *x; /* (rows, input_width): the activations below; set for each pass */
    void *z;       /* (rows, output_width) before the activation; equals a unless z is to be kept */
    /* (rows, output_width) f(z), before dropout. Before a of a recurrent layer lies room for the
     * output of one more step: the state that a pass begins from. */
    void *a;
    void *state[BP_LAYER_STATE_LIMIT]; /* (streams, output_width): what the next pass begins from */
    /* (rows, output_width) what the layer above sees: a, what dropout has made of it (in masked), or
     * x itself; set by each forward. */
    const void *output;
    void *masked; /* (rows, output_width) where dropout is on outputs; a where nobody needs that */
    /* (rows, output_width): dJ/d(output) on entry of backward, dJ/dz after; training only */
    void *delta;
    /* Shaped as parameter: the weights under the mask of the last pass with noise, where dropout is
     * on connections; NULL elsewhere. */
    void *masked_parameter[BP_LAYER_TENSOR_LIMIT];
    void *packed; /* weights laid out for the forward product (bp_kernels.gemm_pack) */
    bool packed_is_current;
    void *scratch; /* the type's own, scratch_bytes of it */
    /* The embedding whose table this layer multiplies with instead of weights of its own; NULL: none. The
     * backward of this layer begins the table's gradient, and that of the embedding adds to it. */
    const struct bp_layer *tied_to;
    bool is_tied; /* the other end */
    /* Of an embedding in training. */
    bool touches_rows;     /* backward says in `touched` which rows of its weights it concerns */
    bool gradient_is_full; /* others have written to rows besides those: backward clears them all */
    bp_touched touched;    /* of the last backward */
} bp_layer;

typedef struct bp_layer_type {
    bp_member member;
    /* Has no parameters and only hands on its input, or some of it: no activation, initialiser or
     * dropout of its own; output may be x; dx may be delta. Refused as a last layer. */
    bool is_mask;
    bool is_token_layer;        /* stands at the begin of a network over tokens, and nowhere else */
    const struct bp_cell *cell; /* of a recurrent layer, which needs sequences; NULL elsewhere */
    bool is_fixed;              /* its activations are its own: none is chosen, and z is a */
    const char *default_activation; /* where none is chosen; NULL: identity */
    /* Fills shape. BP_SHAPE, BP_TOO_LARGE (a size overflows). */
    bp_status (*plan)(bp_layer_shape *shape, const bp_layer_spec *spec, const bp_layer_input *input,
                      bp_error *error);
    /* Bytes of packed weights and of scratch, from shape, room and dropout; false on overflow. */
    bool (*measure)(size_t *packed_bytes, size_t *scratch_bytes, const bp_layer *layer,
                    const bp_kernels *kernels);
    /* Writes initial parameters: a function of specification, index and seed. scratch: 64-byte
     * aligned, shape.initialize_bytes of it. */
    void (*initialize)(bp_layer *layer, const bp_kernels *kernels, uint64_t seed, void *scratch);
    /* Reads x, writes z and a, sets output. Allocates nothing. */
    void (*forward)(bp_layer *layer, const bp_pass *pass);
    /* Turns delta from dJ/d(output) into dJ/dz, writes gradient[] (overwriting), and, unless dx is NULL
     * (nothing below wants it), dx = dJ/dx (rows, input_width). Once after a forward: it may use
     * up what that has kept. */
    void (*backward)(bp_layer *layer, const bp_pass *pass, void *dx);
    /* The two parts of backward without dropout, or NULL: what is done row by row (delta becomes dJ/dz,
     * and dx), and the gradients, which want all rows. The first may then be called for some rows after
     * the others, with the layer's arrays begun at them. */
    void (*backward_rows)(bp_layer *layer, const bp_pass *pass, void *dx);
    void (*backward_weights)(bp_layer *layer, const bp_pass *pass);
} bp_layer_type;

enum bp_layer_index {
#define BP_LAYER(name) BP_LAYER_##name,
#include "core/layer/layer.def"
#undef BP_LAYER
    BP_LAYER_COUNT
};

#define BP_LAYER(name) extern const bp_layer_type bp_layer_##name;
#include "core/layer/layer.def"
#undef BP_LAYER

extern const bp_family bp_layer_family;

/* The record of a member of bp_layer_family. */
static inline const bp_layer_type *bp_layer_type_of(const bp_member *member)
{
    return (const bp_layer_type *)member; /* member is its first field */
}

/* What stands on a layer of that member and shape, which stands on `below`: ids end at an embedding, whose table
 * can be seen from further up. */
static inline bp_layer_input bp_layer_above(bp_layer_input below, const bp_member *member,
                                            const bp_layer_shape *shape)
{
    if (member->index != BP_LAYER_embedding) {
        below.width = shape->output_width;
        return below;
    }
    return (bp_layer_input){.width = shape->output_width,
                            .table = {shape->tensor[0].shape[0], shape->tensor[0].shape[1]}};
}

#endif
