/* Column files and the statistics taken on the way: layout, names, corruption, clean-up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/dataset/column_file.h"
#include "server/upload/column_statistics.h"

static char directory[64];

static int make_directory(void **state)
{
    (void)state;
    char path[128];
    strcpy(directory, "/tmp/backprop-test-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/tmp", directory);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/columns", directory);
    return mkdir(path, 0700);
}

static size_t file_count(const char *folder)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, folder);
    DIR *open_folder = opendir(path);
    size_t count = 0;
    while (readdir(open_folder))
        count++;
    closedir(open_folder);
    return count - 2;
}

static int remove_directory(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command);
}

static const int16_t values[6] = {1, -2, 3, 4, 5, -600};

static bp_column_info write_column(void)
{
    bp_column_writer *writer;
    const bp_array_layout layout = {
        .element = BP_ELEMENT_INT16, .rank = 1, .shape = {2}, .width = 2, .row_count = 3};
    bp_column_info info = {.element = BP_ELEMENT_INT16,
                           .type = BP_COLUMN_TENSOR,
                           .rank = 1,
                           .shape = {2},
                           .width = 2,
                           .row_count = 3};
    assert_int_equal(bp_column_writer_open(&writer, directory, &layout, NULL), BP_OK);
    assert_int_equal(bp_column_writer_write(writer, values, 1, NULL), BP_OK);
    assert_int_equal(bp_column_writer_write(writer, values + 1, 5, NULL), BP_OK);
    assert_int_equal(bp_column_writer_finish(writer, info.sha256, NULL), BP_OK);
    assert_int_equal(bp_column_writer_publish(writer, NULL), BP_OK);
    bp_column_writer_free(writer);
    assert_int_equal(bp_columns_sync(directory, NULL), BP_OK);
    return info;
}

static void written_is_read(void **state)
{
    (void)state;
    bp_column_info info = write_column();
    bp_column_reader reader;
    int16_t row[4];
    assert_int_equal(file_count("tmp"), 0);
    assert_int_equal(file_count("columns"), 1);
    assert_int_equal(bp_column_reader_open(&reader, directory, &info, NULL), BP_OK);
    assert_int_equal(bp_column_reader_verify(&reader, NULL, NULL, NULL), BP_OK);
    assert_int_equal(bp_column_reader_read(&reader, row, 1, 2, NULL), BP_OK);
    assert_memory_equal(row, values + 2, sizeof row);
    bp_column_reader_close(&reader);
    /* The same content is the same file. */
    bp_column_info again = write_column();
    assert_string_equal(info.sha256, again.sha256);
    assert_int_equal(file_count("columns"), 1);
}

static void unpublished_files_go(void **state)
{
    (void)state;
    bp_column_writer *writer;
    const bp_array_layout layout = {.element = BP_ELEMENT_INT16, .width = 1, .row_count = 6};
    assert_int_equal(bp_column_writer_open(&writer, directory, &layout, NULL), BP_OK);
    assert_int_equal(file_count("tmp"), 1);
    bp_column_writer_free(writer);
    assert_int_equal(file_count("tmp"), 0);
}

static bool never(void *context)
{
    (void)context;
    return false;
}

static bool always(void *context)
{
    (void)context;
    return true;
}

static void every_flipped_byte_is_caught(void **state)
{
    (void)state;
    bp_column_info info = write_column();
    char path[256];
    snprintf(path, sizeof path, "%s/columns/%s", directory, info.sha256);
    int file = open(path, O_RDWR);
    assert_true(file >= 0);
    for (off_t at = 0; at < BP_COLUMN_HEADER_BYTES + (off_t)sizeof values; at++) {
        unsigned char byte;
        assert_int_equal(pread(file, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(file, &byte, 1, at), 1);
        bp_column_reader reader;
        bp_status status = bp_column_reader_open(&reader, directory, &info, NULL);
        if (at < BP_COLUMN_HEADER_BYTES) {
            assert_int_equal(status, BP_CORRUPT);
        } else {
            assert_int_equal(status, BP_OK);
            assert_int_equal(bp_column_reader_verify(&reader, never, NULL, NULL), BP_CORRUPT);
            assert_int_equal(bp_column_reader_verify(&reader, always, NULL, NULL), BP_CANCELLED);
            bp_column_reader_close(&reader);
        }
        byte ^= 0x10;
        assert_int_equal(pwrite(file, &byte, 1, at), 1);
    }
    bp_column_reader reader;
    bp_error error = {0};
    assert_int_equal(ftruncate(file, BP_COLUMN_HEADER_BYTES + 5), 0);
    assert_int_equal(bp_column_reader_open(&reader, directory, &info, &error), BP_CORRUPT);
    unlink(path);
    assert_int_equal(bp_column_reader_open(&reader, directory, &info, NULL), BP_NOT_FOUND);
    close(file);
}

static void statistics_of_reals(void **state)
{
    (void)state;
    const double numbers[] = {3, NAN, -0.0, 0.0, 1e16, 1, -1e16, NAN, 3};
    for (size_t chunk = 1; chunk <= 9; chunk++) {
        bp_column_statistics *statistics;
        bp_column_info info = {0};
        assert_int_equal(bp_column_statistics_create(&statistics, BP_ELEMENT_FLOAT64, true, NULL),
                         BP_OK);
        for (size_t at = 0; at < 9; at += chunk)
            bp_column_statistics_add(statistics, numbers + at, 9 - at < chunk ? 9 - at : chunk);
        assert_int_equal(bp_column_statistics_finish(statistics, &info, NULL), BP_OK);
        assert_int_equal(info.missing_count, 2);
        assert_int_equal(info.distinct_count, 5);
        assert_true(info.integral);
        assert_true(info.minimum == -1e16 && info.maximum == 1e16);
        assert_true(info.mean == 1.0); /* a plain sum would lose the 1 and the 3 */
        const double sorted[] = {-1e16, 0, 1, 3, 1e16};
        assert_int_equal(info.value_count, 5);
        assert_memory_equal(info.values, sorted, sizeof sorted);
        free(info.values);
        bp_column_statistics_free(statistics);
    }
}

static void statistics_of_integers(void **state)
{
    (void)state;
    bp_column_statistics *statistics;
    bp_column_info info = {0};
    const int64_t huge[] = {INT64_MAX, INT64_MAX, INT64_MIN, INT64_MIN, 6};
    assert_int_equal(bp_column_statistics_create(&statistics, BP_ELEMENT_INT64, false, NULL),
                     BP_OK);
    bp_column_statistics_add(statistics, huge, 5);
    assert_int_equal(bp_column_statistics_finish(statistics, &info, NULL), BP_OK);
    assert_true(info.mean == 4.0 / 5);
    assert_true(info.maximum == 0x1p63 && info.minimum == -0x1p63);
    assert_int_equal(info.distinct_count, 0);
    bp_column_statistics_free(statistics);

    assert_int_equal(bp_column_statistics_create(&statistics, BP_ELEMENT_INT32, true, NULL), BP_OK);
    for (int32_t i = 0; i < 20000; i++)
        bp_column_statistics_add(statistics, &i, 1);
    assert_int_equal(bp_column_statistics_finish(statistics, &info, NULL), BP_OK);
    assert_true(info.distinct_is_lower_bound);
    assert_int_equal(info.distinct_count, BP_DISTINCT_LIMIT);
    assert_null(info.values);
    assert_true(info.mean == 9999.5);
    bp_column_statistics_free(statistics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(written_is_read, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(unpublished_files_go, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(every_flipped_byte_is_caught, make_directory,
                                        remove_directory),
        cmocka_unit_test(statistics_of_reals),
        cmocka_unit_test(statistics_of_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
