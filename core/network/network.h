/* A network: layers under a loss, planned once. All parameters lie in one block, all gradients in
 * another of the same layout, all activations in one arena; after bp_network_create nothing is
 * allocated again. A network belongs to one thread at a time; its parameters may be shared
 * read-only by networks planned for prediction. */
#ifndef BP_CORE_NETWORK_NETWORK_H
#define BP_CORE_NETWORK_NETWORK_H

#include "core/layer/layer.h"

enum { BP_LAYER_LIMIT = 256 };

typedef enum bp_network_use {
    BP_USE_TRAINING,  /* gradients, deltas, kept activations */
    BP_USE_PREDICTION /* forward only */
} bp_network_use;

typedef enum bp_input_kind {
    BP_INPUT_VALUES, /* numbers of the network's dtype */
    BP_INPUT_TOKENS  /* int32 ids, each at least 0 and below token_count: the caller's to see to */
} bp_input_kind;

typedef struct bp_network_spec {
    bp_dtype dtype;
    bp_isa isa;
    bp_network_use use;
    bp_input_kind input_kind;
    size_t token_count; /* of the vocabulary, for BP_INPUT_TOKENS */
    size_t input_width; /* elements of a row, at least 1; tokens of a window, 1 without one */
    size_t batch_rows;  /* most rows of one pass, at least 1 */
    /* Where rows are steps of sequences: most streams and most steps of a pass, whose product is
     * batch_rows. 0: they are not, and no layer may be recurrent. */
    struct {
        size_t streams, steps;
    } sequence;
    size_t layer_count;          /* 1 … BP_LAYER_LIMIT */
    const bp_layer_spec *layers; /* "auto" already resolved */
    bp_choice loss;
    /* (classes), finite, at least 0: copied; NULL: every class weighs 1. */
    const double *class_weight;
    bool keep_z; /* keep every z, for bp_network_layer to show */
} bp_network_spec;

/* Writes the JSON Pointer of a layer's field, cut to size: "/network/layers/<index>/<field>". */
void bp_network_layer_field(char *out, size_t size, size_t index, const char *field);

/* What the first layer stands on. */
static inline bp_layer_input bp_network_first_input(const bp_network_spec *spec)
{
    const bool by_tokens = spec->input_kind == BP_INPUT_TOKENS;
    return (bp_layer_input){.width = spec->input_width,
                            .token_count = by_tokens ? spec->token_count : 0};
}

/* What a network will need, found without allocating. */
typedef struct bp_network_size {
    size_t parameter_count; /* numbers, over all tensors */
    size_t tensor_count;
    size_t parameter_bytes; /* of the block, alignment included */
    size_t arena_bytes;     /* activations, gradients, packed weights, scratch */
    size_t total_bytes;
    size_t state_bytes;  /* of what recurrent layers carry, in the arena */
    size_t output_width; /* elements of a row of the last layer */
    size_t shown_width;  /* of what a prediction shows: classes, or targets */
} bp_network_size;

typedef struct bp_network bp_network;

/* Targets of a batch; which one the loss reads, if any, is its target_kind. */
typedef struct bp_targets {
    const int32_t *label; /* (rows) */
    const void *value;    /* (rows, output width) in the network's dtype */
} bp_targets;

/* Checks the specification and says what it needs. Allocates nothing beyond the stack.
 * BP_SHAPE (a binary or paired loss over several outputs), BP_INVALID (a softmax that is not last, tokens without an
 * embedding), BP_TOO_LARGE;
 * `where` is a JSON Pointer below the job ("/network/layers/1/units"). */
BP_CHECK_RESULT bp_status bp_network_measure(bp_network_size *out, const bp_network_spec *spec,
                                             bp_error *error);

/* Plans and allocates; parameters are zero. Also BP_NO_MEMORY, BP_UNSUPPORTED (instruction set). */
BP_CHECK_RESULT bp_status bp_network_create(bp_network **out, const bp_network_spec *spec,
                                            bp_error *error);

/* The same, computing on `parameters` (read only, borrowed, laid out as bp_network_parameters of a
 * network of the same layers and dtype) instead of on a block of its own. BP_USE_PREDICTION only.
 */
BP_CHECK_RESULT bp_status bp_network_create_shared(bp_network **out, const bp_network_spec *spec,
                                                   const void *parameters, bp_error *error);

void bp_network_free(bp_network *network); /* accepts NULL */

/* Writes initial weights: a function of seed and specification alone; the gradients are zero after
 * it where an initialiser works in their place (orthogonal, which only a network for training can
 * begin with). */
void bp_network_initialize(bp_network *network, uint64_t seed);

const bp_kernels *bp_network_kernels(const bp_network *network);
size_t bp_network_layer_count(const bp_network *network);
const bp_layer *bp_network_layer(const bp_network *network, size_t index);
size_t bp_network_output_width(const bp_network *network);
size_t bp_network_shown_width(const bp_network *network);
const bp_loss *bp_network_loss(const bp_network *network);

/* Parameter tensors in export order, named "layers.<i>.<tensor>"; data leads into the block. */
size_t bp_network_tensor_count(const bp_network *network);
bp_tensor bp_network_tensor(const bp_network *network, size_t index);
bp_tensor bp_network_gradient_tensor(const bp_network *network, size_t index);
bool bp_network_tensor_is_weight(const bp_network *network, size_t index);
/* Training leaves it as it is: no gradient, penalty, decay or projection concerns it. */
bool bp_network_tensor_is_frozen(const bp_network *network, size_t index);

/* The whole parameter and gradient blocks (element count includes alignment gaps, which are zero
 * and stay zero under every optimiser). */
void *bp_network_parameters(bp_network *network);
void *bp_network_gradients(bp_network *network);
size_t bp_network_block_count(const bp_network *network);

/* Must follow every change of the parameters that did not come from this interface. */
void bp_network_parameters_changed(bp_network *network);
/* The same of the gradients, where elements may have changed that were 0: a backward does not go through
 * all of an embedding's gradient. */
void bp_network_gradients_changed(bp_network *network);

/* Where the noise of the next passes comes from, until it is said again; BP_NOISE_NONE at first.
 * BP_NOISE_TRAINING concerns passes with training alone, BP_NOISE_SAMPLE those without; a pass that
 * it does not concern has none. Without noise a pass computes what dropout computes on average. */
void bp_network_set_noise(bp_network *network, bp_noise noise);

/* Of a network over sequences: how many streams the rows of the next passes are, from 1 to the planned
 * number, which it is at first. Fewer streams than planned go by the first of the carried states and
 * leave the others alone. */
void bp_network_set_streams(bp_network *network, size_t streams);

/* What recurrent layers carry from pass to pass: it is zero at first, a forward begins from it and
 * leaves what the next one begins from. No gradient goes into it (backpropagation through time is
 * truncated at the begin of a pass). All of it is one block, gaps for alignment included, which a
 * checkpoint keeps as it is; state_bytes 0: the network carries nothing. */
void bp_network_state_reset(bp_network *network);
void *bp_network_state(bp_network *network);
size_t bp_network_state_bytes(const bp_network *network);

/* The same as tensors (planned streams, units), "layers.<i>.h" and, of an LSTM, "layers.<i>.c"; data
 * leads into the block. */
size_t bp_network_state_count(const bp_network *network);
bp_tensor bp_network_state_tensor(const bp_network *network, size_t index);

/* true: passes begin from the carried state and leave it as it is, until it is said again. Returns
 * what it was before: false at first. */
bool bp_network_hold_state(bp_network *network, bool hold);

/* Runs rows through. input (rows, input_width) of the input kind, borrowed until the matching backward. Returns the
 * last layer's output (rows, output_width), borrowed until the next pass: logits where the loss
 * merges. */
const void *bp_network_forward(bp_network *network, const bp_parallel *parallel, const void *input,
                               size_t rows, bool training);

/* Mean loss of the batch that forward last saw; row_loss (rows, or pairs under a paired loss) may be NULL. */
double bp_network_loss_value(bp_network *network, const bp_parallel *parallel,
                             const bp_targets *targets, double *row_loss);

/* Once after a forward with training: fills the gradient block with the gradient of the mean loss and
 * returns that loss. Each δ is computed once and kept for the layer below. */
double bp_network_backward(bp_network *network, const bp_parallel *parallel,
                           const bp_targets *targets);

/* A forward with training and its backward in one: the same bits. Where the last layer is wide (a
 * softmax over words) its product, the loss and δ go by blocks of rows, in place, which stay in the
 * cache between them. No output is left to be looked at. */
double bp_network_train(bp_network *network, const bp_parallel *parallel, const void *input,
                        size_t rows, const bp_targets *targets);

/* What a prediction shows of the last forward: probabilities, values or scores, in place where the
 * widths allow. Returns (rows, shown_width), borrowed until the next pass. */
const void *bp_network_shown_output(bp_network *network);

/* Pieces of the loss on which the outputs of the last forward lie, (rows, output_width), for a loss
 * that has pieces. */
void bp_network_loss_piece(const bp_network *network, const bp_targets *targets,
                           unsigned char *piece);

/* Predicts rows with sample_count networks sampled from the dropout of this one (at least 1; those of
 * numbers 0, 1, … under the seed), and leaves it without noise.
 *   input      (rows, input_width)
 *   mean       (rows, shown_width) of what a prediction shows
 *   deviation  (rows, shown_width) population standard deviation; 0 without any dropout
 *   entropy    (rows) of the mean distribution, in nats; NaN where no probabilities are shown
 * Every sample begins from the carried state, which stays as it is. A row's bits depend on that row alone, of
 * a network over sequences on its stream. Allocates nothing; the network's thread.
 * Source: Gal & Ghahramani 2016, Dropout as a Bayesian Approximation. */
void bp_network_predict_samples(double *mean, double *deviation, double *entropy,
                                bp_network *network, const void *input, size_t rows,
                                uint64_t sample_count, uint64_t seed);

#endif
