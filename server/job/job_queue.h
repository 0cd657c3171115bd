/* The queued jobs in the order in which they start: larger priority first, then the lower id. A binary
 * heap. Private to server/job; main thread. */
#ifndef BP_SERVER_JOB_JOB_QUEUE_H
#define BP_SERVER_JOB_JOB_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct bp_job_entry bp_job_entry;

typedef struct bp_job_queue {
    size_t count, capacity;
    bp_job_entry **entries; /* each has its place here plus 1 in queue_place */
} bp_job_queue;

/* Room for so many entries, so that adding cannot fail. False: no memory. */
bool bp_job_queue_reserve(bp_job_queue *queue, size_t count);
/* The entry is not in the queue, and there is room. */
void bp_job_queue_add(bp_job_queue *queue, bp_job_entry *entry);
/* Does nothing where the entry is not in the queue. */
void bp_job_queue_remove(bp_job_queue *queue, bp_job_entry *entry);
/* The next to start; NULL: none. */
bp_job_entry *bp_job_queue_first(const bp_job_queue *queue);
void bp_job_queue_done(bp_job_queue *queue);

#endif
