/* Rows and windows through a model's network, a chunk at a time. */
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "server/model/model_arena.h"

/* Rows [first, first + count) as the network reads them. */
static void fill_chunk(const bp_model_arena *used, const bp_model_info *info,
                       const bp_model_input *input, size_t first, size_t count)
{
    if (input->windows)
        bp_token_windows_gather(used->input, NULL, input->windows, NULL, first, count);
    else
        bp_preparation_apply(&info->preparation, used->input, info->dtype,
                             input->raw + first * info->preparation.raw_width, count);
}

bp_status bp_model_predict(void **out_shown, bp_model *model, const bp_model_input *input,
                           bp_error *error)
{
    const bp_model_info *info = bp_model_info_of(model);
    const size_t count = input->row_count;
    bp_kernels_thread_start();
    bp_model_arena used;
    bp_status status = bp_model_arena_take(&used, model, error);
    if (status != BP_OK)
        return status;
    size_t width = bp_network_shown_width(used.network), row_bytes = 0, bytes = 0;
    unsigned char *shown = NULL;
    if (!bp_checked_multiply(&row_bytes, width, bp_dtype_size(info->dtype)) ||
        !bp_checked_multiply(&bytes, row_bytes, count))
        status = bp_error_set(error, BP_TOO_LARGE, NULL, "too many rows");
    else if (!(shown = malloc(bytes > 0 ? bytes : 1)))
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for %zu predictions", count);
    for (size_t first = 0; shown && first < count; first += BP_PREDICTION_CHUNK) {
        size_t rows = count - first < BP_PREDICTION_CHUNK ? count - first : BP_PREDICTION_CHUNK;
        fill_chunk(&used, info, input, first, rows);
        bp_network_forward(used.network, NULL, used.input, rows, false);
        memcpy(shown + first * row_bytes, bp_network_shown_output(used.network), rows * row_bytes);
    }
    bp_model_arena_give(model, &used);
    if (status == BP_OK)
        *out_shown = shown;
    return status;
}

void bp_model_samples_done(bp_model_samples *samples)
{
    free(samples->mean);
    free(samples->deviation);
    free(samples->entropy);
    *samples = (bp_model_samples){0};
}

bp_status bp_model_predict_samples(bp_model_samples *out, bp_model *model,
                                   const bp_model_input *input, uint64_t sample_count,
                                   uint64_t seed, bp_error *error)
{
    const bp_model_info *info = bp_model_info_of(model);
    const size_t count = input->row_count;
    bp_kernels_thread_start();
    bp_model_arena used;
    bp_status status = bp_model_arena_take(&used, model, error);
    if (status != BP_OK)
        return status;
    const size_t width = bp_network_shown_width(used.network);
    size_t elements;
    bp_model_samples samples = {0};
    if (!bp_checked_multiply(&elements, width, count)) {
        status = bp_error_set(error, BP_TOO_LARGE, NULL, "too many rows");
        goto done;
    }
    samples.mean = calloc(elements > 0 ? elements : 1, sizeof *samples.mean);
    samples.deviation = calloc(elements > 0 ? elements : 1, sizeof *samples.deviation);
    samples.entropy = calloc(count > 0 ? count : 1, sizeof *samples.entropy);
    if (!samples.mean || !samples.deviation || !samples.entropy) {
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for %zu predictions", count);
        goto done;
    }
    for (size_t first = 0; first < count; first += BP_PREDICTION_CHUNK) {
        size_t rows = count - first < BP_PREDICTION_CHUNK ? count - first : BP_PREDICTION_CHUNK;
        fill_chunk(&used, info, input, first, rows);
        bp_network_predict_samples(samples.mean + first * width, samples.deviation + first * width,
                                   samples.entropy + first, used.network, used.input, rows,
                                   sample_count, seed);
    }
    *out = samples;
    samples = (bp_model_samples){0};
done:
    bp_model_samples_done(&samples);
    bp_model_arena_give(model, &used);
    return status;
}
