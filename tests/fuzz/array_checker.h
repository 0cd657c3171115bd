/* An array sink for fuzzing that insists on what parser_sink.h promises. */
#ifndef BP_TESTS_FUZZ_ARRAY_CHECKER_H
#define BP_TESTS_FUZZ_ARRAY_CHECKER_H

#include <stdbool.h>
#include <stdlib.h>

#include "server/dataset/element_size.h"
#include "server/dataset/parser_sink.h"

typedef struct array_checker {
    bool has_layout;
    bp_array_layout layout;
    uint64_t element_count;
    unsigned long long sum;
} array_checker;

static inline void require(bool ok)
{
    if (!ok)
        abort();
}

static inline bp_status check_layout(void *context, const bp_array_layout *layout, bp_error *error)
{
    array_checker *self = context;
    (void)error;
    require(!self->has_layout && layout->rank <= BP_COLUMN_RANK_LIMIT && layout->row_count > 0);
    uint64_t width = 1;
    for (size_t i = 0; i < layout->rank; i++)
        width *= layout->shape[i];
    require(width == layout->width && width > 0);
    require(layout->row_count <= INT64_MAX / 8 / width);
    self->has_layout = true;
    self->layout = *layout;
    return BP_OK;
}

static inline bp_status check_values(void *context, const void *elements, size_t element_count,
                                     bp_error *error)
{
    array_checker *self = context;
    (void)error;
    require(self->has_layout && element_count > 0 && (uintptr_t)elements % 64 == 0);
    self->element_count += element_count;
    require(self->element_count <= self->layout.row_count * self->layout.width);
    const unsigned char *bytes = elements;
    for (size_t i = 0; i < element_count * bp_element_size(self->layout.element); i++)
        self->sum = self->sum * 31 + bytes[i];
    return BP_OK;
}

#endif
