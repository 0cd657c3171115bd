/* What a request's header must be before anything is done with it. libmicrohttpd lets pass what
 * makes two servers disagree about where a request ends, so that is refused here. Pure functions. */
#ifndef BP_SERVER_HTTP_REQUEST_CHECKS_H
#define BP_SERVER_HTTP_REQUEST_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Headers that matter: field, name. */
#define BP_HEADER_LIST(X)                                                                          \
    X(host, "Host")                                                                                \
    X(content_length, "Content-Length")                                                            \
    X(transfer_encoding, "Transfer-Encoding")                                                      \
    X(authorization, "Authorization")                                                              \
    X(content_type, "Content-Type")                                                                \
    X(origin, "Origin")                                                                            \
    X(expect, "Expect")                                                                            \
    X(if_match, "If-Match")                                                                        \
    X(if_none_match, "If-None-Match")                                                              \
    X(idempotency_key, "Idempotency-Key")                                                          \
    X(accept, "Accept")                                                                            \
    X(last_event_id, "Last-Event-ID")

typedef struct bp_header {
    unsigned count;
    const char *value; /* the first; NULL: absent */
} bp_header;

typedef struct bp_headers {
#define BP_HEADER_FIELD(field, name) bp_header field;
    BP_HEADER_LIST(BP_HEADER_FIELD)
#undef BP_HEADER_FIELD
} bp_headers;

/* Counts one header of a request. */
void bp_headers_add(bp_headers *headers, const char *name, const char *value);

/* Who may be asked for: the loopback names and the address that is listened on. A page of another
 * site that has its name point here (DNS rebinding) sends its own name. */
typedef struct bp_host_rule {
    char address[64]; /* without brackets */
    bool any_literal; /* listening on all addresses: every IP literal */
} bp_host_rule;

typedef struct bp_refusal {
    unsigned status;    /* 0: the request is fine */
    const char *detail; /* of static lifetime */
    bool close;         /* its length cannot be trusted: nothing more is read */
} bp_refusal;

/* Duplicates, Content-Length together with Transfer-Encoding, codings but chunked, lengths that are no
 * number. On success *out_length is the body's length; UINT64_MAX: chunked; 0 when there is none. */
bp_refusal bp_check_framing(uint64_t *out_length, const bp_headers *headers);

/* Host (absent only in HTTP/1.0) and, for writes, Origin. */
bp_refusal bp_check_host(const bp_headers *headers, const bp_host_rule *rule, bool old_version);
bp_refusal bp_check_origin(const bp_headers *headers);

/* Reads If-Match against entity tags that are whole numbers in quotes: ours. Other tags, weak ones
 * included, match nothing and are left out. absent or "*" is not a list. False: no list of entity tags,
 * more than one header, or more tags of ours than there is room for. */
bool bp_if_match_parse(size_t *out_count, int64_t *out_numbers, size_t room,
                       const bp_header *header);

/* Is it application/json (with or without parameters)? */
bool bp_is_json_type(const char *content_type);

#endif
