#include "server/http/route_table.h"

#include <stdint.h>
#include <string.h>

#include "server/http/handlers.h"
#include "server/http/url_text.h"

static const bp_route routes[] = {
#define BP_ROUTE(method_, pattern_, scope_, body_, needs_, handler_, query_)                       \
    {.method = BP_METHOD_##method_,                                                                \
     .pattern = pattern_,                                                                          \
     .scope = BP_SCOPE_##scope_,                                                                   \
     .body = BP_BODY_##body_,                                                                      \
     .needs = BP_NEEDS_##needs_,                                                                   \
     .handle = handler_,                                                                           \
     .query = query_},
#include "server/http/routes.def"
#undef BP_ROUTE
};

enum { ROUTE_COUNT = sizeof routes / sizeof routes[0], SEGMENT_LIMIT = 8 };

static const char *const method_names[BP_METHOD_COUNT] = {"GET", "PUT", "POST", "PATCH", "DELETE"};

size_t bp_route_count(void)
{
    return ROUTE_COUNT;
}

const bp_route *bp_route_at(size_t index)
{
    return &routes[index];
}

const char *bp_method_name(bp_method method)
{
    return method_names[method];
}

/* Cuts path at its slashes and decodes each piece. Returns the number of segments, SIZE_MAX for a
 * broken escape, 0 for a path of no route (no leading slash, too many segments). */
static size_t cut(char *segment[SEGMENT_LIMIT], char *path)
{
    if (path[0] != '/')
        return 0;
    size_t count = 0;
    char *at = path + 1;
    for (;;) {
        char *end = strchr(at, '/');
        bool last = !end;
        size_t length = last ? strlen(at) : (size_t)(end - at);
        if (count == SEGMENT_LIMIT)
            return 0;
        if (!last)
            *end = '\0';
        if (!bp_percent_decode(at, &length))
            return SIZE_MAX;
        segment[count++] = at;
        if (last)
            return count;
        at = end + 1;
    }
}

/* Does pattern fit? Captures what stands at its braces. */
static bool fits(const char *pattern, char *const *segment, size_t count, bp_route_match *match)
{
    size_t captures = 0;
    for (size_t i = 0; i < count; i++) {
        if (*pattern++ != '/')
            return false;
        size_t length = strcspn(pattern, "/");
        if (*pattern == '{')
            match->capture[captures++] = segment[i];
        else if (strlen(segment[i]) != length || memcmp(segment[i], pattern, length) != 0)
            return false;
        pattern += length;
    }
    match->capture_count = captures;
    return *pattern == '\0';
}

static bp_match_kind check_captures(const bp_route_match *match)
{
    const char *at = match->route->pattern;
    for (size_t i = 0; i < match->capture_count; i++) {
        at = strchr(at, '{') + 1;
        uint64_t number;
        if (strncmp(at, "id}", 3) == 0 || strncmp(at, "version}", 8) == 0 ||
            strncmp(at, "checkpoint}", 11) == 0) {
            if (!bp_count_parse(&number, match->capture[i]) || number == 0)
                return BP_MATCH_BAD_NUMBER;
        } else if (!bp_name_is_valid(match->capture[i])) {
            return BP_MATCH_BAD_NAME;
        }
    }
    return BP_MATCH;
}

bp_match_kind bp_route_find(bp_route_match *out, const char *method, char *path)
{
    *out = (bp_route_match){.route = NULL};
    char *segment[SEGMENT_LIMIT];
    size_t count = cut(segment, path);
    if (count == SIZE_MAX)
        return BP_MATCH_BAD_PATH;
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    bool path_known = false;
    for (size_t i = 0; count > 0 && i < ROUTE_COUNT; i++) {
        if (!fits(routes[i].pattern, segment, count, out))
            continue;
        path_known = true;
        out->method_allowed[routes[i].method] = true;
        if (strcmp(method, method_names[routes[i].method]) == 0) {
            out->route = &routes[i];
            return check_captures(out);
        }
    }
    return path_known ? BP_MATCH_NO_METHOD : BP_MATCH_NO_PATH;
}

bool bp_route_has_query(const bp_route *route, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = route->query; *at;) {
        size_t item = strcspn(at, ",");
        if (item == length && memcmp(at, name, length) == 0)
            return true;
        at += item;
        at += *at == ',';
    }
    return false;
}
