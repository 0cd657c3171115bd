/* All that is wrong with a document, each with the place: a specification with five faults gets five
 * entries in one answer. */
#ifndef BP_SCHEMA_JSON_FAULTS_H
#define BP_SCHEMA_JSON_FAULTS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

enum { BP_FAULT_LIMIT = 100 }; /* further faults are counted, not kept */

typedef struct bp_fault {
    /* What kind: BP_INVALID, BP_UNKNOWN_NAME, BP_TOO_LARGE, BP_NOT_FOUND, BP_CONFLICT. */
    bp_status status;
    char *pointer; /* JSON Pointer (RFC 6901) into the document, "" for all of it */
    char *detail;  /* a sentence that names the allowed values */
} bp_fault;

typedef struct bp_faults {
    size_t count, dropped_count;
    bp_fault *items;
    bool out_of_memory; /* a fault could not be kept */
} bp_faults;

void bp_faults_add(bp_faults *faults, bp_status status, const char *pointer, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));
/* pointer NULL: there was no memory for it. */
void bp_faults_add_list(bp_faults *faults, bp_status status, const char *pointer,
                        const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));
/* Whether a fault is kept for exactly this place. */
bool bp_faults_at(const bp_faults *faults, const char *pointer);
bool bp_faults_any(const bp_faults *faults);
void bp_faults_done(bp_faults *faults); /* releases contents; accepts zeroed */

#endif
