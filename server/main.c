/* The daemon: puts the parts together, waits for signals, takes them apart again.
 *
 * Start: options → store → data sets → models → jobs → HTTP → "listening on …".
 *
 * Stop, at the first SIGTERM or SIGINT (a second one ends the process at once, which is safe too, but
 * counts a restart for each running job):
 *   1. stop intake: HTTP takes no new connections and requests; whoever waits for metrics is answered;
 *      a backup that is being made is given up;
 *      nothing waits for space on the disk any more
 *   2. stop and join the trainers; their jobs are queued again on the disk
 *   3. stop HTTP: answers in progress end, all suspended requests are resumed, its threads are joined
 *   4. free the hub of event streams, close backups, models and data sets (joins the thread of each)
 *   5. close the store: what waits is applied, the log is checkpointed, the lock is released
 *   6. free the job table, which late answers of the store may still have spoken to */
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "server/backup/backup_command.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/options.h"
#include "server/http/http.h"

enum { EXIT_USAGE = 2, SIGNAL_COUNT = 2 };

typedef struct daemon_parts {
    uv_loop_t loop;
    uv_signal_t signals[SIGNAL_COUNT];
    bool stopping;
    bp_store *store;
    bp_datasets *datasets;
    bp_models *models;
    bp_backups *backups;
    bp_jobs *jobs;
    bp_event_hub *events;
    bp_http *http;
} daemon_parts;

static bp_status choose_isa(bp_isa *out, const bp_options *options, bp_error *error)
{
    const bp_isa isa = options->processor == 0 ? bp_isa_detect() : (bp_isa)(options->processor - 1);
    if (!bp_kernels_get(BP_FLOAT32, isa))
        return bp_error_set(error, BP_UNSUPPORTED, "--processor",
                            "this processor cannot run %s; the best it can is %s", bp_isa_name(isa),
                            bp_isa_name(bp_isa_detect()));
    *out = isa;
    return BP_OK;
}

static bp_status open_parts(daemon_parts *parts, const bp_options *options, bp_isa isa,
                            bp_error *error)
{
    const bp_dataset_limits dataset_limits = {.decoded_bytes = options->max_upload_bytes,
                                              .columns = options->max_columns};
    const bp_job_limits job_limits = {.memory_bytes = options->memory_limit_bytes,
                                      .parameter_count = options->max_parameters,
                                      .layer_count = (size_t)options->max_layers,
                                      .thread_count = (size_t)options->job_threads};
    const bp_jobs_options jobs_options = {.worker_count = (size_t)options->workers,
                                          .isa = isa,
                                          .limits = job_limits,
                                          .restart_limit = options->restart_limit};
    bp_status status = bp_store_open(&parts->store, options->data, error);
    if (status == BP_OK)
        status = bp_datasets_open(&parts->datasets, parts->store, &dataset_limits, error);
    if (status == BP_OK)
        status =
            bp_models_open(&parts->models, parts->store, isa, options->model_cache_bytes, error);
    if (status == BP_OK)
        status = bp_event_hub_create(&parts->events, parts->store, BP_EVENT_HEARTBEAT_MS, error);
    if (status == BP_OK)
        status = bp_backups_open(&parts->backups, options->data, error);
    if (status == BP_OK)
        status = bp_jobs_open(&parts->jobs, &parts->loop, parts->store, parts->datasets,
                              &jobs_options, error);
    if (status != BP_OK)
        return status;
    bp_http_options http_options = bp_http_options_default();
    http_options.address = options->address;
    http_options.port = options->port;
    http_options.thread_count = (size_t)options->http_threads;
    http_options.connection_limit = (size_t)options->connections;
    http_options.json_body_bytes = (size_t)options->max_body_bytes;
    http_options.predict_body_bytes = (size_t)options->max_predict_bytes;
    http_options.predict_rows = (size_t)options->max_predict_rows;
    http_options.upload_bytes = options->max_upload_bytes;
    http_options.deadline_ms = (unsigned)options->deadline_s * 1000;
    const bp_services services = {.store = parts->store,
                                  .datasets = parts->datasets,
                                  .jobs = parts->jobs,
                                  .events = parts->events,
                                  .models = parts->models,
                                  .backups = parts->backups,
                                  .job_limits = job_limits,
                                  .dataset_limits = dataset_limits,
                                  .isa = isa,
                                  .worker_count = (size_t)options->workers,
                                  .version = BP_VERSION};
    return bp_http_start(&parts->http, &http_options, &services, error);
}

static void trainers_stopped(void *context)
{
    uv_stop(&((daemon_parts *)context)->loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    daemon_parts *parts = handle->data;
    if (parts->stopping)
        _exit(EXIT_FAILURE);
    parts->stopping = true;
    bp_log(BP_LOG_INFO, "stopping", "signal=%s", strsignal(number));
    bp_http_stop_intake(parts->http);
    bp_backups_stop(parts->backups);
    bp_store_stop_waiting(parts->store);
    bp_jobs_stop(parts->jobs, trainers_stopped, parts);
}

static void start_signals(daemon_parts *parts)
{
    static const int numbers[SIGNAL_COUNT] = {SIGTERM, SIGINT};
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        uv_signal_init(&parts->loop, &parts->signals[i]);
        parts->signals[i].data = parts;
        uv_signal_start(&parts->signals[i], on_signal, numbers[i]);
    }
}

/* Gives both signals back their default effect: a second one ends the process. */
static void stop_signals(daemon_parts *parts)
{
    for (int i = 0; i < SIGNAL_COUNT; i++)
        uv_close((uv_handle_t *)&parts->signals[i], NULL);
}

static void close_parts(daemon_parts *parts)
{
    bp_http_stop(parts->http);
    bp_event_hub_free(parts->events);
    bp_backups_close(parts->backups);
    if (parts->models)
        bp_models_close(parts->models);
    if (parts->datasets)
        bp_datasets_close(parts->datasets);
    bp_store_close(parts->store);
    bp_jobs_free(parts->jobs);
}

/* A bare line, not a log entry: programs that start the daemon wait for it. */
static void say_listening(const bp_options *options, uint16_t port)
{
    const bool bracketed = strchr(options->address, ':') != NULL;
    fprintf(stderr, "listening on http://%s%s%s:%u\n", bracketed ? "[" : "", options->address,
            bracketed ? "]" : "", (unsigned)port);
}

static int run_daemon(const bp_options *options, const sigset_t *usual_signals)
{
    const uint64_t started_ns = bp_clock_monotonic_ns();
    daemon_parts parts = {.stopping = false};
    bp_error error = {.status = BP_OK};
    bp_isa isa = BP_ISA_BASELINE;
    uv_loop_init(&parts.loop);
    bp_status status = choose_isa(&isa, options, &error);
    if (status == BP_OK)
        status = open_parts(&parts, options, isa, &error);
    if (status == BP_OK) {
        start_signals(&parts);
        /* Before anyone is told that the daemon is there: what comes now waits for the loop. */
        pthread_sigmask(SIG_SETMASK, usual_signals, NULL);
        malloc_trim(0);
        say_listening(options, bp_http_port(parts.http));
        bp_log(BP_LOG_INFO, "ready", "version=%s processor=%s workers=%llu data=\"%s\" ms=%.1f",
               BP_VERSION, bp_isa_name(isa), (unsigned long long)options->workers, options->data,
               (double)(bp_clock_monotonic_ns() - started_ns) * 1e-6);
        uv_run(&parts.loop, UV_RUN_DEFAULT);
        stop_signals(&parts);
    } else {
        bp_log_error(BP_LOG_ERROR, "cannot start", &error);
    }
    close_parts(&parts);
    /* Handles that are closing need a turn of the loop. */
    uv_run(&parts.loop, UV_RUN_DEFAULT);
    uv_loop_close(&parts.loop);
    if (status == BP_OK)
        bp_log(BP_LOG_INFO, "stopped", NULL);
    return status == BP_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    bp_options options;
    bp_options_action action;
    bp_error error = {.status = BP_OK};
    if (argc > 1 && strcmp(argv[1], "backup") == 0)
        return bp_backup_command(argc - 1, argv + 1);
    if (bp_options_read(&options, &action, argc, argv, getenv, &error) != BP_OK) {
        fprintf(stderr, "backpropd: %s: %s\n", error.where, error.message);
        return EXIT_USAGE;
    }
    if (action == BP_OPTIONS_HELP) {
        bp_options_print_help(stdout);
        return EXIT_SUCCESS;
    }
    if (action == BP_OPTIONS_VERSION) {
        puts("backpropd " BP_VERSION);
        return EXIT_SUCCESS;
    }
    bp_log_set_level((bp_log_level)options.log_level);
    /* Many threads, little memory each: two heaps are plenty, and what is large goes back when freed. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    json_object_seed(0);
    (void)signal(SIGPIPE, SIG_IGN); /* cannot fail for a signal that exists */
    /* Every thread starts with signals blocked; the main thread takes them once they have handlers. */
    sigset_t all, usual;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &usual);
    return run_daemon(&options, &usual);
}
