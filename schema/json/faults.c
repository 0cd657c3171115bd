#include "schema/json/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Takes ownership of detail; it and pointer may be NULL: no memory. */
static void keep(bp_faults *faults, bp_status status, const char *pointer, char *detail)
{
    if (faults->count == BP_FAULT_LIMIT) {
        faults->dropped_count++;
        free(detail);
        return;
    }
    char *place = pointer ? strdup(pointer) : NULL;
    if (!faults->items)
        faults->items = calloc(BP_FAULT_LIMIT, sizeof *faults->items);
    if (!detail || !place || !faults->items) {
        faults->out_of_memory = true;
        free(detail);
        free(place);
        return;
    }
    faults->items[faults->count++] =
        (bp_fault){.status = status, .pointer = place, .detail = detail};
}

void bp_faults_add(bp_faults *faults, bp_status status, const char *pointer, const char *format,
                   ...)
{
    va_list arguments;
    va_start(arguments, format);
    bp_faults_add_list(faults, status, pointer, format, arguments);
    va_end(arguments);
}

void bp_faults_add_list(bp_faults *faults, bp_status status, const char *pointer,
                        const char *format, va_list arguments)
{
    char *detail = NULL;
    if (vasprintf(&detail, format, arguments) < 0)
        detail = NULL;
    keep(faults, status, pointer, detail);
}

bool bp_faults_at(const bp_faults *faults, const char *pointer)
{
    for (size_t index = 0; index < faults->count; index++)
        if (!strcmp(faults->items[index].pointer, pointer))
            return true;
    return false;
}

bool bp_faults_any(const bp_faults *faults)
{
    return faults->count > 0 || faults->out_of_memory;
}

void bp_faults_done(bp_faults *faults)
{
    for (size_t index = 0; index < faults->count; index++) {
        free(faults->items[index].pointer);
        free(faults->items[index].detail);
    }
    free(faults->items);
    *faults = (bp_faults){0};
}
