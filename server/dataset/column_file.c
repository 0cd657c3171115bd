#include "server/dataset/column_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/sha256.h"
#include "server/dataset/element_size.h"
#include "server/dataset/file_error.h"

enum { BUFFER_BYTES = 256 * 1024, PATH_BYTES = 4096 };

static const char magic[8] = {'B', 'P', 'C', 'O', 'L', 'U', 'M', '1'};

static void put(unsigned char *at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static void make_header(unsigned char out[BP_COLUMN_HEADER_BYTES], const bp_array_layout *layout)
{
    memset(out, 0, BP_COLUMN_HEADER_BYTES);
    memcpy(out, magic, sizeof magic);
    put(out + 8, (uint64_t)layout->element, 4);
    put(out + 12, layout->rank, 4);
    put(out + 24, layout->row_count, 8);
    put(out + 32, layout->width, 8);
    for (size_t i = 0; i < layout->rank; i++)
        put(out + 40 + 8 * i, layout->shape[i], 8);
}

static uint64_t data_bytes(const bp_array_layout *layout)
{
    return layout->row_count * layout->width * bp_element_size(layout->element);
}

static bp_status path_of(char out[PATH_BYTES], const char *directory, const char *folder,
                         const char *name, bp_error *error)
{
    int length = snprintf(out, PATH_BYTES, "%s/%s/%s", directory, folder, name);
    if (length < 0 || length >= PATH_BYTES)
        return bp_error_set(error, BP_INPUT_OUTPUT, NULL, "the data directory's path is too long");
    return BP_OK;
}

/* ---- writing ---- */

struct bp_column_writer {
    int file; /* −1: closed */
    bool finished, published;
    size_t element_bytes;
    uint64_t size_bytes, written_bytes; /* header included */
    bp_sha256 hash;
    char sha256[BP_SHA256_TEXT_SIZE];
    char *path; /* of the temporary file */
    char *directory;
    size_t held_bytes;
    unsigned char *buffer; /* (BUFFER_BYTES) until finished: a wide table keeps many writers */
};

static bp_status flush(bp_column_writer *writer, bp_error *error)
{
    const unsigned char *at = writer->buffer;
    bp_sha256_add(&writer->hash, at, writer->held_bytes);
    while (writer->held_bytes > 0) {
        ssize_t wrote = write(writer->file, at, writer->held_bytes);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return bp_file_error(error, errno, "write a column file");
        at += wrote;
        writer->held_bytes -= (size_t)wrote;
    }
    return BP_OK;
}

static bp_status write_bytes(bp_column_writer *writer, const void *bytes, size_t count,
                             bp_error *error)
{
    const unsigned char *at = bytes;
    writer->written_bytes += count;
    while (count > 0) {
        size_t take = BUFFER_BYTES - writer->held_bytes;
        if (take > count)
            take = count;
        memcpy(writer->buffer + writer->held_bytes, at, take);
        writer->held_bytes += take;
        at += take;
        count -= take;
        if (writer->held_bytes == BUFFER_BYTES) {
            bp_status status = flush(writer, error);
            if (status != BP_OK)
                return status;
        }
    }
    return BP_OK;
}

bp_status bp_column_writer_open(bp_column_writer **out, const char *directory,
                                const bp_array_layout *layout, bp_error *error)
{
    bp_column_writer *writer = malloc(sizeof *writer);
    char *copy = strdup(directory);
    unsigned char *buffer = malloc(BUFFER_BYTES);
    char *path = NULL;
    if (asprintf(&path, "%s/tmp/column-XXXXXX", directory) < 0)
        path = NULL;
    if (!writer || !copy || !buffer || !path) {
        free(path);
        free(writer);
        free(copy);
        free(buffer);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for writing a column");
    }
    writer->file = -1;
    writer->finished = writer->published = false;
    writer->element_bytes = bp_element_size(layout->element);
    writer->size_bytes = BP_COLUMN_HEADER_BYTES + data_bytes(layout);
    writer->written_bytes = 0;
    writer->held_bytes = 0;
    writer->directory = copy;
    writer->buffer = buffer;
    writer->path = path;
    bp_sha256_begin(&writer->hash);
    bp_status status = BP_OK;
    writer->file = mkostemp(writer->path, O_CLOEXEC);
    if (writer->file < 0)
        status = bp_file_error(error, errno, "make a temporary file");
    if (status == BP_OK) {
        unsigned char header[BP_COLUMN_HEADER_BYTES];
        make_header(header, layout);
        status = write_bytes(writer, header, sizeof header, error);
    }
    if (status != BP_OK) {
        bp_column_writer_free(writer);
        return status;
    }
    *out = writer;
    return BP_OK;
}

bp_status bp_column_writer_write(bp_column_writer *writer, const void *elements,
                                 size_t element_count, bp_error *error)
{
    assert(element_count <= (writer->size_bytes - writer->written_bytes) / writer->element_bytes);
    return write_bytes(writer, elements, element_count * writer->element_bytes, error);
}

bp_status bp_column_writer_finish(bp_column_writer *writer, char out_sha256[BP_SHA256_TEXT_SIZE],
                                  bp_error *error)
{
    assert(writer->written_bytes == writer->size_bytes && !writer->finished);
    bp_status status = flush(writer, error);
    if (status != BP_OK)
        return status;
    /* Never retried: after a failed fsync the pages may be gone, and so goes the file. */
    if (fsync(writer->file) != 0)
        return bp_file_error(error, errno, "sync a column file");
    const int closed = close(writer->file);
    writer->file = -1;
    if (closed != 0)
        return bp_file_error(error, errno, "close a column file");
    free(writer->buffer);
    writer->buffer = NULL;
    bp_sha256_finish(&writer->hash, writer->sha256);
    memcpy(out_sha256, writer->sha256, BP_SHA256_TEXT_SIZE);
    writer->finished = true;
    return BP_OK;
}

bp_status bp_column_writer_publish(bp_column_writer *writer, bp_error *error)
{
    assert(writer->finished && !writer->published);
    char path[PATH_BYTES];
    bp_status status = path_of(path, writer->directory, "columns", writer->sha256, error);
    if (status != BP_OK)
        return status;
    if (rename(writer->path, path) != 0)
        return bp_file_error(error, errno, "name a column file");
    writer->published = true;
    return BP_OK;
}

bp_status bp_columns_sync(const char *directory, bp_error *error)
{
    char path[PATH_BYTES];
    bp_status status = path_of(path, directory, "columns", "", error);
    if (status != BP_OK)
        return status;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return bp_file_error(error, errno, "open the folder of column files");
    if (fsync(folder) != 0)
        status = bp_file_error(error, errno, "sync the folder of column files");
    close(folder);
    return status;
}

uint64_t bp_column_writer_size_bytes(const bp_column_writer *writer)
{
    return writer->size_bytes;
}

void bp_column_writer_free(bp_column_writer *writer)
{
    if (!writer)
        return;
    if (writer->file >= 0)
        close(writer->file);
    if (!writer->published)
        unlink(writer->path);
    free(writer->buffer);
    free(writer->path);
    free(writer->directory);
    free(writer);
}

/* ---- reading ---- */

static bp_status read_at(int file, void *out, size_t count, uint64_t offset, bp_error *error)
{
    unsigned char *at = out;
    while (count > 0) {
        ssize_t got = pread(file, at, count, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return bp_file_error(error, errno, "read a column file");
        if (got == 0)
            return bp_error_set(error, BP_CORRUPT, NULL, "a column file is shorter than it was");
        at += got;
        count -= (size_t)got;
        offset += (uint64_t)got;
    }
    return BP_OK;
}

static bp_status check_header(const bp_column_reader *reader, const char *name, bp_error *error)
{
    unsigned char header[BP_COLUMN_HEADER_BYTES], expected[BP_COLUMN_HEADER_BYTES];
    struct stat about;
    if (fstat(reader->file, &about) != 0)
        return bp_file_error(error, errno, "look at a column file");
    make_header(expected, &reader->layout);
    if ((uint64_t)about.st_size != BP_COLUMN_HEADER_BYTES + data_bytes(&reader->layout))
        return bp_error_set(
            error, BP_CORRUPT, name, "the column's file has %lld bytes, not %llu",
            (long long)about.st_size,
            (unsigned long long)(BP_COLUMN_HEADER_BYTES + data_bytes(&reader->layout)));
    bp_status status = read_at(reader->file, header, sizeof header, 0, error);
    if (status == BP_OK && memcmp(header, expected, sizeof header) != 0)
        status =
            bp_error_set(error, BP_CORRUPT, name, "the header of the column's file is damaged");
    return status;
}

bp_status bp_column_reader_open(bp_column_reader *out, const char *directory,
                                const bp_column_info *info, bp_error *error)
{
    char path[PATH_BYTES];
    bp_column_reader reader = {.file = -1};
    reader.layout = (bp_array_layout){.element = info->element,
                                      .rank = info->rank,
                                      .width = info->width,
                                      .row_count = info->row_count};
    memcpy(reader.layout.shape, info->shape, sizeof reader.layout.shape);
    memcpy(reader.sha256, info->sha256, sizeof reader.sha256);
    bp_status status = path_of(path, directory, "columns", info->sha256, error);
    if (status != BP_OK)
        return status;
    reader.file = open(path, O_RDONLY | O_CLOEXEC);
    if (reader.file < 0 && errno == ENOENT)
        return bp_error_set(error, BP_NOT_FOUND, info->name, "the column's file is missing");
    if (reader.file < 0)
        return bp_file_error(error, errno, "open a column file");
    status = check_header(&reader, info->name, error);
    if (status != BP_OK) {
        bp_column_reader_close(&reader);
        return status;
    }
    *out = reader;
    return BP_OK;
}

bp_status bp_column_reader_verify(const bp_column_reader *reader, bool (*cancelled)(void *context),
                                  void *context, bp_error *error)
{
    enum { VERIFY_BYTES = 1024 * 1024 };
    unsigned char *block = malloc(VERIFY_BYTES);
    if (!block)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for reading a column");
    bp_sha256 hash;
    bp_sha256_begin(&hash);
    bp_status status = BP_OK;
    const uint64_t size = BP_COLUMN_HEADER_BYTES + data_bytes(&reader->layout);
    for (uint64_t offset = 0; offset < size && status == BP_OK; offset += VERIFY_BYTES) {
        const size_t take = size - offset < VERIFY_BYTES ? (size_t)(size - offset) : VERIFY_BYTES;
        if (cancelled && cancelled(context)) {
            status = bp_error_set(error, BP_CANCELLED, NULL, "cancelled");
            break;
        }
        status = read_at(reader->file, block, take, offset, error);
        if (status == BP_OK)
            bp_sha256_add(&hash, block, take);
    }
    free(block);
    char sha256[BP_SHA256_TEXT_SIZE];
    bp_sha256_finish(&hash, sha256);
    if (status == BP_OK && strcmp(sha256, reader->sha256) != 0)
        status = bp_error_set(error, BP_CORRUPT, reader->sha256,
                              "the column's file is not what its name says");
    return status;
}

bp_status bp_column_reader_read(const bp_column_reader *reader, void *out, uint64_t first,
                                size_t count, bp_error *error)
{
    assert(first <= reader->layout.row_count && count <= reader->layout.row_count - first);
    const size_t row_bytes = reader->layout.width * bp_element_size(reader->layout.element);
    return read_at(reader->file, out, count * row_bytes, BP_COLUMN_HEADER_BYTES + first * row_bytes,
                   error);
}

void bp_column_reader_close(bp_column_reader *reader)
{
    if (reader->file >= 0)
        close(reader->file);
    reader->file = -1;
}
