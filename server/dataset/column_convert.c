#include "server/dataset/column_convert.h"

#include <math.h>

#define TYPE uint8_t
#define NAME convert_uint8
#include "server/dataset/column_convert.inc"
#define TYPE int8_t
#define NAME convert_int8
#include "server/dataset/column_convert.inc"
#define TYPE int16_t
#define NAME convert_int16
#include "server/dataset/column_convert.inc"
#define TYPE int32_t
#define NAME convert_int32
#include "server/dataset/column_convert.inc"
#define TYPE int64_t
#define NAME convert_int64
#include "server/dataset/column_convert.inc"
#define TYPE float
#define NAME convert_float32
#include "server/dataset/column_convert.inc"
#define TYPE double
#define NAME convert_float64
#include "server/dataset/column_convert.inc"

static void convert_category(double *out, size_t stride, const uint32_t *element,
                             const uint64_t *rows, uint64_t first, size_t count,
                             const double *table, size_t table_count)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t category = element[rows ? rows[i] - first : i];
        double value = NAN;
        if (table)
            value = category < table_count ? table[category] : NAN;
        else if (category != BP_CATEGORY_MISSING)
            value = category;
        out[i * stride] = value;
    }
}

void bp_column_convert(double *out, size_t stride, const void *elements, bp_element element,
                       const uint64_t *rows, uint64_t first, size_t count, size_t width,
                       const double *table, size_t table_count)
{
    switch (element) {
    case BP_ELEMENT_UINT8:
        convert_uint8(out, stride, elements, rows, first, count, width);
        break;
    case BP_ELEMENT_INT8:
        convert_int8(out, stride, elements, rows, first, count, width);
        break;
    case BP_ELEMENT_INT16:
        convert_int16(out, stride, elements, rows, first, count, width);
        break;
    case BP_ELEMENT_INT32:
        convert_int32(out, stride, elements, rows, first, count, width);
        break;
    case BP_ELEMENT_INT64:
        convert_int64(out, stride, elements, rows, first, count, width);
        break;
    case BP_ELEMENT_FLOAT32:
        convert_float32(out, stride, elements, rows, first, count, width);
        break;
    case BP_ELEMENT_FLOAT64:
        convert_float64(out, stride, elements, rows, first, count, width);
        break;
    case BP_ELEMENT_CATEGORY:
        convert_category(out, stride, elements, rows, first, count, table, table_count);
        break;
    }
}
