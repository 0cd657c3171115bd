#include "server/backup/backup_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/sha256.h"
#include "server/dataset/file_error.h"

enum { BLOCK_BYTES = 1 << 20, TREE_DEPTH = 8 };

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a backup");
}

char *bp_backup_path(const char *folder, const char *name)
{
    const size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}

/* ---- column files ---- */

static bp_status write_all(int file, const unsigned char *bytes, size_t count, bp_error *error)
{
    while (count > 0) {
        const ssize_t written = write(file, bytes, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return bp_file_error(error, errno, "write a file of a backup");
        bytes += written;
        count -= (size_t)written;
    }
    return BP_OK;
}

/* Reads `from` to its end; writes it to `to`; its hash goes to sha256. */
static bp_status copy_bytes(uint64_t *out_bytes, int from, int to, char sha256[BP_SHA256_TEXT_SIZE],
                            bool (*cancelled)(void *context), void *context, bp_error *error)
{
    unsigned char *block = malloc(BLOCK_BYTES);
    if (!block)
        return no_memory(error);
    bp_sha256 hash;
    bp_status status = BP_OK;
    ssize_t count = 1;
    *out_bytes = 0;
    bp_sha256_begin(&hash);
    while (status == BP_OK && count > 0) {
        if (cancelled && cancelled(context)) {
            status = bp_error_set(error, BP_CANCELLED, NULL, "the backup was cancelled");
            break;
        }
        count = read(from, block, BLOCK_BYTES);
        if (count < 0 && errno == EINTR) {
            count = 1;
            continue;
        }
        if (count < 0)
            status = bp_file_error(error, errno, "read a column file");
        if (count > 0) {
            bp_sha256_add(&hash, block, (size_t)count);
            status = write_all(to, block, (size_t)count, error);
            *out_bytes += (uint64_t)count;
        }
    }
    bp_sha256_finish(&hash, sha256);
    free(block);
    return status;
}

static bp_status copy_opened(uint64_t *out_bytes, int from, const char *to, const char *sha256,
                             bool (*cancelled)(void *context), void *context, bp_error *error)
{
    const int file = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return bp_file_error(error, errno, "make a file of a backup");
    char found[BP_SHA256_TEXT_SIZE];
    bp_status status = copy_bytes(out_bytes, from, file, found, cancelled, context, error);
    if (status == BP_OK && strcmp(found, sha256) != 0)
        status = bp_error_set(error, BP_CORRUPT, NULL,
                              "the column file %s is damaged: its SHA-256 is %s", sha256, found);
    if (status == BP_OK && fsync(file) != 0)
        status = bp_file_error(error, errno, "sync a file of a backup");
    close(file);
    if (status != BP_OK)
        (void)unlink(to);
    return status;
}

bp_status bp_backup_copy_column(uint64_t *out_bytes, const char *from, const char *to,
                                const char *sha256, bool link_it, bool (*cancelled)(void *context),
                                void *context, bp_error *error)
{
    const int file = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0 && errno == ENOENT)
        return bp_error_set(error, BP_NOT_FOUND, NULL, "the column file %s is missing", sha256);
    if (file < 0)
        return bp_file_error(error, errno, "open a column file");
    bp_status status = BP_OK;
    struct stat found;
    /* A link that fails for whatever reason leaves copying. */
    if (link_it && link(from, to) == 0 && fstat(file, &found) == 0)
        *out_bytes = (uint64_t)found.st_size;
    else
        status = copy_opened(out_bytes, file, to, sha256, cancelled, context, error);
    close(file);
    return status;
}

/* ---- the rest ---- */

bp_status bp_backup_write_file(const char *path, const char *text, bp_error *error)
{
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        return bp_file_error(error, errno, "make a file of a backup");
    bp_status status = write_all(file, (const unsigned char *)text, strlen(text), error);
    if (status == BP_OK && fsync(file) != 0)
        status = bp_file_error(error, errno, "sync a file of a backup");
    close(file);
    return status;
}

bp_status bp_backup_sync(const char *path, bp_error *error)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return bp_file_error(error, errno, "open a part of a backup");
    bp_status status = BP_OK;
    if (fsync(file) != 0)
        status = bp_file_error(error, errno, "sync a part of a backup");
    close(file);
    return status;
}

bp_status bp_backup_sync_parent(const char *path, bp_error *error)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return bp_backup_sync(".", error);
    if (slash == path)
        return bp_backup_sync("/", error);
    char *parent = strndup(path, (size_t)(slash - path));
    if (!parent)
        return no_memory(error);
    const bp_status status = bp_backup_sync(parent, error);
    free(parent);
    return status;
}

bp_status bp_backup_rename(const char *from, const char *to, bp_error *error)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return BP_OK;
    /* Not every file system can refuse to replace; those that cannot replace at most an empty folder. */
    if (errno == EINVAL && access(to, F_OK) != 0 && rename(from, to) == 0)
        return BP_OK;
    if (errno == EEXIST || errno == ENOTEMPTY)
        return bp_error_set(error, BP_CONFLICT, to, "there is something of that name already");
    return bp_file_error(error, errno, "give a backup its name");
}

/* depth: folders in folders; a backup has two levels, and one that a daemon ran on may hold backups. */
static void remove_in(int folder, const char *name, int depth)
{
    if (unlinkat(folder, name, 0) == 0 || depth == 0)
        return;
    const int file = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = file < 0 ? NULL : fdopendir(file);
    if (!stream) {
        if (file >= 0)
            close(file);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(stream)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_in(dirfd(stream), entry->d_name, depth - 1);
    closedir(stream);
    (void)unlinkat(folder, name, AT_REMOVEDIR);
}

void bp_backup_remove_tree(const char *path)
{
    remove_in(AT_FDCWD, path, TREE_DEPTH);
}
