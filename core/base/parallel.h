/* How core is given threads: its caller brings a way to run `count` independent tasks. Tasks may run
 * in any order, on any thread, at the same time; run() returns when all are done. The split into
 * tasks depends on sizes only, never on thread_count, so results do not either. */
#ifndef BP_CORE_BASE_PARALLEL_H
#define BP_CORE_BASE_PARALLEL_H

#include <stddef.h>

typedef void bp_task(void *argument, size_t index);

typedef struct bp_parallel {
    void (*run)(void *pool, bp_task *task, void *argument, size_t count);
    void *pool;
    size_t thread_count; /* at least 1; advice only: 1 lets callers skip the hand-over */
} bp_parallel;

/* Runs task(argument, 0 … count−1). parallel NULL, one thread or one task: in the caller. */
static inline void bp_parallel_for(const bp_parallel *parallel, bp_task *task, void *argument,
                                   size_t count)
{
    if (parallel && parallel->thread_count > 1 && count > 1) {
        parallel->run(parallel->pool, task, argument, count);
        return;
    }
    for (size_t index = 0; index < count; index++)
        task(argument, index);
}

#endif
