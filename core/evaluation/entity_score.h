/* How many entities of tagged sentences are found: whole, with their type, neither longer nor shorter.
 *
 * Tags are those of IOB2: B-type begins an entity, I-type (or M) goes on with it, O is outside; L or E ends
 * one, S or U is one alone (IOBES, BMES, BILOU). An I, M, L or E that no entity of its type precedes begins
 * one. With true, found and correct entities counted over all sentences, precision = correct / found, recall
 * = correct / true, F1 = 2 correct / (found + true), each 0 where it is 0 / 0.
 *
 * Source: Tjong Kim Sang & De Meulder 2003, Introduction to the CoNLL-2003 shared task; the counts are those
 * of its script conlleval. */
#ifndef BP_CORE_EVALUATION_ENTITY_SCORE_H
#define BP_CORE_EVALUATION_ENTITY_SCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum bp_entity_place {
    BP_ENTITY_OUTSIDE,
    BP_ENTITY_BEGIN,
    BP_ENTITY_INSIDE,
    BP_ENTITY_END,
    BP_ENTITY_SINGLE
} bp_entity_place;

typedef struct bp_entity_tag {
    bp_entity_place place;
    size_t type; /* 0 where outside */
} bp_entity_tag;

/* What tags mean: out (count), and names (count) of which the first *out_type_count are filled with the
 * types in the order in which they come, borrowed from tags. False: one of them is no such tag, or none
 * is an entity's; then there are no entities to count. Allocates nothing, and neither do the others. */
bool bp_entity_tags_parse(bp_entity_tag *out, const char **names, size_t *out_type_count,
                          const char *const *tags, size_t count);

typedef struct bp_entity {
    size_t begin, end; /* tokens [begin, end) of a sentence */
    size_t type;
} bp_entity;

/* The first entity at or after token `at` of labels (length), which are indices into tags; false: there is
 * none. */
bool bp_entity_next(bp_entity *out, const bp_entity_tag *tags, const int32_t *label, size_t length,
                    size_t at);

typedef struct bp_entity_count {
    uint64_t expected, found, correct;
} bp_entity_count;

typedef struct bp_entity_ratio {
    double precision, recall, f1;
} bp_entity_ratio;

/* Adds a sentence: labels and decided (length) are indices into tags, counts is (types). */
void bp_entity_score_add(bp_entity_count *counts, const bp_entity_tag *tags, const int32_t *label,
                         const int32_t *decided, size_t length);
/* The same for sentences whose tokens lie one after another: sentence (sentence_count + 1) each one's first
 * token, and the end of the last. */
void bp_entity_score_sentences(bp_entity_count *counts, const bp_entity_tag *tags,
                               const int32_t *label, const int32_t *decided, const size_t *sentence,
                               size_t sentence_count);
bp_entity_ratio bp_entity_score_ratio(const bp_entity_count *count);
/* The sum over types: what a whole's precision, recall and F1 are of. */
bp_entity_count bp_entity_score_sum(const bp_entity_count *counts, size_t type_count);

#endif
