/* Which jobs a transaction has written, for somebody who wants to know after the commit: noted by SQLite
 * itself when a row of jobs changes, so that no writer can forget to say so. */
#ifndef BP_SERVER_STORE_TOUCHED_JOBS_H
#define BP_SERVER_STORE_TOUCHED_JOBS_H

#include <pthread.h>
#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

enum { BP_TOUCHED_LIMIT = 256 }; /* of one transaction: each of its writes is about one or two */

typedef struct bp_touched_jobs {
    size_t count; /* the store thread's, like job */
    int64_t job[BP_TOUCHED_LIMIT];
    pthread_mutex_t mutex; /* guards the two below */
    void (*changed)(void *context, int64_t job);
    void *context;
} bp_touched_jobs;

void bp_touched_jobs_init(bp_touched_jobs *touched);
void bp_touched_jobs_done(bp_touched_jobs *touched);
/* Notes all that this connection writes; it is closed before `touched` is gone. */
void bp_touched_jobs_watch(bp_touched_jobs *touched, sqlite3 *database);
/* bp_store_listen. Any thread. */
void bp_touched_jobs_listen(bp_touched_jobs *touched, void (*changed)(void *context, int64_t job),
                            void *context);
/* Calls who listens, for each job noted since the last call. On the store thread. */
void bp_touched_jobs_tell(bp_touched_jobs *touched);

#endif
