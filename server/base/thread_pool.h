/* The threads of one trainer: runs the tasks of a bp_parallel. Tasks keep their indices and are handed
 * out one at a time; which thread runs which does not matter to the results (core/base/parallel.h).
 *
 * One caller at a time; the caller takes part. Threads that wait spin for some microseconds, then
 * sleep, so a pool between two runs costs nothing. */
#ifndef BP_SERVER_BASE_THREAD_POOL_H
#define BP_SERVER_BASE_THREAD_POOL_H

#include "core/base/error.h"
#include "core/base/parallel.h"

typedef struct bp_thread_pool bp_thread_pool;

/* thread_count: at least 1, the caller included. Each thread calls bp_kernels_thread_start (the caller
 * must do so for itself) and takes the given niceness. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_thread_pool_create(bp_thread_pool **out, size_t thread_count, int nice,
                                                bp_error *error);
/* A view that is valid as long as the pool. */
bp_parallel bp_thread_pool_parallel(bp_thread_pool *pool);
void bp_thread_pool_free(bp_thread_pool *pool); /* accepts NULL */

#endif
