/* The checkpoints of one run, from the trainer's side: where it begins, when one is due, what goes into it.
 * One thread, the trainer's. */
#ifndef BP_SERVER_CHECKPOINT_RUN_CHECKPOINTS_H
#define BP_SERVER_CHECKPOINT_RUN_CHECKPOINTS_H

#include "server/checkpoint/checkpoint_writer.h"
#include "server/record/metric_recorder.h"

typedef struct bp_run_checkpoints bp_run_checkpoints;

/* Takes the memory that checkpoints need and puts the trainer where the newest one of the job that can be
 * read was taken; those that cannot be are dropped with a word in the job's log. Where the numerics are
 * others than those of the job's last run, the job is marked as not reproducible, and the metric points
 * beyond that checkpoint, which need not come again, are deleted. To be called before the job's metric
 * recorder is made. *out_resumed: false: the run begins at its beginning. Errors of memory and of the
 * store. */
BP_CHECK_RESULT bp_status bp_run_checkpoints_open(bp_run_checkpoints **out, bool *out_resumed,
                                                  const bp_checkpoint_setup *setup,
                                                  bp_trainer *trainer, bp_error *error);

/* Puts the recorder behind the last point of the checkpoint. It is borrowed from here on. */
BP_CHECK_RESULT bp_status bp_run_checkpoints_attach(bp_run_checkpoints *checkpoints,
                                                    bp_metric_recorder *recorder, bp_error *error);

/* What an epoch that has just ended was evaluated to, in what "best" goes by. */
void bp_run_checkpoints_judge(bp_run_checkpoints *checkpoints, double metric);

/* After each step, its point and the end of its epoch: begins a checkpoint where one is due. Waits for the
 * one before, unless only time asks for it. Errors of the recorder. */
BP_CHECK_RESULT bp_status bp_run_checkpoints_tick(bp_run_checkpoints *checkpoints,
                                                  const bp_progress *progress, uint64_t now_ns,
                                                  bp_error *error);

/* Begins one now, unless the last one is of this very step. cause: static. */
BP_CHECK_RESULT bp_status bp_run_checkpoints_take(bp_run_checkpoints *checkpoints,
                                                  const char *cause, const bp_progress *progress,
                                                  bp_error *error);

/* From now on nothing waits beyond that moment of the monotonic clock: a checkpoint that is not written by then
 * is given up. Until then only those before it can be gone on from. */
void bp_run_checkpoints_hurry(bp_run_checkpoints *checkpoints, uint64_t deadline_ns);

/* Waits until the last one is written; accepts NULL. */
void bp_run_checkpoints_free(bp_run_checkpoints *checkpoints);

#endif
