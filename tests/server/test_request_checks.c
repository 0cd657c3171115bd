#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/http/request_checks.h"

/* Headers from pairs of name and value, ended by NULL. */
static bp_headers headers_of(const char *const *pairs)
{
    bp_headers headers = {.host = {0}};
    for (; *pairs; pairs += 2)
        bp_headers_add(&headers, pairs[0], pairs[1]);
    return headers;
}

#define HEADERS(...) headers_of((const char *const[]){__VA_ARGS__, NULL})

static unsigned framing(uint64_t *length, bp_headers headers)
{
    bp_refusal refusal = bp_check_framing(length, &headers);
    if (refusal.status)
        assert_true(refusal.close); /* nothing after it can be trusted */
    return refusal.status;
}

static void lengths_are_read(void **state)
{
    (void)state;
    uint64_t length = 7;
    assert_int_equal(framing(&length, HEADERS("Host", "x")), 0);
    assert_true(length == 0);
    assert_int_equal(framing(&length, HEADERS("content-length", "12")), 0);
    assert_true(length == 12);
    assert_int_equal(framing(&length, HEADERS("transfer-encoding", "Chunked")), 0);
    assert_true(length == UINT64_MAX);
}

static void ambiguous_framing_is_refused(void **state)
{
    (void)state;
    uint64_t length;
    assert_int_equal(framing(&length, HEADERS("Content-Length", "1", "Content-Length", "1")), 400);
    assert_int_equal(framing(&length, HEADERS("Content-Length", "1", "content-length", "2")), 400);
    assert_int_equal(framing(&length, HEADERS("Host", "a", "HOST", "a")), 400);
    assert_int_equal(framing(&length, HEADERS("Authorization", "a", "Authorization", "b")), 400);
    assert_int_equal(
        framing(&length, HEADERS("Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked")),
        400);
    assert_int_equal(
        framing(&length, HEADERS("Transfer-Encoding", "chunked", "Content-Length", "5")), 400);
    static const char *const codings[] = {"gzip, chunked", "identity",    "chunked, identity",
                                          "xchunked",      "chunked;a=b", ""};
    for (size_t i = 0; i < sizeof codings / sizeof codings[0]; i++)
        assert_int_equal(framing(&length, HEADERS("Transfer-Encoding", codings[i])), 501);
    static const char *const lengths[] = {
        "", "+5", "-1", "5, 5", "5 ", "0x5", "5a", "18446744073709551615", "18446744073709551616"};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        assert_int_equal(framing(&length, HEADERS("Content-Length", lengths[i])), 400);
}

static unsigned host(const char *value, const bp_host_rule *rule)
{
    bp_headers headers = HEADERS("Host", value);
    return bp_check_host(&headers, rule, false).status;
}

static void hosts(void **state)
{
    (void)state;
    const bp_host_rule loopback = {.address = "127.0.0.1"};
    const bp_host_rule lan = {.address = "192.168.1.7"};
    const bp_host_rule every = {.address = "0.0.0.0", .any_literal = true};
    static const char *const fine[] = {"localhost", "localhost:8470", "LOCALHOST:1",
                                       "127.0.0.1", "127.0.0.1:8470", "[::1]",
                                       "[::1]:8470"};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        assert_int_equal(host(fine[i], &loopback), 0);
    static const char *const foreign[] = {"evil.example",
                                          "evil.example:8470",
                                          "localhost.evil.example",
                                          "127.0.0.1.evil.example",
                                          "",
                                          ":8470",
                                          "[::1",
                                          "[::1]x",
                                          "localhost:x",
                                          "192.168.1.7",
                                          "localhost@evil.example"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        assert_int_equal(host(foreign[i], &loopback), 421);
    assert_int_equal(host("192.168.1.7:8470", &lan), 0);
    assert_int_equal(host("10.0.0.1", &lan), 421);
    assert_int_equal(host("10.0.0.1:80", &every), 0);
    assert_int_equal(host("[fe80::1]", &every), 0);
    assert_int_equal(host("evil.example", &every), 421);

    bp_headers none = {.host = {0}};
    assert_int_equal(bp_check_host(&none, &loopback, false).status, 400);
    assert_int_equal(bp_check_host(&none, &loopback, true).status, 0);
}

static unsigned origin(bp_headers headers)
{
    return bp_check_origin(&headers).status;
}

static void origins(void **state)
{
    (void)state;
    assert_int_equal(origin(HEADERS("Host", "localhost:1")), 0);
    assert_int_equal(origin(HEADERS("Host", "localhost:1", "Origin", "http://localhost:1")), 0);
    assert_int_equal(origin(HEADERS("Host", "localhost:1", "Origin", "https://localhost:1")), 0);
    assert_int_equal(origin(HEADERS("Host", "localhost:1", "Origin", "http://localhost:2")), 403);
    assert_int_equal(origin(HEADERS("Host", "localhost:1", "Origin", "http://evil.example")), 403);
    assert_int_equal(origin(HEADERS("Host", "localhost:1", "Origin", "null")), 403);
    assert_int_equal(origin(HEADERS("Host", "localhost:1", "Origin", "file://localhost:1")), 403);
    assert_int_equal(origin(HEADERS("Host", "localhost:1", "Origin", "")), 403);
    assert_int_equal(origin(HEADERS("Origin", "http://localhost:1")), 403);
}

static void json_types(void **state)
{
    (void)state;
    assert_true(bp_is_json_type("application/json"));
    assert_true(bp_is_json_type("Application/JSON; charset=utf-8"));
    assert_true(bp_is_json_type("application/json ;charset=utf-8"));
    assert_false(bp_is_json_type("application/jsonp"));
    assert_false(bp_is_json_type("text/plain"));
    assert_false(bp_is_json_type("application/x-www-form-urlencoded"));
    assert_false(bp_is_json_type(""));
    assert_false(bp_is_json_type(NULL));
}

static bool if_match(size_t *count, int64_t numbers[3], const char *value)
{
    const bp_header header = {.count = 1, .value = value};
    return bp_if_match_parse(count, numbers, 3, &header);
}

static void conditions_are_read(void **state)
{
    (void)state;
    size_t count = 9;
    int64_t numbers[3] = {0};
    assert_true(if_match(&count, numbers, "\"12\""));
    assert_int_equal(count, 1);
    assert_int_equal(numbers[0], 12);
    assert_true(if_match(&count, numbers, " \"1\",\"2\" , W/\"3\", \"x y\",\"4\""));
    assert_int_equal(count, 3);
    assert_int_equal(numbers[2], 4);
    /* Tags of others, weak ones, and numbers that we do not write so match nothing. */
    static const char *const strange[] = {
        "\"\"", "\"01\"", "\"-1\"", "W/\"1\"", "\"1.0\"", "\"abc\"", "\"99999999999999999999\""};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        assert_true(if_match(&count, numbers, strange[i]));
        assert_int_equal(count, 0);
    }
    static const char *const broken[] = {"",
                                         " ",
                                         ",",
                                         "1",
                                         "\"1",
                                         "1\"",
                                         "\"1\"\"2\"",
                                         "\"1\"x",
                                         "*",
                                         "\"1\", 2",
                                         "\"1\",\"2\",\"3\",\"4\""};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_false(if_match(&count, numbers, broken[i]));
    const bp_header twice = {.count = 2, .value = "\"1\""};
    assert_false(bp_if_match_parse(&count, numbers, 3, &twice));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_are_read),
        cmocka_unit_test(ambiguous_framing_is_refused),
        cmocka_unit_test(hosts),
        cmocka_unit_test(origins),
        cmocka_unit_test(json_types),
        cmocka_unit_test(conditions_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
