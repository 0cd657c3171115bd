/* What is known of a data set without reading its rows: the catalogue's document. */
#ifndef BP_SCHEMA_DATASET_DATASET_INFO_H
#define BP_SCHEMA_DATASET_DATASET_INFO_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/dataset/corpus_info.h"

enum { BP_SHA256_TEXT_SIZE = 65, BP_COLUMN_RANK_LIMIT = 8, BP_DISTINCT_LIMIT = 10000 };

typedef enum bp_dataset_kind {
    BP_DATASET_TABLE,  /* named columns */
    BP_DATASET_TEXT,   /* a corpus: one text */
    BP_DATASET_TAGGED, /* sentences of tokens with tags */
    BP_DATASET_VECTORS /* of words: what an embedding may begin with */
} bp_dataset_kind;

typedef enum bp_column_type {
    BP_COLUMN_NUMERIC,     /* one number a row */
    BP_COLUMN_BOOLEAN,     /* 0, 1; text "true"/"false" in the file, any case */
    BP_COLUMN_CATEGORICAL, /* one text of a sorted list a row, stored as its index */
    BP_COLUMN_TENSOR,      /* numbers of a fixed shape a row */
    BP_COLUMN_TEXT         /* of a corpus: UTF-8, a row of the file is a byte */
} bp_column_type;

/* The columns of a corpus, by index in its info.
 *   text    TEXT the text as it came; LINES pairs (line, its byte offset), of line 0 and of the first one
 *           after every BP_LINES_STRIDE lines or BP_LINES_STRIDE_BYTES bytes
 *   vectors WORDS the words, a line end after each; VECTORS the numbers of each; PLACES pairs (word, its byte
 *           offset), of word 0 and of every BP_PLACES_STRIDE-th one after it
 *   tagged  TOKENS the tokens, a line end after each; TAGS a category a token, by place in the sorted
 *           tags; SENTENCES a pair a sentence: its first token, and that one's byte offset
 * Pairs are int64. */
enum { BP_TEXT_COLUMN, BP_LINES_COLUMN, BP_TEXT_COLUMN_COUNT };
enum { BP_LINES_STRIDE = 1024, BP_LINES_STRIDE_BYTES = 1024 * 1024 };
enum { BP_TOKENS_COLUMN, BP_TAGS_COLUMN, BP_SENTENCES_COLUMN, BP_TAGGED_COLUMN_COUNT };

enum { BP_WORDS_COLUMN, BP_VECTORS_COLUMN, BP_PLACES_COLUMN, BP_VECTORS_COLUMN_COUNT };
enum { BP_PLACES_STRIDE = 256 };

/* How elements lie in the column file, little-endian. Missing: NaN, or BP_CATEGORY_MISSING. */
typedef enum bp_element {
    BP_ELEMENT_UINT8,
    BP_ELEMENT_INT8,
    BP_ELEMENT_INT16,
    BP_ELEMENT_INT32,
    BP_ELEMENT_INT64,
    BP_ELEMENT_FLOAT32,
    BP_ELEMENT_FLOAT64,
    BP_ELEMENT_CATEGORY /* uint32 index */
} bp_element;
#define BP_CATEGORY_MISSING UINT32_MAX

typedef struct bp_column_info {
    char *name;
    bp_column_type type;
    bp_element element;
    size_t rank;                        /* 0 unless a tensor */
    size_t shape[BP_COLUMN_RANK_LIMIT]; /* of one row's item */
    size_t width;                       /* elements a row: product of shape, 1 for scalars */
    uint64_t row_count;
    uint64_t missing_count;        /* rows (scalars) or elements (tensors) */
    bool integral;                 /* every value present is a whole number */
    uint64_t distinct_count;       /* of values present; 0 for tensors (not counted) */
    bool distinct_is_lower_bound;  /* counting stopped at BP_DISTINCT_LIMIT */
    double minimum, maximum, mean; /* over values present; NaN when none, or categorical */
    size_t category_count;
    char **categories; /* categorical: sorted by code point, UTF-8 */
    size_t value_count;
    double *values; /* numeric scalars: sorted distinct values unless distinct_is_lower_bound */
    char sha256[BP_SHA256_TEXT_SIZE]; /* of the column file: also its name in the data directory */
} bp_column_info;

typedef struct bp_dataset_info {
    char *name;
    bp_dataset_kind kind;
    uint64_t version; /* 1, 2, … */
    /* Of the content; a job keeps the one it was submitted with. */
    char sha256[BP_SHA256_TEXT_SIZE];
    bool equal_lengths; /* all columns have row_count rows */
    uint64_t
        row_count; /* the shortest column's where they differ; of a corpus, lines, sentences or words */
    size_t column_count;
    bp_column_info *columns; /* in file order; of a corpus, as above */
    bp_corpus_info corpus;   /* zeroed for a table */
    char created[32];        /* RFC 3339, UTC */
} bp_dataset_info;

/* "table", "text", "tagged", "vectors". */
const char *bp_dataset_kind_name(bp_dataset_kind kind);

/* "numeric", "boolean", "categorical", "tensor", "text": by bp_column_type, NULL-terminated. */
extern const char *const bp_column_type_names[];
const char *bp_column_type_name(bp_column_type type);

/* Index of a column by name, or SIZE_MAX. */
size_t bp_dataset_info_column(const bp_dataset_info *info, const char *name);

/* The public document (full false: without categories, values and tags beyond 100 of each, and of a corpus
 * only the columns that mean something to a reader), or the stored one (full true), from which bp_dataset_info_parse makes the same info again. NULL: no memory. */
json_t *bp_dataset_info_json(const bp_dataset_info *info, bool full);
/* BP_CORRUPT, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_dataset_info_parse(bp_dataset_info **out, const json_t *json,
                                                bp_error *error);
void bp_dataset_info_free(bp_dataset_info *info); /* accepts NULL */

#endif
