#include "core/training/update.h"

#include <math.h>
#include <string.h>

#include "core/layer/token_layers.h"
#include "core/training/penalty.h"

/* How far an update goes is summed in runs of this size. */
enum { RUN_BYTES = 8192 };

/* Blocks of the gradient that one task looks at. */
enum { BLOCKS_AT_ONCE = 4 };

/* Rows are projected in tasks of about this many elements. */
enum { PROJECT_ELEMENTS = 16384 };

typedef struct update_job {
    bp_update *update;
    double *squares; /* per block, or NULL */
    double *finite;  /* per block */
    double factor;   /* for the gradient */
    bool measure;
} update_job;

static void *at(void *array, const bp_update *update, size_t element)
{
    return (unsigned char *)array + element * update->kernels->real_size;
}

static bool is_sparse(const bp_layer_spec *layer)
{
    return layer->layer.member && layer->layer.member->index == BP_LAYER_embedding &&
           layer->layer.value[BP_EMBEDDING_SPARSE] != 0;
}

static double decay_of(const bp_choice *optimizer)
{
    for (size_t i = 0; i < optimizer->member->parameter_count; i++)
        if (strcmp(optimizer->member->parameters[i].name, "weight_decay") == 0)
            return optimizer->value[i];
    return 0;
}

bp_status bp_update_check(const bp_network_spec *network, const bp_choice *optimizer,
                          const bp_choice *regularizers, size_t regularizer_count, bp_error *error)
{
    const bp_status status = bp_regularizers_check(regularizers, regularizer_count, error);
    if (status != BP_OK)
        return status;
    for (size_t index = 0; index < network->layer_count; index++) {
        if (!is_sparse(&network->layers[index]))
            continue;
        char where[BP_ERROR_WHERE_SIZE];
        bp_network_layer_field(where, sizeof where, index, "sparse");
        if (regularizer_count > 0)
            return bp_error_set(error, BP_INVALID, where,
                                "a sparse embedding updates what a step has read alone, and %s is "
                                "about all of it: leave one of them out",
                                regularizers[0].member->name);
        if (decay_of(optimizer) != 0)
            return bp_error_set(error, BP_INVALID, where,
                                "a sparse embedding updates what a step has read alone, and "
                                "weight_decay is about all of it: leave one of them out");
    }
    return BP_OK;
}

void bp_update_plan(bp_update *update, bp_arena *arena, const bp_network_size *size)
{
    for (size_t slot = 0; slot < update->optimizer->slot_count; slot++)
        update->slot[slot] = bp_arena_take(arena, update->count, update->kernels->real_size);
    bp_segments_plan(&update->segments, arena, size);
    const size_t blocks = bp_segments_most_blocks(size);
    update->length = bp_arena_take(arena, blocks, sizeof *update->length);
    update->moved = bp_arena_take(arena, blocks, sizeof *update->moved);
}

void bp_update_bind(bp_update *update, bp_network *network)
{
    update->network = network;
    update->theta = bp_network_parameters(network);
    update->gradient = bp_network_gradients(network);
    bp_segments_cut(&update->segments, network,
                    update->optimizer->rests_at_zero && update->regularizer_count == 0);
}

/* ---- the gradient ---- */

/* Squares of a block's spans, in order. */
static double squares_of(const bp_update *update, const bp_block *block)
{
    const size_t spans = bp_block_span_count(&update->segments, block);
    double squares = 0;
    for (size_t i = 0; i < spans; i++) {
        const bp_span span = bp_block_span(&update->segments, block, i);
        squares +=
            update->kernels->sum_squares(at(update->gradient, update, span.offset), span.count);
    }
    return squares;
}

static bool is_finite(const bp_update *update, const bp_block *block)
{
    const size_t spans = bp_block_span_count(&update->segments, block);
    bool finite = true;
    for (size_t i = 0; i < spans; i++) {
        const bp_span span = bp_block_span(&update->segments, block, i);
        finite &=
            update->kernels->all_finite(at(update->gradient, update, span.offset), span.count) != 0;
    }
    return finite;
}

static void scale_gradient(const bp_update *update, const bp_block *block, double factor)
{
    const size_t spans = bp_block_span_count(&update->segments, block);
    for (size_t i = 0; i < spans; i++) {
        const bp_span span = bp_block_span(&update->segments, block, i);
        update->kernels->scale(at(update->gradient, update, span.offset), factor, span.count);
    }
}

/* Squares of blocks first to last of one segment, which lie one behind the other; all but the segment's last
 * are of one size. */
static void sum_blocks(const update_job *job, size_t first, size_t last)
{
    const bp_update *update = job->update;
    const bp_block *block = update->segments.block;
    size_t count = 0;
    for (size_t index = first; index <= last; index++)
        count += block[index].count;
    update->kernels->sum_squares_chunks(&job->squares[first],
                                        at(update->gradient, update, block[first].offset), count,
                                        block[first].count);
}

static void gradient_blocks(void *argument, size_t index)
{
    const update_job *job = argument;
    bp_update *update = job->update;
    const bp_block *block = update->segments.block;
    const size_t first = index * BLOCKS_AT_ONCE, left = update->segments.block_count - first;
    const size_t end = first + (left < BLOCKS_AT_ONCE ? left : BLOCKS_AT_ONCE);
    for (size_t i = first; i < end; i++)
        bp_penalty_add_gradient(&update->segments, update->kernels, update->regularizers,
                                update->regularizer_count, &block[i], update->gradient,
                                update->theta);
    for (size_t i = first, last; job->squares && i < end; i = last + 1) {
        last = i;
        if (update->segments.segment[block[i].segment].touched) {
            job->squares[i] = squares_of(update, &block[i]);
            continue;
        }
        while (last + 1 < end && block[last + 1].segment == block[i].segment)
            last++;
        sum_blocks(job, i, last);
    }
    /* A finite sum of squares says that all are; one that is not may have overflown. */
    for (size_t i = first; i < end; i++)
        job->finite[i] =
            (job->squares && isfinite(job->squares[i])) || is_finite(update, &block[i]);
}

static void shrink_block(void *argument, size_t index)
{
    const update_job *job = argument;
    bp_update *update = job->update;
    const bp_block *block = &update->segments.block[index];
    scale_gradient(update, block, job->factor);
    job->squares[index] = squares_of(update, block);
}

static double total(const double *partial, size_t count)
{
    double sum = 0;
    for (size_t index = 0; index < count; index++)
        sum += partial[index];
    return sum;
}

/* A finite gradient whose squares overflow is clipped all the same: shrunk by a power of 2 first.
 * Returns the squares of what is left in the gradient. */
static double shrink(update_job *job, const bp_parallel *parallel)
{
    const bp_segments *segments = &job->update->segments;
    job->factor = job->update->kernels->dtype == BP_FLOAT32 ? 0x1p-80 : 0x1p-530;
    bp_parallel_for(parallel, shrink_block, job, segments->block_count);
    return total(job->squares, segments->block_count);
}

bp_gradient_facts bp_update_gradient(bp_update *update, const bp_parallel *parallel, bool measure)
{
    bp_segments *segments = &update->segments;
    bp_segments_cut_touched(segments);
    const size_t blocks = segments->block_count;
    const bool wants_norm = measure || update->clip_norm > 0;
    bp_gradient_facts facts = {.penalty = NAN, .norm = NAN, .factor = 1, .finite = true};
    parallel = bp_segments_parallel(segments, parallel);
    const double penalty =
        bp_penalty_prepare(segments, update->kernels, parallel, update->theta, update->regularizers,
                           update->regularizer_count, measure);
    if (measure)
        facts.penalty = penalty;

    update_job job = {.update = update,
                      .squares = wants_norm ? update->length : NULL,
                      .finite = segments->partial};
    bp_parallel_for(parallel, gradient_blocks, &job,
                    (blocks + BLOCKS_AT_ONCE - 1) / BLOCKS_AT_ONCE);
    if (update->regularizer_count > 0)
        bp_network_gradients_changed(update->network);
    for (size_t index = 0; index < blocks; index++)
        facts.finite &= job.finite[index] != 0;
    if (!wants_norm || !facts.finite)
        return facts;
    double left = sqrt(total(job.squares, blocks));
    facts.norm = left;
    if (update->clip_norm > 0 && isinf(left)) {
        left = sqrt(shrink(&job, parallel));
        facts.norm = left / job.factor;
        facts.factor = update->clip_norm / left;
    } else if (update->clip_norm > 0 && left > update->clip_norm)
        facts.factor = update->clip_norm / left;
    return facts;
}

/* ---- the update ---- */

/* Updates a span; measured: as bp_optimizer.update has it. */
static void update_span(double *measured, const bp_update *update, const bp_segment *segment,
                        bp_span span)
{
    const size_t offset = span.offset;
    void *slot[BP_SLOT_LIMIT] = {NULL}, *theta = at(update->theta, update, offset);
    const void *gradient = at(update->gradient, update, offset);
    for (size_t i = 0; i < update->optimizer->slot_count; i++)
        slot[i] = at(update->slot[i], update, offset);
    update->optimizer->update(measured, theta, gradient, slot, span.count, segment->scalar);
}

/* Adds how far a span goes to Σ θ² and Σ Δθ². */
static void update_measured(double sums[2], const bp_update *update, const bp_segment *segment,
                            bp_span span)
{
    const size_t run = RUN_BYTES / update->kernels->real_size;
    for (size_t first = 0; first < span.count; first += run) {
        const size_t left = span.count - first;
        double squares[2];
        update_span(squares, update, segment,
                    (bp_span){span.offset + first, left < run ? left : run});
        sums[0] += squares[0];
        sums[1] += squares[1];
    }
}

static void apply_block(void *argument, size_t index)
{
    const update_job *job = argument;
    const bp_update *update = job->update;
    const bp_block *block = &update->segments.block[index];
    const bp_segment *segment = &update->segments.segment[block->segment];
    const size_t spans = bp_block_span_count(&update->segments, block);
    double sums[2] = {0, 0};
    if (job->factor != 1)
        scale_gradient(update, block, job->factor);
    for (size_t i = 0; i < spans; i++) {
        const bp_span span = bp_block_span(&update->segments, block, i);
        if (job->measure && segment->is_weight)
            update_measured(sums, update, segment, span);
        else
            update_span(NULL, update, segment, span);
    }
    if (job->measure && segment->is_weight) {
        update->length[index] = sums[0];
        update->moved[index] = sums[1];
    }
}

typedef struct project_job {
    const bp_update *update;
    const bp_regularizer *regularizer;
    const double *value;
    const bp_segment *segment;
    size_t rows; /* of a task */
} project_job;

static void project_rows(void *argument, size_t index)
{
    const project_job *job = argument;
    const bp_segment *segment = job->segment;
    const size_t first = index * job->rows, left = segment->rows - first;
    job->regularizer->project(
        at(job->update->theta, job->update, segment->offset + first * segment->columns),
        left < job->rows ? left : job->rows, segment->columns, job->value);
}

static void project(const bp_update *update, const bp_parallel *parallel)
{
    for (size_t i = 0; i < update->regularizer_count; i++) {
        const bp_choice *choice = &update->regularizers[i];
        project_job job = {.update = update,
                           .regularizer = update->kernels->regularizers[choice->member->index],
                           .value = choice->value};
        for (size_t index = 0; job.regularizer->project && index < update->segments.segment_count;
             index++) {
            const bp_segment *segment = &update->segments.segment[index];
            if (!segment->is_weight)
                continue;
            job.segment = segment;
            job.rows =
                segment->columns < PROJECT_ELEMENTS ? PROJECT_ELEMENTS / segment->columns : 1;
            bp_parallel_for(parallel, project_rows, &job,
                            (segment->rows + job.rows - 1) / job.rows);
        }
    }
}

void bp_update_apply(bp_update *update, const bp_parallel *parallel, double learning_rate,
                     uint64_t t, const bp_gradient_facts *facts, bool measure)
{
    bp_segments *segments = &update->segments;
    parallel = bp_segments_parallel(segments, parallel);
    for (size_t index = 0; index < segments->segment_count; index++) {
        bp_segment *segment = &segments->segment[index];
        bp_update_context context = {
            .learning_rate = learning_rate, .t = t, .is_weight = segment->is_weight};
        if (update->fan_in_scaled && segment->is_weight)
            context.learning_rate /= sqrt((double)segment->columns);
        update->optimizer->prepare(segment->scalar, update->choice.value, &context);
    }
    update_job job = {.update = update, .factor = facts->factor, .measure = measure};
    bp_parallel_for(parallel, apply_block, &job, segments->block_count);
    project(update, parallel);
}

double bp_update_ratio(const bp_update *update, size_t layer)
{
    double length = 0, moved = 0;
    for (size_t index = 0; index < update->segments.segment_count; index++) {
        const bp_segment *segment = &update->segments.segment[index];
        if (segment->layer != layer || !segment->is_weight)
            continue;
        length += bp_segment_total(&update->segments, update->length, index);
        moved += bp_segment_total(&update->segments, update->moved, index);
    }
    return length > 0 ? sqrt(moved / length) : NAN;
}
