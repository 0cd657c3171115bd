/* Threads as the daemon starts them: named, small stacks, every signal blocked (the main loop alone
 * handles signals). */
#ifndef BP_SERVER_BASE_THREAD_H
#define BP_SERVER_BASE_THREAD_H

#include <pthread.h>

#include "core/base/error.h"

/* Lower values of nice(2) come first; trainers give way to threads that answer requests. */
enum { BP_NICE_NORMAL = 0, BP_NICE_TRAINER = 5 };

/* name: at most 15 bytes, copied by the kernel. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_thread_start(pthread_t *out, const char *name,
                                          void *(*body)(void *argument), void *argument,
                                          bp_error *error);

/* Sets the calling thread's niceness (Linux keeps one for each thread). Failing is harmless. */
void bp_thread_set_nice(int nice);

#endif
