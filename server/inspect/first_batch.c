#include "server/inspect/first_batch.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/training/row_order.h"

typedef struct taken {
    double *input, *value;
    int32_t *label;
} taken;

static void take_row(double *out, const void *rows, bp_dtype dtype, size_t row, size_t width)
{
    if (dtype == BP_FLOAT64)
        memcpy(out, (const double *)rows + row * width, width * sizeof *out);
    else
        for (size_t i = 0; i < width; i++)
            out[i] = (double)((const float *)rows)[row * width + i];
}

static void free_taken(taken *owned)
{
    if (!owned)
        return;
    free(owned->input);
    free(owned->value);
    free(owned->label);
    free(owned);
}

static bool allocate(taken *owned, size_t rows, size_t width, size_t target_width)
{
    size_t elements, values;
    if (!bp_checked_multiply(&elements, rows, width) ||
        !bp_checked_multiply(&values, rows, target_width))
        return false;
    owned->input = calloc(elements, sizeof *owned->input);
    owned->value = calloc(values ? values : 1, sizeof *owned->value);
    owned->label = calloc(rows, sizeof *owned->label);
    return owned->input && owned->value && owned->label;
}

static bp_status take_tokens(bp_first_batch *out, const bp_training_spec *spec,
                             const bp_examples *examples, bp_error *error)
{
    bp_token_batch tokens;
    const bp_status status = bp_token_batch_first(&tokens, spec, examples, error);
    if (status == BP_OK)
        *out = (bp_first_batch){.rows = tokens.rows,
                                .streams = tokens.streams,
                                .steps = tokens.steps,
                                .input = tokens.ids,
                                .targets = tokens.targets,
                                .tokens = tokens};
    return status;
}

bp_status bp_first_batch_take(bp_first_batch *out, const bp_training_spec *spec,
                              const bp_examples *examples, size_t target_width, bp_error *error)
{
    const size_t width = spec->network.input_width, count = examples->row_count;
    const size_t rows = spec->batch_size < count ? spec->batch_size : count;
    const bp_dtype dtype = spec->network.dtype;
    if (spec->kind != BP_EXAMPLES_ROWS)
        return take_tokens(out, spec, examples, error);
    taken *owned = calloc(1, sizeof *owned);
    bp_row_order order = {.seed = spec->seed, .row_count = count};
    if (spec->shuffle)
        order.index = calloc(count, sizeof *order.index);
    if (!owned || !allocate(owned, rows, width, target_width) || (spec->shuffle && !order.index)) {
        free(order.index);
        free_taken(owned);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a batch of rows");
    }
    const size_t *index = bp_row_order_of(&order, 0);
    for (size_t i = 0; i < rows; i++) {
        const size_t row = index ? index[i] : i;
        take_row(owned->input + i * width, examples->features, dtype, row, width);
        if (examples->label)
            owned->label[i] = examples->label[row];
        else
            take_row(owned->value + i * target_width, examples->value, dtype, row, target_width);
    }
    free(order.index);
    *out = (bp_first_batch){.rows = rows,
                            .input = owned->input,
                            .targets = {.label = examples->label ? owned->label : NULL,
                                        .value = examples->label ? NULL : owned->value},
                            .owned = owned};
    return BP_OK;
}

void bp_first_batch_done(bp_first_batch *batch)
{
    free_taken(batch->owned);
    bp_token_batch_done(&batch->tokens);
    *batch = (bp_first_batch){0};
}
