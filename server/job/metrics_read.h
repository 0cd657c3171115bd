/* What a request for metrics reads: points, or spans of them, and where they end. From committed rows, through
 * the calling thread's own connection; any thread with a reader. */
#ifndef BP_SERVER_JOB_METRICS_READ_H
#define BP_SERVER_JOB_METRICS_READ_H

#include "core/check/numerics_fingerprint.h"
#include "schema/json/json_writer.h"
#include "server/job/jobs.h"
#include "server/store/metric_series.h"

/* Which points there are at one moment. */
typedef struct bp_metrics_head {
    uint64_t last;                         /* seq of the newest; 0: none */
    bool finished;                         /* the job has ended */
    char fingerprint[BP_FINGERPRINT_SIZE]; /* of the numerics of its run; "": none yet */
} bp_metrics_head;

/* Zeroed, it is empty. */
typedef struct bp_metrics_view {
    bp_metrics_head head;
    bool summed_up;      /* spans instead of points */
    size_t count;        /* of points or spans; the page may hold one more */
    bp_metric_page page; /* points */
    bp_metric_series series;
    uint64_t next; /* seq of the last, or what was asked for */
    bool complete; /* the job has ended and these are its last */
} bp_metrics_view;

/* BP_NOT_FOUND. */
BP_CHECK_RESULT bp_status bp_metrics_read_head(bp_metrics_head *out, bp_jobs *jobs, int64_t id,
                                               bp_error *error);
/* At most `limit` points with seq > after. Release the view, after a failure too. BP_NOT_FOUND. */
BP_CHECK_RESULT bp_status bp_metrics_read_points(bp_metrics_view *out, bp_jobs *jobs, int64_t id,
                                                 uint64_t after, size_t limit, bp_error *error);
/* All points with seq > after, as at most `most` spans. */
BP_CHECK_RESULT bp_status bp_metrics_read_spans(bp_metrics_view *out, bp_jobs *jobs, int64_t id,
                                                uint64_t after, size_t most, bp_error *error);

/* {"points": […], "next": SEQ, "complete": bool} */
void bp_metrics_put_json(bp_json_writer *out, const bp_metrics_view *view);

void bp_metrics_view_done(bp_metrics_view *view);

#endif
