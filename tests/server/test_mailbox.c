/* The queue between threads: order, bound, closing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "server/base/mailbox.h"

typedef struct numbered {
    bp_message message;
    size_t sender, number;
} numbered;

enum { SENDERS = 4, EACH = 2000 };

static bp_mailbox *create(size_t capacity, void (*wake)(void *), void *context)
{
    bp_mailbox *mailbox = NULL;
    assert_int_equal(bp_mailbox_create(&mailbox, capacity, wake, context, NULL), BP_OK);
    return mailbox;
}

static void count_wakes(void *context)
{
    ++*(int *)context;
}

static void test_order_bound_and_wake(void **state)
{
    (void)state;
    int wakes = 0;
    bp_mailbox *mailbox = create(2, count_wakes, &wakes);
    numbered a = {.number = 1}, b = {.number = 2}, c = {.number = 3};
    assert_null(bp_mailbox_receive_all(mailbox, 0));
    assert_null(bp_mailbox_receive_all(mailbox, 1));
    assert_true(bp_mailbox_try_send(mailbox, &a.message));
    assert_true(bp_mailbox_try_send(mailbox, &b.message));
    assert_false(bp_mailbox_try_send(mailbox, &c.message));
    assert_int_equal(wakes, 1);
    bp_message *all = bp_mailbox_receive_all(mailbox, 0);
    assert_ptr_equal(all, &a);
    assert_ptr_equal(all->next, &b);
    assert_null(all->next->next);
    assert_true(bp_mailbox_try_send(mailbox, &c.message));
    assert_int_equal(wakes, 2);
    bp_mailbox_close(mailbox);
    assert_false(bp_mailbox_send(mailbox, &a.message));
    assert_ptr_equal(bp_mailbox_receive_all(mailbox, -1), &c);
    assert_null(bp_mailbox_receive_all(mailbox, -1));
    bp_mailbox_free(mailbox);
}

typedef struct sender {
    bp_mailbox *mailbox;
    size_t index, sent;
    pthread_t thread;
} sender;

static void *send_numbers(void *argument)
{
    sender *self = argument;
    for (size_t i = 0; i < EACH; i++) {
        numbered *message = malloc(sizeof *message);
        *message = (numbered){.sender = self->index, .number = i};
        if (!bp_mailbox_send(self->mailbox, &message->message)) {
            free(message);
            break;
        }
        self->sent++;
    }
    return NULL;
}

/* A box of 8 and four senders: each sender's messages come in its order, none twice, none lost. */
static void test_many_senders(void **state)
{
    (void)state;
    bp_mailbox *mailbox = create(8, NULL, NULL);
    sender senders[SENDERS] = {0};
    for (size_t i = 0; i < SENDERS; i++) {
        senders[i] = (sender){.mailbox = mailbox, .index = i};
        pthread_create(&senders[i].thread, NULL, send_numbers, &senders[i]);
    }
    size_t next[SENDERS] = {0}, total = 0;
    while (total < SENDERS * EACH) {
        for (bp_message *m = bp_mailbox_receive_all(mailbox, -1); m;) {
            numbered *message = (numbered *)m;
            m = m->next;
            assert_int_equal(message->number, next[message->sender]++);
            total++;
            free(message);
        }
    }
    for (size_t i = 0; i < SENDERS; i++)
        pthread_join(senders[i].thread, NULL);
    bp_mailbox_free(mailbox);
}

/* A sender that waits at a full box is let go when it closes. */
static void test_close_frees_a_waiting_sender(void **state)
{
    (void)state;
    bp_mailbox *mailbox = create(1, NULL, NULL);
    sender waiting = {.mailbox = mailbox};
    pthread_create(&waiting.thread, NULL, send_numbers, &waiting);
    bp_message *first = bp_mailbox_receive_all(mailbox, -1);
    bp_mailbox_close(mailbox);
    pthread_join(waiting.thread, NULL);
    size_t received = 1;
    free(first);
    for (bp_message *m = bp_mailbox_receive_all(mailbox, -1); m; received++) {
        bp_message *next = m->next;
        free(m);
        m = next;
    }
    assert_int_equal(received, waiting.sent);
    bp_mailbox_free(mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_bound_and_wake),
        cmocka_unit_test(test_many_senders),
        cmocka_unit_test(test_close_frees_a_waiting_sender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
