#include "tests/core/support_parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/kernel/kernels.h"

enum { SPINS = 20000 }; /* some tens of microseconds before a waiting thread sleeps */

struct support_pool {
    size_t worker_count; /* without the caller */
    pthread_t *workers;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    atomic_size_t generation; /* of runs; changed under the mutex */
    atomic_bool stop;
    atomic_size_t next;    /* task */
    atomic_size_t working; /* workers not yet done with this generation */
    bp_task *task;
    void *argument;
    size_t count;
    size_t run_count;
};

static void take_tasks(support_pool *pool)
{
    for (;;) {
        const size_t index = atomic_fetch_add(&pool->next, 1);
        if (index >= pool->count)
            return;
        pool->task(pool->argument, index);
    }
}

static void wait_for_work(support_pool *pool, size_t seen)
{
    for (size_t spin = 0; spin < SPINS; spin++)
        if (atomic_load(&pool->generation) != seen)
            return;
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(&pool->generation) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}

static void *work(void *argument)
{
    support_pool *pool = argument;
    bp_kernels_thread_start();
    for (size_t seen = 0;; seen++) {
        wait_for_work(pool, seen);
        if (atomic_load(&pool->stop))
            return NULL;
        take_tasks(pool);
        atomic_fetch_sub(&pool->working, 1);
    }
}

static void next_generation(support_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->generation, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

static void run(void *context, bp_task *task, void *argument, size_t count)
{
    support_pool *pool = context;
    pool->task = task;
    pool->argument = argument;
    pool->count = count;
    pool->run_count++;
    atomic_store(&pool->next, 0);
    atomic_store(&pool->working, pool->worker_count);
    next_generation(pool);
    take_tasks(pool);
    while (atomic_load(&pool->working) > 0)
        ;
}

support_pool *support_pool_open(size_t thread_count)
{
    support_pool *pool = calloc(1, sizeof *pool);
    if (pool)
        pool->workers = calloc(thread_count, sizeof *pool->workers);
    if (!pool || !pool->workers)
        goto failed;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    for (; pool->worker_count + 1 < thread_count; pool->worker_count++)
        if (pthread_create(&pool->workers[pool->worker_count], NULL, work, pool) != 0)
            goto failed;
    return pool;
failed:
    fputs("the pool of threads could not be made\n", stderr);
    exit(1);
}

void support_pool_close(support_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->stop, true);
    next_generation(pool);
    for (size_t i = 0; i < pool->worker_count; i++)
        pthread_join(pool->workers[i], NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->workers);
    free(pool);
}

bp_parallel support_pool_parallel(support_pool *pool)
{
    return (bp_parallel){.run = run, .pool = pool, .thread_count = pool->worker_count + 1};
}

size_t support_pool_run_count(const support_pool *pool)
{
    return pool->run_count;
}
