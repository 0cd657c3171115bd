/* gzip: members, padding, damage at every byte, truncation, and bombs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "server/upload/gzip_decoder.h"

typedef struct collected {
    unsigned char bytes[4096];
    uint64_t count;
} collected;

static bp_status collect(void *context, const unsigned char *bytes, size_t count, bp_error *error)
{
    collected *out = context;
    (void)error;
    for (size_t i = 0; i < count && out->count + i < sizeof out->bytes; i++)
        out->bytes[out->count + i] = bytes[i];
    out->count += count;
    return BP_OK;
}

static size_t compress_member(unsigned char *out, size_t size, const void *bytes, size_t count)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    unsigned char *copy = malloc(count + 1);
    memcpy(copy, bytes, count);
    stream.next_in = copy;
    stream.avail_in = (uInt)count;
    stream.next_out = out;
    stream.avail_out = (uInt)size;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    free(copy);
    return size - stream.avail_out;
}

static bp_status decode(collected *out, const unsigned char *bytes, size_t length, size_t chunk,
                        uint64_t limit, bp_error *error)
{
    bp_gzip_decoder *decoder;
    memset(out, 0, sizeof *out);
    *error = (bp_error){0};
    assert_int_equal(bp_gzip_decoder_create(&decoder, limit, collect, out, error), BP_OK);
    bp_status status = BP_OK;
    for (size_t at = 0; at < length && status == BP_OK; at += chunk) {
        const size_t take = length - at < chunk ? length - at : chunk;
        unsigned char *piece = malloc(take);
        memcpy(piece, bytes + at, take);
        status = bp_gzip_decoder_feed(decoder, piece, take, error);
        free(piece);
    }
    if (status == BP_OK)
        status = bp_gzip_decoder_finish(decoder, error);
    bp_gzip_decoder_free(decoder);
    return status;
}

static void members_and_plain_content(void **state)
{
    (void)state;
    unsigned char file[1024];
    size_t first = compress_member(file, sizeof file, "hello, ", 7);
    size_t both = first + compress_member(file + first, sizeof file - first, "world", 5);
    memset(file + both, 0, 10);
    collected out;
    bp_error error;
    for (size_t chunk = 1; chunk <= both; chunk++) {
        assert_int_equal(decode(&out, file, both, chunk, 100, &error), BP_OK);
        assert_string_equal((char *)out.bytes, "hello, world");
        assert_int_equal(decode(&out, file, both + 10, chunk, 100, &error), BP_OK);
        assert_string_equal((char *)out.bytes, "hello, world");
    }
    static const char *const plain[] = {"", "a,b\n1,2\n", "\x1f", "\x1f\x1f\x8b", "\x1fx"};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        for (size_t chunk = 1; chunk <= 3; chunk++) {
            assert_int_equal(
                decode(&out, (const unsigned char *)plain[i], strlen(plain[i]), chunk, 100, &error),
                BP_OK);
            assert_string_equal((char *)out.bytes, plain[i]);
        }
}

static void truncation_and_damage(void **state)
{
    (void)state;
    unsigned char file[1024];
    size_t length = compress_member(file, sizeof file, "hello, hello, hello", 19);
    collected out;
    bp_error error;
    for (size_t cut = 2; cut < length; cut++) {
        assert_int_equal(decode(&out, file, cut, 4, 100, &error), BP_INVALID);
        assert_non_null(strstr(error.message, "truncated"));
    }
    /* From the compressed data on; the header holds a time and a system that do not matter. */
    for (size_t at = 10; at < length; at++) {
        file[at] ^= 0x55;
        assert_int_equal(decode(&out, file, length, 4, 1000, &error), BP_INVALID);
        file[at] ^= 0x55;
    }
    file[length] = 'x';
    assert_int_equal(decode(&out, file, length + 1, 4, 100, &error), BP_INVALID);
    file[length] = 0;
    file[length + 1] = 'x';
    assert_int_equal(decode(&out, file, length + 2, 4, 100, &error), BP_INVALID);
}

static void bombs_stop_at_the_limit(void **state)
{
    (void)state;
    enum { BOMB = 50 * 1000 * 1000, LIMIT = 1000 * 1000 };
    unsigned char *zeros = calloc(BOMB, 1), *file = malloc(BOMB / 100);
    size_t length = compress_member(file, BOMB / 100, zeros, BOMB);
    collected out;
    bp_error error;
    assert_int_equal(decode(&out, file, length, length, LIMIT, &error), BP_TOO_LARGE);
    assert_true(out.count <= LIMIT);
    assert_non_null(strstr(error.message, "1000000"));
    assert_int_equal(decode(&out, zeros, LIMIT + 1, 70000, LIMIT, &error), BP_TOO_LARGE);
    assert_int_equal(decode(&out, zeros, LIMIT, 70000, LIMIT, &error), BP_OK);
    free(zeros);
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_and_plain_content),
        cmocka_unit_test(truncation_and_damage),
        cmocka_unit_test(bombs_stop_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
