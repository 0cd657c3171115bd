#include "server/base/thread.h"

#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

/* Jansson's parser may nest 2048 levels of about 100 bytes; the rest is shallow. */
enum { STACK_BYTES = 1024 * 1024 };

bp_status bp_thread_start(pthread_t *out, const char *name, void *(*body)(void *argument),
                          void *argument, bp_error *error)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    const int outcome = pthread_create(&thread, &attributes, body, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (outcome != 0)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "the thread %s cannot be started", name);
    pthread_setname_np(thread, name);
    *out = thread;
    return BP_OK;
}

void bp_thread_set_nice(int nice)
{
    if (nice != BP_NICE_NORMAL)
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), nice);
}
