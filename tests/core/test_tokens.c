/* Texts as streams, sentences as windows, corrupted windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/language/token_streams.h"
#include "core/language/token_windows.h"

enum { TOKENS = 101 };

static bp_status read_squares(void *context, int32_t *out, size_t first, size_t number,
                              bp_error *error)
{
    (void)error;
    *(size_t *)context += 1;
    for (size_t i = 0; i < number; i++)
        out[i] = (int32_t)((first + i) * (first + i));
    return BP_OK;
}

/* By the definition, token by token. */
static void check_streams(const bp_token_source *source, size_t base, size_t stream_count,
                          size_t sequence_length)
{
    enum { MOST = 16 * 128 };
    static int32_t input[MOST], target[MOST], scratch[129];
    bp_token_streams streams;
    assert_true(sequence_length <= 128 && stream_count * sequence_length <= MOST);
    assert_int_equal(bp_token_streams_cut(&streams, source, stream_count, NULL), BP_OK);
    assert_int_equal(streams.stream_count, stream_count);
    assert_int_equal(streams.stream_length, (source->count - 1) / stream_count);
    size_t seen = 0;
    for (size_t chunk = 0; chunk < bp_token_streams_chunk_count(&streams, sequence_length);
         chunk++) {
        const size_t steps = bp_token_streams_chunk_steps(&streams, sequence_length, chunk);
        assert_int_equal(
            bp_token_streams_read(&streams, input, target, scratch, sequence_length, chunk, NULL),
            BP_OK);
        for (size_t t = 0; t < steps; t++)
            for (size_t s = 0; s < stream_count; s++) {
                const size_t token = base + s * streams.stream_length + chunk * sequence_length + t;
                assert_int_equal(input[t * stream_count + s], token * token);
                assert_int_equal(target[t * stream_count + s], (token + 1) * (token + 1));
            }
        seen += steps;
    }
    assert_int_equal(seen, streams.stream_length);
}

static void streams_are_cut_as_the_contract_says(void **state)
{
    (void)state;
    int32_t ids[TOKENS];
    size_t calls = 0;
    for (size_t i = 0; i < TOKENS; i++)
        ids[i] = (int32_t)(i * i);
    const bp_token_source memory = {.count = TOKENS, .ids = ids};
    const bp_token_source elsewhere = {.count = TOKENS, .read = read_squares, .context = &calls};
    for (size_t streams = 1; streams <= 13; streams++)
        for (size_t steps = 1; steps <= 120; steps += 7) {
            check_streams(&memory, 0, streams, steps);
            check_streams(&elsewhere, 0, streams, steps);
        }
    assert_true(calls > 0);
    const bp_token_source first = bp_token_source_part(&memory, 20, 50);
    const bp_token_source second = bp_token_source_part(&elsewhere, 20, 50);
    check_streams(&first, 20, 3, 5);
    check_streams(&second, 20, 3, 5);
    const bp_token_source third = bp_token_source_part(&second, 10, 20);
    check_streams(&third, 30, 2, 4);
}

static void short_texts_have_fewer_streams(void **state)
{
    (void)state;
    const int32_t ids[] = {0, 1, 4};
    bp_token_streams streams;
    bp_error error = {.status = BP_OK};
    const bp_token_source three = {.count = 3, .ids = ids};
    assert_int_equal(bp_token_streams_cut(&streams, &three, 64, NULL), BP_OK);
    assert_int_equal(streams.stream_count, 2);
    assert_int_equal(streams.stream_length, 1);
    assert_int_equal(bp_token_streams_chunk_count(&streams, 20), 1);
    for (size_t count = 0; count < 2; count++) {
        const bp_token_source none = {.count = count, .ids = ids};
        assert_int_equal(bp_token_streams_cut(&streams, &none, 1, &error), BP_INVALID);
    }
    assert_string_equal(error.message,
                        "0 tokens are too few: a step needs a token and the next one");
}

enum { PAD = 1 };
static const int32_t tokens[] = {10, 11, 12, 20, 30, 31};
static const size_t lengths[] = {3, 1, 2};

static void windows_are_padded_at_the_ends_of_sentences(void **state)
{
    (void)state;
    static const int32_t expected[6][5] = {{PAD, PAD, 10, 11, 12},  {PAD, 10, 11, 12, PAD},
                                           {10, 11, 12, PAD, PAD},  {PAD, PAD, 20, PAD, PAD},
                                           {PAD, PAD, 30, 31, PAD}, {PAD, 30, 31, PAD, PAD}};
    static const int32_t labels[] = {0, 1, 2, 0, 0, 3};
    int32_t ids[16], out[6][5], label[6];
    uint32_t place[6];
    size_t count = 0;
    assert_true(bp_token_windows_id_count(&count, 6, 3, 5));
    assert_int_equal(count, 14);
    ids[count] = -7;
    bp_token_windows_lay_out(ids, place, tokens, lengths, 3, 5, PAD);
    assert_int_equal(ids[count], -7);
    const bp_token_windows windows = {
        .width = 5, .row_count = 6, .ids = ids, .place = place, .label = labels};
    bp_token_windows_gather(&out[0][0], label, &windows, NULL, 0, 6);
    assert_memory_equal(out, expected, sizeof expected);
    assert_memory_equal(label, labels, sizeof labels);
    const size_t rows[] = {5, 0, 5};
    bp_token_windows_gather(&out[0][0], NULL, &windows, rows, 0, 3);
    assert_memory_equal(out[0], expected[5], sizeof expected[5]);
    assert_memory_equal(out[1], expected[0], sizeof expected[0]);
    bp_token_windows_gather(&out[0][0], label, &windows, NULL, 4, 2);
    assert_memory_equal(out[1], expected[5], sizeof expected[5]);
    assert_int_equal(label[1], 3);
    /* A window of one token needs no padding. */
    assert_true(bp_token_windows_id_count(&count, 6, 3, 1));
    assert_int_equal(count, 6);
    bp_token_windows_lay_out(ids, place, tokens, lengths, 3, 1, PAD);
    assert_memory_equal(ids, tokens, sizeof tokens);
    assert_false(bp_token_windows_id_count(&count, SIZE_MAX, 3, 5));
    assert_false(bp_token_windows_id_count(&count, 6, SIZE_MAX, 5));
    assert_false(bp_token_windows_id_count(&count, UINT32_MAX, 1, 1 + 2));

    size_t chosen[6];
    assert_int_equal(bp_token_windows_select(NULL, &windows, 0, true), 3);
    assert_int_equal(bp_token_windows_select(chosen, &windows, 0, false), 3);
    assert_memory_equal(chosen, ((size_t[]){1, 2, 5}), sizeof(size_t[3]));
}

static void corruption_is_even_and_does_not_know_batches(void **state)
{
    (void)state;
    enum { COUNT = 6000, WIDTH = 3 };
    static int32_t out[COUNT * WIDTH], pieces[COUNT * WIDTH];
    int32_t ids[16];
    uint32_t place[6];
    bp_token_windows_lay_out(ids, place, tokens, lengths, 3, WIDTH, PAD);
    const bp_token_windows windows = {.width = WIDTH, .row_count = 6, .ids = ids, .place = place};
    const bp_random random = bp_random_stream(5, 0, BP_RANDOM_CORRUPTION, 2);

    /* Of the ids 8 … 12 each that is not the centre, evenly; another centre takes all five. */
    for (size_t i = 0; i < COUNT; i++)
        memcpy(out + i * WIDTH, (int32_t[]){7, i % 2 ? 10 : 3, 9}, WIDTH * sizeof *out);
    memcpy(pieces, out, sizeof out);
    bp_token_windows_corrupt_centre(out, WIDTH, 8, 13, 0, COUNT, &random);
    size_t drawn[2][16] = {{0}};
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(out[i * WIDTH], 7);
        assert_int_equal(out[i * WIDTH + 2], 9);
        drawn[i % 2][out[i * WIDTH + 1]]++;
    }
    assert_int_equal(drawn[1][10], 0);
    for (size_t id = 8; id < 13; id++) { /* five standard deviations */
        assert_in_range(drawn[0][id], 600 - 110, 600 + 110);
        if (id != 10)
            assert_in_range(drawn[1][id], 750 - 119, 750 + 119);
    }
    for (size_t first = 0; first < COUNT; first += 37) {
        const size_t count = COUNT - first < 37 ? COUNT - first : 37;
        bp_token_windows_corrupt_centre(pieces + first * WIDTH, WIDTH, 8, 13, first, count,
                                        &random);
    }
    assert_memory_equal(out, pieces, sizeof out);

    const size_t others[] = {1, 3, 4};
    bp_token_windows_corrupt_by_other(out, &windows, others, 3, 0, COUNT, &random);
    for (size_t first = 0; first < COUNT; first += 41) {
        const size_t count = COUNT - first < 41 ? COUNT - first : 41;
        bp_token_windows_corrupt_by_other(pieces + first * WIDTH, &windows, others, 3, first, count,
                                          &random);
    }
    assert_memory_equal(out, pieces, sizeof out);
    size_t centres[3] = {0};
    for (size_t i = 0; i < COUNT; i++)
        for (size_t j = 0; j < 3; j++)
            centres[j] += out[i * WIDTH + 1] == tokens[others[j]];
    for (size_t j = 0; j < 3; j++)
        assert_in_range(centres[j], 2000 - 183, 2000 + 183);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_cut_as_the_contract_says),
        cmocka_unit_test(short_texts_have_fewer_streams),
        cmocka_unit_test(windows_are_padded_at_the_ends_of_sentences),
        cmocka_unit_test(corruption_is_even_and_does_not_know_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
