/* The one queue between threads: bounded, first in first out, of pointers whose ownership goes with
 * them. Any number of senders, one receiver. */
#ifndef BP_SERVER_BASE_MAILBOX_H
#define BP_SERVER_BASE_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

/* Intrusive: the first member of every message. */
typedef struct bp_message {
    struct bp_message *next;
} bp_message;

typedef struct bp_mailbox bp_mailbox;

/* capacity: messages that may wait. wake, if not NULL, is called after each send that finds the box
 * empty, on the sender's thread (uv_async_send for the main loop). */
BP_CHECK_RESULT bp_status bp_mailbox_create(bp_mailbox **out, size_t capacity,
                                            void (*wake)(void *context), void *context,
                                            bp_error *error);
/* Waits while full. False, and the message stays the caller's, once closed. */
BP_CHECK_RESULT bool bp_mailbox_send(bp_mailbox *mailbox, bp_message *message);
/* Never waits: false when full or closed. */
BP_CHECK_RESULT bool bp_mailbox_try_send(bp_mailbox *mailbox, bp_message *message);
/* All waiting messages in order, as a list through next; NULL when empty. Waits up to timeout_ms for
 * the first (0: not at all; −1: until a message comes or the box is closed). */
bp_message *bp_mailbox_receive_all(bp_mailbox *mailbox, int timeout_ms);
/* No more sends; the receiver still gets what waits. */
void bp_mailbox_close(bp_mailbox *mailbox);
void bp_mailbox_free(bp_mailbox *mailbox); /* must be empty; accepts NULL */

#endif
