#include "server/http/request_checks.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

void bp_headers_add(bp_headers *headers, const char *name, const char *value)
{
    bp_header *header = NULL;
#define BP_HEADER_MATCH(field, text)                                                               \
    if (!header && strcasecmp(name, text) == 0)                                                    \
        header = &headers->field;
    BP_HEADER_LIST(BP_HEADER_MATCH)
#undef BP_HEADER_MATCH
    if (header && header->count++ == 0)
        header->value = value ? value : "";
}

static bool parse_length(uint64_t *out, const char *text)
{
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
            return false;
    }
    *out = value;
    return value != UINT64_MAX;
}

bp_refusal bp_check_framing(uint64_t *out_length, const bp_headers *headers)
{
    const struct {
        unsigned count;
        const char *detail;
    } single[] = {{headers->host.count, "more than one Host"},
                  {headers->content_length.count, "more than one Content-Length"},
                  {headers->transfer_encoding.count, "more than one Transfer-Encoding"},
                  {headers->authorization.count, "more than one Authorization"}};
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
        if (single[i].count > 1)
            return (bp_refusal){400, single[i].detail, true};
    if (headers->content_length.count && headers->transfer_encoding.count)
        return (bp_refusal){400, "both Content-Length and Transfer-Encoding", true};
    if (headers->transfer_encoding.count) {
        if (strcasecmp(headers->transfer_encoding.value, "chunked") != 0)
            return (bp_refusal){501, "the only transfer coding understood is chunked", true};
        *out_length = UINT64_MAX;
        return (bp_refusal){0};
    }
    uint64_t length = 0;
    if (headers->content_length.count && !parse_length(&length, headers->content_length.value))
        return (bp_refusal){400, "Content-Length is not a number of bytes", true};
    *out_length = length;
    return (bp_refusal){0};
}

/* Splits "name", "name:port" and "[address]:port". False when it is none of these. */
static bool split_host(char *out, size_t size, const char *host)
{
    const char *end;
    if (host[0] == '[') {
        host++;
        end = strchr(host, ']');
        if (!end || (end[1] != '\0' && end[1] != ':'))
            return false;
    } else {
        end = host + strcspn(host, ":");
    }
    size_t length = (size_t)(end - host);
    if (length == 0 || length >= size)
        return false;
    memcpy(out, host, length);
    out[length] = '\0';
    const char *port = *end == ']' ? end + 1 : end;
    if (*port == ':')
        port++;
    return strspn(port, "0123456789") == strlen(port);
}

static bool is_literal(const char *text)
{
    unsigned char address[16];
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

bp_refusal bp_check_host(const bp_headers *headers, const bp_host_rule *rule, bool old_version)
{
    if (!headers->host.count)
        return old_version ? (bp_refusal){0} : (bp_refusal){400, "Host is missing", true};
    char name[64];
    if (split_host(name, sizeof name, headers->host.value)) {
        static const char *const loopback[] = {"localhost", "127.0.0.1", "::1"};
        for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++)
            if (strcasecmp(name, loopback[i]) == 0)
                return (bp_refusal){0};
        if (strcasecmp(name, rule->address) == 0 || (rule->any_literal && is_literal(name)))
            return (bp_refusal){0};
    }
    return (bp_refusal){421, "this daemon does not answer for that Host", false};
}

bp_refusal bp_check_origin(const bp_headers *headers)
{
    if (!headers->origin.count)
        return (bp_refusal){0};
    const char *origin = headers->origin.value;
    size_t scheme = strncmp(origin, "https://", 8) == 0 ? 8 : 7;
    if (headers->origin.count == 1 && headers->host.count == 1 &&
        (scheme == 8 || strncmp(origin, "http://", 7) == 0) &&
        strcasecmp(origin + scheme, headers->host.value) == 0)
        return (bp_refusal){0};
    return (bp_refusal){403, "pages of another origin may not write here", false};
}

/* A quoted number, without leading zeros, of at most 2^53. */
static bool parse_number_tag(int64_t *out, const char *text, size_t length)
{
    if (length == 0 || length > 16 || text[0] == '0')
        return false;
    int64_t number = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = 10 * number + (text[i] - '0');
    }
    *out = number;
    return true;
}

bool bp_if_match_parse(size_t *out_count, int64_t *out_numbers, size_t room,
                       const bp_header *header)
{
    if (header->count != 1)
        return false;
    const char *at = header->value;
    size_t count = 0, tags = 0;
    for (;;) {
        at += strspn(at, " \t,");
        if (!*at)
            break;
        const bool weak = strncmp(at, "W/", 2) == 0;
        at += weak ? 2 : 0;
        if (*at != '"')
            return false;
        const char *end = strchr(at + 1, '"');
        if (!end || !strchr(" \t,", end[1]))
            return false;
        int64_t number;
        if (!weak && parse_number_tag(&number, at + 1, (size_t)(end - at - 1))) {
            if (count == room)
                return false;
            out_numbers[count++] = number;
        }
        tags++;
        at = end + 1;
    }
    *out_count = count;
    return tags > 0;
}

bool bp_is_json_type(const char *content_type)
{
    static const char wanted[] = "application/json";
    size_t length = sizeof wanted - 1;
    if (!content_type || strncasecmp(content_type, wanted, length) != 0)
        return false;
    const char *rest = content_type + length;
    return rest[strspn(rest, " \t")] == '\0' || rest[strspn(rest, " \t")] == ';';
}
