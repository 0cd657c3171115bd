#include "server/base/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/kernel/kernels.h"
#include "schema/json/name_hint.h"
#include "server/base/log.h"

typedef enum option_kind {
    OPTION_TEXT,  /* kept as written */
    OPTION_COUNT, /* a whole number */
    OPTION_BYTES, /* a whole number with an optional K, M, G or T (powers of 1024) */
    OPTION_CHOICE /* one of choices, kept as its index */
} option_kind;

typedef struct option {
    const char *name, *variable, *value_name;
    option_kind kind;
    size_t offset;            /* in bp_options: const char * or uint64_t */
    const char *default_text; /* read like a value; NULL: default_value */
    uint64_t (*default_value)(void);
    uint64_t minimum, maximum;
    const char *const *choices;
    const char *default_note; /* shown where default_text is NULL */
    const char *help;
} option;

static const char *const processor_choices[] = {"auto", "baseline", "avx2", "avx512", NULL};
static const char *const level_choices[] = {
#define LEVEL_TEXT(name, text) text,
    BP_LOG_LEVEL_LIST(LEVEL_TEXT)
#undef LEVEL_TEXT
        NULL};

enum { MOST_THREADS = 1024 };

static uint64_t core_count(void)
{
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > MOST_THREADS ? MOST_THREADS : (uint64_t)count;
}

static uint64_t http_thread_count(void)
{
    const uint64_t count = core_count();
    return count > 8 ? 8 : count < 2 ? 2 : count;
}

static uint64_t most_of_the_memory(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page_bytes <= 0)
        return (uint64_t)1 << 30;
    return (uint64_t)pages * (uint64_t)page_bytes / 10 * 8;
}

#define AT(member) offsetof(bp_options, member)
#define KIB        ((uint64_t)1 << 10)
#define MIB        ((uint64_t)1 << 20)
#define GIB        ((uint64_t)1 << 30)
#define TIB        ((uint64_t)1 << 40)

/* clang-format off */
static const option options[] = {
    {"data", "BACKPROPD_DATA", "DIR", OPTION_TEXT, AT(data), "backpropd-data", NULL, 0, 0, NULL, NULL,
     "directory of the database and the data sets; made where it is missing"},
    {"listen", "BACKPROPD_LISTEN", "ADDR:PORT", OPTION_TEXT, AT(listen), "127.0.0.1:8470", NULL, 0, 0, NULL, NULL,
     "loopback address and port to answer on; port 0 takes a free one"},
    {"workers", "BACKPROPD_WORKERS", "N", OPTION_COUNT, AT(workers), NULL, core_count, 1, MOST_THREADS, NULL, "the number of cores",
     "jobs that train at the same time"},
    {"memory-limit", "BACKPROPD_MEMORY_LIMIT", "BYTES", OPTION_BYTES, AT(memory_limit_bytes), NULL, most_of_the_memory, MIB, UINT64_MAX, NULL, "80 % of the memory",
     "what all running jobs may need together; a job that needs more is refused"},
    {"job-threads", "BACKPROPD_JOB_THREADS", "N", OPTION_COUNT, AT(job_threads), "64", NULL, 1, MOST_THREADS, NULL, NULL,
     "most threads that one job may ask for"},
    {"restart-limit", "BACKPROPD_RESTART_LIMIT", "N", OPTION_COUNT, AT(restart_limit), "100", NULL, 0, 1000000, NULL, NULL,
     "restarts of a job without a new checkpoint in between, after which it fails"},
    {"max-parameters", "BACKPROPD_MAX_PARAMETERS", "N", OPTION_COUNT, AT(max_parameters), "1000000000", NULL, 1, UINT64_MAX, NULL, NULL,
     "most parameters of a network"},
    {"max-layers", "BACKPROPD_MAX_LAYERS", "N", OPTION_COUNT, AT(max_layers), "256", NULL, 1, 256, NULL, NULL,
     "most layers of a network"},
    {"max-columns", "BACKPROPD_MAX_COLUMNS", "N", OPTION_COUNT, AT(max_columns), "10000", NULL, 1, 1000000, NULL, NULL,
     "most columns of a data set"},
    {"max-upload", "BACKPROPD_MAX_UPLOAD", "BYTES", OPTION_BYTES, AT(max_upload_bytes), "16G", NULL, 1, 64 * TIB, NULL, NULL,
     "largest upload of a data set, unpacked"},
    {"max-body", "BACKPROPD_MAX_BODY", "BYTES", OPTION_BYTES, AT(max_body_bytes), "1M", NULL, KIB, 256 * MIB, NULL, NULL,
     "largest JSON body of a request other than a prediction"},
    {"max-predict-body", "BACKPROPD_MAX_PREDICT_BODY", "BYTES", OPTION_BYTES, AT(max_predict_bytes), "64M", NULL, KIB, GIB, NULL, NULL,
     "largest body of a prediction, or of a text that is scored"},
    {"max-predict-rows", "BACKPROPD_MAX_PREDICT_ROWS", "N", OPTION_COUNT, AT(max_predict_rows), "10000", NULL, 1, 10000000, NULL, NULL,
     "most rows of a prediction; ten times as many tokens of sentences"},
    {"http-threads", "BACKPROPD_HTTP_THREADS", "N", OPTION_COUNT, AT(http_threads), NULL, http_thread_count, 1, 256, NULL, "the number of cores, 2 to 8",
     "threads that answer requests"},
    {"connections", "BACKPROPD_CONNECTIONS", "N", OPTION_COUNT, AT(connections), "2000", NULL, 1, 100000, NULL, NULL,
     "open connections that are served; further ones get 503"},
    {"deadline", "BACKPROPD_DEADLINE", "SECONDS", OPTION_COUNT, AT(deadline_s), "30", NULL, 1, 3600, NULL, NULL,
     "how long a client may take to send a request or to take its answer"},
    {"model-cache", "BACKPROPD_MODEL_CACHE", "BYTES", OPTION_BYTES, AT(model_cache_bytes), "1G", NULL, 0, UINT64_MAX, NULL, NULL,
     "memory for models that are ready to predict"},
    {"processor", "BACKPROPD_PROCESSOR", "PATH", OPTION_CHOICE, AT(processor), "auto", NULL, 0, 0, processor_choices, NULL,
     "instructions to compute with; results do not depend on it"},
    {"log-level", "BACKPROPD_LOG_LEVEL", "LEVEL", OPTION_CHOICE, AT(log_level), "info", NULL, 0, 0, level_choices, NULL,
     "least level that is written to standard error"},
};
/* clang-format on */
enum { OPTION_COUNT_ALL = sizeof options / sizeof *options };

static uint64_t *number_of(bp_options *out, const option *row)
{
    return (uint64_t *)(void *)((char *)out + row->offset);
}

/* "512", "512K" and so on. False: not such a number, or beyond 64 bits. */
static bool parse_number(uint64_t *out, const char *text, bool with_unit)
{
    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    char *end;
    const unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    unsigned shift = 0;
    if (with_unit && *end) {
        static const char units[] = "KMGT";
        const char *unit = strchr(units, toupper((unsigned char)*end));
        if (!unit || !*unit)
            return false;
        shift = 10 * (unsigned)(unit - units + 1);
        end++;
    }
    if (*end || number > UINT64_MAX >> shift)
        return false;
    *out = (uint64_t)number << shift;
    return true;
}

static bp_status refuse_number(const option *row, const char *shown, const char *text,
                               bp_error *error)
{
    const char *what =
        row->kind == OPTION_BYTES ? "a number of bytes (512M, 2G)" : "a whole number";
    if (row->maximum == UINT64_MAX)
        return bp_error_set(error, BP_INVALID, shown, "%s is not %s of at least %llu", text, what,
                            (unsigned long long)row->minimum);
    return bp_error_set(error, BP_INVALID, shown, "%s is not %s from %llu to %llu", text, what,
                        (unsigned long long)row->minimum, (unsigned long long)row->maximum);
}

static bp_status refuse_choice(const option *row, const char *shown, const char *text,
                               bp_error *error)
{
    char list[128] = "";
    for (size_t i = 0; row->choices[i]; i++) {
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", row->choices[i]);
    }
    return bp_error_set(error, BP_INVALID, shown, "%s is not one of %s", text, list);
}

/* shown: the flag or the variable, for messages. */
static bp_status set_value(bp_options *out, const option *row, const char *shown, const char *text,
                           bp_error *error)
{
    switch (row->kind) {
    case OPTION_TEXT:
        if (!*text)
            return bp_error_set(error, BP_INVALID, shown, "a value is needed");
        *(const char **)(void *)((char *)out + row->offset) = text;
        return BP_OK;
    case OPTION_COUNT:
    case OPTION_BYTES: {
        uint64_t number;
        if (!parse_number(&number, text, row->kind == OPTION_BYTES) || number < row->minimum ||
            number > row->maximum)
            return refuse_number(row, shown, text, error);
        *number_of(out, row) = number;
        return BP_OK;
    }
    case OPTION_CHOICE:
        for (size_t i = 0; row->choices[i]; i++)
            if (strcmp(text, row->choices[i]) == 0) {
                *number_of(out, row) = i;
                return BP_OK;
            }
        return refuse_choice(row, shown, text, error);
    }
    return BP_INTERNAL;
}

static bool is_loopback(const char *address)
{
    return strcmp(address, "localhost") == 0 || strcmp(address, "::1") == 0 ||
           (strncmp(address, "127.", 4) == 0 && strspn(address, "0123456789.") == strlen(address));
}

/* ADDR:PORT, [ADDR]:PORT for IPv6. */
static bp_status split_listen(bp_options *out, bp_error *error)
{
    const char *text = out->listen, *colon = strrchr(text, ':');
    uint64_t port = 0;
    if (!colon || colon == text || !parse_number(&port, colon + 1, false) || port > UINT16_MAX)
        return bp_error_set(error, BP_INVALID, "--listen",
                            "%s is not ADDR:PORT with a port from 0 to 65535", text);
    const char *address = text;
    size_t length = (size_t)(colon - text);
    const bool bracketed = address[0] == '[' && address[length - 1] == ']';
    if (bracketed && length > 2) {
        address++;
        length -= 2;
    }
    if (length >= sizeof out->address || (!bracketed && memchr(address, ':', length)))
        return bp_error_set(error, BP_INVALID, "--listen",
                            "%s is not ADDR:PORT; IPv6 addresses stand in brackets", text);
    memcpy(out->address, address, length);
    out->address[length] = '\0';
    out->port = (uint16_t)port;
    if (!is_loopback(out->address))
        return bp_error_set(
            error, BP_INVALID, "--listen",
            "%s is not a loopback address: this version has no tokens and no TLS, so "
            "it answers on 127.0.0.1, [::1] or localhost only; put a proxy in front",
            out->address);
    return BP_OK;
}

static bp_status read_defaults(bp_options *out, char *(*environment)(const char *name),
                               bp_error *error)
{
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        const option *row = &options[i];
        const char *text = environment(row->variable);
        bp_status status = BP_OK;
        if (text && *text)
            status = set_value(out, row, row->variable, text, error);
        else if (row->default_text)
            status = set_value(out, row, row->name, row->default_text, error);
        else
            *number_of(out, row) = row->default_value();
        if (status != BP_OK)
            return status;
    }
    return BP_OK;
}

static const char *option_name_at(const void *list, size_t index)
{
    (void)list;
    return index < OPTION_COUNT_ALL ? options[index].name : NULL;
}

static bp_status refuse_option(const char *argument, size_t length, bp_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1),
             argument);
    const char *near =
        strncmp(name, "--", 2) == 0 ? bp_name_nearest(name + 2, option_name_at, NULL) : NULL;
    if (near)
        return bp_error_set(error, BP_UNKNOWN_NAME, argument,
                            "there is no such option; did you mean --%s? --help lists all", near);
    return bp_error_set(error, BP_UNKNOWN_NAME, argument,
                        "there is no such option; --help lists all");
}

static const option *find_option(const char *name, size_t length)
{
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++)
        if (strlen(options[i].name) == length && strncmp(options[i].name, name, length) == 0)
            return &options[i];
    return NULL;
}

bp_status bp_options_read(bp_options *out, bp_options_action *out_action, int argc,
                          char *const *argv, char *(*environment)(const char *name),
                          bp_error *error)
{
    for (int i = 1; i < argc; i++) {
        const bool help = strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
        if (help || strcmp(argv[i], "--version") == 0) {
            *out_action = help ? BP_OPTIONS_HELP : BP_OPTIONS_VERSION;
            return BP_OK;
        }
    }
    bp_options read = {0};
    bp_status status = read_defaults(&read, environment, error);
    for (int i = 1; i < argc && status == BP_OK; i++) {
        const char *argument = argv[i];
        const size_t length = strcspn(argument, "=");
        const option *row = strncmp(argument, "--", 2) == 0 && length > 2
                                ? find_option(argument + 2, length - 2)
                                : NULL;
        if (!row)
            return refuse_option(argument, length, error);
        char shown[40];
        snprintf(shown, sizeof shown, "--%s", row->name);
        const char *value = argument[length] ? argument + length + 1 : NULL;
        if (!value) {
            if (i + 1 == argc)
                return bp_error_set(error, BP_INVALID, shown, "a value is needed: %s %s", shown,
                                    row->value_name);
            value = argv[++i];
        }
        status = set_value(&read, row, shown, value, error);
    }
    if (status == BP_OK)
        status = split_listen(&read, error);
    if (status != BP_OK)
        return status;
    *out = read;
    *out_action = BP_OPTIONS_RUN;
    return BP_OK;
}

void bp_options_print_help(FILE *stream)
{
    fputs("backpropd " BP_VERSION ": trains neural networks over REST and serves them.\n\n"
          "Usage: backpropd [--OPTION VALUE]...\n"
          "       backpropd backup [--data DIR] --to NEW_DIR   (see backpropd backup --help)\n\n"
          "Every option can be given by its environment variable too; the option wins.\n"
          "Sizes take K, M, G and T (powers of 1024). SIGTERM stops the daemon gracefully:\n"
          "running jobs go back to the queue and start again with the next daemon.\n\n"
          "Options:\n",
          stream);
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        const option *row = &options[i];
        fprintf(stream, "  --%s %s\n      %s", row->name, row->value_name, row->help);
        if (row->choices) {
            fputs(":\n      ", stream);
            for (size_t j = 0; row->choices[j]; j++)
                fprintf(stream, "%s%s", j ? ", " : "", row->choices[j]);
        }
        fprintf(stream, "\n      default: %s; environment: %s\n",
                row->default_text ? row->default_text : row->default_note, row->variable);
    }
    fputs("  --help\n      shows this\n  --version\n      shows the version\n\n"
          "Example:\n"
          "  backpropd --data /var/lib/backpropd --listen 127.0.0.1:8470 --workers 4\n",
          stream);
}
