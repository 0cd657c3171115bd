/* Top-k with a heap of the k best, worst on top: a token is better than another of a larger logit's, or of
 * the same and a smaller id. Then the inverse of the distribution function at a uniform number, tokens in
 * the order of their ids. */
#include "core/language/token_sampler.h"

#include <stdbool.h>

#include "core/math/scalar_math.h"

static bool is_worse(const double *logit, size_t a, size_t b)
{
    return logit[a] < logit[b] || (logit[a] == logit[b] && a > b);
}

/* heap (size) of ids, as doubles: worst first. */
static void sift_down(double *heap, size_t size, const double *logit, size_t at)
{
    for (;;) {
        size_t worst = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < size; child++)
            if (is_worse(logit, (size_t)heap[child], (size_t)heap[worst]))
                worst = child;
        if (worst == at)
            return;
        const double id = heap[at];
        heap[at] = heap[worst];
        heap[worst] = id;
        at = worst;
    }
}

/* The worst of the `top` best of count tokens; top at least 1 and at most count. */
static size_t find_worst(const double *logit, size_t count, size_t top, double *heap)
{
    for (size_t i = 0; i < top; i++)
        heap[i] = (double)i;
    for (size_t i = top / 2; i-- > 0;)
        sift_down(heap, top, logit, i);
    for (size_t i = top; i < count; i++)
        if (is_worse(logit, (size_t)heap[0], i)) {
            heap[0] = (double)i;
            sift_down(heap, top, logit, 0);
        }
    return (size_t)heap[0];
}

int32_t bp_token_sample(const bp_sampler_spec *spec, const void *logits, bp_dtype dtype,
                        size_t count, double *scratch, const bp_random *random, uint64_t step)
{
    double *logit = scratch, *weight = scratch + count;
    size_t best = 0;
    for (size_t i = 0; i < count; i++) {
        logit[i] =
            dtype == BP_FLOAT32 ? (double)((const float *)logits)[i] : ((const double *)logits)[i];
        if (logit[i] > logit[best])
            best = i;
    }
    if (!(spec->temperature > 0))
        return (int32_t)best;
    const bool some = spec->top_count > 0 && spec->top_count < count;
    const size_t worst = some ? find_worst(logit, count, spec->top_count, weight) : 0;
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        const bool left_out = some && is_worse(logit, i, worst);
        /* At most e^0; a temperature near 0 makes −∞ of the others, whose weight is 0. */
        weight[i] = left_out ? 0 : bp_scalar_exp((logit[i] - logit[best]) / spec->temperature);
        sum += weight[i];
    }
    const double limit = bp_random_uniform(random, step, 0) * sum;
    double below = 0;
    size_t last = best;
    for (size_t i = 0; i < count; i++) {
        if (!(weight[i] > 0))
            continue;
        below += weight[i];
        last = i;
        if (limit < below)
            break;
    }
    return (int32_t)last;
}
