#include "server/http/connection_table.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "server/base/clock.h"
#include "server/base/thread.h"

enum { SWEEP_MS = 500 };

struct bp_connection {
    bp_connection *previous, *next; /* under the table's lock */
    int socket;
    bool has_place;              /* of the connection's thread */
    _Atomic int64_t deadline_ms; /* monotonic */
};

struct bp_connection_table {
    pthread_mutex_t mutex; /* guards the list and `stop` */
    pthread_cond_t changed;
    bp_connection *first;
    bool stop;
    _Atomic uint64_t count;
    _Atomic uint64_t free_places;
    int64_t first_deadline_ms; /* duration */
    pthread_t sweeper;
};

int64_t bp_connection_now_ms(void)
{
    return (int64_t)(bp_clock_monotonic_ns() / 1000000);
}

static void *sweep(void *argument)
{
    bp_connection_table *table = argument;
    pthread_mutex_lock(&table->mutex);
    while (!table->stop) {
        if (!table->first) {
            pthread_cond_wait(&table->changed, &table->mutex);
            continue;
        }
        int64_t now = bp_connection_now_ms();
        for (bp_connection *at = table->first; at; at = at->next)
            if (atomic_load_explicit(&at->deadline_ms, memory_order_relaxed) <= now) {
                /* Its thread sees the end of the stream and closes it. */
                shutdown(at->socket, SHUT_RDWR);
                atomic_store_explicit(&at->deadline_ms, BP_NO_DEADLINE, memory_order_relaxed);
            }
        int64_t wake = now + SWEEP_MS;
        struct timespec until = {.tv_sec = wake / 1000, .tv_nsec = wake % 1000 * 1000000};
        pthread_cond_timedwait(&table->changed, &table->mutex, &until);
    }
    pthread_mutex_unlock(&table->mutex);
    return NULL;
}

bp_status bp_connection_table_create(bp_connection_table **out, uint64_t places,
                                     unsigned deadline_ms, bp_error *error)
{
    bp_connection_table *table = calloc(1, sizeof *table);
    if (!table)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the connection table");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&table->mutex, NULL);
    pthread_cond_init(&table->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    table->first_deadline_ms = deadline_ms;
    table->free_places = places;
    bp_status status = bp_thread_start(&table->sweeper, "http-sweeper", sweep, table, error);
    if (status != BP_OK) {
        pthread_cond_destroy(&table->changed);
        pthread_mutex_destroy(&table->mutex);
        free(table);
        return status;
    }
    *out = table;
    return BP_OK;
}

void bp_connection_table_free(bp_connection_table *table)
{
    if (!table)
        return;
    pthread_mutex_lock(&table->mutex);
    table->stop = true;
    pthread_cond_signal(&table->changed);
    pthread_mutex_unlock(&table->mutex);
    pthread_join(table->sweeper, NULL);
    pthread_cond_destroy(&table->changed);
    pthread_mutex_destroy(&table->mutex);
    free(table);
}

bp_connection *bp_connection_opened(bp_connection_table *table, int socket)
{
    bp_connection *connection = calloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->socket = socket;
    bp_connection_allow(connection, table->first_deadline_ms);
    atomic_fetch_add(&table->count, 1);
    pthread_mutex_lock(&table->mutex);
    connection->next = table->first;
    if (table->first)
        table->first->previous = connection;
    else
        pthread_cond_signal(&table->changed);
    table->first = connection;
    pthread_mutex_unlock(&table->mutex);
    return connection;
}

void bp_connection_closed(bp_connection_table *table, bp_connection *connection)
{
    if (!connection)
        return;
    pthread_mutex_lock(&table->mutex);
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        table->first = connection->next;
    if (connection->next)
        connection->next->previous = connection->previous;
    pthread_mutex_unlock(&table->mutex);
    if (connection->has_place)
        atomic_fetch_add(&table->free_places, 1);
    atomic_fetch_sub(&table->count, 1);
    free(connection);
}

bool bp_connection_take_place(bp_connection_table *table, bp_connection *connection)
{
    if (!connection)
        return false;
    uint64_t left = atomic_load(&table->free_places);
    while (!connection->has_place && left > 0)
        connection->has_place = atomic_compare_exchange_weak(&table->free_places, &left, left - 1);
    return connection->has_place;
}

uint64_t bp_connection_count(const bp_connection_table *table)
{
    return atomic_load(&table->count);
}

void bp_connection_allow(bp_connection *connection, int64_t duration_ms)
{
    if (connection)
        atomic_store_explicit(&connection->deadline_ms, bp_connection_now_ms() + duration_ms,
                              memory_order_relaxed);
}

void bp_connection_allow_forever(bp_connection *connection)
{
    if (connection)
        atomic_store_explicit(&connection->deadline_ms, BP_NO_DEADLINE, memory_order_relaxed);
}
