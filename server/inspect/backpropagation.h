/* Backpropagation made visible: what one pass of a few rows computes in each layer. */
#ifndef BP_SERVER_INSPECT_BACKPROPAGATION_H
#define BP_SERVER_INSPECT_BACKPROPAGATION_H

#include <jansson.h>

#include "core/network/network.h"

/* Runs rows forward and backward, without dropout, through a float64 network planned for training with
 * all z kept. input (rows, input width): numbers, or the ids of a network over tokens, as the network reads them;
 * rows of a loss of pairs are true windows and behind them as many wrong ones. What recurrent layers carry is zero.
 * {"rows", "loss", "row_losses", "input", "output", "layers": [{"index", "type", "activation"?,
 *   "parameters": {"weight", "bias"?}, "z", "a", "delta", "gradients": {"weight", "bias"?}}]}
 *   loss      mean over the rows, without penalties
 *   z, a      (rows, units); a = f(z) with the layer's activation, also where the loss merges it
 *   delta     (rows, units) dJ/dz of that mean, so gradients are sums over the rows
 * A layer without weights has "a" alone, one whose activations are its own no "activation" and no "z"; row_losses of
 * pairs are of each pair. NULL: no memory. The network's thread. */
json_t *bp_backpropagation_json(bp_network *network, const void *input, size_t input_width,
                                size_t rows, const bp_targets *targets);

#endif
