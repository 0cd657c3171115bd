#include "core/language/token_windows.h"

#include <assert.h>
#include <string.h>

#include "core/base/checked.h"

bool bp_token_windows_id_count(size_t *out, size_t token_count, size_t sentence_count, size_t width)
{
    size_t paddings, count;
    assert(width % 2 == 1);
    if (!bp_checked_add(&count, sentence_count, 1) ||
        !bp_checked_multiply(&paddings, count, width / 2) ||
        !bp_checked_add(&count, token_count, paddings) || count > UINT32_MAX)
        return false;
    *out = count;
    return true;
}

static int32_t *put_padding(int32_t *at, size_t count, int32_t padding)
{
    for (size_t i = 0; i < count; i++)
        *at++ = padding;
    return at;
}

void bp_token_windows_lay_out(int32_t *ids, uint32_t *place, const int32_t *token,
                              const size_t *length, size_t sentence_count, size_t width,
                              int32_t padding)
{
    int32_t *at = put_padding(ids, width / 2, padding);
    for (size_t sentence = 0; sentence < sentence_count; sentence++) {
        for (size_t i = 0; i < length[sentence]; i++) {
            *place++ = (uint32_t)(at - ids);
            *at++ = *token++;
        }
        at = put_padding(at, width / 2, padding);
    }
}

static void take_window(int32_t *out, const bp_token_windows *windows, size_t row)
{
    assert(row < windows->row_count);
    memcpy(out, windows->ids + windows->place[row] - windows->width / 2,
           windows->width * sizeof *out);
}

void bp_token_windows_gather(int32_t *out, int32_t *label_out, const bp_token_windows *windows,
                             const size_t *rows, size_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t row = rows ? rows[i] : first + i;
        take_window(out + i * windows->width, windows, row);
        if (label_out)
            label_out[i] = windows->label[row];
    }
}

size_t bp_token_windows_select(size_t *out, const bp_token_windows *windows, int32_t label,
                               bool equal)
{
    size_t count = 0;
    for (size_t row = 0; row < windows->row_count; row++) {
        if ((windows->label[row] == label) != equal)
            continue;
        if (out)
            out[count] = row;
        count++;
    }
    return count;
}

/* Evenly in [0, bound), bound at least 1: numbers beyond the last whole multiple of bound are drawn again,
 * from further units of the row. */
static uint64_t draw_below(const bp_random *random, uint64_t row, uint64_t bound)
{
    const uint64_t uneven = (UINT64_MAX % bound + 1) % bound; /* 2^64 mod bound */
    for (uint64_t unit = 0;; unit++) {
        const uint64_t bits = bp_random_bits(random, row, unit);
        if (bits <= UINT64_MAX - uneven)
            return bits % bound;
    }
}

void bp_token_windows_corrupt_by_other(int32_t *out, const bp_token_windows *windows,
                                       const size_t *others, size_t other_count, size_t first,
                                       size_t count, const bp_random *random)
{
    for (size_t i = 0; i < count; i++)
        take_window(out + i * windows->width, windows,
                    others[draw_below(random, first + i, other_count)]);
}

void bp_token_windows_corrupt_centre(int32_t *out, size_t width, int32_t low, int32_t high,
                                     size_t first, size_t count, const bp_random *random)
{
    assert(high - low >= 2);
    for (size_t i = 0; i < count; i++) {
        int32_t *centre = out + i * width + width / 2;
        const bool inside = *centre >= low && *centre < high;
        const uint64_t bound = (uint64_t)(high - low) - inside;
        const int32_t id = low + (int32_t)draw_below(random, first + i, bound);
        *centre = inside && id >= *centre ? id + 1 : id;
    }
}
