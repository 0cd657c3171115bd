#include "core/layer/recurrent.h"

#include <string.h>

#include "core/base/checked.h"
#include "core/dropout/dropout.h"
#include "core/initializer/initializer.h"

enum { WEIGHT_IH, WEIGHT_HH, BIAS_IH, BIAS_HH, TENSOR_COUNT };
enum { STATE_H, STATE_C };

enum {
    /* From so many rows on a product with weights as they are stored costs less than packing them
     * first, for once; unless rows are more than weights. */
    UNPACKED_ROWS = 24,
    /* Elements of a step from which its cells are handed out, and of a block of them. */
    SPLIT_ELEMENTS = 16384,
    BLOCK_ELEMENTS = 4096,
};

static const double units_limit = 2147483647.0;

static const bp_cell *cell_of(const bp_layer *layer)
{
    return layer->type->cell;
}

/* ---- plan ---- */

static bool scratch_of(size_t *bytes, const bp_initializer *initializer, size_t rows,
                       size_t columns)
{
    size_t count = 0;
    if (initializer && initializer->scratch_count &&
        !initializer->scratch_count(&count, rows, columns))
        return false;
    return bp_checked_multiply(bytes, count, sizeof(double));
}

bp_status bp_recurrent_plan(bp_layer_shape *shape, const bp_layer_spec *spec,
                            const bp_layer_input *input, bp_error *error)
{
    const bp_cell *cell = bp_layer_type_of(spec->layer.member)->cell;
    const size_t input_width = input->width;
    const double given = spec->layer.value[BP_RECURRENT_UNITS];
    if (!(given >= 1 && given <= units_limit))
        return bp_error_set(error, BP_INVALID, "/units", "must be from 1 to %g", units_limit);
    const size_t units = (size_t)given;
    size_t gates, ih_count, hh_count, ih_scratch, hh_scratch;
    const bp_initializer *initializer = bp_initializer_of(spec->initializer.member);
    if (!bp_checked_multiply(&gates, units, cell->gate_count) ||
        !bp_checked_multiply(&ih_count, gates, input_width) ||
        !bp_checked_multiply(&hh_count, gates, units) ||
        !scratch_of(&ih_scratch, initializer, units, input_width) ||
        !scratch_of(&hh_scratch, initializer, units, units))
        return bp_error_set(error, BP_TOO_LARGE, "/units", "%zu units on %zu inputs are too many",
                            units, input_width);
    *shape = (bp_layer_shape){
        .input_width = input_width,
        .output_width = units,
        .tensor_count = TENSOR_COUNT,
        .tensor =
            {[WEIGHT_IH] = {.name = "weight_ih",
                            .rank = 2,
                            .shape = {gates, input_width},
                            .element_count = ih_count},
             [WEIGHT_HH] = {.name = "weight_hh",
                            .rank = 2,
                            .shape = {gates, units},
                            .element_count = hh_count},
             [BIAS_IH] = {.name = "bias_ih", .rank = 1, .shape = {gates}, .element_count = gates},
             [BIAS_HH] = {.name = "bias_hh", .rank = 1, .shape = {gates}, .element_count = gates}},
        .tensor_is_weight = {[WEIGHT_IH] = true, [WEIGHT_HH] = true},
        .fan_in = input_width,
        .fan_out = units,
        .initialize_bytes = ih_scratch > hh_scratch ? ih_scratch : hh_scratch,
        .state_count = cell->keeps_c ? 2 : 1,
        .state_name = {[STATE_H] = "h", [STATE_C] = "c"}};
    return BP_OK;
}

/* Under masks that are the same at all steps, of x and of h. */
static bool masks_x(const bp_layer *layer)
{
    return layer->dropout && !layer->dropout->masks_weights && layer->keep_input < 1;
}

static bool masks_h(const bp_layer *layer)
{
    return layer->dropout && !layer->dropout->masks_weights && layer->keep_recurrent < 1;
}

/* Arrays of the layer's own; rows are the room's. Those that steps of a prediction need only once have
 * S rows there. */
typedef struct arrays {
    void *gates;       /* (rows, G·H), where the cell has a forward */
    void *state_part;  /* (rows, G·H); (S, G·H) */
    void *c_before;    /* (S, H): c that the pass begins from */
    void *c;           /* (rows, H); (S, H), the same as c_before */
    void *tanh_c;      /* (rows, H) */
    void *carry;       /* (S, H) */
    void *masked_x;    /* (rows, in) */
    void *masked_h;    /* (rows, H); (S, H) */
    void *unmasked;    /* (S, H) */
    void *packed_back; /* W_hh for backward */
} arrays;

static void *take(bp_arena *arena, bool wanted, size_t rows, size_t width, size_t real_size)
{
    size_t count;
    if (!wanted)
        return NULL;
    if (!bp_checked_multiply(&count, rows, width)) {
        arena->overflow = true;
        return NULL;
    }
    return bp_arena_take(arena, count, real_size);
}

static arrays lay_out(bp_arena *arena, const bp_layer *layer, const bp_kernels *kernels)
{
    const bp_cell *cell = cell_of(layer);
    const bool training = layer->room.training;
    const size_t real = kernels->real_size, in = layer->shape.input_width;
    const size_t units = layer->shape.output_width, gates = units * cell->gate_count;
    const size_t rows = layer->room.rows, streams = layer->room.streams;
    const size_t step_rows = training ? rows : streams;
    arrays a = {
        .gates = take(arena, cell->forward != NULL, rows, gates, real),
        .state_part = take(arena, cell->parts_state, step_rows, gates, real),
        .c_before = take(arena, cell->keeps_c, streams, units, real),
        .tanh_c = take(arena, cell->keeps_c && training, rows, units, real),
        .carry = take(arena, cell->keeps_c && training, streams, units, real),
        .masked_x = take(arena, masks_x(layer), rows, in, real),
        .masked_h = take(arena, masks_h(layer), step_rows, units, real),
        .unmasked = take(arena, masks_h(layer) && training, streams, units, real),
    };
    a.c = cell->keeps_c && training ? take(arena, true, rows, units, real) : a.c_before;
    if (training) {
        const size_t bytes = kernels->gemm_packed_bytes(gates, units);
        arena->overflow |= bytes == 0;
        a.packed_back = bp_arena_take(arena, bytes, 1);
    }
    return a;
}

/* The arrays of a layer that has been laid out. */
static arrays arrays_of(const bp_layer *layer, const bp_kernels *kernels)
{
    bp_arena arena = {.base = layer->scratch, .size_bytes = SIZE_MAX};
    return lay_out(&arena, layer, kernels);
}

/* Bytes of the first of the two packed weights. */
static size_t packed_input_bytes(const bp_layer *layer, const bp_kernels *kernels)
{
    return kernels->gemm_packed_bytes(layer->shape.input_width,
                                      layer->shape.output_width * cell_of(layer)->gate_count);
}

bool bp_recurrent_measure(size_t *packed_bytes, size_t *scratch_bytes, const bp_layer *layer,
                          const bp_kernels *kernels)
{
    const size_t units = layer->shape.output_width;
    const size_t input = packed_input_bytes(layer, kernels);
    const size_t state = kernels->gemm_packed_bytes(units, units * cell_of(layer)->gate_count);
    bp_arena arena = bp_arena_measure();
    lay_out(&arena, layer, kernels);
    *scratch_bytes = arena.used_bytes;
    return input > 0 && state > 0 && !arena.overflow && bp_checked_add(packed_bytes, input, state);
}

/* Each gate's block of a matrix is a matrix of its own. */
static void fill_blocks(bp_layer *layer, const bp_kernels *kernels, size_t tensor, uint64_t seed,
                        void *scratch)
{
    const size_t units = layer->shape.output_width, count = cell_of(layer)->gate_count;
    const size_t columns = layer->shape.tensor[tensor].shape[1];
    const bp_initializer *initializer = bp_initializer_of(layer->spec.initializer.member);
    for (size_t gate = 0; gate < count; gate++) {
        const bp_random random = bp_random_stream(seed, (uint32_t)layer->index,
                                                  BP_RANDOM_INITIALIZE, tensor * count + gate);
        const bp_fill fill = {.data = (unsigned char *)layer->parameter[tensor] +
                                      gate * units * columns * kernels->real_size,
                              .dtype = kernels->dtype,
                              .rows = units,
                              .columns = columns,
                              .fan_in = columns,
                              .fan_out = units,
                              .random = &random,
                              .value = layer->spec.initializer.value,
                              .scratch = scratch};
        initializer->fill(&fill);
    }
}

void bp_recurrent_initialize(bp_layer *layer, const bp_kernels *kernels, uint64_t seed,
                             void *scratch)
{
    fill_blocks(layer, kernels, WEIGHT_IH, seed, scratch);
    fill_blocks(layer, kernels, WEIGHT_HH, seed, scratch);
    for (size_t tensor = BIAS_IH; tensor <= BIAS_HH; tensor++)
        memset(layer->parameter[tensor], 0,
               layer->shape.tensor[tensor].element_count * kernels->real_size);
}

/* ---- passes ---- */

/* A pass under way. */
typedef struct passing {
    bp_layer *layer;
    const bp_pass *pass;
    arrays own;
    size_t in, units, gates; /* widths: gates is G·H */
    size_t streams, steps;
    unsigned char *h; /* (S + rows, H): from the state that the pass begins from */
    void *p;          /* (rows, G·H) */
    bool x_is_masked, h_is_masked;
} passing;

static passing passing_of(bp_layer *layer, const bp_pass *pass)
{
    const bp_cell *cell = cell_of(layer);
    const size_t units = layer->shape.output_width;
    const bool noisy = pass->noise.kind != BP_NOISE_NONE;
    passing p = {.layer = layer,
                 .pass = pass,
                 .own = arrays_of(layer, pass->kernels),
                 .in = layer->shape.input_width,
                 .units = units,
                 .gates = units * cell->gate_count,
                 .streams = pass->streams,
                 .steps = pass->rows / pass->streams,
                 .h = (unsigned char *)layer->a - pass->streams * units * pass->kernels->real_size,
                 .x_is_masked = noisy && masks_x(layer),
                 .h_is_masked = noisy && masks_h(layer)};
    p.p = cell->forward ? p.own.gates : layer->z;
    return p;
}

/* Step `step` of an array of rows. */
static void *step_of(const passing *p, const void *array, size_t step, size_t width)
{
    const size_t bytes = step * p->streams * width * p->pass->kernels->real_size;
    return array ? (unsigned char *)(uintptr_t)array + bytes : NULL;
}

/* Which place of an array that has one in a prediction a step uses. */
static size_t place_of(const passing *p, size_t step)
{
    return p->layer->room.training ? step : 0;
}

static const void *h_before(const passing *p, size_t step)
{
    return step_of(p, p->h, step, p->units);
}

/* What h_before goes into the product as, in a forward that has been through the step. */
static void *masked_h(const passing *p, size_t step)
{
    return step_of(p, p->own.masked_h, place_of(p, step), p->units);
}

/* Masks rows of x (array 0) or h (array 1). */
static void mask(const passing *p, size_t array, void *out, const void *in, size_t rows)
{
    const bp_layer *layer = p->layer;
    const bp_dropout_masking masking = {.layer = layer->index,
                                        .keep =
                                            array == 0 ? layer->keep_input : layer->keep_recurrent,
                                        .out = out,
                                        .in = in,
                                        .rows = rows,
                                        .width = array == 0 ? p->in : p->units,
                                        .first_row = array * BP_DROPOUT_ARRAY_ROWS,
                                        .period = bp_dropout_period(&layer->spec.dropout, p->pass)};
    bp_dropout_mask(&masking, p->pass);
}

static bp_cell_step cell_step(const passing *p, size_t step)
{
    const size_t units = p->units, place = place_of(p, step);
    const bp_cell *cell = cell_of(p->layer);
    return (bp_cell_step){
        .layer = p->layer,
        .pass = p->pass,
        .streams = p->streams,
        .gates = step_of(p, p->p, step, p->gates),
        .state_part = step_of(p, p->own.state_part, place, p->gates),
        .h_before = h_before(p, step),
        .h = step_of(p, p->layer->a, step, units),
        .c_before = cell->keeps_c && step > 0 && p->layer->room.training
                        ? step_of(p, p->own.c, step - 1, units)
                        : p->own.c_before,
        .c = step_of(p, p->own.c, place, units),
        .tanh_c = p->pass->training ? step_of(p, p->own.tanh_c, step, units) : NULL,
        .delta = step_of(p, p->layer->delta, step, units),
        .delta_before = step > 0 ? step_of(p, p->layer->delta, step - 1, units) : NULL,
        .carry = p->own.carry};
}

typedef struct rows_job {
    void (*rows)(const void *argument, size_t first, size_t count);
    const void *argument;
    size_t row_count, block_rows;
} rows_job;

static void rows_block(void *argument, size_t block)
{
    const rows_job *job = argument;
    const size_t first = block * job->block_rows, left = job->row_count - first;
    job->rows(job->argument, first, left < job->block_rows ? left : job->block_rows);
}

void bp_recurrent_rows(const bp_cell_step *step,
                       void (*rows)(const void *argument, size_t first, size_t count),
                       const void *argument)
{
    const size_t units = step->layer->shape.output_width;
    if (step->streams * units < SPLIT_ELEMENTS) {
        rows(argument, 0, step->streams);
        return;
    }
    rows_job job = {rows, argument, step->streams,
                    units < BLOCK_ELEMENTS ? BLOCK_ELEMENTS / units : 1};
    bp_parallel_for(step->pass->parallel, rows_block, &job,
                    (step->streams + job.block_rows - 1) / job.block_rows);
}

/* A product with weights (n, k) as they are stored, or as packed, on `rows` rows of `a`. */
static bp_gemm_call product_of(const passing *p, size_t rows, const void *a, const void *weight,
                               const void *packed, size_t n, size_t k, void *c)
{
    return (bp_gemm_call){.m = rows,
                          .n = n,
                          .k = k,
                          .a = a,
                          .a_row_stride = k,
                          .a_column_stride = 1,
                          .b = weight,
                          .b_row_stride = 1,
                          .b_column_stride = k,
                          .packed_b = packed,
                          .c = c,
                          .c_row_stride = n,
                          .parallel = p->pass->parallel};
}

static void forward_step(const passing *p, size_t step, const void *weight, const void *packed)
{
    const bp_layer *layer = p->layer;
    const bp_cell *cell = cell_of(layer);
    const bp_cell_step at = cell_step(p, step);
    const void *before = at.h_before;
    if (p->h_is_masked) {
        mask(p, 1, masked_h(p, step), before, p->streams);
        before = masked_h(p, step);
    }
    bp_gemm_call product = product_of(p, p->streams, before, weight, packed, p->gates, p->units,
                                      cell->parts_state ? at.state_part : at.gates);
    product.accumulate = !cell->parts_state;
    product.bias = layer->parameter[BIAS_HH];
    if (!cell->forward) {
        product.activation = layer->activation;
        product.activation_value = layer->spec.activation.value;
        product.activated = at.h;
    }
    p->pass->kernels->gemm(&product);
    if (cell->forward)
        cell->forward(&at);
}

/* Between what a pass begins from, or ends with, and the state that the layer carries. */
static void copy_state(const passing *p, bool begin)
{
    const bp_layer *layer = p->layer;
    const size_t bytes = p->streams * p->units * p->pass->kernels->real_size;
    void *const c_end = step_of(p, p->own.c, place_of(p, p->steps - 1), p->units);
    if (begin) {
        memcpy(p->h, layer->state[STATE_H], bytes);
        if (cell_of(layer)->keeps_c)
            memcpy(p->own.c_before, layer->state[STATE_C], bytes);
    } else if (!p->pass->holds_state) {
        memcpy(layer->state[STATE_H], step_of(p, p->h, p->steps, p->units), bytes);
        if (cell_of(layer)->keeps_c)
            memcpy(layer->state[STATE_C], c_end, bytes);
    }
}

void bp_recurrent_forward(bp_layer *layer, const bp_pass *pass)
{
    const bp_kernels *kernels = pass->kernels;
    const passing p = passing_of(layer, pass);
    const void *weight_ih = bp_dropout_weights(layer, pass, WEIGHT_IH);
    const void *weight_hh = bp_dropout_same_weights(layer, pass, WEIGHT_HH);
    const bool weight_is_masked = weight_ih != layer->parameter[WEIGHT_IH];
    unsigned char *packed_ih = layer->packed;
    unsigned char *packed_hh = packed_ih + packed_input_bytes(layer, kernels);
    const bool is_current = layer->packed_is_current && !weight_is_masked;
    const bool packs_input =
        is_current || !pass->training || pass->rows < UNPACKED_ROWS || pass->rows >= p.in;
    if (!is_current) {
        if (packs_input)
            kernels->gemm_pack(packed_ih, weight_ih, 1, p.in, p.in, p.gates, pass->parallel);
        kernels->gemm_pack(packed_hh, weight_hh, 1, p.units, p.units, p.gates, pass->parallel);
    }
    copy_state(&p, true);
    const void *x = layer->x;
    if (p.x_is_masked) {
        mask(&p, 0, p.own.masked_x, x, pass->rows);
        x = p.own.masked_x;
    }
    bp_gemm_call input = product_of(&p, pass->rows, x, weight_ih, packs_input ? packed_ih : NULL,
                                    p.gates, p.in, p.p);
    input.bias = layer->parameter[BIAS_IH];
    kernels->gemm(&input);
    for (size_t step = 0; step < p.steps; step++)
        forward_step(&p, step, weight_hh, packed_hh);
    copy_state(&p, false);
    layer->packed_is_current = packs_input && !weight_is_masked;
    bp_dropout_output(layer, pass);
}

/* dJ/dh of the step before gets what comes through the product of this one. */
static void hand_back(const passing *p, size_t step, const void *weight)
{
    const bp_kernels *kernels = p->pass->kernels;
    const bp_cell_step at = cell_step(p, step);
    const bp_gemm_call product = {.m = p->streams,
                                  .n = p->units,
                                  .k = p->gates,
                                  .a = cell_of(p->layer)->parts_state ? at.state_part : at.gates,
                                  .a_row_stride = p->gates,
                                  .a_column_stride = 1,
                                  .b = weight,
                                  .b_row_stride = p->units,
                                  .b_column_stride = 1,
                                  .packed_b = p->own.packed_back,
                                  .c = p->h_is_masked ? p->own.unmasked : at.delta_before,
                                  .c_row_stride = p->units,
                                  .accumulate = !p->h_is_masked,
                                  .parallel = p->pass->parallel};
    kernels->gemm(&product);
    if (!p->h_is_masked)
        return;
    mask(p, 1, p->own.unmasked, p->own.unmasked, p->streams);
    kernels->axpy(at.delta_before, 1, p->own.unmasked, p->streams * p->units);
}

/* gradient (G·H, width) = Δᵀ · of, over all steps. */
static void weight_gradient(const passing *p, size_t tensor, const void *delta, const void *of,
                            size_t width)
{
    const bp_gemm_call product = {.m = p->gates,
                                  .n = width,
                                  .k = p->pass->rows,
                                  .a = delta,
                                  .a_row_stride = 1,
                                  .a_column_stride = p->gates,
                                  .b = of,
                                  .b_row_stride = width,
                                  .b_column_stride = 1,
                                  .c = p->layer->gradient[tensor],
                                  .c_row_stride = width,
                                  .parallel = p->pass->parallel};
    p->pass->kernels->gemm(&product);
}

void bp_recurrent_backward(bp_layer *layer, const bp_pass *pass, void *dx)
{
    const bp_kernels *kernels = pass->kernels;
    const bp_cell *cell = cell_of(layer);
    passing p = passing_of(layer, pass);
    const void *weight_hh = bp_dropout_same_weights(layer, pass, WEIGHT_HH);
    bp_dropout_delta(layer, pass, NULL); /* no form lets anything past a recurrent layer */
    if (p.own.carry)
        memset(p.own.carry, 0, p.streams * p.units * kernels->real_size);
    if (!cell->forward)
        p.p = layer->delta; /* Δ takes the place of dJ/dh */
    if (p.steps > 1)
        kernels->gemm_pack(p.own.packed_back, weight_hh, p.units, 1, p.gates, p.units,
                           pass->parallel);
    for (size_t step = p.steps; step-- > 0;) {
        const bp_cell_step at = cell_step(&p, step);
        cell->backward(&at);
        if (step > 0)
            hand_back(&p, step, weight_hh);
    }
    const void *state_delta = cell->parts_state ? p.own.state_part : p.p;
    weight_gradient(&p, WEIGHT_IH, p.p, p.x_is_masked ? p.own.masked_x : layer->x, p.in);
    weight_gradient(&p, WEIGHT_HH, state_delta, p.h_is_masked ? p.own.masked_h : p.h, p.units);
    bp_dropout_gradients(layer, pass);
    kernels->sum_rows(layer->gradient[BIAS_IH], p.p, pass->rows, p.gates);
    if (cell->parts_state)
        kernels->sum_rows(layer->gradient[BIAS_HH], state_delta, pass->rows, p.gates);
    else
        memcpy(layer->gradient[BIAS_HH], layer->gradient[BIAS_IH], p.gates * kernels->real_size);
    if (!dx)
        return;
    const bp_gemm_call input_gradient = {.m = pass->rows,
                                         .n = p.in,
                                         .k = p.gates,
                                         .a = p.p,
                                         .a_row_stride = p.gates,
                                         .a_column_stride = 1,
                                         .b = bp_dropout_same_weights(layer, pass, WEIGHT_IH),
                                         .b_row_stride = p.in,
                                         .b_column_stride = 1,
                                         .c = dx,
                                         .c_row_stride = p.in,
                                         .parallel = pass->parallel};
    kernels->gemm(&input_gradient);
    if (p.x_is_masked)
        mask(&p, 0, dx, dx, pass->rows);
}
