#include "server/backup/backups.h"

#include <dirent.h>
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

#include "server/backup/backup_copy.h"
#include "server/backup/backup_files.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/thread.h"
#include "server/dataset/file_error.h"

enum { NAME_SIZE = 32 };

static const char draft_prefix[] = "backup-";

struct bp_backups {
    char *directory, *folder, *tmp; /* the data directory, its "backups" and "tmp" */
    atomic_bool stopping;
    pthread_mutex_t mutex; /* guards all below */
    bool running;          /* the thread has not called done yet */
    bool thread_made;      /* and not been joined */
    pthread_t thread;
    bp_backup_done *done; /* the thread's while it runs */
    void *context;
};

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a backup");
}

static json_t *document_of(const char *name, const bp_backup_summary *summary)
{
    char created[BP_TIME_TEXT_SIZE];
    bp_clock_format(created, summary->created_us);
    return json_pack("{s:s, s:s+, s:I, s:I, s:s}", "name", name, "path", "backups/", name, "bytes",
                     (json_int_t)summary->size_bytes, "files", (json_int_t)summary->file_count,
                     "created", created);
}

/* ---- making one ---- */

static bool is_stopping(void *context)
{
    return atomic_load_explicit(&((bp_backups *)context)->stopping, memory_order_relaxed);
}

/* The present moment without the signs that file names had better not have. */
static void make_name(char out[NAME_SIZE])
{
    char now[BP_TIME_TEXT_SIZE];
    size_t length = 0;
    bp_clock_now_text(now);
    for (const char *at = now; *at && length + 1 < NAME_SIZE; at++)
        if (*at != '-' && *at != ':')
            out[length++] = *at;
    out[length] = '\0';
}

/* With its folder on the disk, name and all. */
static bp_status make_folder(const char *path, bp_error *error)
{
    if (mkdir(path, 0700) == 0)
        return bp_backup_sync_parent(path, error);
    return errno == EEXIST ? BP_OK
                           : bp_file_error(error, errno, "make a folder in the data directory");
}

static bp_status make(json_t **out, bp_backups *backups, bp_error *error)
{
    char name[NAME_SIZE], draft_name[NAME_SIZE + sizeof draft_prefix];
    make_name(name);
    snprintf(draft_name, sizeof draft_name, "%s%s", draft_prefix, name);
    char *draft = bp_backup_path(backups->tmp, draft_name);
    char *to = bp_backup_path(backups->folder, name);
    bp_status status = draft && to ? BP_OK : no_memory(error);
    if (status == BP_OK)
        status = make_folder(backups->folder, error);
    if (status == BP_OK) {
        const uint64_t started_ns = bp_clock_monotonic_ns();
        const bp_backup_plan plan = {.from = backups->directory,
                                     .draft = draft,
                                     .to = to,
                                     .link = true,
                                     .cancelled = is_stopping,
                                     .context = backups};
        bp_backup_summary summary;
        status = bp_backup_make(&summary, &plan, error);
        if (status == BP_OK) {
            bp_log(BP_LOG_INFO, "backup made", "name=%s bytes=%llu files=%llu ms=%.1f", name,
                   (unsigned long long)summary.size_bytes, (unsigned long long)summary.file_count,
                   (double)(bp_clock_monotonic_ns() - started_ns) * 1e-6);
            *out = document_of(name, &summary);
            if (!*out)
                status = no_memory(error);
        }
    }
    free(to);
    free(draft);
    return status;
}

static void *backup_body(void *argument)
{
    bp_backups *backups = argument;
    bp_error error = {.status = BP_OK};
    json_t *document = NULL;
    bp_thread_set_nice(BP_NICE_TRAINER);
    const bp_status status = make(&document, backups, &error);
    if (status != BP_OK && status != BP_CANCELLED)
        bp_log_error(BP_LOG_WARNING, "backup failed", &error);
    pthread_mutex_lock(&backups->mutex);
    bp_backup_done *done = backups->done;
    void *context = backups->context;
    backups->running = false;
    pthread_mutex_unlock(&backups->mutex);
    done(context, document, status, &error);
    return NULL;
}

bp_status bp_backups_start(bp_backups *backups, bp_backup_done *done, void *context,
                           bp_error *error)
{
    bp_status status = BP_OK;
    pthread_mutex_lock(&backups->mutex);
    if (is_stopping(backups)) {
        status = bp_error_set(error, BP_CANCELLED, NULL, "the daemon is stopping");
    } else if (backups->running) {
        status = bp_error_set(error, BP_CONFLICT, NULL, "a backup is being made already");
    } else {
        if (backups->thread_made)
            pthread_join(backups->thread, NULL); /* it has at most its done left to do */
        backups->done = done;
        backups->context = context;
        status = bp_thread_start(&backups->thread, "backup", backup_body, backups, error);
        backups->running = backups->thread_made = status == BP_OK;
    }
    pthread_mutex_unlock(&backups->mutex);
    return status;
}

/* ---- reading ---- */

/* The first character of our names; leaves out "." and "..". */
static int is_candidate(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* What in the folder is no backup is passed over. False: no memory. */
static bool append_backup(json_t *items, const bp_backups *backups, const char *name)
{
    char *path = bp_backup_path(backups->folder, name);
    if (!path)
        return false;
    bp_backup_summary summary;
    const bp_status status = bp_backup_read(&summary, path, NULL);
    free(path);
    if (status != BP_OK)
        return status != BP_NO_MEMORY;
    return json_array_append_new(items, document_of(name, &summary)) == 0;
}

bp_status bp_backups_list_json(json_t **out, bp_backups *backups, const char *after, size_t limit,
                               bp_error *error)
{
    struct dirent **entries = NULL;
    const int found = scandir(backups->folder, &entries, is_candidate, compare_entries);
    if (found < 0 && errno != ENOENT)
        return bp_file_error(error, errno, "list the backups");
    const size_t count = found < 0 ? 0 : (size_t)found;
    json_t *items = json_array();
    const char *last = NULL;
    bool whole = true, good = items != NULL;
    for (size_t i = 0; i < count && good && whole; i++) {
        const char *name = entries[i]->d_name;
        if (after && strcmp(name, after) <= 0)
            continue;
        const size_t before = json_array_size(items);
        good = append_backup(items, backups, name);
        if (json_array_size(items) > limit) { /* one more tells whether there is more */
            json_array_remove(items, before);
            whole = false;
        } else if (json_array_size(items) > before) {
            last = name;
        }
    }
    json_t *list = NULL;
    if (good)
        list = json_pack("{s:O, s:o}", "items", items, "next",
                         whole ? json_null() : json_string(last));
    json_decref(items);
    for (size_t i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    if (!list)
        return no_memory(error);
    *out = list;
    return BP_OK;
}

/* ---- removing ---- */

static bool has_daemon(const char *path)
{
    char *lock = bp_backup_path(path, "lock");
    const int file = lock ? open(lock, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    free(lock);
    if (file < 0)
        return false;
    const bool taken = flock(file, LOCK_SH | LOCK_NB) != 0;
    close(file);
    return taken;
}

/* To a name that the next start would sweep, so that the backup goes at once or not at all. */
static bp_status take_away(bp_backups *backups, const char *path, const char *name, bp_error *error)
{
    char gone_name[160];
    snprintf(gone_name, sizeof gone_name, "%sgone-%s", draft_prefix, name);
    char *gone = bp_backup_path(backups->tmp, gone_name);
    if (!gone)
        return no_memory(error);
    bp_backup_remove_tree(gone); /* of a deletion that was interrupted */
    bp_status status = bp_backup_rename(path, gone, error);
    if (status == BP_OK)
        status = bp_backup_sync_parent(path, error);
    if (status == BP_OK)
        bp_backup_remove_tree(gone);
    free(gone);
    return status;
}

bp_status bp_backups_delete(bp_backups *backups, const char *name, bp_error *error)
{
    char *path = bp_backup_path(backups->folder, name);
    if (!path)
        return no_memory(error);
    bp_backup_summary summary;
    pthread_mutex_lock(
        &backups->mutex); /* of two deletions of one name, the second finds nothing */
    bp_status status = bp_backup_read(&summary, path, error);
    if (status == BP_OK && has_daemon(path))
        status = bp_error_set(error, BP_CONFLICT, NULL, "a daemon runs on this backup");
    if (status == BP_OK)
        status = take_away(backups, path, name, error);
    pthread_mutex_unlock(&backups->mutex);
    free(path);
    return status;
}

static void sweep(const bp_backups *backups)
{
    DIR *folder = opendir(backups->tmp);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (strncmp(entry->d_name, draft_prefix, sizeof draft_prefix - 1) != 0)
            continue;
        char *path = bp_backup_path(backups->tmp, entry->d_name);
        if (path)
            bp_backup_remove_tree(path);
        free(path);
    }
    if (folder)
        closedir(folder);
}

/* ---- life ---- */

bp_status bp_backups_open(bp_backups **out, const char *directory, bp_error *error)
{
    bp_backups *backups = calloc(1, sizeof *backups);
    if (!backups)
        return no_memory(error);
    pthread_mutex_init(&backups->mutex, NULL);
    backups->directory = strdup(directory);
    backups->folder = bp_backup_path(directory, "backups");
    backups->tmp = bp_backup_path(directory, "tmp");
    bp_status status = BP_OK;
    if (!backups->directory || !backups->folder || !backups->tmp)
        status = no_memory(error);
    if (status == BP_OK && mkdir(backups->tmp, 0700) != 0 && errno != EEXIST)
        status = bp_file_error(error, errno, "make a folder in the data directory");
    if (status != BP_OK) {
        bp_backups_close(backups);
        return status;
    }
    sweep(backups);
    *out = backups;
    return BP_OK;
}

void bp_backups_stop(bp_backups *backups)
{
    atomic_store_explicit(&backups->stopping, true, memory_order_relaxed);
}

void bp_backups_close(bp_backups *backups)
{
    if (!backups)
        return;
    /* With the mutex: a start is then either refused or has made the thread that is waited for. */
    pthread_mutex_lock(&backups->mutex);
    bp_backups_stop(backups);
    const bool joined = backups->thread_made;
    pthread_mutex_unlock(&backups->mutex);
    if (joined)
        pthread_join(backups->thread, NULL);
    pthread_mutex_destroy(&backups->mutex);
    free(backups->tmp);
    free(backups->folder);
    free(backups->directory);
    free(backups);
}
