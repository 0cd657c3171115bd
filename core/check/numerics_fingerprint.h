/* Whether two programs compute alike: a hash over the bits of small fixed computations. A run that goes on
 * under another fingerprint than it began with need not give the bits of an uninterrupted one. */
#ifndef BP_CORE_CHECK_NUMERICS_FINGERPRINT_H
#define BP_CORE_CHECK_NUMERICS_FINGERPRINT_H

#include "core/base/error.h"
#include "core/kernel/kernels.h"

/* Raised by whoever changes bits on purpose in a way that the computations below may not show. */
enum { BP_NUMERICS_VERSION = 1 };

enum { BP_FINGERPRINT_SIZE = 24 }; /* text and its end: "1-0123456789abcdef" */

/* Trains a small network for some steps in both widths (initial weights, products, activations, softmax,
 * dropout, an optimiser) and two over tokens, and takes functions and sums over a range of arguments. The same on every
 * instruction set. About a millisecond; allocates what it frees. Must run on a thread that has
 * called bp_kernels_thread_start. BP_NO_MEMORY, BP_UNSUPPORTED. Any thread. */
BP_CHECK_RESULT bp_status bp_numerics_fingerprint(char out[BP_FINGERPRINT_SIZE], bp_isa isa,
                                                  bp_error *error);

#endif
