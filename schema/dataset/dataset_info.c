#include "schema/dataset/dataset_info.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "schema/json/json_text.h"
#include "schema/json/stored.h"

enum { SHOWN_LIMIT = 100 };

static const char *const kind_names[] = {"table", "text", "tagged", "vectors", NULL};
const char *const bp_column_type_names[] = {"numeric", "boolean", "categorical",
                                            "tensor",  "text",    NULL};
static const char *const element_names[] = {"uint8",   "int8",    "int16",    "int32", "int64",
                                            "float32", "float64", "category", NULL};

const char *bp_dataset_kind_name(bp_dataset_kind kind)
{
    return kind_names[kind];
}

const char *bp_column_type_name(bp_column_type type)
{
    return bp_column_type_names[type];
}

size_t bp_dataset_info_column(const bp_dataset_info *info, const char *name)
{
    for (size_t index = 0; index < info->column_count; index++)
        if (!strcmp(info->columns[index].name, name))
            return index;
    return SIZE_MAX;
}

static size_t shown(size_t count, bool full)
{
    return full || count < SHOWN_LIMIT ? count : SHOWN_LIMIT;
}

static json_t *shape_json(const bp_column_info *column)
{
    double shape[BP_COLUMN_RANK_LIMIT]; /* sizes are below 2^53: they were allocated */
    for (size_t axis = 0; axis < column->rank; axis++)
        shape[axis] = (double)column->shape[axis];
    return bp_numbers_json(shape, column->rank);
}

/* null where there is no value to take a statistic of. */
static json_t *statistic_json(double value)
{
    return isnan(value) ? json_null() : bp_json_number(value);
}

static bool has_distinct(bp_column_type type)
{
    return type != BP_COLUMN_TENSOR && type != BP_COLUMN_TEXT;
}

static bool has_statistics(bp_column_type type)
{
    return type != BP_COLUMN_CATEGORICAL && type != BP_COLUMN_TEXT;
}

static bool add_type_members(json_t *json, const bp_column_info *column, bool full)
{
    switch (column->type) {
    case BP_COLUMN_TENSOR:
        return bp_json_add(json, "shape", shape_json(column));
    case BP_COLUMN_CATEGORICAL:
        return bp_json_add(json, "categories",
                           bp_texts_json(column->categories, shown(column->category_count, full)));
    case BP_COLUMN_TEXT:
        return true;
    case BP_COLUMN_NUMERIC:
    case BP_COLUMN_BOOLEAN:
        break;
    }
    return column->distinct_is_lower_bound ||
           bp_json_add(json, "values",
                       bp_numbers_json(column->values, shown(column->value_count, full)));
}

static json_t *column_json(const bp_column_info *column, bool full)
{
    json_t *json = json_object();
    bool ok = json && bp_json_add(json, "name", json_string(column->name)) &&
              bp_json_add(json, "type", json_string(bp_column_type_names[column->type])) &&
              bp_json_add(json, "element", json_string(element_names[column->element])) &&
              bp_json_add(json, "rows", json_integer((json_int_t)column->row_count)) &&
              bp_json_add(json, "missing", json_integer((json_int_t)column->missing_count)) &&
              bp_json_add(json, "integral", json_boolean(column->integral));
    if (ok && has_distinct(column->type))
        ok = bp_json_add(json, "distinct", json_integer((json_int_t)column->distinct_count)) &&
             bp_json_add(json, "distinct_is_lower_bound",
                         json_boolean(column->distinct_is_lower_bound));
    if (ok && has_statistics(column->type))
        ok = bp_json_add(json, "minimum", statistic_json(column->minimum)) &&
             bp_json_add(json, "maximum", statistic_json(column->maximum)) &&
             bp_json_add(json, "mean", statistic_json(column->mean));
    if (!ok || !add_type_members(json, column, full) ||
        !bp_json_add(json, "sha256", json_string(column->sha256))) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* How readers see the texts of a corpus: by lines or tokens, not bytes. */
static json_t *text_column_json(const bp_column_info *column, uint64_t rows,
                                const uint64_t *distinct, bool is_lower_bound)
{
    json_t *json = column_json(column, false);
    bool ok = json && bp_json_add(json, "rows", json_integer((json_int_t)rows));
    if (ok && distinct)
        ok = bp_json_add(json, "distinct", json_integer((json_int_t)*distinct)) &&
             bp_json_add(json, "distinct_is_lower_bound", json_boolean(is_lower_bound));
    if (ok)
        return json;
    json_decref(json);
    return NULL;
}

static json_t *column_at(const bp_dataset_info *info, size_t index, bool full)
{
    const bp_column_info *column = &info->columns[index];
    const bp_corpus_info *corpus = &info->corpus;
    if (full || column->type != BP_COLUMN_TEXT)
        return column_json(column, full);
    if (info->kind == BP_DATASET_TEXT)
        return text_column_json(column, corpus->line_count, NULL, false);
    if (info->kind == BP_DATASET_VECTORS)
        return text_column_json(column, corpus->word_count, NULL, false);
    return text_column_json(column, corpus->word_count, &corpus->distinct_word_count,
                            corpus->distinct_word_is_lower_bound);
}

static json_t *columns_json(const bp_dataset_info *info, bool full)
{
    /* The last column of a corpus is an index into the others. */
    const size_t hidden = !full && info->kind != BP_DATASET_TABLE;
    json_t *columns = json_array();
    for (size_t index = 0; columns && index + hidden < info->column_count; index++)
        if (json_array_append_new(columns, column_at(info, index, full)) != 0) {
            json_decref(columns);
            return NULL;
        }
    return columns;
}

static bool add_corpus(json_t *json, const bp_dataset_info *info, bool full)
{
    switch (info->kind) {
    case BP_DATASET_TABLE:
        return true;
    case BP_DATASET_TEXT:
        return bp_corpus_info_add_text(json, &info->corpus);
    case BP_DATASET_VECTORS:
        return bp_corpus_info_add_vectors(json, &info->corpus);
    case BP_DATASET_TAGGED:
        break;
    }
    return bp_corpus_info_add_tagged(json, &info->corpus, full);
}

json_t *bp_dataset_info_json(const bp_dataset_info *info, bool full)
{
    json_t *json = json_object();
    if (json && bp_json_add(json, "name", json_string(info->name)) &&
        bp_json_add(json, "kind", json_string(kind_names[info->kind])) &&
        bp_json_add(json, "version", json_integer((json_int_t)info->version)) &&
        bp_json_add(json, "sha256", json_string(info->sha256)) &&
        bp_json_add(json, "rows", json_integer((json_int_t)info->row_count)) &&
        bp_json_add(json, "equal_lengths", json_boolean(info->equal_lengths)) &&
        bp_json_add(json, "created", json_string(info->created)) && add_corpus(json, info, full) &&
        bp_json_add(json, "columns", columns_json(info, full)))
        return json;
    json_decref(json);
    return NULL;
}

static void read_shape(bp_stored *stored, bp_column_info *column, const json_t *json)
{
    const json_t *shape = bp_stored_array(stored, json, "shape");
    size_t rank = json_array_size(shape);
    if (rank > BP_COLUMN_RANK_LIMIT) {
        bp_stored_corrupt(stored);
        return;
    }
    column->rank = rank;
    for (size_t axis = 0; axis < rank; axis++) {
        uint64_t size = 0;
        if (!bp_json_read_count(&size, json_array_get(shape, axis)) ||
            !bp_checked_multiply(&column->width, column->width, (size_t)size))
            bp_stored_corrupt(stored);
        column->shape[axis] = (size_t)size;
    }
}

static void read_column(bp_stored *stored, bp_column_info *column, const json_t *json)
{
    column->name = bp_stored_text(stored, json, "name");
    column->type = (bp_column_type)bp_stored_name(stored, bp_column_type_names, json, "type");
    column->element = (bp_element)bp_stored_name(stored, element_names, json, "element");
    column->row_count = bp_stored_count(stored, json, "rows");
    column->missing_count = bp_stored_count(stored, json, "missing");
    column->integral = bp_stored_bool(stored, json, "integral");
    bp_stored_fixed_text(stored, column->sha256, sizeof column->sha256, json, "sha256");
    column->width = 1;
    column->minimum = column->maximum = column->mean = NAN;
    if (has_distinct(column->type)) {
        column->distinct_count = bp_stored_count(stored, json, "distinct");
        column->distinct_is_lower_bound = bp_stored_bool(stored, json, "distinct_is_lower_bound");
    }
    if (column->type == BP_COLUMN_TENSOR)
        read_shape(stored, column, json);
    if (has_statistics(column->type)) {
        column->minimum = bp_stored_number(stored, json, "minimum");
        column->maximum = bp_stored_number(stored, json, "maximum");
        column->mean = bp_stored_number(stored, json, "mean");
    }
    if (column->type == BP_COLUMN_CATEGORICAL) {
        column->categories = bp_stored_texts(stored, &column->category_count, json, "categories");
    }
    if ((column->type == BP_COLUMN_NUMERIC || column->type == BP_COLUMN_BOOLEAN) &&
        !column->distinct_is_lower_bound)
        column->values = bp_stored_numbers(stored, &column->value_count, json, "values");
}

/* What was counted is what the columns hold: readers size their memory by either. */
static bool counts_agree(const bp_dataset_info *info)
{
    const bp_corpus_info *corpus = &info->corpus;
    const bp_column_info *columns = info->columns;
    if (info->kind == BP_DATASET_VECTORS)
        return columns[BP_WORDS_COLUMN].row_count == corpus->byte_count &&
               columns[BP_VECTORS_COLUMN].row_count == corpus->word_count &&
               columns[BP_VECTORS_COLUMN].rank == 1 && info->row_count == corpus->word_count;
    if (info->kind == BP_DATASET_TEXT)
        return columns[BP_TEXT_COLUMN].row_count == corpus->byte_count &&
               info->row_count == corpus->line_count;
    return columns[BP_TOKENS_COLUMN].row_count == corpus->byte_count &&
           columns[BP_TAGS_COLUMN].row_count == corpus->word_count &&
           columns[BP_TAGS_COLUMN].category_count == corpus->tag_count &&
           columns[BP_SENTENCES_COLUMN].row_count == corpus->sentence_count &&
           info->row_count == corpus->sentence_count;
}

/* A corpus has its columns by index, of these types. */
static void read_corpus(bp_stored *stored, bp_dataset_info *info, const json_t *json)
{
    static const bp_column_type text_types[] = {BP_COLUMN_TEXT, BP_COLUMN_TENSOR};
    static const bp_column_type tagged_types[] = {BP_COLUMN_TEXT, BP_COLUMN_CATEGORICAL,
                                                  BP_COLUMN_TENSOR};
    static const bp_column_type vectors_types[] = {BP_COLUMN_TEXT, BP_COLUMN_TENSOR,
                                                   BP_COLUMN_TENSOR};
    static const struct {
        size_t count;
        const bp_column_type *types;
        void (*read)(bp_stored *stored, bp_corpus_info *out, const json_t *object);
    } kinds[] = {
        [BP_DATASET_TEXT] = {BP_TEXT_COLUMN_COUNT, text_types, bp_corpus_info_read_text},
        [BP_DATASET_TAGGED] = {BP_TAGGED_COLUMN_COUNT, tagged_types, bp_corpus_info_read_tagged},
        [BP_DATASET_VECTORS] = {BP_VECTORS_COLUMN_COUNT, vectors_types,
                                bp_corpus_info_read_vectors}};
    if (!kinds[info->kind].read) /* a table */
        return;
    const size_t count = kinds[info->kind].count;
    if (info->column_count != count)
        bp_stored_corrupt(stored);
    for (size_t index = 0; index < info->column_count && index < count; index++)
        if (info->columns[index].type != kinds[info->kind].types[index])
            bp_stored_corrupt(stored);
    if (info->column_count == count && info->columns[count - 1].width != 2)
        bp_stored_corrupt(stored);
    kinds[info->kind].read(stored, &info->corpus, json);
    if (stored->status == BP_OK && !counts_agree(info))
        bp_stored_corrupt(stored);
}

bp_status bp_dataset_info_parse(bp_dataset_info **out, const json_t *json, bp_error *error)
{
    bp_stored stored = {BP_OK};
    bp_dataset_info *info = bp_stored_allocate(&stored, 1, sizeof *info);
    if (info) {
        info->name = bp_stored_text(&stored, json, "name");
        info->kind = (bp_dataset_kind)bp_stored_name(&stored, kind_names, json, "kind");
        info->version = bp_stored_count(&stored, json, "version");
        bp_stored_fixed_text(&stored, info->sha256, sizeof info->sha256, json, "sha256");
        info->row_count = bp_stored_count(&stored, json, "rows");
        info->equal_lengths = bp_stored_bool(&stored, json, "equal_lengths");
        bp_stored_fixed_text(&stored, info->created, sizeof info->created, json, "created");
        const json_t *columns = bp_stored_array(&stored, json, "columns");
        size_t count = json_array_size(columns);
        info->columns = bp_stored_allocate(&stored, count, sizeof *info->columns);
        info->column_count = info->columns ? count : 0;
        for (size_t index = 0; index < info->column_count; index++)
            read_column(&stored, &info->columns[index], json_array_get(columns, index));
        read_corpus(&stored, info, json);
    }
    if (stored.status == BP_OK) {
        *out = info;
        return BP_OK;
    }
    bp_dataset_info_free(info);
    return bp_error_set(error, stored.status, NULL,
                        stored.status == BP_NO_MEMORY
                            ? "out of memory"
                            : "the stored document of a data set cannot be read");
}

void bp_dataset_info_free(bp_dataset_info *info)
{
    if (!info)
        return;
    for (size_t index = 0; index < info->column_count; index++) {
        bp_column_info *column = &info->columns[index];
        free(column->name);
        bp_texts_free(column->categories, column->category_count);
        free(column->values);
    }
    free(info->columns);
    bp_corpus_info_done(&info->corpus);
    free(info->name);
    free(info);
}
