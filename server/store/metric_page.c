#include "server/store/metric_page.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
}

bp_status bp_metric_set_add(bp_metric_set **list, int64_t id, const char *const *names,
                            size_t count, bp_error *error)
{
    size_t text_bytes = 0, pointer_bytes, bytes;
    for (size_t i = 0; i < count; i++)
        text_bytes += strlen(names[i]) + 1;
    if (!bp_checked_multiply(&pointer_bytes, count, sizeof *names) ||
        !bp_checked_add(&bytes, pointer_bytes, text_bytes) ||
        !bp_checked_add(&bytes, bytes, sizeof(bp_metric_set)))
        return no_memory(error);
    bp_metric_set *set = malloc(bytes);
    if (!set)
        return no_memory(error);
    *set = (bp_metric_set){.next = *list, .id = id, .count = count};
    char *text = (char *)(set->names + count);
    for (size_t i = 0; i < count; i++) {
        const size_t size = strlen(names[i]) + 1;
        memcpy(text, names[i], size);
        set->names[i] = text;
        text += size;
    }
    *list = set;
    return BP_OK;
}

const bp_metric_set *bp_metric_set_find(const bp_metric_set *list, const char *const *names,
                                        size_t count)
{
    for (const bp_metric_set *set = list; set; set = set->next) {
        size_t same = 0;
        while (set->count == count && same < count && strcmp(set->names[same], names[same]) == 0)
            same++;
        if (set->count == count && same == count)
            return set;
    }
    return NULL;
}

const bp_metric_set *bp_metric_set_with_id(const bp_metric_set *list, int64_t id)
{
    while (list && list->id != id)
        list = list->next;
    return list;
}

bp_status bp_metric_set_of(const bp_metric_set **out, bp_metric_set **list,
                           const char *const *names, size_t count, bp_error *error)
{
    *out = bp_metric_set_find(*list, names, count);
    if (*out)
        return BP_OK;
    int64_t id = 1;
    for (const bp_metric_set *set = *list; set; set = set->next)
        if (set->id >= id)
            id = set->id + 1;
    const bp_status status = bp_metric_set_add(list, id, names, count, error);
    if (status == BP_OK)
        *out = *list;
    return status;
}

void bp_metric_sets_free(bp_metric_set *list)
{
    while (list) {
        bp_metric_set *next = list->next;
        free(list);
        list = next;
    }
}

/* Room for at least `wanted` elements of `size` bytes; doubles. False: no memory. */
static bool make_room(void **array, size_t *room, size_t wanted, size_t size)
{
    if (wanted <= *room)
        return true;
    size_t bytes, larger = *room ? *room : 64;
    while (larger < wanted)
        if (!bp_checked_multiply(&larger, larger, 2))
            return false;
    if (!bp_checked_multiply(&bytes, larger, size))
        return false;
    void *moved = realloc(*array, bytes);
    if (!moved)
        return false;
    *array = moved;
    *room = larger;
    return true;
}

bp_status bp_metric_page_add(double **out_values, bp_metric_page *page,
                             const bp_metric_point *point, bp_error *error)
{
    void *points = page->points, *values = page->values;
    const bool roomy =
        make_room(&points, &page->point_room, page->point_count + 1, sizeof *page->points) &&
        make_room(&values, &page->value_room, page->value_count + point->set->count,
                  sizeof *page->values);
    page->points = points;
    page->values = values;
    if (!roomy)
        return no_memory(error);
    bp_metric_point *added = &page->points[page->point_count++];
    *added = *point;
    added->first_value = page->value_count;
    page->value_count += point->set->count;
    *out_values = page->values + added->first_value;
    return BP_OK;
}

const double *bp_metric_page_values(const bp_metric_page *page, const bp_metric_point *point)
{
    return page->values + point->first_value;
}

void bp_metric_page_clear(bp_metric_page *page)
{
    page->point_count = page->value_count = 0;
}

void bp_metric_page_done(bp_metric_page *page)
{
    bp_metric_sets_free(page->sets);
    free(page->points);
    free(page->values);
    *page = (bp_metric_page){0};
}

void bp_metric_values_pack(unsigned char *out, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        for (int byte = 0; byte < BP_METRIC_VALUE_BYTES; byte++)
            *out++ = (unsigned char)(bits >> 8 * byte);
    }
}

void bp_metric_values_unpack(double *out, const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = 0;
        for (int byte = 0; byte < BP_METRIC_VALUE_BYTES; byte++)
            bits |= (uint64_t)*bytes++ << 8 * byte;
        memcpy(&out[i], &bits, sizeof bits);
    }
}
