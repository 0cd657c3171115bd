#include "schema/dataset/column_names.h"

#include <stdlib.h>
#include <string.h>

static int by_name(const void *a, const void *b, void *context)
{
    const bp_dataset_info *info = context;
    const size_t *left = a, *right = b;
    return strcmp(info->columns[*left].name, info->columns[*right].name);
}

bp_status bp_column_names_create(bp_column_names *out, const bp_dataset_info *info)
{
    size_t count = info->column_count;
    size_t *order = calloc(count ? count : 1, sizeof *order);
    if (!order)
        return BP_NO_MEMORY;
    for (size_t index = 0; index < count; index++)
        order[index] = index;
    qsort_r(order, count, sizeof *order, by_name, (void *)(uintptr_t)info);
    *out = (bp_column_names){info, order};
    return BP_OK;
}

void bp_column_names_done(bp_column_names *names)
{
    free(names->order);
    *names = (bp_column_names){0};
}

size_t bp_column_names_find(const bp_column_names *names, const char *name)
{
    size_t low = 0, high = names->info ? names->info->column_count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(names->info->columns[names->order[middle]].name, name);
        if (order == 0)
            return names->order[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SIZE_MAX;
}
