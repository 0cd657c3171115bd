#include "core/evaluation/entity_score.h"

#include <string.h>

static bool parse_place(bp_entity_place *out, const char *tag)
{
    static const struct {
        char letter;
        bp_entity_place place;
    } letters[] = {{'B', BP_ENTITY_BEGIN}, {'I', BP_ENTITY_INSIDE}, {'M', BP_ENTITY_INSIDE},
                   {'E', BP_ENTITY_END},   {'L', BP_ENTITY_END},    {'S', BP_ENTITY_SINGLE},
                   {'U', BP_ENTITY_SINGLE}};
    if (tag[0] == '\0' || tag[1] != '-' || tag[2] == '\0')
        return false;
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (letters[i].letter == tag[0]) {
            *out = letters[i].place;
            return true;
        }
    return false;
}

bool bp_entity_tags_parse(bp_entity_tag *out, const char **names, size_t *out_type_count,
                          const char *const *tags, size_t count)
{
    size_t type_count = 0;
    for (size_t i = 0; i < count; i++) {
        out[i] = (bp_entity_tag){BP_ENTITY_OUTSIDE, 0};
        if (strcmp(tags[i], "O") == 0)
            continue;
        if (!parse_place(&out[i].place, tags[i]))
            return false;
        const char *name = tags[i] + 2;
        size_t type = 0;
        while (type < type_count && strcmp(names[type], name) != 0)
            type++;
        if (type == type_count)
            names[type_count++] = name;
        out[i].type = type;
    }
    *out_type_count = type_count;
    return type_count > 0;
}

bool bp_entity_next(bp_entity *out, const bp_entity_tag *tags, const int32_t *label, size_t length,
                    size_t at)
{
    while (at < length && tags[label[at]].place == BP_ENTITY_OUTSIDE)
        at++;
    if (at == length)
        return false;
    bp_entity_tag tag = tags[label[at]];
    *out = (bp_entity){at, at + 1, tag.type};
    while (tag.place != BP_ENTITY_END && tag.place != BP_ENTITY_SINGLE && out->end < length) {
        tag = tags[label[out->end]];
        const bool goes_on = tag.place == BP_ENTITY_INSIDE || tag.place == BP_ENTITY_END;
        if (!goes_on || tag.type != out->type)
            break;
        out->end++;
    }
    return true;
}

void bp_entity_score_add(bp_entity_count *counts, const bp_entity_tag *tags, const int32_t *label,
                         const int32_t *decided, size_t length)
{
    bp_entity expected = {0}, found = {0};
    bool any_expected = bp_entity_next(&expected, tags, label, length, 0);
    bool any_found = bp_entity_next(&found, tags, decided, length, 0);
    while (any_expected || any_found) {
        const bool both = any_expected && any_found && expected.begin == found.begin;
        const bool take_expected =
            both || (any_expected && !(any_found && found.begin < expected.begin));
        const bool take_found = both || !take_expected;
        if (both && expected.end == found.end && expected.type == found.type)
            counts[expected.type].correct++;
        if (take_expected) {
            counts[expected.type].expected++;
            any_expected = bp_entity_next(&expected, tags, label, length, expected.end);
        }
        if (take_found) {
            counts[found.type].found++;
            any_found = bp_entity_next(&found, tags, decided, length, found.end);
        }
    }
}

void bp_entity_score_sentences(bp_entity_count *counts, const bp_entity_tag *tags,
                               const int32_t *label, const int32_t *decided, const size_t *sentence,
                               size_t sentence_count)
{
    for (size_t i = 0; i < sentence_count; i++)
        bp_entity_score_add(counts, tags, label + sentence[i], decided + sentence[i],
                            sentence[i + 1] - sentence[i]);
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

bp_entity_ratio bp_entity_score_ratio(const bp_entity_count *count)
{
    return (bp_entity_ratio){.precision = ratio(count->correct, count->found),
                             .recall = ratio(count->correct, count->expected),
                             .f1 = ratio(2 * count->correct, count->found + count->expected)};
}

bp_entity_count bp_entity_score_sum(const bp_entity_count *counts, size_t type_count)
{
    bp_entity_count sum = {0};
    for (size_t type = 0; type < type_count; type++) {
        sum.expected += counts[type].expected;
        sum.found += counts[type].found;
        sum.correct += counts[type].correct;
    }
    return sum;
}
