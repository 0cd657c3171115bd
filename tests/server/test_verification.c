/* Verifying: a job is trained again, and its weights and points are compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/job/metrics_read.h"
#include "server/store/database.h"
#include "tests/server/support_jobs.h"

static bp_status verify(rig *f, int64_t id, int64_t *out_again)
{
    rig_reply answer = {0};
    bp_jobs_verify(f->jobs, id, rig_take_reply, &answer);
    rig_wait_for(f, &answer.done);
    *out_again = answer.id;
    return answer.status;
}

static void assert_verification(rig *f, int64_t id, int64_t again, bool same, bool metrics_same)
{
    json_t *document = rig_document(f, id);
    const json_t *found = json_object_get(document, "verification");
    assert_int_equal(json_integer_value(json_object_get(found, "job")), again);
    assert_string_equal(rig_text(found, "state"), "succeeded");
    assert_true(json_is_boolean(json_object_get(found, "same")));
    assert_int_equal(json_is_true(json_object_get(found, "same")), same);
    assert_int_equal(json_is_true(json_object_get(found, "metrics_same")), metrics_same);
    json_decref(document);
}

static void test_verifying(void **state)
{
    rig *f = *state;
    const int64_t id = rig_submit(f, &(rig_wish){.epochs = 300, .threads = 2});
    int64_t again, twice;
    assert_int_equal(verify(f, id, &again), BP_CONFLICT);
    rig_wait_for_state(f, id, "succeeded");
    const int64_t blocker = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    rig_wait_for_state(f, blocker, "running");
    assert_int_equal(verify(f, id, &again), BP_OK);
    assert_true(again > blocker);
    assert_int_equal(verify(f, id, &twice), BP_OK);
    assert_int_equal(twice, again);
    assert_int_equal(rig_delete(f, id), BP_CONFLICT);
    json_t *document = rig_document(f, id);
    const json_t *found = json_object_get(document, "verification");
    assert_string_equal(rig_text(found, "state"), "queued");
    assert_true(json_is_null(json_object_get(found, "same")));
    json_decref(document);
    rig_reopen(f);
    assert_int_equal(rig_cancel(f, blocker), BP_OK);
    rig_wait_for_state(f, again, "succeeded");
    assert_verification(f, id, again, true, true);
    document = rig_document(f, again);
    assert_int_equal(json_integer_value(json_object_get(document, "verifies")), id);
    assert_true(json_is_null(json_object_get(document, "model")));
    json_decref(document);
    assert_int_equal(rig_count(f, "SELECT count(*) FROM models"), 1);
    assert_int_equal(verify(f, again, &twice), BP_CONFLICT);
    assert_int_equal(verify(f, 4242, &twice), BP_NOT_FOUND);
    /* Deleted together. */
    assert_int_equal(rig_delete(f, id), BP_OK);
    rig_assert_gone(f, id);
    rig_assert_gone(f, again);
    rig_wait_until_swept(f);
}

static void test_verification_sees_differences(void **state)
{
    rig *f = *state;
    const int64_t id = rig_submit(f, &(rig_wish){.epochs = 20});
    rig_wait_for_state(f, id, "succeeded");
    int64_t again;
    /* The last bit of one value. */
    rig_change_database(
        f,
        "UPDATE metrics SET \"values\" = CAST(iif(substr(\"values\", 1, 1) = x'01', x'02', x'01') "
        "|| substr(\"values\", 2) AS BLOB) WHERE seq = 5");
    assert_int_equal(verify(f, id, &again), BP_OK);
    rig_wait_for_state(f, again, "succeeded");
    assert_verification(f, id, again, true, false);
    rig_change_database(f, "UPDATE jobs SET weights_sha256 = substr(weights_sha256, 2) || '_' "
                           "WHERE verifies IS NULL; DELETE FROM metrics WHERE job_id = 1 AND seq = "
                           "(SELECT max(seq) FROM metrics WHERE job_id = 1)");
    assert_int_equal(verify(f, id, &again), BP_OK);
    rig_wait_for_state(f, again, "succeeded");
    assert_verification(f, id, again, false, false);
    rig_change_database(f, "DELETE FROM datasets WHERE name = 'points'");
    assert_int_equal(verify(f, id, &again), BP_CONFLICT);
}

int main(void)
{
    json_object_seed(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_verifying, rig_open, rig_close),
        cmocka_unit_test_setup_teardown(test_verification_sees_differences, rig_open, rig_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
