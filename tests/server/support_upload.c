#include "tests/server/support_upload.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "test support: %s failed\n", what);
        abort();
    }
}

static void open_all(support_data *data)
{
    const bp_dataset_limits limits = {.decoded_bytes = 8 * 1024 * 1024, .columns = 50};
    bp_log_set_level(BP_LOG_ERROR);
    must(bp_store_open(&data->store, data->directory, NULL) == BP_OK, "bp_store_open");
    must(bp_datasets_open(&data->datasets, data->store, &limits, NULL) == BP_OK,
         "bp_datasets_open");
}

static void close_all(support_data *data)
{
    bp_datasets_close(data->datasets);
    bp_store_close(data->store);
}

void support_data_open(support_data *out)
{
    support_directory_make(out->directory);
    open_all(out);
}

void support_data_reopen(support_data *data)
{
    close_all(data);
    open_all(data);
}

void support_data_close(support_data *data)
{
    close_all(data);
    support_directory_remove(data->directory);
}

size_t support_file_count(const support_data *data, const char *folder)
{
    char path[SUPPORT_PATH_SIZE + 32];
    snprintf(path, sizeof path, "%s/%s", data->directory, folder);
    DIR *open_folder = opendir(path);
    size_t count = 0;
    struct dirent *entry;
    must(open_folder != NULL, "opendir");
    while ((entry = readdir(open_folder)))
        count += entry->d_name[0] != '.';
    closedir(open_folder);
    return count;
}

typedef struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool room, done;
    bp_upload_result result;
    bp_status status;
    bp_error error;
} waiter;

static void room(void *context)
{
    waiter *wait = context;
    pthread_mutex_lock(&wait->mutex);
    wait->room = true;
    pthread_cond_signal(&wait->changed);
    pthread_mutex_unlock(&wait->mutex);
}

static void done(void *context, bp_upload_result *result)
{
    waiter *wait = context;
    pthread_mutex_lock(&wait->mutex);
    wait->result = *result;
    wait->done = true;
    pthread_cond_signal(&wait->changed);
    pthread_mutex_unlock(&wait->mutex);
}

bp_upload_result support_upload(support_data *data, const char *name, const char *column,
                                bp_dataset_format format, const void *bytes, size_t count,
                                size_t chunk)
{
    waiter wait = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    bp_upload *upload;
    wait.result.status = bp_upload_begin(&upload, data->datasets, name, column, format, room, done,
                                         &wait, &wait.result.error);
    if (wait.result.status != BP_OK)
        return wait.result;
    for (size_t at = 0; at < count;) {
        const size_t take = count - at < chunk ? count - at : chunk;
        if (bp_upload_feed(upload, (const char *)bytes + at, take)) {
            at += take;
            continue;
        }
        pthread_mutex_lock(&wait.mutex);
        while (!wait.room)
            pthread_cond_wait(&wait.changed, &wait.mutex);
        wait.room = false;
        pthread_mutex_unlock(&wait.mutex);
    }
    bp_upload_end(upload);
    pthread_mutex_lock(&wait.mutex);
    while (!wait.done)
        pthread_cond_wait(&wait.changed, &wait.mutex);
    pthread_mutex_unlock(&wait.mutex);
    return wait.result;
}

static void must_store(bp_upload_result *result)
{
    if (result->status != BP_OK)
        fprintf(stderr, "%s: %s\n", result->error.where, result->error.message);
    must(result->status == BP_OK, "upload");
    json_decref(result->document);
}

void support_upload_csv(support_data *data, const char *name, const char *text)
{
    bp_upload_result result =
        support_upload(data, name, NULL, BP_FORMAT_AUTO, text, strlen(text), 1000);
    must_store(&result);
}

void support_upload_column(support_data *data, const char *name, const char *column, size_t rank,
                           const uint32_t *shape, const unsigned char *elements)
{
    unsigned char *file = calloc(1, 1024 * 1024);
    size_t count = 1, length = 4;
    must(file != NULL, "calloc");
    file[2] = 0x08;
    file[3] = (unsigned char)rank;
    for (size_t i = 0; i < rank; i++) {
        for (unsigned shift = 32; shift > 0; shift -= 8)
            file[length++] = (unsigned char)(shape[i] >> (shift - 8));
        count *= shape[i];
    }
    memcpy(file + length, elements, count);
    bp_upload_result result =
        support_upload(data, name, column, BP_FORMAT_AUTO, file, length + count, 4096);
    free(file);
    must_store(&result);
}

static void deleted(void *context, bp_status status, const bp_error *error)
{
    waiter *wait = context;
    pthread_mutex_lock(&wait->mutex);
    wait->status = status;
    if (status != BP_OK)
        wait->error = *error;
    wait->done = true;
    pthread_cond_signal(&wait->changed);
    pthread_mutex_unlock(&wait->mutex);
}

bp_status support_delete(support_data *data, const char *name, bp_error *error)
{
    waiter wait = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    bp_datasets_delete(data->datasets, name, deleted, &wait);
    pthread_mutex_lock(&wait.mutex);
    while (!wait.done)
        pthread_cond_wait(&wait.changed, &wait.mutex);
    pthread_mutex_unlock(&wait.mutex);
    if (error)
        *error = wait.error;
    return wait.status;
}
