#include "server/job/watchers.h"

#include <assert.h>
#include <stdlib.h>

struct bp_watchers {
    uv_timer_t timer; /* runs out at the earliest deadline; first, so that its close can free all */
    uv_loop_t *loop;
    size_t count, capacity;
    bp_watch *items;
};

static void arm_timer(bp_watchers *watchers);

bp_status bp_watchers_create(bp_watchers **out, uv_loop_t *loop, bp_error *error)
{
    bp_watchers *watchers = calloc(1, sizeof *watchers);
    if (!watchers)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for watchers");
    watchers->loop = loop;
    uv_timer_init(loop, &watchers->timer);
    *out = watchers;
    return BP_OK;
}

/* Takes one out of the list before it is called: the callback may add another. */
static void notify_and_remove(bp_watchers *watchers, size_t index)
{
    const bp_watch watch = watchers->items[index];
    watchers->items[index] = watchers->items[--watchers->count];
    watch.notify(watch.context);
}

static void on_timer(uv_timer_t *timer)
{
    bp_watchers *watchers = (bp_watchers *)timer;
    const uint64_t now_ms = uv_now(watchers->loop);
    for (size_t i = watchers->count; i-- > 0;)
        if (i < watchers->count && watchers->items[i].deadline_ms <= now_ms)
            notify_and_remove(watchers, i);
    arm_timer(watchers);
}

static void arm_timer(bp_watchers *watchers)
{
    if (watchers->count == 0) {
        uv_timer_stop(&watchers->timer);
        return;
    }
    uint64_t first_ms = UINT64_MAX;
    for (size_t i = 0; i < watchers->count; i++)
        if (watchers->items[i].deadline_ms < first_ms)
            first_ms = watchers->items[i].deadline_ms;
    const uint64_t now_ms = uv_now(watchers->loop);
    uv_timer_start(&watchers->timer, on_timer, first_ms > now_ms ? first_ms - now_ms : 0, 0);
}

void bp_watchers_add(bp_watchers *watchers, const bp_watch *watch)
{
    if (watchers->count == watchers->capacity) {
        const size_t capacity = watchers->capacity ? 2 * watchers->capacity : 16;
        bp_watch *items = realloc(watchers->items, capacity * sizeof *items);
        if (!items) {
            watch->notify(watch->context);
            return;
        }
        watchers->items = items;
        watchers->capacity = capacity;
    }
    watchers->items[watchers->count++] = *watch;
    arm_timer(watchers);
}

void bp_watchers_wake(bp_watchers *watchers, int64_t job, uint64_t seq, bool finished)
{
    for (size_t i = watchers->count; i-- > 0;)
        if (i < watchers->count && watchers->items[i].job == job &&
            (finished || watchers->items[i].after < seq))
            notify_and_remove(watchers, i);
    arm_timer(watchers);
}

void bp_watchers_wake_all(bp_watchers *watchers)
{
    while (watchers->count > 0)
        notify_and_remove(watchers, watchers->count - 1);
    arm_timer(watchers);
}

static void free_closed(uv_handle_t *handle)
{
    free(handle);
}

void bp_watchers_free(bp_watchers *watchers)
{
    if (!watchers)
        return;
    assert(watchers->count == 0);
    free(watchers->items);
    watchers->items = NULL;
    uv_close((uv_handle_t *)&watchers->timer, free_closed);
}
