#include "core/training/segment.h"

#include "core/layer/token_layers.h"

/* Elements of a block: a function of nothing, so that the same sums come out for any number of
 * threads; 64 KiB of floats, which stay in a core's own cache between the passes of a step. */
enum { BLOCK_ELEMENTS = 16384 };

/* Each segment may end in a short block, so this is enough whatever the shapes. */
size_t bp_segments_most_blocks(const bp_network_size *size)
{
    return size->parameter_count / BLOCK_ELEMENTS + size->tensor_count;
}

void bp_segments_plan(bp_segments *segments, bp_arena *arena, const bp_network_size *size)
{
    const size_t blocks = bp_segments_most_blocks(size);
    segments->segment = bp_arena_take(arena, size->tensor_count, sizeof *segments->segment);
    segments->block = bp_arena_take(arena, blocks, sizeof *segments->block);
    segments->partial = bp_arena_take(arena, blocks, sizeof *segments->partial);
}

/* Blocks of `size` of `count` things, which are counted from `offset`. */
static void cut_blocks(bp_segments *segments, size_t index, size_t offset, size_t count,
                       size_t size)
{
    bp_segment *segment = &segments->segment[index];
    segment->first_block = segments->block_count;
    for (size_t first = 0; first < count; first += size) {
        const size_t left = count - first;
        segments->block[segments->block_count++] = (bp_block){
            .segment = index, .offset = offset + first, .count = left < size ? left : size};
    }
    segment->block_count = segments->block_count - segment->first_block;
}

/* Whether a step is about what a layer has touched: nothing happens to the rest of its weights. */
static bool goes_by_rows(const bp_layer *layer, bool zero_rests)
{
    return layer->touches_rows && (zero_rests || layer->spec.layer.value[BP_EMBEDDING_SPARSE] != 0);
}

void bp_segments_cut(bp_segments *segments, bp_network *network, bool zero_rests)
{
    const size_t real_size = bp_network_kernels(network)->real_size;
    const unsigned char *base = bp_network_parameters(network);
    segments->segment_count = segments->block_count = 0;
    for (size_t i = 0; i < bp_network_layer_count(network); i++) {
        const bp_layer *layer = bp_network_layer(network, i);
        for (size_t number = 0; number < layer->shape.tensor_count; number++) {
            const bp_tensor *tensor = &layer->shape.tensor[number];
            const size_t index = segments->segment_count++;
            const bool frozen = layer->shape.tensor_is_frozen[number];
            segments->segment[index] = (bp_segment){
                .offset =
                    (size_t)((const unsigned char *)layer->parameter[number] - base) / real_size,
                .count = tensor->element_count,
                .rows = tensor->shape[0],
                .columns = tensor->element_count / tensor->shape[0],
                .layer = i,
                .is_weight = layer->shape.tensor_is_weight[number] && !frozen,
                .touched = goes_by_rows(layer, zero_rests) ? &layer->touched : NULL};
            if (!frozen && !segments->segment[index].touched)
                cut_blocks(segments, index, segments->segment[index].offset, tensor->element_count,
                           BLOCK_ELEMENTS);
        }
    }
    segments->whole_count = segments->block_count;
}

/* Rows of a block are so many that no step has more blocks than were planned: those of whole tensors are
 * not longer. */
void bp_segments_cut_touched(bp_segments *segments)
{
    segments->block_count = segments->whole_count;
    for (size_t index = 0; index < segments->segment_count; index++) {
        const bp_segment *segment = &segments->segment[index];
        if (segment->touched)
            cut_blocks(segments, index, 0, segment->touched->count,
                       (BLOCK_ELEMENTS + segment->columns - 1) / segment->columns);
    }
}

size_t bp_block_span_count(const bp_segments *segments, const bp_block *block)
{
    return segments->segment[block->segment].touched ? block->count : 1;
}

bp_span bp_block_span(const bp_segments *segments, const bp_block *block, size_t index)
{
    const bp_segment *segment = &segments->segment[block->segment];
    if (!segment->touched)
        return (bp_span){block->offset, block->count};
    const size_t row = segment->touched->row[block->offset + index];
    return (bp_span){segment->offset + row * segment->columns, segment->columns};
}

const bp_parallel *bp_segments_parallel(const bp_segments *segments, const bp_parallel *parallel)
{
    size_t count = 0;
    for (size_t index = 0; index < segments->segment_count; index++) {
        const bp_segment *segment = &segments->segment[index];
        count += segment->touched ? segment->touched->count * segment->columns : segment->count;
    }
    return count > BLOCK_ELEMENTS ? parallel : NULL;
}

typedef struct sum_job {
    const bp_segments *segments;
    const unsigned char *theta;
    size_t real_size;
    double (*sum)(const void *w, size_t count);
} sum_job;

static void sum_block(void *argument, size_t index)
{
    const sum_job *job = argument;
    const bp_block *block = &job->segments->block[index];
    const bp_segment *segment = &job->segments->segment[block->segment];
    if (segment->is_weight && !segment->touched)
        job->segments->partial[index] =
            job->sum(job->theta + block->offset * job->real_size, block->count);
}

void bp_segments_sum(bp_segments *segments, const bp_parallel *parallel, const void *theta,
                     size_t real_size, double (*sum)(const void *w, size_t count))
{
    sum_job job = {.segments = segments, .theta = theta, .real_size = real_size, .sum = sum};
    bp_parallel_for(bp_segments_parallel(segments, parallel), sum_block, &job,
                    segments->block_count);
    for (size_t index = 0; index < segments->segment_count; index++)
        if (segments->segment[index].is_weight && !segments->segment[index].touched)
            segments->segment[index].sum = bp_segment_total(segments, segments->partial, index);
}

double bp_segment_total(const bp_segments *segments, const double *partial, size_t index)
{
    const bp_segment *segment = &segments->segment[index];
    double total = 0;
    for (size_t block = 0; block < segment->block_count; block++)
        total += partial[segment->first_block + block];
    return total;
}
