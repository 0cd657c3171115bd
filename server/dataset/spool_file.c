#include "server/dataset/spool_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/dataset/file_error.h"

enum { BUFFER_BYTES = 256 * 1024 };

struct bp_spool_file {
    int file;
    uint64_t written; /* in the file; what is held comes after */
    size_t held;
    unsigned char buffer[BUFFER_BYTES];
};

bp_status bp_spool_file_create(bp_spool_file **out, const char *directory, bp_error *error)
{
    char path[4096];
    const int length = snprintf(path, sizeof path, "%s/tmp/table-XXXXXX", directory);
    if (length < 0 || (size_t)length >= sizeof path)
        return bp_error_set(error, BP_INPUT_OUTPUT, NULL, "the data directory's path is too long");
    bp_spool_file *spool = malloc(sizeof *spool);
    if (!spool)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a temporary file");
    spool->written = 0;
    spool->held = 0;
    spool->file = mkostemp(path, O_CLOEXEC);
    if (spool->file < 0) {
        bp_status status = bp_file_error(error, errno, "make a temporary file");
        free(spool);
        return status;
    }
    unlink(path);
    *out = spool;
    return BP_OK;
}

void bp_spool_file_free(bp_spool_file *spool)
{
    if (!spool)
        return;
    close(spool->file);
    free(spool);
}

static bp_status write_bytes(bp_spool_file *spool, const unsigned char *bytes, size_t count,
                             bp_error *error)
{
    while (count > 0) {
        const ssize_t wrote = pwrite(spool->file, bytes, count, (off_t)spool->written);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return bp_file_error(error, errno, "write a temporary file");
        bytes += wrote;
        count -= (size_t)wrote;
        spool->written += (uint64_t)wrote;
    }
    return BP_OK;
}

static bp_status flush(bp_spool_file *spool, bp_error *error)
{
    const size_t count = spool->held;
    spool->held = 0;
    return write_bytes(spool, spool->buffer, count, error);
}

bp_status bp_spool_file_add(bp_spool_file *spool, const void *bytes, size_t count, bp_error *error)
{
    if (count > BUFFER_BYTES - spool->held) {
        bp_status status = flush(spool, error);
        if (status != BP_OK)
            return status;
    }
    if (count > BUFFER_BYTES)
        return write_bytes(spool, bytes, count, error);
    if (count > 0)
        memcpy(spool->buffer + spool->held, bytes, count);
    spool->held += count;
    return BP_OK;
}

uint64_t bp_spool_file_size(const bp_spool_file *spool)
{
    return spool->written + spool->held;
}

bp_status bp_spool_file_read(bp_spool_file *spool, void *out, uint64_t offset, size_t count,
                             bp_error *error)
{
    unsigned char *at = out;
    assert(offset <= bp_spool_file_size(spool) && count <= bp_spool_file_size(spool) - offset);
    bp_status status = flush(spool, error);
    while (count > 0 && status == BP_OK) {
        const ssize_t got = pread(spool->file, at, count, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return bp_file_error(error, got < 0 ? errno : EIO, "read a temporary file");
        at += got;
        count -= (size_t)got;
        offset += (uint64_t)got;
    }
    return status;
}

bp_status bp_spool_file_copy(bp_spool_file *spool, bp_column_writer *writer, uint64_t *offset,
                             uint64_t most, size_t element_bytes, bp_error *error)
{
    const uint64_t left = bp_spool_file_size(spool) - *offset;
    uint64_t count = most < left ? most : left;
    assert(BUFFER_BYTES % element_bytes == 0 && left % element_bytes == 0);
    count -= count % element_bytes;
    bp_status status = flush(spool, error);
    while (count > 0 && status == BP_OK) {
        const size_t take = count < BUFFER_BYTES ? (size_t)count : (size_t)BUFFER_BYTES;
        status = bp_spool_file_read(spool, spool->buffer, *offset, take, error);
        if (status == BP_OK)
            status = bp_column_writer_write(writer, spool->buffer, take / element_bytes, error);
        *offset += take;
        count -= take;
    }
    return status;
}
