#include "core/initializer/fill.h"

typedef double draw_function(const bp_random *random, uint64_t row, uint64_t unit);

static double symmetric_uniform(const bp_random *random, uint64_t row, uint64_t unit)
{
    return 2 * bp_random_uniform(random, row, unit) - 1;
}

static void fill_scaled(void *data, bp_dtype dtype, size_t rows, size_t columns,
                        const bp_random *random, draw_function *draw, double factor)
{
    size_t element = 0;
    for (size_t row = 0; row < rows; row++)
        for (size_t column = 0; column < columns; column++, element++) {
            double value = factor * draw(random, row, column);
            if (dtype == BP_FLOAT32)
                ((float *)data)[element] = (float)value;
            else
                ((double *)data)[element] = value;
        }
}

void bp_fill_normal(void *data, bp_dtype dtype, size_t rows, size_t columns,
                    const bp_random *random, double deviation)
{
    fill_scaled(data, dtype, rows, columns, random, bp_random_normal, deviation);
}

void bp_fill_uniform(void *data, bp_dtype dtype, size_t rows, size_t columns,
                     const bp_random *random, double bound)
{
    fill_scaled(data, dtype, rows, columns, random, symmetric_uniform, bound);
}
