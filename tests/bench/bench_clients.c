/* Many clients of one daemon, in one thread so that the generator leaves the machine to it: pollers that
 * ask for new metric points once a second, and event streams, some of them slow, some cut and resumed.
 * Each client checks that it gets every point once and in order, and that a point is the same bytes for
 * everybody. Prints one JSON line; exit status 1 where anything was lost, doubled, different or refused.
 *
 *   bench_clients PORT SECONDS POLLERS STREAMS JOB:ID…    (tests/bench/bench_clients.py runs it)
 *
 * Clients take the jobs in turn and begin behind the event with that id, one stream in 50 with the first. Every 20th stream reads 1 KiB four times a second; every 10th is cut once
 * a second and goes on with Last-Event-ID. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    JOB_LIMIT = 16,
    POINT_LIMIT = 1 << 22, /* of a job */
    LATENCY_LIMIT = 1 << 20,
    LIMIT = 1000, /* points of a poll */
    SLOW_BYTES = 1024,
    SLOW_MS = 250,
    CUT_MS = 1000
};

typedef struct job {
    long id;
    uint64_t *hash; /* of the text of each point, by seq; 0: not seen */
    uint64_t last;  /* largest seq seen */
    uint64_t begin; /* an event's id */
} job;

typedef enum kind { POLLER, STREAM } kind;

typedef struct bench_client {
    kind kind;
    job *job;
    int socket; /* −1: to be opened */
    bool slow, cut;
    double due_ms;    /* of the next request, reading or cut */
    double asked_ms;  /* when the poll in flight went out; 0: none is */
    uint64_t seq;     /* of the last point */
    uint64_t ordinal; /* of the last event, streams */
    bool begun;       /* has an id to go on from */
    char *in;         /* received, not yet used */
    size_t in_size, in_room;
    bool in_body;      /* streams: the header is past */
    size_t chunk_left; /* of the present chunk, its line end included; 0: its length comes next */
    char *text;        /* streams: decoded, not yet used */
    size_t text_size, text_room;
    bool ended;
} bench_client;

static struct sockaddr_in address;
static int poller_fd;
static job jobs[JOB_LIMIT];
static unsigned long faults, polls, late, points, events, resumed;
static float *latency;
static size_t latency_count;

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static void fault(const bench_client *client, const char *what)
{
    if (faults++ < 20)
        fprintf(stderr, "%s of job %ld at seq %llu: %s\n",
                client->kind == POLLER ? "poller" : "stream", client->job->id,
                (unsigned long long)client->seq, what);
}

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static void append(char **bytes, size_t *size, size_t *room, const char *more, size_t count)
{
    if (*size + count + 1 > *room) {
        *room = 2 * (*size + count + 1);
        *bytes = must(realloc(*bytes, *room));
    }
    memcpy(*bytes + *size, more, count);
    *size += count;
    (*bytes)[*size] = '\0';
}

/* ---- points ---- */

/* The object at `text`; its first field is seq. Returns its length; 0: it is not whole. */
static size_t take_point(bench_client *client, const char *text)
{
    uint64_t hash = 14695981039346656037u;
    size_t length = 0;
    int depth = 0;
    do {
        const char byte = text[length++];
        if (!byte)
            return 0;
        depth += byte == '{' ? 1 : byte == '}' ? -1 : 0;
        hash = (hash ^ (unsigned char)byte) * 1099511628211u;
    } while (depth > 0);
    const uint64_t seq = strncmp(text, "{\"seq\":", 7) == 0 ? strtoull(text + 7, NULL, 10) : 0;
    points++;
    if (seq != client->seq + 1)
        fault(client, seq > client->seq ? "a point is lost" : "a point is doubled");
    client->seq = seq;
    if (seq >= POINT_LIMIT)
        return length;
    uint64_t *known = &client->job->hash[seq];
    if (*known && *known != hash)
        fault(client, "a point differs from what another client got");
    *known = hash;
    if (seq > client->job->last)
        client->job->last = seq;
    return length;
}

/* ---- connections ---- */

static void close_client(bench_client *client)
{
    if (client->socket >= 0)
        close(client->socket);
    client->socket = -1;
    client->in_size = client->text_size = client->chunk_left = 0;
    client->in_body = false;
}

static bool send_text(bench_client *client, const char *text, size_t size)
{
    if (send(client->socket, text, size, MSG_NOSIGNAL) == (ssize_t)size)
        return true;
    fault(client, "cannot send");
    close_client(client);
    return false;
}

static bool open_client(bench_client *client)
{
    client->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (client->socket < 0) {
        fault(client, "no more sockets");
        return false;
    }
    const int small = 4096;
    if (client->slow)
        setsockopt(client->socket, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(client->socket, (struct sockaddr *)&address, sizeof address) != 0) {
        fault(client, "cannot connect");
        close_client(client);
        return false;
    }
    fcntl(client->socket, F_SETFL, O_NONBLOCK);
    if (!client->slow) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        epoll_ctl(poller_fd, EPOLL_CTL_ADD, client->socket, &event);
    }
    return true;
}

static void ask_events(bench_client *client)
{
    char text[256], last[64] = "";
    if (client->begun)
        snprintf(last, sizeof last, "Last-Event-ID: %llu\r\n",
                 (unsigned long long)(client->ordinal << 32 | client->seq));
    const int size = snprintf(text, sizeof text,
                              "GET /api/v1/jobs/%ld/events HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
                              client->job->id, last);
    if (open_client(client))
        (void)send_text(client, text, (size_t)size);
}

static void ask_points(bench_client *client, double now)
{
    char text[256];
    const int size = snprintf(
        text, sizeof text,
        "GET /api/v1/jobs/%ld/metrics?after=%llu&limit=%d HTTP/1.1\r\nHost: localhost\r\n\r\n",
        client->job->id, (unsigned long long)client->seq, LIMIT);
    if ((client->socket >= 0 || open_client(client)) && send_text(client, text, (size_t)size))
        client->asked_ms = now;
}

/* ---- what comes ---- */

static void take_poll(bench_client *client, double now)
{
    char *body = client->in_size ? strstr(client->in, "\r\n\r\n") : NULL;
    if (!body)
        return;
    const char *length_text = strcasestr(client->in, "\r\ncontent-length:");
    const size_t length = length_text ? strtoull(length_text + 17, NULL, 10) : 0;
    body += 4;
    if (client->in_size - (size_t)(body - client->in) < length)
        return;
    if (strncmp(client->in, "HTTP/1.1 200", 12) != 0) {
        fault(client, client->in);
    } else if (client->asked_ms > 0) {
        if (latency_count < LATENCY_LIMIT)
            latency[latency_count++] = (float)(now - client->asked_ms);
        polls++;
        const char *at = strstr(body, "\"points\":[");
        if (!at)
            fault(client, "no points");
        for (at = at ? at + 10 : ""; *at == '{';) {
            const size_t size = take_point(client, at);
            if (size == 0) {
                fault(client, "half a point");
                break;
            }
            at += size + (at[size] == ',');
        }
        const char *next = strstr(at, "\"next\":");
        if (!next || strtoull(next + 7, NULL, 10) != client->seq)
            fault(client, "next is not the last point");
    }
    client->asked_ms = 0;
    client->in_size = 0;
}

/* One event, NUL-terminated, without its empty line. */
static void take_event(bench_client *client, char *block)
{
    char *id_text = strncmp(block, "id: ", 4) == 0 ? block : NULL;
    const char *data = strstr(block, "\ndata: ");
    if (!id_text)
        return; /* retry, or a comment */
    const uint64_t id = strtoull(id_text + 4, NULL, 10);
    events++;
    if (!data) {
        fault(client, "an event without data");
        return;
    }
    if (strstr(block, "\nevent: metrics\n")) {
        if (take_point(client, data + 7) == 0)
            fault(client, "half a point");
        if (id != (client->ordinal << 32 | client->seq))
            fault(client, "the id of a point is wrong");
    } else {
        client->ordinal++;
        if (id != (client->ordinal << 32 | client->seq))
            fault(client, "an event is lost or doubled");
        client->ordinal = id >> 32;
        client->seq = id & 0xffffffff;
    }
    client->begun = true;
}

static void take_text(bench_client *client)
{
    char *at = client->text, *end;
    while (client->text_size > (size_t)(at - client->text) && (end = strstr(at, "\n\n")) != NULL) {
        *end = '\0';
        take_event(client, at);
        at = end + 2;
    }
    client->text_size -= (size_t)(at - client->text);
    memmove(client->text, at, client->text_size + 1);
}

static void take_stream(bench_client *client)
{
    char *at = client->in, *end = client->in + client->in_size;
    if (!client->in_body) {
        char *body = client->in_size ? strstr(client->in, "\r\n\r\n") : NULL;
        if (!body)
            return;
        if (strncmp(client->in, "HTTP/1.1 200", 12) != 0) {
            fault(client, client->in);
            close_client(client);
            return;
        }
        client->in_body = true;
        at = body + 4;
    }
    while (at < end && !client->ended) {
        if (client->chunk_left == 0) {
            char *line_end = memchr(at, '\n', (size_t)(end - at));
            if (!line_end)
                break;
            client->chunk_left = strtoull(at, NULL, 16);
            client->ended = client->chunk_left == 0;
            client->chunk_left += 2;
            at = line_end + 1;
        }
        const size_t here = (size_t)(end - at);
        const size_t count = here < client->chunk_left ? here : client->chunk_left;
        /* The last two bytes of a chunk are its line end. */
        size_t of_text = client->chunk_left > 2 ? client->chunk_left - 2 : 0;
        of_text = of_text < count ? of_text : count;
        append(&client->text, &client->text_size, &client->text_room, at, of_text);
        client->chunk_left -= count;
        at += count;
    }
    client->in_size = (size_t)(end - at);
    memmove(client->in, at, client->in_size);
    if (client->text_size)
        take_text(client);
}

static void receive(bench_client *client, size_t limit, double now)
{
    static char buffer[1 << 16];
    const ssize_t count =
        recv(client->socket, buffer, limit < sizeof buffer ? limit : sizeof buffer, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        if (!client->ended)
            fault(client, "the connection was closed");
        close_client(client);
        return;
    }
    append(&client->in, &client->in_size, &client->in_room, buffer, (size_t)count);
    if (client->kind == POLLER)
        take_poll(client, now);
    else
        take_stream(client);
}

/* ---- time ---- */

static void on_time(bench_client *client, double now)
{
    if (client->due_ms > now)
        return;
    if (client->kind == POLLER) {
        client->due_ms += 1000;
        if (client->asked_ms > 0)
            late++;
        else
            ask_points(client, now);
    } else if (client->socket < 0) {
        client->due_ms = client->slow ? now + SLOW_MS : now + CUT_MS;
        if (!client->ended)
            ask_events(client);
    } else if (client->slow) {
        client->due_ms += SLOW_MS;
        receive(client, SLOW_BYTES, now);
    } else if (client->cut) {
        client->due_ms += CUT_MS;
        close_client(client);
        ask_events(client);
        resumed++;
    } else {
        client->due_ms = 1e300;
    }
}

static int by_size(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double percentile(double share)
{
    return latency_count ? (double)latency[(size_t)(share * (double)(latency_count - 1))] : 0;
}

int main(int argc, char **argv)
{
    if (argc < 6 || argc - 5 > JOB_LIMIT) {
        fprintf(stderr, "bench_clients PORT SECONDS POLLERS STREAMS JOB:ID…\n");
        return 2;
    }
    address = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)atoi(argv[1])),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const double seconds = atof(argv[2]);
    const size_t poller_count = strtoul(argv[3], NULL, 10);
    const size_t stream_count = strtoul(argv[4], NULL, 10), count = poller_count + stream_count;
    const size_t job_count = (size_t)argc - 5;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    latency = must(calloc(LATENCY_LIMIT, sizeof *latency));
    for (size_t i = 0; i < job_count; i++) {
        char *colon = NULL;
        jobs[i].id = strtol(argv[5 + i], &colon, 10);
        jobs[i].begin = *colon ? strtoull(colon + 1, NULL, 10) : 0;
        jobs[i].hash = must(calloc(POINT_LIMIT, sizeof *jobs[i].hash));
    }
    poller_fd = epoll_create1(0);
    bench_client *clients = must(calloc(count, sizeof *clients));
    const double begin = now_ms();
    for (size_t i = 0; i < count; i++) {
        bench_client *client = &clients[i];
        const bool is_poller = i < poller_count;
        const size_t number = is_poller ? i : i - poller_count;
        client->kind = is_poller ? POLLER : STREAM;
        client->job = &jobs[number % job_count];
        client->socket = -1;
        if (is_poller || number % 50 != 0) {
            client->seq = client->job->begin & 0xffffffff;
            client->ordinal = client->job->begin >> 32;
            client->begun = true;
        }
        client->slow = !is_poller && number % 20 == 7;
        client->cut = !is_poller && number % 10 == 3;
        client->due_ms =
            begin + 1000.0 * (double)number / (double)(is_poller ? poller_count : stream_count);
    }
    struct epoll_event ready[256];
    double now = begin, drift = 0;
    while (now < begin + seconds * 1e3) {
        const int ready_count = epoll_wait(poller_fd, ready, 256, 5);
        const double woke = now_ms();
        drift = woke - now > drift ? woke - now : drift;
        now = woke;
        for (int i = 0; i < ready_count; i++) {
            bench_client *client = ready[i].data.ptr;
            if (client->socket >= 0)
                receive(client, SIZE_MAX, now_ms());
        }
        for (size_t i = 0; i < count; i++)
            on_time(&clients[i], now);
    }
    size_t behind = 0;
    for (size_t i = poller_count; i < count; i++)
        behind +=
            !clients[i].slow && !clients[i].ended && clients[i].job->last > clients[i].seq + 1000;
    qsort(latency, latency_count, sizeof *latency, by_size);
    printf("{\"faults\": %lu, \"polls\": %lu, \"late_polls\": %lu, \"poll_ms\": {\"p50\": %.2f, "
           "\"p99\": %.2f, \"max\": %.2f}, \"points\": %lu, \"events\": %lu, \"resumed\": %lu, "
           "\"streams_behind\": %zu, \"longest_turn_ms\": %.1f}\n",
           faults, polls, late, percentile(0.5), percentile(0.99), percentile(1), points, events,
           resumed, behind, drift);
    for (size_t i = 0; i < count; i++) {
        close_client(&clients[i]);
        free(clients[i].in);
        free(clients[i].text);
    }
    for (size_t i = 0; i < job_count; i++)
        free(jobs[i].hash);
    free(clients);
    free(latency);
    close(poller_fd);
    return faults > 0;
}
