#include "server/upload/column_statistics.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SLOT_BITS = 15, SLOT_COUNT = 1 << SLOT_BITS }; /* over three times BP_DISTINCT_LIMIT */

/* Exact for every sum of 64-bit integers that fits a file. */
__extension__ typedef __int128 wide_integer;

struct bp_column_statistics {
    bp_element element;
    wide_integer integer_sum;
    double real_sum, real_correction;
    double minimum, maximum; /* +inf, −inf while nothing is present */
    bool integral;
    uint64_t present_count, missing_count;
    double *distinct; /* open addressing, NaN: free; NULL: not counted */
    size_t distinct_count;
    bool distinct_overflow;
};

static void extend(bp_column_statistics *statistics, double minimum, double maximum)
{
    if (minimum < statistics->minimum)
        statistics->minimum = minimum;
    if (maximum > statistics->maximum)
        statistics->maximum = maximum;
}

static void note_distinct(bp_column_statistics *statistics, double value)
{
    value += 0.0; /* −0 is 0 */
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    size_t slot = (size_t)(bits * UINT64_C(0x9e3779b97f4a7c15) >> (64 - SLOT_BITS));
    while (!isnan(statistics->distinct[slot])) {
        if (statistics->distinct[slot] == value)
            return;
        slot = (slot + 1) % SLOT_COUNT;
    }
    if (statistics->distinct_count == BP_DISTINCT_LIMIT) {
        statistics->distinct_overflow = true;
        return;
    }
    statistics->distinct[slot] = value;
    statistics->distinct_count++;
}

#define TYPE uint8_t
#define SUM  uint64_t
#define NAME add_uint8
#include "server/upload/integer_statistics.inc"
#define TYPE int8_t
#define SUM  int64_t
#define NAME add_int8
#include "server/upload/integer_statistics.inc"
#define TYPE int16_t
#define SUM  int64_t
#define NAME add_int16
#include "server/upload/integer_statistics.inc"
#define TYPE int32_t
#define SUM  int64_t
#define NAME add_int32
#include "server/upload/integer_statistics.inc"
#define TYPE int64_t
#define SUM  wide_integer
#define NAME add_int64
#include "server/upload/integer_statistics.inc"
#define TYPE float
#define NAME add_float32
#include "server/upload/real_statistics.inc"
#define TYPE double
#define NAME add_float64
#include "server/upload/real_statistics.inc"

bp_status bp_column_statistics_create(bp_column_statistics **out, bp_element element,
                                      bool count_distinct, bp_error *error)
{
    bp_column_statistics *statistics = calloc(1, sizeof *statistics);
    if (statistics && count_distinct) {
        statistics->distinct = malloc(SLOT_COUNT * sizeof *statistics->distinct);
        if (!statistics->distinct) {
            free(statistics);
            statistics = NULL;
        }
    }
    if (!statistics)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a column's statistics");
    if (count_distinct)
        for (size_t i = 0; i < SLOT_COUNT; i++)
            statistics->distinct[i] = NAN;
    statistics->element = element;
    statistics->minimum = INFINITY;
    statistics->maximum = -INFINITY;
    statistics->integral = true;
    *out = statistics;
    return BP_OK;
}

void bp_column_statistics_free(bp_column_statistics *statistics)
{
    if (!statistics)
        return;
    free(statistics->distinct);
    free(statistics);
}

void bp_column_statistics_add(bp_column_statistics *statistics, const void *elements, size_t count)
{
    assert(count <= UINT64_C(1) << 31);
    if (count == 0)
        return;
    switch (statistics->element) {
    case BP_ELEMENT_UINT8:
        add_uint8(statistics, elements, count);
        break;
    case BP_ELEMENT_INT8:
        add_int8(statistics, elements, count);
        break;
    case BP_ELEMENT_INT16:
        add_int16(statistics, elements, count);
        break;
    case BP_ELEMENT_INT32:
        add_int32(statistics, elements, count);
        break;
    case BP_ELEMENT_INT64:
        add_int64(statistics, elements, count);
        break;
    case BP_ELEMENT_FLOAT32:
        add_float32(statistics, elements, count);
        break;
    case BP_ELEMENT_FLOAT64:
        add_float64(statistics, elements, count);
        break;
    case BP_ELEMENT_CATEGORY:
        assert(false);
        break;
    }
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double mean_of(const bp_column_statistics *statistics)
{
    const double count = (double)statistics->present_count;
    const bool real =
        statistics->element == BP_ELEMENT_FLOAT32 || statistics->element == BP_ELEMENT_FLOAT64;
    if (!real)
        return (double)statistics->integer_sum / count;
    const double sum = statistics->real_sum + statistics->real_correction;
    if (isfinite(sum))
        return sum / count;
    /* The sum has overflowed though the mean has not: the middle of the range is all that is left. */
    return statistics->minimum / 2 + statistics->maximum / 2;
}

bp_status bp_column_statistics_finish(bp_column_statistics *statistics, bp_column_info *out,
                                      bp_error *error)
{
    double *values = NULL;
    size_t value_count = 0;
    if (statistics->distinct && !statistics->distinct_overflow && statistics->distinct_count > 0) {
        values = malloc(statistics->distinct_count * sizeof *values);
        if (!values)
            return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a column's values");
        for (size_t i = 0; i < SLOT_COUNT; i++)
            if (!isnan(statistics->distinct[i]))
                values[value_count++] = statistics->distinct[i];
        qsort(values, value_count, sizeof *values, compare_numbers);
    }
    const bool any = statistics->present_count > 0;
    out->missing_count = statistics->missing_count;
    out->integral = any && statistics->integral;
    out->distinct_count = statistics->distinct_count;
    out->distinct_is_lower_bound = statistics->distinct_overflow;
    out->minimum = any ? statistics->minimum : NAN;
    out->maximum = any ? statistics->maximum : NAN;
    out->mean = any ? mean_of(statistics) : NAN;
    out->values = values;
    out->value_count = value_count;
    return BP_OK;
}
