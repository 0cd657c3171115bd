#include "server/dataset/column_draft.h"

#include <stdlib.h>
#include <string.h>

void bp_column_draft_done(bp_column_draft *draft)
{
    bp_column_writer_free(draft->writer);
    free(draft->info.name);
    free(draft->info.values);
    for (size_t i = 0; i < draft->info.category_count; i++)
        free(draft->info.categories[i]);
    free(draft->info.categories);
    memset(draft, 0, sizeof *draft);
}
