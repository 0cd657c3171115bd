/* How a run is handed out.
 *
 * `ticket` holds the number of the run (high half) and the next task of it (low half). A thread claims
 * a task by a compare-and-swap from (run, i) to (run, i + 1). The run's description (task, argument,
 * count) is written before its first ticket is published and not again before all its tasks have been
 * finished, so:
 *   1. a claim that succeeds was made with the description of its own run: had that been overwritten,
 *      task i would have been claimed before, and the swap would fail;
 *   2. a thread that comes late, or sleeps through a run, claims nothing and holds nobody up;
 *   3. run() returns when `finished` equals count: each task adds one after it is done (release), and
 *      run() reads it (acquire), so that it sees everything the tasks wrote.
 * Sleeping: the sleeper announces itself, then looks again; the waker publishes, then looks for sleepers.
 * Both are sequentially consistent, so at least one sees the other. */
#include "server/base/thread_pool.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/kernel/kernels.h"
#include "server/base/thread.h"

/* About 20 µs on the machines at hand: longer than the gaps between the products of a step. */
enum { SPIN_COUNT = 1000 };

typedef struct worker {
    bp_thread_pool *pool;
    pthread_t thread;
} worker;

struct bp_thread_pool {
    _Alignas(64) atomic_uint_least64_t ticket;
    _Alignas(64) atomic_size_t finished;
    _Alignas(64) _Atomic(bp_task *) task;
    _Atomic(void *) argument;
    atomic_size_t count;
    atomic_uint sleeper_count;
    atomic_bool caller_sleeps, stopping;

    pthread_mutex_t mutex; /* for sleeping only */
    pthread_cond_t work, done;

    int nice;
    size_t worker_count; /* without the caller */
    worker workers[];
};

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint32_t ticket_index(uint64_t ticket)
{
    return (uint32_t)ticket;
}

static bool has_work(bp_thread_pool *pool)
{
    return ticket_index(atomic_load(&pool->ticket)) < atomic_load(&pool->count);
}

/* Runs tasks until none is left to claim. */
static void take_tasks(bp_thread_pool *pool)
{
    uint64_t ticket = atomic_load(&pool->ticket);
    for (;;) {
        const size_t count = atomic_load_explicit(&pool->count, memory_order_relaxed);
        bp_task *task = atomic_load_explicit(&pool->task, memory_order_relaxed);
        void *argument = atomic_load_explicit(&pool->argument, memory_order_relaxed);
        const size_t index = ticket_index(ticket);
        if (index >= count)
            return;
        if (!atomic_compare_exchange_weak(&pool->ticket, &ticket, ticket + 1))
            continue;
        task(argument, index);
        if (atomic_fetch_add(&pool->finished, 1) + 1 == count &&
            atomic_load(&pool->caller_sleeps)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->mutex);
        }
        ticket = atomic_load(&pool->ticket);
    }
}

static void sleep_until_work(bp_thread_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleeper_count, 1);
    while (!has_work(pool) && !atomic_load(&pool->stopping))
        pthread_cond_wait(&pool->work, &pool->mutex);
    atomic_fetch_sub(&pool->sleeper_count, 1);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker_body(void *argument)
{
    bp_thread_pool *pool = ((worker *)argument)->pool;
    bp_thread_set_nice(pool->nice);
    bp_kernels_thread_start();
    while (!atomic_load(&pool->stopping)) {
        int spins = 0;
        while (!has_work(pool) && spins < SPIN_COUNT && !atomic_load(&pool->stopping)) {
            pause_briefly();
            spins++;
        }
        if (spins == SPIN_COUNT)
            sleep_until_work(pool);
        take_tasks(pool);
    }
    return NULL;
}

static void wake_workers(bp_thread_pool *pool)
{
    if (atomic_load(&pool->sleeper_count) == 0)
        return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
}

static void wait_for_tasks(bp_thread_pool *pool, size_t count)
{
    for (int spins = 0; spins < SPIN_COUNT; spins++) {
        if (atomic_load(&pool->finished) == count)
            return;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->caller_sleeps, true);
    while (atomic_load(&pool->finished) != count)
        pthread_cond_wait(&pool->done, &pool->mutex);
    atomic_store(&pool->caller_sleeps, false);
    pthread_mutex_unlock(&pool->mutex);
}

static void run(void *context, bp_task *task, void *argument, size_t count)
{
    bp_thread_pool *pool = context;
    assert(count < UINT32_MAX);
    const uint64_t next_run = (atomic_load(&pool->ticket) >> 32) + 1;
    /* Empty until the ticket is published: a worker that sees the new count with the old ticket must
     * find nothing to claim. The old ticket's index is the old count, so count 0 comes first. */
    atomic_store(&pool->count, 0);
    atomic_store(&pool->ticket, (next_run << 32) | UINT32_MAX);
    atomic_store(&pool->task, task);
    atomic_store(&pool->argument, argument);
    atomic_store(&pool->finished, 0);
    atomic_store(&pool->count, count);
    atomic_store(&pool->ticket, next_run << 32);
    wake_workers(pool);
    take_tasks(pool);
    wait_for_tasks(pool, count);
}

bp_status bp_thread_pool_create(bp_thread_pool **out, size_t thread_count, int nice,
                                bp_error *error)
{
    assert(thread_count > 0);
    const size_t worker_count = thread_count - 1;
    size_t size_bytes = sizeof(bp_thread_pool) + worker_count * sizeof(worker);
    size_bytes = (size_bytes + 63) / 64 * 64;
    bp_thread_pool *pool = aligned_alloc(64, size_bytes);
    if (!pool)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for %zu threads", thread_count);
    atomic_init(&pool->ticket, UINT32_MAX);
    atomic_init(&pool->finished, 0);
    atomic_init(&pool->task, NULL);
    atomic_init(&pool->argument, NULL);
    atomic_init(&pool->count, 0);
    atomic_init(&pool->sleeper_count, 0);
    atomic_init(&pool->caller_sleeps, false);
    atomic_init(&pool->stopping, false);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->nice = nice;
    pool->worker_count = 0;
    while (pool->worker_count < worker_count) {
        worker *next = &pool->workers[pool->worker_count];
        next->pool = pool;
        const bp_status status =
            bp_thread_start(&next->thread, "trainer-worker", worker_body, next, error);
        if (status != BP_OK) {
            bp_thread_pool_free(pool);
            return status;
        }
        pool->worker_count++;
    }
    *out = pool;
    return BP_OK;
}

bp_parallel bp_thread_pool_parallel(bp_thread_pool *pool)
{
    return (bp_parallel){.run = run, .pool = pool, .thread_count = pool->worker_count + 1};
}

void bp_thread_pool_free(bp_thread_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->stopping, true);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (size_t i = 0; i < pool->worker_count; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}
