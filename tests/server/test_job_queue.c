/* The queue against a plain search, with entries that come, change their priority and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "server/job/job_table.h"

enum { JOB_COUNT = 500, ROUND_COUNT = 20000 };

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static const bp_job_entry *search(const bp_job_entry *entries)
{
    const bp_job_entry *first = NULL;
    for (size_t i = 0; i < JOB_COUNT; i++)
        if (entries[i].queue_place &&
            (!first || entries[i].priority > first->priority ||
             (entries[i].priority == first->priority && entries[i].id < first->id)))
            first = &entries[i];
    return first;
}

static void test_the_first_is_the_first(void **state)
{
    (void)state;
    static bp_job_entry entries[JOB_COUNT];
    bp_job_queue queue = {0};
    uint64_t random = 7;
    assert_null(bp_job_queue_first(&queue));
    assert_true(bp_job_queue_reserve(&queue, JOB_COUNT));
    for (size_t i = 0; i < JOB_COUNT; i++)
        entries[i] = (bp_job_entry){.id = (int64_t)i + 1};
    for (int round = 0; round < ROUND_COUNT; round++) {
        bp_job_entry *entry = &entries[next_random(&random) % JOB_COUNT];
        const bool there = entry->queue_place != 0;
        bp_job_queue_remove(&queue, entry);
        assert_int_equal(entry->queue_place, 0);
        entry->priority = (int64_t)(next_random(&random) % 9) - 4;
        if (!there || next_random(&random) % 3 == 0)
            bp_job_queue_add(&queue, entry);
        assert_ptr_equal(bp_job_queue_first(&queue), search(entries));
    }
    /* Emptied, it gives them in their order. */
    const bp_job_entry *last = NULL;
    for (bp_job_entry *entry; (entry = bp_job_queue_first(&queue)); last = entry) {
        assert_ptr_equal(entry, search(entries));
        bp_job_queue_remove(&queue, entry);
        bp_job_queue_remove(&queue, entry);
    }
    assert_non_null(last);
    assert_int_equal(queue.count, 0);
    bp_job_queue_done(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_first_is_the_first)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
