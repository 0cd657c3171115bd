/* Flags, environment, defaults, and faults that name the option and what it allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <string.h>

#include "server/base/options.h"

static char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static char *some_environment(const char *name)
{
    static char listen[] = "localhost:0", workers[] = "3", processor[] = "avx2";
    if (strcmp(name, "BACKPROPD_LISTEN") == 0)
        return listen;
    if (strcmp(name, "BACKPROPD_WORKERS") == 0)
        return workers;
    if (strcmp(name, "BACKPROPD_PROCESSOR") == 0)
        return processor;
    return NULL;
}

static bp_status read_options(bp_options *out, bp_error *error, char *(*environment)(const char *),
                              const char *const *arguments)
{
    char texts[16][64];
    char *argv[17];
    int argc = 0;
    strcpy(texts[0], "backpropd");
    for (; arguments[argc]; argc++)
        strcpy(texts[argc + 1], arguments[argc]);
    for (int i = 0; i <= argc; i++)
        argv[i] = texts[i];
    argv[argc + 1] = NULL;
    bp_options_action action = BP_OPTIONS_HELP;
    return bp_options_read(out, &action, argc + 1, argv, environment, error);
}

#define READ(out, error, environment, ...)                                                         \
    read_options(out, error, environment, (const char *const[]){__VA_ARGS__, NULL})

static void test_defaults(void **state)
{
    (void)state;
    bp_options options;
    assert_int_equal(READ(&options, NULL, no_environment, NULL), BP_OK);
    assert_string_equal(options.address, "127.0.0.1");
    assert_int_equal(options.port, 8470);
    assert_true(options.workers >= 1);
    assert_true(options.memory_limit_bytes > 1 << 20);
    assert_int_equal(options.processor, 0);
}

static void test_flags_win_over_environment(void **state)
{
    (void)state;
    bp_options options;
    assert_int_equal(READ(&options, NULL, some_environment, "--workers", "5", "--memory-limit=2G",
                          "--max-body", "512k", "--log-level", "debug"),
                     BP_OK);
    assert_string_equal(options.address, "localhost");
    assert_int_equal(options.port, 0);
    assert_int_equal(options.workers, 5);
    assert_int_equal(options.memory_limit_bytes, (uint64_t)2 << 30);
    assert_int_equal(options.max_body_bytes, 512 << 10);
    assert_int_equal(options.processor, 2);
    assert_int_equal(options.log_level, 0);
}

static void test_addresses(void **state)
{
    (void)state;
    bp_options options;
    assert_int_equal(READ(&options, NULL, no_environment, "--listen", "[::1]:9"), BP_OK);
    assert_string_equal(options.address, "::1");
    static const char *const refused[] = {
        "0.0.0.0:8470",    "192.168.0.1:80", "[::]:80",     "127.0.0.1",        ":80",
        "127.0.0.1:65536", "::1:80",         "127.0.0.1:x", "127.0.0.1.evil:80"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        bp_error error = {0};
        assert_int_equal(READ(&options, &error, no_environment, "--listen", refused[i]),
                         BP_INVALID);
        assert_string_equal(error.where, "--listen");
    }
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *flag, *value, *where, *part;
    } faults[] = {
        {"--workers", "0", "--workers", "from 1 to 1024"},
        {"--workers", "-1", "--workers", "whole number"},
        {"--workers", "2x", "--workers", "whole number"},
        {"--memory-limit", "12Q", "--memory-limit", "512M"},
        {"--memory-limit", "99999999999999T", "--memory-limit", "at least"},
        {"--processor", "mmx", "--processor", "auto, baseline, avx2, avx512"},
        {"--log-level", "loud", "--log-level", "debug, info, warning, error"},
        {"--worker", "2", "--worker", "did you mean --workers"},
        {"positional", "2", "positional", "--help"},
        {"--data", "", "--data", "needed"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        bp_options options;
        bp_error error = {0};
        assert_int_not_equal(
            READ(&options, &error, no_environment, faults[i].flag, faults[i].value), BP_OK);
        assert_string_equal(error.where, faults[i].where);
        assert_non_null(strstr(error.message, faults[i].part));
    }
    bp_options options;
    bp_error error = {0};
    assert_int_equal(READ(&options, &error, no_environment, "--data"), BP_INVALID);
    assert_non_null(strstr(error.message, "--data DIR"));
}

static void test_help_wins(void **state)
{
    (void)state;
    char program[] = "backpropd", bad[] = "--bad", help[] = "--help";
    char *argv[] = {program, bad, help, NULL};
    bp_options options;
    bp_options_action action = BP_OPTIONS_RUN;
    assert_int_equal(bp_options_read(&options, &action, 3, argv, no_environment, NULL), BP_OK);
    assert_int_equal(action, BP_OPTIONS_HELP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_flags_win_over_environment),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_faults),
        cmocka_unit_test(test_help_wins)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
