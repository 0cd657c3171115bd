#include "server/upload/array_column.h"

#include <stdlib.h>
#include <string.h>

#include "server/upload/column_statistics.h"

struct bp_array_column {
    const char *directory;
    bp_column_draft draft;
    bp_column_statistics *statistics;
};

bp_status bp_array_column_create(bp_array_column **out, const char *directory, const char *name,
                                 bp_error *error)
{
    bp_array_column *column = calloc(1, sizeof *column);
    if (column)
        column->draft.info.name = strdup(name);
    if (!column || !column->draft.info.name) {
        free(column);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a column");
    }
    column->directory = directory;
    *out = column;
    return BP_OK;
}

void bp_array_column_free(bp_array_column *column)
{
    if (!column)
        return;
    bp_column_draft_done(&column->draft);
    bp_column_statistics_free(column->statistics);
    free(column);
}

static bp_status take_layout(void *context, const bp_array_layout *layout, bp_error *error)
{
    bp_array_column *column = context;
    bp_column_info *info = &column->draft.info;
    const bool scalar = layout->rank == 0;
    info->type = !scalar           ? BP_COLUMN_TENSOR
                 : layout->boolean ? BP_COLUMN_BOOLEAN
                                   : BP_COLUMN_NUMERIC;
    info->element = layout->element;
    info->rank = layout->rank;
    memcpy(info->shape, layout->shape, sizeof info->shape);
    info->width = layout->width;
    info->row_count = layout->row_count;
    bp_status status =
        bp_column_statistics_create(&column->statistics, layout->element, scalar, error);
    if (status == BP_OK)
        status = bp_column_writer_open(&column->draft.writer, column->directory, layout, error);
    return status;
}

static bp_status take_values(void *context, const void *elements, size_t element_count,
                             bp_error *error)
{
    bp_array_column *column = context;
    bp_column_statistics_add(column->statistics, elements, element_count);
    return bp_column_writer_write(column->draft.writer, elements, element_count, error);
}

bp_array_sink bp_array_column_sink(bp_array_column *column)
{
    return (bp_array_sink){.context = column, .layout = take_layout, .values = take_values};
}

bp_status bp_array_column_finish(bp_array_column *column, bp_column_draft *out, bp_error *error)
{
    bp_column_draft *draft = &column->draft;
    bp_status status = bp_column_writer_finish(draft->writer, draft->info.sha256, error);
    if (status == BP_OK)
        status = bp_column_statistics_finish(column->statistics, &draft->info, error);
    if (status != BP_OK)
        return status;
    *out = *draft;
    memset(draft, 0, sizeof *draft);
    return BP_OK;
}
