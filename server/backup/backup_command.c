#include "server/backup/backup_command.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/backup/backup_copy.h"

enum { EXIT_USAGE = 2 };

typedef struct arguments {
    const char *data, *to;
    bool help;
} arguments;

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

static bool is_interrupted(void *context)
{
    (void)context;
    return interrupted;
}

static void print_help(FILE *stream)
{
    fputs("Usage: backpropd backup [--data DIR] --to NEW_DIR\n\n"
          "Copies the data directory DIR into NEW_DIR, which must not exist: a consistent copy, "
          "whether\n"
          "a daemon is running on DIR or not. NEW_DIR is a data directory itself: to restore, "
          "start a\n"
          "daemon on it, or on a copy of it.\n\n"
          "  --data DIR\n"
          "      the data directory; default: backpropd-data; environment: BACKPROPD_DATA\n"
          "  --to NEW_DIR\n"
          "      where the copy goes; until it is whole it is called NEW_DIR.partial\n"
          "  --help\n"
          "      shows this\n\n"
          "Exit status: 0, the copy is whole, checked and on the disk; 1, there is none, and "
          "standard\n"
          "error says why; 2, the arguments are wrong.\n",
          stream);
}

/* "--name VALUE" or "--name=VALUE" at argv[*at]. NULL: another option; "": no value. */
static const char *value_of(const char *name, int argc, char *const *argv, int *at)
{
    const char *argument = argv[*at];
    const size_t length = strlen(name);
    if (strncmp(argument, name, length) != 0)
        return NULL;
    if (argument[length] == '=')
        return argument + length + 1;
    if (argument[length] != '\0')
        return NULL;
    return *at + 1 < argc ? argv[++*at] : "";
}

static bool read_arguments(arguments *out, int argc, char *const *argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            out->help = true;
            return true;
        }
    for (int i = 1; i < argc; i++) {
        const char *shown = argv[i], *value;
        if ((value = value_of("--data", argc, argv, &i))) {
            out->data = value;
        } else if ((value = value_of("--to", argc, argv, &i))) {
            out->to = value;
        } else {
            fprintf(stderr, "backpropd backup: %s: there is no such option; --help lists all\n",
                    shown);
            return false;
        }
        if (!*value) {
            fprintf(stderr, "backpropd backup: %s: a value is needed\n", shown);
            return false;
        }
    }
    if (!out->to)
        fputs("backpropd backup: --to: a new directory for the copy is needed\n", stderr);
    return out->to != NULL;
}

static int run(const char *data, const char *to)
{
    const size_t length = strlen(to);
    char *draft = malloc(length + sizeof ".partial");
    if (!draft) {
        fputs("backpropd backup: no memory\n", stderr);
        return EXIT_FAILURE;
    }
    snprintf(draft, length + sizeof ".partial", "%s.partial", to);
    const bp_backup_plan plan = {
        .from = data, .draft = draft, .to = to, .cancelled = is_interrupted};
    bp_backup_summary summary;
    bp_error error = {.status = BP_OK};
    const bp_status status = bp_backup_make(&summary, &plan, &error);
    if (status == BP_OK)
        printf("%s: %llu files, %llu bytes\n", to, (unsigned long long)summary.file_count,
               (unsigned long long)summary.size_bytes);
    else
        fprintf(stderr, "backpropd backup: %s%s%s\n", error.where, *error.where ? ": " : "",
                error.message);
    free(draft);
    return status == BP_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

int bp_backup_command(int argc, char *const *argv)
{
    const char *variable = getenv("BACKPROPD_DATA");
    arguments read = {.data = variable && *variable ? variable : "backpropd-data"};
    if (!read_arguments(&read, argc, argv)) {
        return EXIT_USAGE;
    }
    if (read.help) {
        print_help(stdout);
        return EXIT_SUCCESS;
    }
    const struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* "copy/" names the same as "copy". */
    char *to = strdup(read.to);
    if (!to) {
        fputs("backpropd backup: no memory\n", stderr);
        return EXIT_FAILURE;
    }
    for (size_t length = strlen(to); length > 1 && to[length - 1] == '/'; length--)
        to[length - 1] = '\0';
    const int code = run(read.data, to);
    free(to);
    return code;
}
