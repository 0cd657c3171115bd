#include "server/http/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 511 };

typedef union socket_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} socket_address;

/* Fills in everything but the port; 0 when the text is no address. */
static socklen_t parse(socket_address *out, bp_host_rule *rule, const char *address)
{
    *out = (socket_address){.v6 = {.sin6_family = AF_UNSPEC}};
    *rule = (bp_host_rule){.any_literal = false};
    const char *text = strcmp(address, "localhost") == 0 ? "127.0.0.1" : address;
    size_t length = strlen(text);
    if (length > 1 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof rule->address)
        return 0;
    memcpy(rule->address, text, length);
    if (inet_pton(AF_INET, rule->address, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        rule->any_literal = out->v4.sin_addr.s_addr == htonl(INADDR_ANY);
        return sizeof out->v4;
    }
    if (inet_pton(AF_INET6, rule->address, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        rule->any_literal = IN6_IS_ADDR_UNSPECIFIED(&out->v6.sin6_addr);
        return sizeof out->v6;
    }
    return 0;
}

bp_status bp_listener_open(int *out, uint16_t *out_port, bp_host_rule *out_rule,
                           const char *address, uint16_t port, bp_error *error)
{
    socket_address name;
    bp_host_rule rule;
    socklen_t size = parse(&name, &rule, address);
    if (size == 0)
        return bp_error_set(error, BP_INVALID, "listen",
                            "%s is not a numeric IPv4 or IPv6 address, nor localhost", address);
    if (name.any.sa_family == AF_INET)
        name.v4.sin_port = htons(port);
    else
        name.v6.sin6_port = htons(port);
    const int on = 1;
    int listener = socket(name.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Nagle off: accepted sockets inherit it, and answers go out whole anyway. */
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        bind(listener, &name.any, size) != 0 || listen(listener, BACKLOG) != 0 ||
        getsockname(listener, &name.any, &size) != 0) {
        bool taken = errno == EADDRINUSE;
        bp_error_set(error, taken ? BP_CONFLICT : BP_INPUT_OUTPUT, "listen",
                     "cannot listen on %s port %u: %s", address, (unsigned)port, strerror(errno));
        if (listener >= 0)
            close(listener);
        return taken ? BP_CONFLICT : BP_INPUT_OUTPUT;
    }
    *out = listener;
    *out_port = ntohs(name.any.sa_family == AF_INET ? name.v4.sin_port : name.v6.sin6_port);
    *out_rule = rule;
    return BP_OK;
}

void bp_listener_raise_files(uint64_t count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= count)
        return;
    limit.rlim_cur =
        limit.rlim_max != RLIM_INFINITY && limit.rlim_max < count ? limit.rlim_max : (rlim_t)count;
    /* Where this fails, connections are refused earlier: nothing breaks. */
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}
