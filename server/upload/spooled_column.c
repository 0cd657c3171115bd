#include "server/upload/spooled_column.h"

#include <math.h>
#include <string.h>

#include "server/dataset/element_size.h"

/* Bytes of a turn: some tens of milliseconds. */
enum { SLICE_BYTES = 16 * 1024 * 1024 };

bp_status bp_spooled_column_begin(bp_spooled_column *column, const char *directory,
                                  const char *name, const bp_column_info *info,
                                  bp_spool_file *spool, bp_error *error)
{
    bp_column_draft draft = {.info = *info};
    draft.info.row_count =
        bp_spool_file_size(spool) / (info->width * bp_element_size(info->element));
    draft.info.minimum = draft.info.maximum = draft.info.mean = NAN;
    draft.info.name = strdup(name);
    if (!draft.info.name)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a column");
    bp_array_layout layout = {.element = info->element,
                              .rank = info->rank,
                              .width = info->width,
                              .row_count = draft.info.row_count};
    memcpy(layout.shape, info->shape, sizeof layout.shape);
    bp_status status = bp_column_writer_open(&draft.writer, directory, &layout, error);
    if (status != BP_OK) {
        bp_column_draft_done(&draft);
        return status;
    }
    *column = (bp_spooled_column){.spool = spool, .draft = draft};
    return BP_OK;
}

bp_status bp_spooled_column_turn(bp_spooled_column *column, bool *out_done, bp_column_draft *out,
                                 bp_error *error)
{
    bp_column_draft *draft = &column->draft;
    bp_status status = bp_spool_file_copy(column->spool, draft->writer, &column->offset,
                                          SLICE_BYTES, bp_element_size(draft->info.element), error);
    const bool done = column->offset == bp_spool_file_size(column->spool);
    if (status == BP_OK && done)
        status = bp_column_writer_finish(draft->writer, draft->info.sha256, error);
    if (status != BP_OK)
        return status;
    *out_done = done;
    if (done) {
        *out = *draft;
        *column = (bp_spooled_column){0};
    }
    return BP_OK;
}

void bp_spooled_column_done(bp_spooled_column *column)
{
    if (column->spool)
        bp_column_draft_done(&column->draft);
    *column = (bp_spooled_column){0};
}
