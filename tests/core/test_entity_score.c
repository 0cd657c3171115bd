/* Entities of tagged sentences: which there are, which are found whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/evaluation/entity_score.h"
#include "core/random/random.h"

static const char *const iob[] = {"B-loc", "B-per", "I-loc", "I-per", "O"};
enum { B_LOC, B_PER, I_LOC, I_PER, O, IOB_COUNT };

static void tags_are_parsed(void **state)
{
    (void)state;
    bp_entity_tag tags[8];
    const char *names[8];
    size_t count = 0;
    assert_true(bp_entity_tags_parse(tags, names, &count, iob, IOB_COUNT));
    assert_int_equal(count, 2);
    assert_string_equal(names[0], "loc");
    assert_string_equal(names[1], "per");
    assert_int_equal(tags[I_PER].place, BP_ENTITY_INSIDE);
    assert_int_equal(tags[I_PER].type, 1);
    assert_int_equal(tags[O].place, BP_ENTITY_OUTSIDE);
    const char *const others[] = {"E-x", "L-x", "M-x", "S-y-z", "U-x"};
    assert_true(bp_entity_tags_parse(tags, names, &count, others, 5));
    assert_string_equal(names[1], "y-z");
    assert_int_equal(tags[0].place, BP_ENTITY_END);
    assert_int_equal(tags[4].place, BP_ENTITY_SINGLE);
    static const char *const bad[] = {"NN", "B-", "B", "b-x", "", "X-y", "OO", "Bx"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(bp_entity_tags_parse(tags, names, &count, (const char *[]){"B-x", bad[i]}, 2));
    assert_false(bp_entity_tags_parse(tags, names, &count, (const char *[]){"O"}, 1));
}

static void check(const int32_t *label, const int32_t *decided, size_t length, uint64_t expected,
                  uint64_t found, uint64_t correct)
{
    bp_entity_tag tags[IOB_COUNT];
    const char *names[IOB_COUNT];
    bp_entity_count counts[2] = {{0}};
    size_t count = 0;
    assert_true(bp_entity_tags_parse(tags, names, &count, iob, IOB_COUNT));
    bp_entity_score_add(counts, tags, label, decided, length);
    const bp_entity_count sum = bp_entity_score_sum(counts, 2);
    assert_int_equal(sum.expected, expected);
    assert_int_equal(sum.found, found);
    assert_int_equal(sum.correct, correct);
}

#define CHECK(expected, found, correct, label, decided)                                            \
    check(label, decided, sizeof(label) / sizeof(int32_t), expected, found, correct)
#define TAGS(...) ((const int32_t[]){__VA_ARGS__})

static void entities_count_whole(void **state)
{
    (void)state;
    CHECK(1, 1, 1, TAGS(O, B_LOC, I_LOC, O), TAGS(O, B_LOC, I_LOC, O));
    CHECK(1, 1, 0, TAGS(O, B_LOC, I_LOC, O), TAGS(O, B_LOC, O, O));         /* too short */
    CHECK(1, 1, 0, TAGS(O, B_LOC, I_LOC, O), TAGS(O, B_LOC, I_LOC, I_LOC)); /* too long */
    CHECK(1, 1, 0, TAGS(O, B_LOC, I_LOC, O), TAGS(O, B_PER, I_PER, O));     /* another type */
    CHECK(1, 2, 0, TAGS(O, B_LOC, I_LOC, O), TAGS(O, B_LOC, B_LOC, O));     /* in two */
    CHECK(2, 1, 0, TAGS(O, B_LOC, B_LOC, O), TAGS(O, B_LOC, I_LOC, O));     /* two as one */
    CHECK(1, 2, 0, TAGS(O, B_LOC, I_LOC, O), TAGS(O, B_LOC, I_PER, O));     /* I of another type */
    CHECK(1, 1, 1, TAGS(O, B_LOC, I_LOC, O), TAGS(O, I_LOC, I_LOC, O));     /* I begins */
    CHECK(2, 2, 2, TAGS(B_LOC, I_LOC, B_PER), TAGS(B_LOC, I_LOC, I_PER));
    CHECK(0, 1, 0, TAGS(O, O), TAGS(O, B_PER));
    CHECK(1, 0, 0, TAGS(O, B_PER), TAGS(O, O));
    CHECK(0, 0, 0, TAGS(O, O), TAGS(O, O));
    CHECK(3, 3, 1, TAGS(B_PER, O, B_LOC, I_LOC, B_PER), TAGS(B_PER, I_PER, B_LOC, I_LOC, B_LOC));
}

static void other_schemes_close_entities(void **state)
{
    (void)state;
    static const char *const names[] = {"B-x", "E-x", "I-x", "O", "S-x"};
    bp_entity_tag tags[5];
    const char *types[5];
    bp_entity_count count = {0};
    size_t type_count;
    assert_true(bp_entity_tags_parse(tags, types, &type_count, names, 5));
    const int32_t label[] = {4, 0, 1, 0, 2, 1, 3, 4, 4}, decided[] = {4, 0, 1, 0, 1, 2, 3, 4, 0};
    bp_entity_score_add(&count, tags, label, decided, 9);
    assert_int_equal(count.expected, 5);
    assert_int_equal(count.found, 6);
    assert_int_equal(count.correct, 4);
}

/* Against every span looked at by itself. */
static bool begins(const int32_t *label, size_t at)
{
    const int32_t tag = label[at];
    if (tag == B_LOC || tag == B_PER)
        return true;
    if (tag == O)
        return false;
    const int32_t before = at > 0 ? label[at - 1] : O;
    return before != tag && before != tag - I_LOC;
}

static size_t end_of(const int32_t *label, size_t length, size_t at)
{
    const int32_t inside = label[at] % 2 ? I_PER : I_LOC;
    size_t end = at + 1;
    while (end < length && label[end] == inside)
        end++;
    return end;
}

static void any_two_taggings(void **state)
{
    (void)state;
    enum { LENGTH = 12, ROUNDS = 3000 };
    const bp_random random = bp_random_stream(3, 0, BP_RANDOM_CHECK_SAMPLE, 0);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        int32_t label[LENGTH], decided[LENGTH];
        uint64_t expected = 0, found = 0, correct = 0;
        for (size_t i = 0; i < LENGTH; i++) {
            label[i] = (int32_t)(bp_random_bits(&random, round, 2 * i) % IOB_COUNT);
            decided[i] = bp_random_bits(&random, round, 2 * i + 1) % 4
                             ? label[i]
                             : (int32_t)(bp_random_bits(&random, round, 2 * i + 1) / 4 % IOB_COUNT);
        }
        for (size_t i = 0; i < LENGTH; i++) {
            const bool a = begins(label, i), b = begins(decided, i);
            expected += a;
            found += b;
            correct += a && b && label[i] % 2 == decided[i] % 2 &&
                       end_of(label, LENGTH, i) == end_of(decided, LENGTH, i);
        }
        check(label, decided, LENGTH, expected, found, correct);
    }
}

static void ratios_are_those_of_the_counts(void **state)
{
    (void)state;
    const bp_entity_ratio ratio = bp_entity_score_ratio(&(bp_entity_count){8, 4, 3});
    assert_true(ratio.precision == 0.75 && ratio.recall == 0.375 && ratio.f1 == 0.5);
    const bp_entity_ratio none = bp_entity_score_ratio(&(bp_entity_count){0});
    assert_true(none.precision == 0 && none.recall == 0 && none.f1 == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_are_parsed),
        cmocka_unit_test(entities_count_whole),
        cmocka_unit_test(other_schemes_close_entities),
        cmocka_unit_test(any_two_taggings),
        cmocka_unit_test(ratios_are_those_of_the_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
