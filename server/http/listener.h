/* The listening socket. */
#ifndef BP_SERVER_HTTP_LISTENER_H
#define BP_SERVER_HTTP_LISTENER_H

#include "server/http/request_checks.h"

#include "core/base/error.h"

/* Binds and listens on a numeric address (IPv6 with or without brackets) or "localhost"; port 0 takes
 * a free one. Fills in the port in use and the rule for Host. BP_INVALID, BP_CONFLICT (in use),
 * BP_INPUT_OUTPUT. */
BP_CHECK_RESULT bp_status bp_listener_open(int *out, uint16_t *out_port, bp_host_rule *out_rule,
                                           const char *address, uint16_t port, bp_error *error);

/* Raises the soft limit of open files to at least `count` where the hard limit lets it. */
void bp_listener_raise_files(uint64_t count);

#endif
