/* Statistics over the networks that dropout makes of one: E[y] ≈ 1/M Σ f(x, θ_m). */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/math/scalar_math.h"
#include "core/network/network_plan.h"

/* Adds the count-th output (counted from 1) to running means and sums of squared deviations (Welford
 * 1962: exact where all outputs are the same). */
static void add_output(double *mean, double *squares, const void *shown, bp_dtype dtype,
                       size_t elements, uint64_t count)
{
    for (size_t i = 0; i < elements; i++) {
        const double x = bp_dtype_get(dtype, shown, i);
        const double before = x - mean[i];
        mean[i] += before / (double)count;
        squares[i] += before * (x - mean[i]);
    }
}

/* −Σ p ln p, in nats; 0 ln 0 = 0. */
static double entropy_of(const double *p, size_t width)
{
    double entropy = 0;
    for (size_t i = 0; i < width; i++)
        if (!(p[i] <= 0))
            entropy -= p[i] * bp_scalar_log(p[i]);
    return entropy > 0 || isnan(entropy) ? entropy : 0;
}

void bp_network_predict_samples(double *mean, double *deviation, double *entropy,
                                bp_network *network, const void *input, size_t rows,
                                uint64_t sample_count, uint64_t seed)
{
    assert(sample_count >= 1);
    const size_t width = network->shown_width, elements = rows * width;
    const bool probabilities = network->loss->shown == BP_SHOWN_PROBABILITIES;
    memset(mean, 0, elements * sizeof *mean);
    memset(deviation, 0, elements * sizeof *deviation);
    const bool held = bp_network_hold_state(network, true);
    for (uint64_t sample = 0; sample < sample_count; sample++) {
        bp_network_set_noise(network, (bp_noise){BP_NOISE_SAMPLE, seed, sample});
        bp_network_forward(network, NULL, input, rows, false);
        add_output(mean, deviation, bp_network_shown_output(network), network->kernels->dtype,
                   elements, sample + 1);
    }
    bp_network_hold_state(network, held);
    bp_network_set_noise(network, (bp_noise){BP_NOISE_NONE, 0, 0});
    for (size_t i = 0; i < elements; i++)
        deviation[i] = sqrt(deviation[i] / (double)sample_count);
    for (size_t row = 0; row < rows; row++)
        entropy[row] = probabilities ? entropy_of(mean + row * width, width) : (double)NAN;
}
