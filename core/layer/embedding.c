/* The embedding: a table of vectors, one row for each token. With ids (rows, w) and the table E (tokens, D),
 * p the positions of the ids one after another:
 *   forward   A[p] = E[id_p]
 *   backward  ∇E[i] = Σ_{p: id_p = i} Δ[p], in the order of p; 0 where there is none
 *
 * The gradient has a row for each token, but backward works only on those that the batch has: it clears the
 * rows of the last one, and chains the positions of each token. Invariant: between two backwards, rows of the
 * gradient that are not in `touched` are 0, unless gradient_is_full. Where the table is tied to the last layer,
 * that one has written all of the gradient, and the sums are added to what is there. */
#include <assert.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/dropout/dropout.h"
#include "core/initializer/initializer.h"
#include "core/layer/token_layers.h"

enum {
    WEIGHT = BP_EMBEDDING_WEIGHT,
    BLOCK_ELEMENTS = 16384, /* of vectors that one task goes through, about */
    LINE_BYTES = 64,
};

#define NO_POSITION UINT32_MAX

static const double dimension_limit = 1048576;

static bp_status embedding_plan(bp_layer_shape *shape, const bp_layer_spec *spec,
                                const bp_layer_input *input, bp_error *error)
{
    const double given = spec->layer.value[BP_EMBEDDING_DIMENSION];
    if (!(given >= 1 && given <= dimension_limit))
        return bp_error_set(error, BP_INVALID, "/dimension", "must be from 1 to %g",
                            dimension_limit);
    const size_t tokens = input->token_count, dimension = (size_t)given;
    const bool frozen = spec->layer.value[BP_EMBEDDING_TRAINABLE] == 0;
    if (frozen && spec->layer.value[BP_EMBEDDING_SPARSE] != 0)
        return bp_error_set(error, BP_INVALID, "/sparse",
                            "says how vectors are trained, and these are not: \"trainable\" is "
                            "false");
    bp_layer_shape planned = {.input_width = input->width,
                              .tensor_count = 1,
                              .tensor_is_weight = {[WEIGHT] = true},
                              .tensor_is_frozen = {[WEIGHT] = frozen},
                              .fan_in = dimension,
                              .fan_out = tokens};
    planned.tensor[WEIGHT] = (bp_tensor){.name = "weight", .rank = 2, .shape = {tokens, dimension}};
    if (!bp_checked_multiply(&planned.tensor[WEIGHT].element_count, tokens, dimension) ||
        !bp_checked_multiply(&planned.output_width, input->width, dimension))
        return bp_error_set(error, BP_TOO_LARGE, "/dimension",
                            "vectors of %zu numbers for %zu tokens are too many", dimension,
                            tokens);
    const bp_initializer *initializer = bp_initializer_of(spec->initializer.member);
    if (initializer && initializer->scratch_count &&
        !(initializer->scratch_count(&planned.initialize_bytes, tokens, dimension) &&
          bp_checked_multiply(&planned.initialize_bytes, planned.initialize_bytes, sizeof(double))))
        return bp_error_set(error, BP_TOO_LARGE, "/init",
                            "vectors of %zu numbers for %zu tokens are too many for this "
                            "initialiser",
                            dimension, tokens);
    *shape = planned;
    return BP_OK;
}

/* ---- which tokens a batch has, and where ---- */

/* Of the last batch; in scratch. */
typedef struct reading {
    uint32_t *place; /* (tokens) 1 + where the token is in row; 0: the batch does not have it */
    uint32_t *row;   /* tokens, in the order of their first positions */
    uint32_t *first, *last; /* positions of each */
    uint32_t *next;         /* (positions) the next one of the same token, or NO_POSITION */
} reading;

static size_t token_count(const bp_layer *layer)
{
    return layer->shape.tensor[WEIGHT].shape[0];
}

static size_t dimension_of(const bp_layer *layer)
{
    return layer->shape.tensor[WEIGHT].shape[1];
}

static reading lay_out(bp_arena *arena, const bp_layer *layer, size_t positions)
{
    const size_t tokens = token_count(layer), most = positions < tokens ? positions : tokens;
    return (reading){.place = bp_arena_take(arena, tokens, sizeof(uint32_t)),
                     .row = bp_arena_take(arena, most, sizeof(uint32_t)),
                     .first = bp_arena_take(arena, most, sizeof(uint32_t)),
                     .last = bp_arena_take(arena, most, sizeof(uint32_t)),
                     .next = bp_arena_take(arena, positions, sizeof(uint32_t))};
}

static reading reading_of(const bp_layer *layer)
{
    bp_arena arena = {.base = layer->scratch, .size_bytes = SIZE_MAX};
    return lay_out(&arena, layer, layer->room.rows * layer->shape.input_width);
}

static bool embedding_measure(size_t *packed_bytes, size_t *scratch_bytes, const bp_layer *layer,
                              const bp_kernels *kernels)
{
    (void)kernels;
    *packed_bytes = *scratch_bytes = 0;
    if (!layer->room.training || layer->shape.tensor_is_frozen[WEIGHT])
        return true;
    size_t positions;
    if (!bp_checked_multiply(&positions, layer->room.rows, layer->shape.input_width) ||
        positions >= NO_POSITION)
        return false;
    bp_arena arena = bp_arena_measure();
    lay_out(&arena, layer, positions);
    *scratch_bytes = arena.used_bytes;
    return !arena.overflow;
}

static void embedding_initialize(bp_layer *layer, const bp_kernels *kernels, uint64_t seed,
                                 void *scratch)
{
    bp_random random = bp_random_stream(seed, (uint32_t)layer->index, BP_RANDOM_INITIALIZE, 0);
    const bp_fill fill = {.data = layer->parameter[WEIGHT],
                          .dtype = kernels->dtype,
                          .rows = token_count(layer),
                          .columns = dimension_of(layer),
                          .fan_in = layer->shape.fan_in,
                          .fan_out = layer->shape.fan_out,
                          .random = &random,
                          .value = layer->spec.initializer.value,
                          .scratch = scratch};
    bp_initializer_of(layer->spec.initializer.member)->fill(&fill);
}

/* ---- passes ---- */

typedef struct gather_job {
    const int32_t *ids;
    const unsigned char *table;
    unsigned char *out;
    size_t positions, block_positions, row_bytes, tokens;
} gather_job;

static void gather_block(void *argument, size_t block)
{
    const gather_job *job = argument;
    const size_t first = block * job->block_positions, left = job->positions - first;
    const size_t end = first + (left < job->block_positions ? left : job->block_positions);
    for (size_t p = first; p < end; p++) {
        const size_t id = (size_t)job->ids[p];
        assert(id < job->tokens); /* a negative one is not either */
        /* Vectors lie far apart, where the processor does not look ahead by itself. */
        for (size_t byte = 0; p + 1 < end && byte < job->row_bytes; byte += LINE_BYTES)
            __builtin_prefetch(job->table + (size_t)job->ids[p + 1] * job->row_bytes + byte);
        memcpy(job->out + p * job->row_bytes, job->table + id * job->row_bytes, job->row_bytes);
    }
}

static size_t at_once(const bp_layer *layer)
{
    const size_t dimension = dimension_of(layer);
    return dimension < BLOCK_ELEMENTS ? BLOCK_ELEMENTS / dimension : 1;
}

static void embedding_forward(bp_layer *layer, const bp_pass *pass)
{
    gather_job job = {.ids = layer->x,
                      .table = layer->parameter[WEIGHT],
                      .out = layer->a,
                      .positions = pass->rows * layer->shape.input_width,
                      .block_positions = at_once(layer),
                      .row_bytes = dimension_of(layer) * pass->kernels->real_size,
                      .tokens = token_count(layer)};
    bp_parallel_for(pass->parallel, gather_block, &job,
                    (job.positions + job.block_positions - 1) / job.block_positions);
    bp_dropout_output(layer, pass);
}

/* Makes all of the gradient 0, where the embedding begins it, and forgets the batch that it was of. */
static void clear_gradient(bp_layer *layer, const reading *r, size_t real_size)
{
    const size_t row_bytes = dimension_of(layer) * real_size;
    unsigned char *gradient = layer->gradient[WEIGHT];
    if (layer->gradient_is_full)
        memset(gradient, 0, token_count(layer) * row_bytes);
    for (size_t i = 0; i < layer->touched.count; i++) {
        if (!layer->gradient_is_full && !layer->is_tied)
            memset(gradient + r->row[i] * row_bytes, 0, row_bytes);
        r->place[r->row[i]] = 0;
    }
    layer->gradient_is_full = false;
    layer->touched.count = 0;
}

/* Chains the positions of each token. Returns the number of tokens. */
static size_t chain_positions(const reading *r, const int32_t *ids, size_t positions)
{
    size_t count = 0;
    for (size_t p = 0; p < positions; p++) {
        uint32_t *place = &r->place[ids[p]];
        if (*place == 0) {
            r->row[count] = (uint32_t)ids[p];
            r->first[count] = (uint32_t)p;
            *place = (uint32_t)++count;
        } else
            r->next[r->last[*place - 1]] = (uint32_t)p;
        r->last[*place - 1] = (uint32_t)p;
        r->next[p] = NO_POSITION;
    }
    return count;
}

typedef struct sum_job {
    const bp_layer *layer;
    const bp_kernels *kernels;
    const reading *r;
    size_t count, block_count; /* tokens, and of a block */
} sum_job;

static void sum_block(void *argument, size_t block)
{
    const sum_job *job = argument;
    const size_t first = block * job->block_count, left = job->count - first;
    const size_t end = first + (left < job->block_count ? left : job->block_count);
    const size_t dimension = dimension_of(job->layer);
    const size_t row_bytes = dimension * job->kernels->real_size;
    for (size_t i = first; i < end; i++) {
        unsigned char *sum = (unsigned char *)job->layer->gradient[WEIGHT];
        for (uint32_t p = job->r->first[i]; p != NO_POSITION; p = job->r->next[p])
            job->kernels->axpy(sum + job->r->row[i] * row_bytes, 1,
                               (const unsigned char *)job->layer->delta + p * row_bytes, dimension);
    }
}

static void embedding_backward(bp_layer *layer, const bp_pass *pass, void *dx)
{
    (void)dx; /* nothing below has a gradient */
    const reading r = reading_of(layer);
    bp_dropout_delta(layer, pass, NULL);
    clear_gradient(layer, &r, pass->kernels->real_size);
    const size_t count = chain_positions(&r, layer->x, pass->rows * layer->shape.input_width);
    sum_job job = {.layer = layer,
                   .kernels = pass->kernels,
                   .r = &r,
                   .count = count,
                   .block_count = at_once(layer)};
    bp_parallel_for(pass->parallel, sum_block, &job,
                    (count + job.block_count - 1) / job.block_count);
    layer->touched = (bp_touched){.row = r.row, .count = count};
}

static const bp_hyperparameter parameters[] = {
    {.name = "dimension",
     .meaning = "numbers in the vector of a token: D",
     .kind = BP_INTEGER_PARAMETER,
     .required = true,
     .minimum = 1,
     .maximum = 1048576},
    {.name = "trainable",
     .meaning = "whether training changes the vectors; false: they stay as they begin, whatever "
                "regularisation and decay there is",
     .kind = BP_BOOLEAN_PARAMETER,
     .default_value = 1,
     .minimum = 0,
     .maximum = 1},
    {.name = "sparse",
     .meaning = "update only vectors of tokens that the step has read, and only their part of the "
                "optimiser's memory, whatever optimiser it is; false: all vectors, as if the "
                "gradient of the others were given as 0",
     .kind = BP_BOOLEAN_PARAMETER,
     .default_value = 0,
     .minimum = 0,
     .maximum = 1},
};

const bp_layer_type bp_layer_embedding = {
    .member = {.name = "embedding",
               .summary = "a vector for each token of the vocabulary, learnt like any weights",
               .formula =
                   "a = E[id], for a window [E[id_1] ... E[id_width]]; dE[i] = sum of delta over "
                   "the places where i is read",
               .reference =
                   "Bengio, Ducharme, Vincent & Jauvin 2003, A Neural Probabilistic Language "
                   "Model, section 2",
               .pytorch =
                   "torch.nn.Embedding(tokens, dimension), with trainable false "
                   "Embedding.from_pretrained(freeze=True); with sparse Embedding(sparse=True) "
                   "under SGD, Adagrad (eps as there) or SparseAdam, which scales ε by the root of "
                   "1 - β₂ⁿ",
               .index = BP_LAYER_embedding,
               .parameter_count = sizeof parameters / sizeof parameters[0],
               .parameters = parameters},
    .is_fixed = true,
    .is_token_layer = true,
    .plan = embedding_plan,
    .measure = embedding_measure,
    .initialize = embedding_initialize,
    .forward = embedding_forward,
    .backward = embedding_backward,
};
