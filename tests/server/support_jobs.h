/* Jobs in a fresh data directory: store, data sets, scheduler and the loop that this thread turns while it
 * waits. All functions fail the test where something is not as it should be. */
#ifndef BP_TESTS_SERVER_SUPPORT_JOBS_H
#define BP_TESTS_SERVER_SUPPORT_JOBS_H

#include <stdatomic.h>

#include "server/job/jobs.h"
#include "tests/server/support_directory.h"

enum { RIG_PATIENCE_MS = 120000, RIG_ENDLESS = 100000000 };

typedef struct rig {
    char directory[SUPPORT_PATH_SIZE];
    uv_loop_t loop;
    bp_store *store;
    bp_datasets *datasets;
    bp_jobs *jobs;
    bp_job_limits limits;
    size_t worker_count; /* 1 */
    uint64_t restart_limit;
} rig;

/* What a command's callback brought. */
typedef struct rig_reply {
    atomic_bool done;
    int64_t id;
    bp_status status;
    bp_error error;
} rig_reply;

/* Fixture functions: *state is a rig, with the data set "points". */
int rig_open(void **state);
int rig_close(void **state);
void rig_open_parts(rig *f);
void rig_close_parts(rig *f);
void rig_reopen(rig *f); /* a graceful restart */

void rig_turn(rig *f); /* the loop, once */
void rig_wait_for(rig *f, const atomic_bool *flag);
void rig_set_flag(void *context); /* context: atomic_bool */
void rig_take_reply(void *context, int64_t id, bp_status status,
                    const bp_error *error); /* context: rig_reply */

/* A job over the points; zero: as usual. */
typedef struct rig_wish {
    int epochs, priority, threads;
    double learning_rate;
    const char *name;
} rig_wish;

json_t *rig_body(const rig_wish *w);
/* Resolves a body, which it takes. */
bp_job_submission *rig_submission(rig *f, json_t *body);
int64_t rig_submit(rig *f, const rig_wish *w);
bp_status rig_act(rig *f, int64_t id, bp_job_action action);
bp_status rig_cancel(rig *f, int64_t id);
bp_status rig_delete(rig *f, int64_t id);
bp_status rig_set_priority(rig *f, int64_t id, int64_t priority, const bp_if_match *condition);

json_t *rig_parsed(bp_json_writer *text); /* what it holds; it is emptied */
json_t *rig_document(rig *f, int64_t id);
json_t *rig_list(rig *f, const bp_jobs_filter *filter);
const char *rig_text(const json_t *json, const char *key); /* "" where there is no text */
/* Waits until the job has the state; fails where it ends in another. */
void rig_wait_for_state(rig *f, int64_t id, const char *state);
json_t *rig_metrics(rig *f, int64_t id, uint64_t after, size_t limit);
void rig_wait_for_points(rig *f, int64_t id, size_t count);
/* SHA-256 over the bytes of all tensors of a job's model. */
void rig_weights(rig *f, int64_t id, char out[BP_SHA256_TEXT_SIZE]);
/* The same history but for the times. */
void rig_assert_same_points(rig *f, int64_t a, int64_t b);

void rig_change_database(rig *f, const char *sql);
/* The number that a query gives. */
int64_t rig_count(rig *f, const char *sql);

/* The job is deleted: no answer knows it, whether or not its rows have been swept. */
void rig_assert_gone(rig *f, int64_t id);
void rig_wait_until_swept(rig *f); /* no row of a deleted job is left */

#endif
