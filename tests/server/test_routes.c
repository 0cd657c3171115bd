#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "schema/openapi.h"
#include "server/http/route_table.h"
#include "server/http/url_text.h"

/* Finds with a copy of path, which bp_route_find cuts up. */
static bp_match_kind find(bp_route_match *out, const char *method, const char *path)
{
    static char copy[BP_PATH_LIMIT];
    snprintf(copy, sizeof copy, "%s", path);
    return bp_route_find(out, method, copy);
}

static void every_route_is_complete_and_reachable(void **state)
{
    (void)state;
    assert_true(bp_route_count() >= 22);
    for (size_t i = 0; i < bp_route_count(); i++) {
        const bp_route *route = bp_route_at(i);
        assert_non_null(route->handle);
        assert_in_range(route->scope, BP_SCOPE_READ, BP_SCOPE_ADMIN);
        if (route->method != BP_METHOD_GET)
            assert_int_not_equal(route->scope, BP_SCOPE_READ);
        /* "1" is a valid name and a valid number. */
        char path[256];
        size_t length = 0;
        for (const char *at = route->pattern; *at; at++) {
            path[length++] = *at == '{' ? '1' : *at;
            if (*at == '{')
                at = strchr(at, '}');
        }
        path[length] = '\0';
        bp_route_match match;
        assert_int_equal(find(&match, bp_method_name(route->method), path), BP_MATCH);
        assert_ptr_equal(match.route, route);
    }
}

/* The contract names each route, its parameters, and nothing more. */
static void routes_are_those_of_the_contract(void **state)
{
    (void)state;
    size_t length, described = 0;
    const char *text = bp_openapi_text(&length);
    json_t *document = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    const json_t *paths = json_object_get(document, "paths");
    assert_non_null(paths);
    for (size_t i = 0; i < bp_route_count(); i++) {
        const bp_route *route = bp_route_at(i);
        char method[16];
        size_t size = 0;
        for (const char *at = bp_method_name(route->method); *at; at++)
            method[size++] = (char)(*at - 'A' + 'a');
        method[size] = '\0';
        const json_t *path = json_object_get(paths, route->pattern);
        if (!json_object_get(path, method))
            fail_msg("the contract lacks %s %s", method, route->pattern);
    }
    const char *pattern, *method;
    json_t *path, *operation;
    json_object_foreach((json_t *)(uintptr_t)paths, pattern, path)
    {
        json_object_foreach(path, method, operation)
        {
            described += json_object_get(operation, "responses") != NULL;
        }
    }
    assert_int_equal(described, bp_route_count());
    json_decref(document);
}

static void captures_are_decoded(void **state)
{
    (void)state;
    bp_route_match match;
    assert_int_equal(find(&match, "PUT", "/api/v1/datasets/%69ris/columns/im%61ges"), BP_MATCH);
    assert_int_equal(match.capture_count, 2);
    assert_string_equal(match.capture[0], "iris");
    assert_string_equal(match.capture[1], "images");
    assert_int_equal(find(&match, "HEAD", "/api/v1/jobs/7"), BP_MATCH);
    assert_int_equal(match.route->method, BP_METHOD_GET);
}

static void paths_that_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        bp_match_kind kind;
    } cases[] = {
        {"GET", "/", BP_MATCH_NO_PATH},
        {"GET", "", BP_MATCH_NO_PATH},
        {"GET", "*", BP_MATCH_NO_PATH},
        {"GET", "http://localhost/v2/health/live", BP_MATCH_NO_PATH},
        {"GET", "/api/v1/jobs/", BP_MATCH_BAD_NUMBER},
        {"GET", "/api/v1/jobs//metrics", BP_MATCH_BAD_NUMBER},
        {"GET", "/api/v1/jobs/1/metrics/", BP_MATCH_NO_PATH},
        {"GET", "//api/v1/jobs", BP_MATCH_NO_PATH},
        {"GET", "/api/v1/job", BP_MATCH_NO_PATH},
        {"GET", "/api/v1/jobsx", BP_MATCH_NO_PATH},
        {"GET", "/a/b/c/d/e/f/g/h/i/j/k", BP_MATCH_NO_PATH},
        {"GET", "/api/v1/jobs/0", BP_MATCH_BAD_NUMBER},
        {"GET", "/api/v1/jobs/-1", BP_MATCH_BAD_NUMBER},
        {"GET", "/api/v1/jobs/9007199254740992", BP_MATCH_BAD_NUMBER},
        {"GET", "/api/v1/jobs/9007199254740991", BP_MATCH},
        {"GET", "/api/v1/datasets/..", BP_MATCH_BAD_NAME},
        {"GET", "/api/v1/datasets/%2e%2e%2Fetc", BP_MATCH_BAD_NAME},
        {"GET", "/api/v1/datasets/a%2Fb", BP_MATCH_BAD_NAME},
        {"PUT", "/api/v1/datasets/a%20b", BP_MATCH_BAD_NAME},
        {"GET", "/api/v1/datasets/a%00b", BP_MATCH_BAD_PATH},
        {"GET", "/api/v1/datasets/a%zz", BP_MATCH_BAD_PATH},
        {"GET", "/api/v1/datasets/a%4", BP_MATCH_BAD_PATH},
        {"GET", "/api/v1/datasets/a%ff", BP_MATCH_BAD_PATH},
        {"PATCH", "/api/v1/datasets", BP_MATCH_NO_METHOD},
        {"get", "/api/v1/datasets", BP_MATCH_NO_METHOD},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bp_route_match match;
        bp_match_kind kind = find(&match, cases[i].method, cases[i].path);
        if (kind != cases[i].kind)
            fail_msg("%s %s: %d, not %d", cases[i].method, cases[i].path, kind, cases[i].kind);
    }
}

static void a_wrong_method_names_the_right_ones(void **state)
{
    (void)state;
    bp_route_match match;
    assert_int_equal(find(&match, "POST", "/api/v1/datasets/iris"), BP_MATCH_NO_METHOD);
    assert_true(match.method_allowed[BP_METHOD_GET]);
    assert_true(match.method_allowed[BP_METHOD_PUT]);
    assert_true(match.method_allowed[BP_METHOD_DELETE]);
    assert_false(match.method_allowed[BP_METHOD_POST]);
}

static void query_names_match_as_a_whole(void **state)
{
    (void)state;
    bp_route_match match;
    assert_int_equal(find(&match, "GET", "/api/v1/jobs/1/metrics"), BP_MATCH);
    assert_true(bp_route_has_query(match.route, "after"));
    assert_true(bp_route_has_query(match.route, "wait"));
    assert_false(bp_route_has_query(match.route, "afte"));
    assert_false(bp_route_has_query(match.route, "after,limit"));
    assert_false(bp_route_has_query(match.route, ""));
}

static void names_and_numbers(void **state)
{
    (void)state;
    char longest[130];
    memset(longest, 'a', sizeof longest);
    longest[128] = '\0';
    assert_true(bp_name_is_valid(longest));
    longest[128] = 'a';
    longest[129] = '\0';
    assert_false(bp_name_is_valid(longest));
    assert_true(bp_name_is_valid("mnist-train_1.0"));
    assert_false(bp_name_is_valid(""));
    assert_false(bp_name_is_valid(".hidden"));
    assert_false(bp_name_is_valid("-x"));
    assert_false(bp_name_is_valid("\xc3\xa4"));

    uint64_t value;
    assert_true(bp_count_parse(&value, "9007199254740991"));
    assert_true(value == (UINT64_C(1) << 53) - 1);
    static const char *const no_counts[] = {"",   "+1",  "-1",  " 1",
                                            "1 ", "1.0", "0x1", "99999999999999999999999999"};
    for (size_t i = 0; i < sizeof no_counts / sizeof no_counts[0]; i++)
        assert_false(bp_count_parse(&value, no_counts[i]));

    assert_true(bp_seconds_parse(&value, "60") && value == 60000);
    assert_true(bp_seconds_parse(&value, "0.25") && value == 250);
    assert_true(bp_seconds_parse(&value, "1.5") && value == 1500);
    static const char *const no_seconds[] = {"",   ".",   "1.2345", "1.2.3",
                                             "-1", "1e3", "NaN",    "99999999999999999999"};
    for (size_t i = 0; i < sizeof no_seconds / sizeof no_seconds[0]; i++)
        assert_false(bp_seconds_parse(&value, no_seconds[i]));
}

static void repaired_text_is_utf8(void **state)
{
    (void)state;
    char text[] = "a\xff\xc3\xa4\xe2\x82\n\xed\xa0\x80";
    bp_text_repair(text);
    assert_string_equal(text, "a?\xc3\xa4??"
                              "?"
                              "???");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_complete_and_reachable),
        cmocka_unit_test(routes_are_those_of_the_contract),
        cmocka_unit_test(captures_are_decoded),
        cmocka_unit_test(paths_that_are_none),
        cmocka_unit_test(a_wrong_method_names_the_right_ones),
        cmocka_unit_test(query_names_match_as_a_whole),
        cmocka_unit_test(names_and_numbers),
        cmocka_unit_test(repaired_text_is_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
