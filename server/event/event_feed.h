/* A job's events and metric points in their one order, as Server-Sent Events, from the database.
 *
 * A position is what lies behind a reader: event is the ordinal of the last event, seq that of the last
 * point. Event n comes after the point that its row names (after_seq) and before the next one, and no
 * event is ever put before a point that is stored already; so what comes after a position never changes,
 * for any reader, at any time. The one exception proves the order: a run under other numerics deletes
 * the points that it computes anew, in the transaction of an event, which every reader gets first. */
#ifndef BP_SERVER_EVENT_EVENT_FEED_H
#define BP_SERVER_EVENT_EVENT_FEED_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "schema/json/json_writer.h"

typedef struct bp_event_position {
    uint64_t event; /* below 2^21 */
    uint64_t seq;   /* below 2^32 */
} bp_event_position;

/* The id of the item that ends at a position, event · 2^32 + seq ≤ 2^53 − 1, and back. */
uint64_t bp_event_position_id(bp_event_position position);
bp_event_position bp_event_position_of(uint64_t id);
bool bp_event_position_equal(bp_event_position a, bp_event_position b);

/* What a job has at one moment. */
typedef struct bp_event_head {
    bp_event_position position; /* behind everything */
    bool finished;
} bp_event_head;

/* BP_NOT_FOUND. A reader's, like all below. */
BP_CHECK_RESULT bp_status bp_event_feed_head(bp_event_head *out, sqlite3 *database, int64_t job,
                                             bp_error *error);

/* Can a reader stand there? BP_INVALID otherwise. */
BP_CHECK_RESULT bp_status bp_event_feed_check(sqlite3 *database, int64_t job,
                                              const bp_event_head *head, bp_event_position position,
                                              bp_error *error);

/* Writes what comes after *position and not after `end`, up to some 64 KiB, and moves *position behind it.
 * Nothing where there is nothing. BP_NO_MEMORY, BP_CORRUPT, BP_INPUT_OUTPUT: *position and out are then
 * of no use. */
BP_CHECK_RESULT bp_status bp_event_feed_read(bp_json_writer *out, bp_event_position *position,
                                             bp_event_position end, sqlite3 *database, int64_t job,
                                             bp_error *error);

#endif
