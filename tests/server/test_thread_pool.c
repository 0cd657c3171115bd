/* Every task runs once, run() returns after all of them, sleeping threads wake up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "server/base/thread_pool.h"

enum { MOST_TASKS = 200 };

typedef struct tally {
    unsigned runs[MOST_TASKS]; /* plain: the thread sanitizer sees a task that runs twice at once */
} tally;

static void count_run(void *argument, size_t index)
{
    ((tally *)argument)->runs[index]++;
}

static void check_pool(size_t thread_count, bool pauses)
{
    bp_thread_pool *pool = NULL;
    assert_int_equal(bp_thread_pool_create(&pool, thread_count, 0, NULL), BP_OK);
    const bp_parallel parallel = bp_thread_pool_parallel(pool);
    assert_int_equal(parallel.thread_count, thread_count);
    const unsigned rounds = pauses ? 20 : 300;
    for (unsigned round = 0; round < rounds; round++) {
        tally counts = {0};
        const size_t count = round % MOST_TASKS;
        parallel.run(parallel.pool, count_run, &counts, count);
        for (size_t i = 0; i < MOST_TASKS; i++)
            assert_int_equal(counts.runs[i], i < count ? 1 : 0);
        if (pauses) /* long enough for every worker to fall asleep */
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    bp_thread_pool_free(pool);
}

static void test_every_task_once(void **state)
{
    (void)state;
    for (size_t threads = 1; threads <= 8; threads++)
        check_pool(threads, false);
}

static void test_sleepers_wake(void **state)
{
    (void)state;
    check_pool(4, true);
}

static void slow_task(void *argument, size_t index)
{
    nanosleep(&(struct timespec){.tv_nsec = index == 0 ? 3000000 : 1000}, NULL);
    ((tally *)argument)->runs[index]++;
}

/* One task that outlasts the caller's patience: the caller sleeps and is woken. */
static void test_caller_sleeps(void **state)
{
    (void)state;
    bp_thread_pool *pool = NULL;
    assert_int_equal(bp_thread_pool_create(&pool, 3, 5, NULL), BP_OK);
    const bp_parallel parallel = bp_thread_pool_parallel(pool);
    for (unsigned round = 0; round < 20; round++) {
        tally counts = {0};
        bp_parallel_for(&parallel, slow_task, &counts, 5);
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(counts.runs[i], 1);
    }
    bp_thread_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_task_once),
                                       cmocka_unit_test(test_sleepers_wake),
                                       cmocka_unit_test(test_caller_sleeps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
