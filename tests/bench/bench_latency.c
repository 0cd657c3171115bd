/* How long a daemon takes for each of some requests: sent in turn over one connection that is kept, each
 * timed from its first byte out to its last byte in. Written in C, so that little of the machine is
 * the generator's.
 *
 * usage: bench_latency PORT ROUNDS PAUSE_US LABEL PATH [LABEL PATH ...]
 * In a path, %J becomes a random whole number from 2 to the one that the environment variable JOBS
 * says. One line a label: label, requests, bytes of the last answer, milliseconds p50, p99, most. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { KIND_LIMIT = 32, BUFFER_BYTES = 8 << 20 };

static void fail(const char *what)
{
    fprintf(stderr, "bench_latency: %s\n", what);
    exit(1);
}

static double now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static int connect_to(unsigned port)
{
    const int one = 1, file = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (file < 0 || connect(file, (struct sockaddr *)&address, sizeof address) != 0)
        fail("cannot connect");
    (void)setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return file;
}

/* The path with its %J filled in. */
static void make_path(char *out, size_t size, const char *path, uint64_t jobs)
{
    const char *mark = strstr(path, "%J");
    if (!mark)
        snprintf(out, size, "%s", path);
    else
        snprintf(out, size, "%.*s%llu%s", (int)(mark - path), path,
                 (unsigned long long)(2 + (uint64_t)random() % jobs), mark + 2);
}

/* One answer, of 200 and with Content-Length; returns its size. */
static size_t read_answer(int file, char *buffer)
{
    size_t have = 0, wanted = 0;
    while (wanted == 0 || have < wanted) {
        const ssize_t got = recv(file, buffer + have, BUFFER_BYTES - have - 1, 0);
        if (got <= 0)
            fail("the connection ended");
        have += (size_t)got;
        buffer[have] = '\0';
        const char *end = wanted ? NULL : strstr(buffer, "\r\n\r\n");
        if (!end)
            continue;
        const char *length = strcasestr(buffer, "\r\nContent-Length:");
        if (strncmp(buffer, "HTTP/1.1 200", 12) != 0 || !length || length > end)
            fail(buffer);
        wanted = (size_t)(end + 4 - buffer) + strtoull(length + 17, NULL, 10);
        if (wanted >= BUFFER_BYTES)
            fail("an answer is too long");
    }
    return have;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int count, char **arguments)
{
    const size_t kinds = count > 4 ? (size_t)(count - 4) / 2 : 0;
    if (count < 6 || count % 2 != 0 || kinds > KIND_LIMIT) {
        fprintf(stderr, "usage: bench_latency PORT ROUNDS PAUSE_US LABEL PATH [LABEL PATH ...]\n");
        return 2;
    }
    const unsigned port = (unsigned)strtoul(arguments[1], NULL, 10);
    const size_t rounds = strtoull(arguments[2], NULL, 10);
    const useconds_t pause_us = (useconds_t)strtoul(arguments[3], NULL, 10);
    const uint64_t jobs = getenv("JOBS") ? strtoull(getenv("JOBS"), NULL, 10) : 1;
    char *buffer = malloc(BUFFER_BYTES);
    double *times = calloc(kinds * rounds, sizeof *times);
    size_t bytes[KIND_LIMIT] = {0};
    if (!buffer || !times || jobs == 0)
        fail("no memory");
    const int file = connect_to(port);
    for (size_t round = 0; round < rounds; round++)
        for (size_t kind = 0; kind < kinds; kind++) {
            char path[512], request[1024];
            make_path(path, sizeof path, arguments[5 + 2 * kind], jobs);
            const int size = snprintf(request, sizeof request,
                                      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n", path, port);
            const double begun = now_ms();
            if (send(file, request, (size_t)size, 0) != size)
                fail("cannot send");
            bytes[kind] = read_answer(file, buffer);
            times[kind * rounds + round] = now_ms() - begun;
            if (pause_us > 0)
                usleep(pause_us);
        }
    for (size_t kind = 0; kind < kinds; kind++) {
        double *list = times + kind * rounds;
        qsort(list, rounds, sizeof *list, compare);
        printf("%-28s %6zu requests %8zu bytes   p50 %7.2f ms   p99 %7.2f ms   most %7.2f ms\n",
               arguments[4 + 2 * kind], rounds, bytes[kind], list[rounds / 2],
               list[(rounds * 99) / 100], list[rounds - 1]);
    }
    close(file);
    free(times);
    free(buffer);
    return 0;
}
