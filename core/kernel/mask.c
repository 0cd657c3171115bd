#include "core/kernel/mask.h"

#include "core/kernel/array_kernels.h"
#include "core/kernel/simd.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum { ROUND_COUNT = 10, GROUP = 64, BLOCKS = 16, WORDS = 4 };
enum { WIDE_COUNT = BP_VECTOR_BYTES / 8 };

/* 32-bit words in lanes of 64 bits; the upper halves are not looked at. */
typedef uint64_t wide __attribute__((vector_size(BP_VECTOR_BYTES)));

static const uint64_t low_half = UINT32_MAX;

/* Products of the lower halves. */
BP_INLINE wide multiply(wide a, uint32_t b)
{
#if defined(__AVX512F__)
    return (wide)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64((long long)b));
#elif defined(__AVX2__)
    return (wide)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x((long long)b));
#elif defined(__SSE2__)
    return (wide)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x((long long)b));
#else
    return (a & low_half) * (uint64_t)b;
#endif
}

/* One block in each lane, as bp_random_block has it. */
typedef struct blocks {
    wide word[WORDS];
} blocks;

BP_INLINE blocks philox(uint64_t block, wide lane, uint64_t row, const bp_random *random)
{
    const wide zero = {0};
    wide c0 = lane + (block & low_half), c1 = zero + (block >> 32);
    wide c2 = zero + (row & low_half), c3 = zero + (row >> 32);
    uint32_t k0 = random->key[0], k1 = random->key[1];
    for (int round = 0; round < ROUND_COUNT; round++) {
        const wide product0 = multiply(c0, UINT32_C(0xD2511F53));
        const wide product1 = multiply(c2, UINT32_C(0xCD9E8D57));
        c0 = (product1 >> 32) ^ c1 ^ (uint64_t)k0;
        c1 = product1;
        c2 = (product0 >> 32) ^ c3 ^ (uint64_t)k1;
        c3 = product0;
        k0 += UINT32_C(0x9E3779B9);
        k1 += UINT32_C(0xBB67AE85);
    }
    return (blocks){{c0, c1, c2, c3}};
}

typedef struct kept {
    bp_bits word[WORDS]; /* all ones in the lanes whose word is below the threshold */
} kept;

/* Of BP_VECTOR_COUNT blocks from `block` on, which is a multiple of that. */
BP_INLINE kept kept_of(uint64_t block, uint64_t row, const bp_mask_call *call)
{
    kept keep;
#if BP_VARIANT_BITS == 32
    /* Even blocks in the lower halves and odd ones in the upper halves come out in order. */
    wide even;
    for (size_t i = 0; i < WIDE_COUNT; i++)
        even[i] = 2 * i;
    const blocks lower = philox(block, even, row, &call->random);
    const blocks upper = philox(block, even + 1, row, &call->random);
    for (size_t word = 0; word < WORDS; word++) {
        const bp_bits words = (bp_bits)((lower.word[word] & low_half) | (upper.word[word] << 32));
        keep.word[word] = (bp_bits)(words < bp_bits_set(call->threshold));
    }
#else
    wide lane;
    for (size_t i = 0; i < WIDE_COUNT; i++)
        lane[i] = i;
    const blocks all = philox(block, lane, row, &call->random);
    for (size_t word = 0; word < WORDS; word++)
        keep.word[word] =
            (bp_bits)((bp_bits)(all.word[word] & low_half) < bp_bits_set(call->threshold));
#endif
    return keep;
}

BP_INLINE bp_vector masked(bp_vector x, bp_bits keep, bp_real scale)
{
    return (bp_vector)((bp_bits)(x * scale) & keep);
}

static void mask_row(bp_real *out, const bp_real *in, uint64_t row, const bp_mask_call *call)
{
    const size_t width = call->width;
    const bp_real scale = (bp_real)call->scale;
    for (size_t group = 0; group < width; group += GROUP)
        for (size_t lane = 0; lane < BLOCKS && lane < width - group; lane += BP_VECTOR_COUNT) {
            const kept keep = kept_of(group / GROUP * BLOCKS + lane, row, call);
            for (size_t word = 0; word < WORDS; word++) {
                const size_t unit = group + word * BLOCKS + lane;
                if (unit >= width)
                    break;
                if (width - unit >= BP_VECTOR_COUNT)
                    bp_vector_store(out + unit,
                                    masked(bp_vector_load(in + unit), keep.word[word], scale));
                else
                    bp_vector_store_partial(
                        out + unit,
                        masked(bp_vector_load_partial(in + unit, width - unit, 0), keep.word[word],
                               scale),
                        width - unit);
            }
        }
}

void BP_VARIANT(bp_mask)(const bp_mask_call *call)
{
    bp_real *out = call->out;
    const bp_real *in = call->in;
    for (size_t row = 0; row < call->rows; row++) {
        const uint64_t place = call->passed + row;
        mask_row(out + row * call->width, in + row * call->width,
                 call->first_row + (call->period ? place % call->period : place), call);
    }
}
