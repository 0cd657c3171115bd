/* The store thread: groups of writes, each group one transaction.
 *
 *   idle → collecting → applying → committing → answering → idle
 *
 * collecting  store_body: those held back for want of space, then all that waits in the mailbox, in order
 * applying    apply_group: BEGIN IMMEDIATE, then every write in a savepoint of its own
 * committing  COMMIT, which syncs the log (synchronous=FULL). From here on an error is fatal: whether the
 *             bytes are on the disk is unknown and a second fsync would not tell. Only "disk full" is
 *             known to have happened before the commit record, and rolls the whole group back.
 * answering   done of each write, but of one that waits for space; afterwards, with nobody waiting, a
 *             checkpoint where the log is long or the disk full: it makes room in the log
 *
 * Invariants: 1. done comes after the commit (or the rollback) of its write. 2. Writes are applied in the
 * order in which they were sent, but for those held back. 3. No other connection writes or checkpoints. */
#include "server/store/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/base/thread.h"
#include "server/store/database.h"
#include "server/store/touched_jobs.h"

enum {
    MAILBOX_CAPACITY = 1024,
    CHECKPOINT_PAGES = 256, /* 4 MiB of log */
    RESTART_PAGES = 8192,   /* 128 MiB: readers are then waited for, so that the log starts anew */
    RESTART_AGAIN_PAGES = 2048, /* how much longer the log gets before they are waited for again */
    RESTART_WAIT_MS = 100,      /* a long reader (a backup) must not hold up the writes */
    SPACE_RETRY_MS = 500        /* how often writes that wait for space are tried */
};

typedef struct reader {
    bp_store *store;
    sqlite3 *database;
    struct reader *next;
} reader;

struct bp_store {
    char *directory, *database_path;
    int lock_file;
    sqlite3 *database; /* the store thread's, once it runs */
    int made_folders;  /* the data directory and its parents that were not there before */
    int log_pages;     /* length of the log; store thread, like the next two */
    int tried_pages;   /* its length when a checkpoint was last tried */
    int restart_pages; /* the length at which readers are waited for */
    bool full;         /* a write met a full disk since the log was last looked at; store thread */
    bp_message *held, **end_of_held; /* writes that wait for space; store thread, like the next */
    bool waiting;                    /* there were some after the last group */
    atomic_bool stop_waiting;
    bp_touched_jobs touched;
    bp_mailbox *mailbox;
    pthread_t thread;
    bool thread_runs;
    pthread_key_t reader_key; /* each thread's reader; its destructor closes it */
    bool key_made;
    pthread_mutex_t readers_mutex;
    reader *readers;
};

/* ---- the thread ---- */

static void answer(bp_write *write, bp_status status, const bp_error *error)
{
    write->done(write, status, error);
}

static void die(sqlite3 *database, const char *doing)
{
    bp_log(BP_LOG_ERROR, "database cannot be written, stopping", "doing=%s code=%d error=\"%s\"",
           doing, sqlite3_extended_errcode(database), sqlite3_errmsg(database));
    _exit(74); /* EX_IOERR */
}

static int note_log_length(void *context, sqlite3 *database, const char *name, int pages)
{
    (void)database;
    (void)name;
    bp_store *store = context;
    if (pages < store->log_pages) { /* the log began anew */
        store->tried_pages = 0;
        store->restart_pages = RESTART_PAGES;
    }
    store->log_pages = pages;
    return SQLITE_OK;
}

typedef struct outcome {
    bp_status status;
    bp_error error;
} outcome;

/* A write undone together with the transaction that a neighbour's failure took down. */
static void fail_range(outcome *outcomes, size_t first, size_t end, const outcome *why)
{
    for (size_t i = first; i < end; i++)
        if (outcomes[i].status == BP_OK)
            outcomes[i] = *why;
}

static void begin(sqlite3 *database)
{
    if (sqlite3_exec(database, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
        die(database, "begin");
}

static void apply_one(sqlite3 *database, bp_write *write, outcome *result)
{
    *result = (outcome){.status = BP_OK};
    if (sqlite3_exec(database, "SAVEPOINT one", NULL, NULL, NULL) != SQLITE_OK) {
        result->status = bp_database_error(database, sqlite3_errcode(database), "beginning a write",
                                           &result->error);
        return;
    }
    result->status = write->apply(write, database, &result->error);
    /* Disk full and the like may have rolled the whole transaction back. */
    if (sqlite3_get_autocommit(database)) {
        if (result->status == BP_OK)
            result->status =
                bp_error_set(&result->error, BP_INTERNAL, NULL, "the transaction was lost");
        return;
    }
    const char *end = result->status == BP_OK ? "RELEASE one" : "ROLLBACK TO one; RELEASE one";
    if (sqlite3_exec(database, end, NULL, NULL, NULL) != SQLITE_OK) {
        if (result->status == BP_OK)
            result->status = bp_database_error(database, sqlite3_errcode(database),
                                               "ending a write", &result->error);
        if (!sqlite3_get_autocommit(database))
            sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    }
}

static void apply_group(bp_store *store, bp_write *const *writes, outcome *outcomes, size_t count)
{
    sqlite3 *database = store->database;
    size_t first = 0; /* of the writes in the present transaction */
    begin(database);
    for (size_t i = 0; i < count; i++) {
        apply_one(database, writes[i], &outcomes[i]);
        if (sqlite3_get_autocommit(database)) {
            if (outcomes[i].status == BP_OK)
                outcomes[i].status =
                    bp_error_set(&outcomes[i].error, BP_INTERNAL, NULL, "the transaction was lost");
            fail_range(outcomes, first, i, &outcomes[i]);
            first = i + 1;
            begin(database);
        }
    }
    if (sqlite3_exec(database, "COMMIT", NULL, NULL, NULL) == SQLITE_OK)
        return;
    if (sqlite3_errcode(database) != SQLITE_FULL)
        die(database, "commit");
    outcome full = {.status = BP_OK};
    full.status = bp_database_error(database, SQLITE_FULL, "writing", &full.error);
    if (!sqlite3_get_autocommit(database) &&
        sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
        die(database, "rollback");
    fail_range(outcomes, first, count, &full);
}

static void checkpoint(bp_store *store, int mode)
{
    const int code = sqlite3_wal_checkpoint_v2(store->database, NULL, mode, NULL, NULL);
    if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY && (code & 0xff) != SQLITE_FULL)
        die(store->database, "checkpoint");
}

/* Between groups. What a long reader still needs stays in the log, and the next checkpoint copies it; each
 * goes through the whole of it, so they are as far apart as what there may be new to copy is long. */
static void checkpoint_if_long(bp_store *store)
{
    if (store->log_pages - store->tried_pages < CHECKPOINT_PAGES && !store->full)
        return;
    store->tried_pages = store->log_pages;
    if (store->log_pages < store->restart_pages && !store->full) {
        checkpoint(store, SQLITE_CHECKPOINT_PASSIVE);
        return;
    }
    store->full = false;
    store->restart_pages = store->log_pages + RESTART_AGAIN_PAGES;
    sqlite3_busy_timeout(store->database, RESTART_WAIT_MS);
    checkpoint(store, SQLITE_CHECKPOINT_RESTART);
    sqlite3_busy_timeout(store->database, BP_BUSY_TIMEOUT_MS);
}

static void hold(bp_store *store, bp_write *write)
{
    write->message.next = NULL;
    *store->end_of_held = &write->message;
    store->end_of_held = &write->message.next;
}

static void answer_group(bp_store *store, bp_write *const *writes, const outcome *outcomes,
                         size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const bool full = outcomes[i].status == BP_STORAGE_FULL;
        store->full = store->full || full;
        if (!full || !writes[i]->waits_for_space) {
            answer(writes[i], outcomes[i].status, &outcomes[i].error);
        } else if (!atomic_load(&store->stop_waiting)) {
            hold(store, writes[i]);
        } else {
            bp_error error = {.status = BP_OK};
            answer(writes[i],
                   bp_error_set(&error, BP_CANCELLED, NULL,
                                "the daemon is stopping, and the disk is full"),
                   &error);
        }
    }
}

static void process(bp_store *store, bp_message *messages)
{
    enum { GROUP_LIMIT = 64 };
    bp_write *writes[GROUP_LIMIT];
    outcome *outcomes = calloc(GROUP_LIMIT, sizeof *outcomes);
    if (!outcomes) {
        bp_log(BP_LOG_ERROR, "no memory for the store thread, stopping", NULL);
        _exit(71); /* EX_OSERR */
    }
    while (messages) {
        size_t count = 0;
        while (messages && count < GROUP_LIMIT) {
            writes[count++] = (bp_write *)messages;
            messages = messages->next;
        }
        apply_group(store, writes, outcomes, count);
        answer_group(store, writes, outcomes, count);
        bp_touched_jobs_tell(&store->touched);
    }
    free(outcomes);
    if (store->held && !store->waiting)
        bp_log(BP_LOG_WARNING, "disk full: writes of jobs wait for space", NULL);
    if (!store->held && store->waiting)
        bp_log(BP_LOG_INFO, "no writes of jobs wait for space any more", NULL);
    store->waiting = store->held != NULL;
}

static void sync_directory(const char *directory)
{
    const int file = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0 && errno == EACCES) /* a parent that others made and we may only pass through */
        return;
    if (file < 0 || fsync(file) != 0) {
        bp_log(BP_LOG_ERROR, "the data directory cannot be synced, stopping", "error=\"%s\"",
               strerror(errno));
        _exit(74); /* EX_IOERR */
    }
    close(file);
}

/* Puts the names of the database and of the folders beside it on the disk, and that of the data directory
 * itself; a daemon that was killed may have made them and not got here. Before the first commit and not at
 * opening: nobody else needs to wait for it. */
static void sync_names(const bp_store *store)
{
    char *path = strdup(store->directory);
    if (!path) {
        bp_log(BP_LOG_ERROR, "no memory for the store thread, stopping", NULL);
        _exit(71); /* EX_OSERR */
    }
    const int levels = store->made_folders > 1 ? store->made_folders : 1;
    sync_directory(path);
    for (int i = 0; i < levels; i++) {
        size_t length = strlen(path);
        while (length > 1 && path[length - 1] == '/')
            path[--length] = '\0';
        char *slash = strrchr(path, '/');
        if (slash)
            slash[slash == path ? 1 : 0] = '\0';
        sync_directory(slash ? path : ".");
        if (!slash)
            break;
    }
    free(path);
}

/* Those held back come first. */
static bp_message *with_held(bp_store *store, bp_message *messages)
{
    bp_message *held = store->held;
    if (!held)
        return messages;
    *store->end_of_held = messages;
    store->held = NULL;
    store->end_of_held = &store->held;
    return held;
}

static void *store_body(void *argument)
{
    bp_store *store = argument;
    for (bool first = true;; first = false) {
        bp_message *messages =
            bp_mailbox_receive_all(store->mailbox, store->held ? SPACE_RETRY_MS : -1);
        if (!messages && !store->held)
            return NULL; /* closed and empty */
        if (first)
            sync_names(store);
        process(store, with_held(store, messages));
        checkpoint_if_long(store);
    }
}

/* ---- writing ---- */

void bp_store_stop_waiting(bp_store *store)
{
    atomic_store(&store->stop_waiting, true);
}

void bp_store_write(bp_store *store, bp_write *write)
{
    if (bp_mailbox_send(store->mailbox, &write->message))
        return;
    bp_error error = {.status = BP_OK};
    answer(write, bp_error_set(&error, BP_CANCELLED, NULL, "the store is closing"), &error);
}

typedef struct waiting_write {
    bp_write write;
    bp_write *inner;
    pthread_mutex_t mutex;
    pthread_cond_t answered;
    bool done;
    bp_status status;
    bp_error *error;
} waiting_write;

static bp_status apply_inner(bp_write *write, sqlite3 *database, bp_error *error)
{
    bp_write *inner = ((waiting_write *)write)->inner;
    return inner->apply(inner, database, error);
}

static void wake_waiter(bp_write *write, bp_status status, const bp_error *error)
{
    waiting_write *waiting = (waiting_write *)write;
    pthread_mutex_lock(&waiting->mutex);
    waiting->status = status;
    if (status != BP_OK && waiting->error && waiting->error->status == BP_OK)
        *waiting->error = *error;
    waiting->done = true;
    pthread_cond_signal(&waiting->answered);
    pthread_mutex_unlock(&waiting->mutex);
}

bp_status bp_store_write_wait(bp_store *store, bp_write *write, bp_error *error)
{
    waiting_write waiting = {.write = {.apply = apply_inner,
                                       .done = wake_waiter,
                                       .waits_for_space = write->waits_for_space},
                             .inner = write,
                             .mutex = PTHREAD_MUTEX_INITIALIZER,
                             .answered = PTHREAD_COND_INITIALIZER,
                             .error = error};
    bp_store_write(store, &waiting.write);
    pthread_mutex_lock(&waiting.mutex);
    while (!waiting.done)
        pthread_cond_wait(&waiting.answered, &waiting.mutex);
    pthread_mutex_unlock(&waiting.mutex);
    pthread_cond_destroy(&waiting.answered);
    pthread_mutex_destroy(&waiting.mutex);
    return waiting.status;
}

/* ---- reading ---- */

static void close_reader(void *value)
{
    reader *closing = value;
    bp_store *store = closing->store;
    pthread_mutex_lock(&store->readers_mutex);
    reader **link = &store->readers;
    while (*link != closing)
        link = &(*link)->next;
    *link = closing->next;
    pthread_mutex_unlock(&store->readers_mutex);
    sqlite3_close_v2(closing->database);
    free(closing);
}

bp_status bp_store_reader(sqlite3 **out, bp_store *store, bp_error *error)
{
    reader *mine = pthread_getspecific(store->reader_key);
    if (mine) {
        *out = mine->database;
        return BP_OK;
    }
    mine = calloc(1, sizeof *mine);
    if (!mine)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a reader");
    mine->store = store;
    const bp_status status = bp_database_open_reader(&mine->database, store->database_path, error);
    if (status != BP_OK) {
        free(mine);
        return status;
    }
    pthread_mutex_lock(&store->readers_mutex);
    mine->next = store->readers;
    store->readers = mine;
    pthread_mutex_unlock(&store->readers_mutex);
    if (pthread_setspecific(store->reader_key, mine) != 0) {
        close_reader(mine);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a reader");
    }
    *out = mine->database;
    return BP_OK;
}

bp_status bp_store_begin_reading(sqlite3 **out, bp_store *store, bp_error *error)
{
    const bp_status status = bp_store_reader(out, store, error);
    if (status != BP_OK)
        return status;
    const int code = sqlite3_exec(*out, "BEGIN", NULL, NULL, NULL);
    return code == SQLITE_OK ? BP_OK : bp_database_error(*out, code, "reading", error);
}

void bp_store_end_reading(sqlite3 *database)
{
    sqlite3_exec(database, "COMMIT", NULL, NULL, NULL);
}

void bp_store_listen(bp_store *store, void (*changed)(void *context, int64_t job), void *context)
{
    bp_touched_jobs_listen(&store->touched, changed, context);
}

const char *bp_store_directory(const bp_store *store)
{
    return store->directory;
}

/* ---- opening and closing ---- */

/* The directory and its missing parents, readable by their owner alone. */
static bp_status make_directory(int *out_made, const char *directory, bp_error *error)
{
    char *path = strdup(directory);
    if (!path)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory");
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        *out_made += mkdir(path, 0700) == 0;
        *slash = '/';
    }
    *out_made += mkdir(path, 0700) == 0;
    free(path);
    struct stat found;
    if (stat(directory, &found) != 0)
        return bp_error_set(error, BP_INPUT_OUTPUT, directory,
                            "the data directory cannot be made: %s", strerror(errno));
    if (!S_ISDIR(found.st_mode))
        return bp_error_set(error, BP_INPUT_OUTPUT, directory, "the data directory is a file");
    return BP_OK;
}

static char *join_path(const char *directory, const char *name)
{
    const size_t size = strlen(directory) + strlen(name) + 2;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s/%s", directory, name);
    return path;
}

/* A file of its own: closing any descriptor of the database's files would drop SQLite's locks. */
static bp_status take_lock(int *out, const char *directory, bp_error *error)
{
    char *path = join_path(directory, "lock");
    if (!path)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory");
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    free(path);
    if (file < 0)
        return bp_error_set(error, BP_INPUT_OUTPUT, directory, "the lock cannot be opened: %s",
                            strerror(errno));
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        const bool taken = errno == EWOULDBLOCK;
        const bp_status status =
            taken ? bp_error_set(error, BP_CONFLICT, directory,
                                 "another daemon uses this data directory")
                  : bp_error_set(error, BP_INPUT_OUTPUT, directory, "the lock cannot be taken: %s",
                                 strerror(errno));
        close(file);
        return status;
    }
    *out = file;
    return BP_OK;
}

static void release(bp_store *store)
{
    if (store->thread_runs) {
        bp_store_stop_waiting(store);
        bp_mailbox_close(store->mailbox);
        pthread_join(store->thread, NULL);
    }
    if (store->key_made)
        pthread_key_delete(store->reader_key);
    for (reader *closing = store->readers, *next; closing; closing = next) {
        next = closing->next;
        close_reader(closing);
    }
    if (store->database) {
        if (store->thread_runs)
            checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE);
        sqlite3_close_v2(store->database);
    }
    bp_mailbox_free(store->mailbox);
    if (store->lock_file >= 0)
        close(store->lock_file);
    pthread_mutex_destroy(&store->readers_mutex);
    bp_touched_jobs_done(&store->touched);
    free(store->database_path);
    free(store->directory);
    free(store);
}

bp_status bp_store_open(bp_store **out, const char *directory, bp_error *error)
{
    bp_store *store = calloc(1, sizeof *store);
    if (!store)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the store");
    store->lock_file = -1;
    store->restart_pages = RESTART_PAGES;
    store->end_of_held = &store->held;
    pthread_mutex_init(&store->readers_mutex, NULL);
    bp_touched_jobs_init(&store->touched);
    bp_status status = BP_OK;
    store->directory = strdup(directory);
    store->database_path = join_path(directory, "backpropd.db");
    if (!store->directory || !store->database_path)
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the store");
    if (status == BP_OK)
        status = make_directory(&store->made_folders, directory, error);
    if (status == BP_OK)
        status = take_lock(&store->lock_file, directory, error);
    if (status == BP_OK)
        status = bp_database_open_writer(&store->database, store->database_path, error);
    if (status == BP_OK) {
        sqlite3_wal_hook(store->database, note_log_length, store);
        bp_touched_jobs_watch(&store->touched, store->database);
        if (pthread_key_create(&store->reader_key, close_reader) != 0)
            status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the store");
        else
            store->key_made = true;
    }
    if (status == BP_OK)
        status = bp_mailbox_create(&store->mailbox, MAILBOX_CAPACITY, NULL, NULL, error);
    if (status == BP_OK) {
        status = bp_thread_start(&store->thread, "store", store_body, store, error);
        store->thread_runs = status == BP_OK;
    }
    if (status != BP_OK) {
        release(store);
        return status;
    }
    *out = store;
    return BP_OK;
}

void bp_store_close(bp_store *store)
{
    if (store)
        release(store);
}
