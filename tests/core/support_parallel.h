/* A small pool of threads for tests and benchmarks of core, which brings none of its own. */
#ifndef BP_TESTS_CORE_SUPPORT_PARALLEL_H
#define BP_TESTS_CORE_SUPPORT_PARALLEL_H

#include <stddef.h>

#include "core/base/parallel.h"

typedef struct support_pool support_pool;

/* thread_count ≥ 1, the caller's included. Ends the process where threads cannot be made. */
support_pool *support_pool_open(size_t thread_count);
void support_pool_close(support_pool *pool); /* accepts NULL */

bp_parallel support_pool_parallel(support_pool *pool);

/* How many times work was handed to more than one thread: a test of threads that never used them
 * would prove nothing. */
size_t support_pool_run_count(const support_pool *pool);

#endif
