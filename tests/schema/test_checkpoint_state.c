/* The state of a checkpoint comes back from its document as it was, and nothing else is taken for one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/checkpoint/checkpoint_state.h"
#include "schema/json/json_text.h"

static const bp_trainer_state full = {
    .step = 9007199254740991,
    .watch = {
        .plateau = {.best = 0.1 + 0.2, .started = 1, .waited = 3, .reductions = 7},
        .early_stopping = {
            .best = 5e-324, .best_step = 12345678901, .started = 1, .waited = 4, .stopped = 1}}};

/* Through text and back, as the database has it. */
static json_t *stored(const bp_trainer_state *state)
{
    json_t *summary =
        json_pack("{s:{s:f}, s:{s:f}}", "latest", "loss", 0.25, "best", "loss", 0.125);
    json_t *json = bp_checkpoint_state_json(state, summary);
    assert_non_null(json);
    char *text = bp_json_text(json, NULL);
    json_decref(json);
    json_decref(summary);
    json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    free(text);
    return json;
}

static void test_comes_back(void **state)
{
    (void)state;
    bp_trainer_state states[3] = {full, {.step = 0}, full};
    states[2].watch.plateau.best = -INFINITY;
    states[2].watch.early_stopping.best = INFINITY;
    for (size_t i = 0; i < 3; i++) {
        json_t *json = stored(&states[i]);
        bp_trainer_state found;
        memset(&found, 0xff, sizeof found);
        const json_t *summary = NULL;
        assert_int_equal(bp_checkpoint_state_parse(&found, &summary, json, NULL), BP_OK);
        assert_memory_equal(&found, &states[i], sizeof found);
        assert_true(json_real_value(json_object_get(json_object_get(summary, "best"), "loss")) ==
                    0.125);
        json_decref(json);
    }
}

static void test_refuses_others(void **state)
{
    (void)state;
    static const char *const members[] = {"version", "step", "plateau", "early_stopping",
                                          "summary"};
    bp_trainer_state found;
    const json_t *summary = NULL;
    for (size_t i = 0; i < 5; i++) {
        json_t *json = stored(&full);
        json_object_set_new(json, members[i], json_string("x"));
        assert_int_equal(bp_checkpoint_state_parse(&found, &summary, json, NULL), BP_CORRUPT);
        json_object_del(json, members[i]);
        assert_int_equal(bp_checkpoint_state_parse(&found, &summary, json, NULL), BP_CORRUPT);
        json_decref(json);
    }
    json_t *json = stored(&full);
    json_object_set_new(json_object_get(json, "plateau"), "waited", json_integer(-1));
    assert_int_equal(bp_checkpoint_state_parse(&found, &summary, json, NULL), BP_CORRUPT);
    json_decref(json);
    json = stored(&full);
    json_object_set_new(json, "version", json_integer(2));
    assert_int_equal(bp_checkpoint_state_parse(&found, &summary, json, NULL), BP_UNSUPPORTED);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_comes_back),
                                       cmocka_unit_test(test_refuses_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
