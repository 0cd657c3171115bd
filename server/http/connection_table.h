/* Open connections and their deadlines. libmicrohttpd's own timeout starts anew with every byte, so a
 * client that sends one byte a second would stay for ever; here each connection has one point in
 * time at which its socket is shut down, whatever it does.
 *
 * A record belongs to the connection's thread; the sweeper reads its deadline and shuts its socket
 * down under the table's lock, and the record leaves the table under the same lock before
 * libmicrohttpd closes the socket. */
#ifndef BP_SERVER_HTTP_CONNECTION_TABLE_H
#define BP_SERVER_HTTP_CONNECTION_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

typedef struct bp_connection bp_connection;
typedef struct bp_connection_table bp_connection_table;

#define BP_NO_DEADLINE INT64_MAX

/* Starts the sweeper. places: how many connections are served at a time. deadline_ms: what a new connection
 * has until its first request is there. */
BP_CHECK_RESULT bp_status bp_connection_table_create(bp_connection_table **out, uint64_t places,
                                                     unsigned deadline_ms, bp_error *error);
/* After the last connection has closed. Joins the sweeper. Accepts NULL. */
void bp_connection_table_free(bp_connection_table *table);

/* NULL: no memory; the connection then has no deadline and must be refused. */
bp_connection *bp_connection_opened(bp_connection_table *table, int socket);
void bp_connection_closed(bp_connection_table *table, bp_connection *connection); /* accepts NULL */

/* Takes one of the places, which the connection then has until it closes: others, however many come, do not
 * drive it out. false: none is free now. Called by the connection's thread; false
 * for NULL. */
bool bp_connection_take_place(bp_connection_table *table, bp_connection *connection);
/* Connections now open, with and without a place. */
uint64_t bp_connection_count(const bp_connection_table *table);

/* Gives the connection `duration_ms` from now. NULL is ignored. */
void bp_connection_allow(bp_connection *connection, int64_t duration_ms);
/* Lets it be while the daemon itself is what takes time. */
void bp_connection_allow_forever(bp_connection *connection);
/* Milliseconds of monotonic time. */
int64_t bp_connection_now_ms(void);

#endif
