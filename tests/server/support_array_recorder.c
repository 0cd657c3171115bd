#include "tests/server/support_array_recorder.h"

#include <stdlib.h>
#include <string.h>

#include "server/dataset/element_size.h"

static bp_status take_layout(void *context, const bp_array_layout *layout, bp_error *error)
{
    array_recorder *recorder = context;
    (void)error;
    recorder->layout = *layout;
    recorder->layout_count++;
    return BP_OK;
}

static bp_status take_values(void *context, const void *elements, size_t element_count,
                             bp_error *error)
{
    array_recorder *recorder = context;
    (void)error;
    const size_t size = bp_element_size(recorder->layout.element);
    if ((uintptr_t)elements % 64 != 0 ||
        (recorder->element_count + element_count) * size > sizeof recorder->bytes)
        abort();
    memcpy(recorder->bytes + recorder->element_count * size, elements, element_count * size);
    recorder->element_count += element_count;
    return BP_OK;
}

bp_array_sink array_recorder_sink(array_recorder *recorder)
{
    memset(recorder, 0, sizeof *recorder);
    return (bp_array_sink){recorder, take_layout, take_values};
}
