/* Metric points in memory: a page of points, each of which has values for one set of names. The points
 * of a job use few sets (with validation, without), and whatever a set holds is written once. */
#ifndef BP_SERVER_STORE_METRIC_PAGE_H
#define BP_SERVER_STORE_METRIC_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

/* Immutable once made, so that a page may refer to it from another thread. */
typedef struct bp_metric_set {
    struct bp_metric_set *next; /* in the list that owns it; the owner's alone */
    int64_t id;                 /* within the job */
    size_t count;
    const char *names[]; /* (count); the texts lie behind */
} bp_metric_set;

/* Puts a new set at the head of a list; names are copied. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_metric_set_add(bp_metric_set **list, int64_t id,
                                            const char *const *names, size_t count,
                                            bp_error *error);
/* The set of exactly these names in this order, or NULL. */
const bp_metric_set *bp_metric_set_find(const bp_metric_set *list, const char *const *names,
                                        size_t count);
const bp_metric_set *bp_metric_set_with_id(const bp_metric_set *list, int64_t id); /* or NULL */
/* As find, but puts one with the next id at the head of the list where it has none. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_metric_set_of(const bp_metric_set **out, bp_metric_set **list,
                                           const char *const *names, size_t count, bp_error *error);
void bp_metric_sets_free(bp_metric_set *list);

typedef struct bp_metric_point {
    uint64_t seq, step, epoch;
    int64_t time_us;
    const bp_metric_set *set;
    size_t first_value; /* of the page's values; set->count of them */
} bp_metric_point;

/* Grows as points come; zeroed, it is empty. */
typedef struct bp_metric_page {
    bp_metric_set *sets; /* owned; NULL where points refer to somebody else's */
    size_t point_count, point_room;
    bp_metric_point *points;
    size_t value_count, value_room;
    double *values;
} bp_metric_page;

/* Adds a point with room for its values, which the caller fills in through *out_values before the next
 * call. point.first_value is set here. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_metric_page_add(double **out_values, bp_metric_page *page,
                                             const bp_metric_point *point, bp_error *error);
const double *bp_metric_page_values(const bp_metric_page *page, const bp_metric_point *point);
void bp_metric_page_clear(bp_metric_page *page); /* keeps its memory, and the sets */
void bp_metric_page_done(bp_metric_page *page);  /* releases all */

/* Values as the database has them: the bits of float64, little-endian, so that NaN keeps its own. */
enum { BP_METRIC_VALUE_BYTES = 8 };
void bp_metric_values_pack(unsigned char *out, const double *values, size_t count);
void bp_metric_values_unpack(double *out, const unsigned char *bytes, size_t count);

#endif
