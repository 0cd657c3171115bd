#include "core/initializer/fill.h"

void bp_fill_normal(const bp_fill *fill, double deviation)
{
    size_t element = 0;
    for (size_t row = 0; row < fill->rows; row++)
        for (size_t column = 0; column < fill->columns; column++, element++)
            bp_fill_put(fill, element, deviation * bp_random_normal(fill->random, row, column));
}

void bp_fill_uniform(const bp_fill *fill, double low, double high)
{
    /* From the middle: symmetric bounds give symmetric numbers, and no difference overflows. */
    const double middle = low / 2 + high / 2, half = high / 2 - low / 2;
    size_t element = 0;
    for (size_t row = 0; row < fill->rows; row++)
        for (size_t column = 0; column < fill->columns; column++, element++) {
            double share = 2 * bp_random_uniform(fill->random, row, column) - 1;
            double value = middle + half * share;
            value = value < low ? low : value; /* by rounding */
            bp_fill_put(fill, element, value > high ? high : value);
        }
}
