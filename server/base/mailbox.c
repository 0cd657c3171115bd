#include "server/base/mailbox.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

struct bp_mailbox {
    pthread_mutex_t mutex;   /* guards all below but wake and context, which never change */
    pthread_cond_t not_full; /* a sender may go on: room, or closed */
    pthread_cond_t arrived;  /* the receiver may go on: a message, or closed */
    bp_message *first, *last;
    size_t count, capacity;
    bool closed;
    void (*wake)(void *context);
    void *context;
};

bp_status bp_mailbox_create(bp_mailbox **out, size_t capacity, void (*wake)(void *context),
                            void *context, bp_error *error)
{
    assert(capacity > 0);
    bp_mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (!mailbox)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a mailbox");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&mailbox->mutex, NULL);
    pthread_cond_init(&mailbox->not_full, &monotonic);
    pthread_cond_init(&mailbox->arrived, &monotonic);
    pthread_condattr_destroy(&monotonic);
    mailbox->capacity = capacity;
    mailbox->wake = wake;
    mailbox->context = context;
    *out = mailbox;
    return BP_OK;
}

/* With the mutex held; lets go of it. */
static bool append_and_unlock(bp_mailbox *mailbox, bp_message *message)
{
    const bool was_empty = mailbox->count == 0;
    message->next = NULL;
    if (was_empty)
        mailbox->first = message;
    else
        mailbox->last->next = message;
    mailbox->last = message;
    mailbox->count++;
    /* Under the lock: the receiver may free the box as soon as it has seen the last message. */
    if (was_empty) {
        pthread_cond_signal(&mailbox->arrived);
        if (mailbox->wake)
            mailbox->wake(mailbox->context);
    }
    pthread_mutex_unlock(&mailbox->mutex);
    return true;
}

bool bp_mailbox_send(bp_mailbox *mailbox, bp_message *message)
{
    pthread_mutex_lock(&mailbox->mutex);
    while (mailbox->count >= mailbox->capacity && !mailbox->closed)
        pthread_cond_wait(&mailbox->not_full, &mailbox->mutex);
    if (mailbox->closed) {
        pthread_mutex_unlock(&mailbox->mutex);
        return false;
    }
    return append_and_unlock(mailbox, message);
}

bool bp_mailbox_try_send(bp_mailbox *mailbox, bp_message *message)
{
    pthread_mutex_lock(&mailbox->mutex);
    if (mailbox->closed || mailbox->count >= mailbox->capacity) {
        pthread_mutex_unlock(&mailbox->mutex);
        return false;
    }
    return append_and_unlock(mailbox, message);
}

static struct timespec deadline_after(int timeout_ms)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    deadline.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (deadline.tv_nsec >= 1000000000) {
        deadline.tv_nsec -= 1000000000;
        deadline.tv_sec++;
    }
    return deadline;
}

bp_message *bp_mailbox_receive_all(bp_mailbox *mailbox, int timeout_ms)
{
    pthread_mutex_lock(&mailbox->mutex);
    if (timeout_ms < 0) {
        while (!mailbox->first && !mailbox->closed)
            pthread_cond_wait(&mailbox->arrived, &mailbox->mutex);
    } else if (timeout_ms > 0) {
        const struct timespec deadline = deadline_after(timeout_ms);
        int outcome = 0;
        while (!mailbox->first && !mailbox->closed && outcome == 0)
            outcome = pthread_cond_timedwait(&mailbox->arrived, &mailbox->mutex, &deadline);
    }
    bp_message *messages = mailbox->first;
    mailbox->first = mailbox->last = NULL;
    mailbox->count = 0;
    if (messages)
        pthread_cond_broadcast(&mailbox->not_full);
    pthread_mutex_unlock(&mailbox->mutex);
    return messages;
}

void bp_mailbox_close(bp_mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->mutex);
    mailbox->closed = true;
    pthread_cond_broadcast(&mailbox->not_full);
    pthread_cond_broadcast(&mailbox->arrived);
    pthread_mutex_unlock(&mailbox->mutex);
}

void bp_mailbox_free(bp_mailbox *mailbox)
{
    if (!mailbox)
        return;
    assert(!mailbox->first);
    pthread_cond_destroy(&mailbox->arrived);
    pthread_cond_destroy(&mailbox->not_full);
    pthread_mutex_destroy(&mailbox->mutex);
    free(mailbox);
}
