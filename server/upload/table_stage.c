/* The staging file: groups one after another, each
 *   uint64 offsets[column_count + 1]   where each column's chunk begins, from the file's start; the end
 *   chunks                             for each row a length, then the text
 * A length is a base-128 varint of the text's bytes plus 1; 0 is a missing value. */
#include "server/upload/table_stage.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/checked.h"
#include "server/dataset/file_error.h"
#include "server/upload/column_statistics.h"
#include "server/upload/number_text.h"
#include "server/upload/text_dictionary.h"

enum {
    GROUP_TEXT_BYTES = 4 * 1024 * 1024,
    GROUP_FIELDS = 512 * 1024,
    OUTPUT_BYTES = 256 * 1024,
    BLOCK_VALUES = 8192,
    VARINT_BYTES = 5,
};

/* A field of the group in memory. */
typedef struct staged_field {
    uint32_t begin, length; /* in pool; length UINT32_MAX: missing */
} staged_field;

typedef struct staged_column {
    char *name;
    bool any_number, any_boolean, any_text; /* among the values present */
} staged_column;

typedef struct staged_group {
    uint64_t begin; /* of its offsets, in the file */
    uint64_t row_count;
} staged_group;

struct bp_table_stage {
    const char *directory;
    int file; /* unlinked as soon as it is made */
    uint64_t file_bytes;
    size_t column_count;
    staged_column *columns;
    uint64_t row_count;

    char *pool; /* texts of the group in memory */
    size_t pool_length, pool_capacity;
    staged_field *fields; /* row by row */
    size_t field_count, field_capacity;

    staged_group *groups;
    size_t group_count, group_capacity;

    size_t category_count, category_bytes; /* of all columns converted so far */
    unsigned char *output;                 /* (OUTPUT_BYTES) while a group is written */
    size_t output_length;
};

bp_status bp_table_stage_create(bp_table_stage **out, const char *directory, bp_error *error)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/tmp/table-XXXXXX", directory);
    if (length < 0 || (size_t)length >= sizeof path)
        return bp_error_set(error, BP_INPUT_OUTPUT, NULL, "the data directory's path is too long");
    bp_table_stage *stage = calloc(1, sizeof *stage);
    if (!stage)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a table");
    stage->directory = directory;
    stage->file = mkostemp(path, O_CLOEXEC);
    if (stage->file < 0) {
        bp_status status = bp_file_error(error, errno, "make a temporary file");
        free(stage);
        return status;
    }
    unlink(path);
    *out = stage;
    return BP_OK;
}

void bp_table_stage_free(bp_table_stage *stage)
{
    if (!stage)
        return;
    close(stage->file);
    for (size_t i = 0; i < stage->column_count; i++)
        free(stage->columns[i].name);
    free(stage->columns);
    free(stage->pool);
    free(stage->fields);
    free(stage->groups);
    free(stage->output);
    free(stage);
}

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the rows of a table");
}

/* ---- staging ---- */

static bp_status take_header(void *context, const bp_text *names, size_t count, bp_error *error)
{
    bp_table_stage *stage = context;
    stage->columns = calloc(count, sizeof *stage->columns);
    if (!stage->columns)
        return no_memory(error);
    stage->column_count = count;
    for (size_t i = 0; i < count; i++) {
        stage->columns[i].name = strndup(names[i].at, names[i].length);
        if (!stage->columns[i].name)
            return no_memory(error);
    }
    return BP_OK;
}

static bp_status write_at(bp_table_stage *stage, const void *bytes, size_t count, uint64_t offset,
                          bp_error *error)
{
    const unsigned char *at = bytes;
    while (count > 0) {
        ssize_t wrote = pwrite(stage->file, at, count, (off_t)offset);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return bp_file_error(error, errno, "write a temporary file");
        at += wrote;
        count -= (size_t)wrote;
        offset += (uint64_t)wrote;
    }
    return BP_OK;
}

static bp_status read_at(const bp_table_stage *stage, void *out, size_t count, uint64_t offset,
                         bp_error *error)
{
    unsigned char *at = out;
    while (count > 0) {
        ssize_t got = pread(stage->file, at, count, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return bp_file_error(error, got < 0 ? errno : EIO, "read a temporary file");
        at += got;
        count -= (size_t)got;
        offset += (uint64_t)got;
    }
    return BP_OK;
}

static bp_status flush_output(bp_table_stage *stage, bp_error *error)
{
    bp_status status =
        write_at(stage, stage->output, stage->output_length, stage->file_bytes, error);
    stage->file_bytes += stage->output_length;
    stage->output_length = 0;
    return status;
}

static bp_status put_bytes(bp_table_stage *stage, const void *bytes, size_t count, bp_error *error)
{
    if (stage->output_length + count > OUTPUT_BYTES) {
        bp_status status = flush_output(stage, error);
        if (status != BP_OK)
            return status;
    }
    if (count > OUTPUT_BYTES) {
        bp_status status = write_at(stage, bytes, count, stage->file_bytes, error);
        stage->file_bytes += count;
        return status;
    }
    memcpy(stage->output + stage->output_length, bytes, count);
    stage->output_length += count;
    return BP_OK;
}

static bp_status put_field(bp_table_stage *stage, const staged_field *field, bp_error *error)
{
    unsigned char varint[VARINT_BYTES];
    size_t length = 0;
    uint32_t rest = field->length + 1; /* wraps to 0 where missing */
    do {
        varint[length++] = (unsigned char)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
        rest >>= 7;
    } while (rest > 0);
    bp_status status = put_bytes(stage, varint, length, error);
    if (status == BP_OK && field->length != UINT32_MAX)
        status = put_bytes(stage, stage->pool + field->begin, field->length, error);
    return status;
}

static bool room_for_group(bp_table_stage *stage)
{
    if (stage->group_count < stage->group_capacity)
        return true;
    size_t capacity = stage->group_capacity ? stage->group_capacity * 2 : 64;
    staged_group *groups = realloc(stage->groups, capacity * sizeof *groups);
    if (!groups)
        return false;
    stage->groups = groups;
    stage->group_capacity = capacity;
    return true;
}

static bp_status flush_group(bp_table_stage *stage, bp_error *error)
{
    const size_t columns = stage->column_count;
    if (columns == 0 || stage->field_count == 0)
        return BP_OK;
    uint64_t *offsets = malloc((columns + 1) * sizeof *offsets);
    if (!stage->output)
        stage->output = malloc(OUTPUT_BYTES);
    if (!offsets || !stage->output || !room_for_group(stage)) {
        free(offsets);
        return no_memory(error);
    }
    const uint64_t begin = stage->file_bytes;
    stage->file_bytes += (columns + 1) * sizeof *offsets;
    bp_status status = BP_OK;
    for (size_t column = 0; column < columns && status == BP_OK; column++) {
        offsets[column] = stage->file_bytes + stage->output_length;
        for (size_t i = column; i < stage->field_count && status == BP_OK; i += columns)
            status = put_field(stage, &stage->fields[i], error);
    }
    if (status == BP_OK)
        status = flush_output(stage, error);
    offsets[columns] = stage->file_bytes;
    if (status == BP_OK)
        status = write_at(stage, offsets, (columns + 1) * sizeof *offsets, begin, error);
    free(offsets);
    stage->groups[stage->group_count++] =
        (staged_group){.begin = begin, .row_count = stage->field_count / columns};
    stage->pool_length = stage->field_count = 0;
    return status;
}

static void note_type(staged_column *column, const bp_text *text)
{
    double number;
    if (column->any_text)
        return;
    if (bp_number_parse(&number, text->at, text->length))
        column->any_number = true;
    else if (bp_text_boolean(text->at, text->length) >= 0)
        column->any_boolean = true;
    else
        column->any_text = true;
}

static bool room_for_row(bp_table_stage *stage, size_t bytes)
{
    if (stage->pool_length + bytes > stage->pool_capacity) {
        size_t capacity = stage->pool_capacity ? stage->pool_capacity : 64 * 1024;
        while (capacity < stage->pool_length + bytes)
            capacity *= 2;
        char *pool = realloc(stage->pool, capacity);
        if (!pool)
            return false;
        stage->pool = pool;
        stage->pool_capacity = capacity;
    }
    const size_t fields = stage->field_count + stage->column_count;
    if (fields > stage->field_capacity) {
        size_t capacity = stage->field_capacity ? stage->field_capacity : 1024;
        while (capacity < fields)
            capacity *= 2;
        staged_field *grown = realloc(stage->fields, capacity * sizeof *grown);
        if (!grown)
            return false;
        stage->fields = grown;
        stage->field_capacity = capacity;
    }
    return true;
}

static bp_status take_row(void *context, const bp_text *fields, size_t count, bp_error *error)
{
    bp_table_stage *stage = context;
    size_t bytes = 0; /* below 32 MiB: the parser limits a line */
    for (size_t i = 0; i < count; i++)
        bytes += fields[i].length;
    if (!room_for_row(stage, bytes))
        return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        staged_field *field = &stage->fields[stage->field_count++];
        *field = (staged_field){.begin = (uint32_t)stage->pool_length, .length = UINT32_MAX};
        if (bp_text_is_missing(fields[i].at, fields[i].length))
            continue;
        field->length = (uint32_t)fields[i].length;
        memcpy(stage->pool + stage->pool_length, fields[i].at, fields[i].length);
        stage->pool_length += fields[i].length;
        note_type(&stage->columns[i], &fields[i]);
    }
    stage->row_count++;
    if (stage->pool_length >= GROUP_TEXT_BYTES || stage->field_count >= GROUP_FIELDS)
        return flush_group(stage, error);
    return BP_OK;
}

bp_row_sink bp_table_stage_sink(bp_table_stage *stage)
{
    return (bp_row_sink){.context = stage, .header = take_header, .row = take_row};
}

bp_status bp_table_stage_finish(bp_table_stage *stage, bp_error *error)
{
    bp_status status = flush_group(stage, error);
    free(stage->pool);
    free(stage->fields);
    stage->pool = NULL;
    stage->fields = NULL;
    return status;
}

size_t bp_table_stage_column_count(const bp_table_stage *stage)
{
    return stage->column_count;
}

/* ---- conversion ---- */

/* What is done with the values of one column; missing: text NULL. */
typedef struct value_visitor {
    bp_status (*value)(struct value_visitor *visitor, const char *text, size_t length,
                       bp_error *error);
    bp_column_draft *draft;
    bp_column_statistics *statistics;
    bp_text_dictionary *dictionary;
    size_t category_limit, category_bytes_limit;
    bool boolean;
    size_t held; /* values in block */
    union {
        double numbers[BLOCK_VALUES];
        uint32_t categories[BLOCK_VALUES];
    } block;
} value_visitor;

static bp_status visit_chunk(value_visitor *visitor, const unsigned char *at, uint64_t row_count,
                             bp_error *error)
{
    bp_status status = BP_OK;
    for (uint64_t row = 0; row < row_count && status == BP_OK; row++) {
        size_t length = 0;
        for (unsigned shift = 0;; shift += 7) {
            const unsigned char byte = *at++;
            length |= (size_t)(byte & 0x7f) << shift;
            if (byte < 0x80)
                break;
        }
        if (length == 0) {
            status = visitor->value(visitor, NULL, 0, error);
            continue;
        }
        status = visitor->value(visitor, (const char *)at, length - 1, error);
        at += length - 1;
    }
    return status;
}

static bp_status visit_column(const bp_table_stage *stage, size_t column, value_visitor *visitor,
                              bp_error *error)
{
    unsigned char *chunk = NULL;
    size_t capacity = 0;
    bp_status status = BP_OK;
    for (size_t i = 0; i < stage->group_count && status == BP_OK; i++) {
        const staged_group *group = &stage->groups[i];
        uint64_t ends[2];
        status = read_at(stage, ends, sizeof ends, group->begin + column * sizeof *ends, error);
        if (status != BP_OK)
            break;
        const size_t bytes = (size_t)(ends[1] - ends[0]);
        if (bytes == 0) /* no group is without rows, and no row without a byte */
            continue;
        if (!chunk || bytes > capacity) {
            free(chunk);
            chunk = malloc(bytes);
            capacity = bytes;
            if (!chunk) {
                status = no_memory(error);
                break;
            }
        }
        status = read_at(stage, chunk, bytes, ends[0], error);
        if (status == BP_OK)
            status = visit_chunk(visitor, chunk, group->row_count, error);
    }
    free(chunk);
    return status;
}

static bp_status flush_values(value_visitor *visitor, bp_error *error)
{
    if (visitor->statistics)
        bp_column_statistics_add(visitor->statistics, visitor->block.numbers, visitor->held);
    bp_status status =
        bp_column_writer_write(visitor->draft->writer, &visitor->block, visitor->held, error);
    visitor->held = 0;
    return status;
}

static bp_status take_number(value_visitor *visitor, const char *text, size_t length,
                             bp_error *error)
{
    double number = NAN;
    if (text && visitor->boolean)
        number = bp_text_boolean(text, length);
    else if (text && !bp_number_parse(&number, text, length))
        return bp_error_set(error, BP_INTERNAL, NULL, "a number cannot be read again");
    visitor->block.numbers[visitor->held++] = number;
    return visitor->held == BLOCK_VALUES ? flush_values(visitor, error) : BP_OK;
}

static bp_status take_text(value_visitor *visitor, const char *text, size_t length, bp_error *error)
{
    if (!text)
        return BP_OK;
    bp_status status = bp_text_dictionary_add(visitor->dictionary, text, length, error);
    if (status == BP_OK &&
        (bp_text_dictionary_count(visitor->dictionary) > visitor->category_limit ||
         bp_text_dictionary_bytes(visitor->dictionary) > visitor->category_bytes_limit))
        status = bp_error_set(error, BP_TOO_LARGE, visitor->draft->info.name,
                              "too many different texts: a table may have %d in all, of at most %d "
                              "bytes; leave columns of free text and identifiers out",
                              (int)BP_CATEGORY_LIMIT, (int)BP_CATEGORY_BYTES_LIMIT);
    return status;
}

static bp_status take_category(value_visitor *visitor, const char *text, size_t length,
                               bp_error *error)
{
    uint32_t category = BP_CATEGORY_MISSING;
    if (text)
        category = bp_text_dictionary_rank(visitor->dictionary, text, length);
    else
        visitor->draft->info.missing_count++;
    visitor->block.categories[visitor->held++] = category;
    return visitor->held == BLOCK_VALUES ? flush_values(visitor, error) : BP_OK;
}

static bp_status convert_numbers(const bp_table_stage *stage, size_t column, value_visitor *visitor,
                                 bp_error *error)
{
    visitor->value = take_number;
    bp_status status =
        bp_column_statistics_create(&visitor->statistics, BP_ELEMENT_FLOAT64, true, error);
    if (status == BP_OK)
        status = visit_column(stage, column, visitor, error);
    if (status == BP_OK)
        status = flush_values(visitor, error);
    if (status == BP_OK)
        status = bp_column_statistics_finish(visitor->statistics, &visitor->draft->info, error);
    bp_column_statistics_free(visitor->statistics);
    return status;
}

static bp_status convert_texts(bp_table_stage *stage, size_t column, value_visitor *visitor,
                               bp_error *error)
{
    bp_column_info *info = &visitor->draft->info;
    visitor->category_limit = BP_CATEGORY_LIMIT - stage->category_count;
    visitor->category_bytes_limit = BP_CATEGORY_BYTES_LIMIT - stage->category_bytes;
    bp_status status = bp_text_dictionary_create(&visitor->dictionary, error);
    if (status != BP_OK)
        return status;
    visitor->value = take_text;
    status = visit_column(stage, column, visitor, error);
    if (status == BP_OK)
        status = bp_text_dictionary_sort(visitor->dictionary, &info->categories, error);
    if (status == BP_OK) {
        info->category_count = bp_text_dictionary_count(visitor->dictionary);
        info->distinct_count = info->category_count;
        info->minimum = info->maximum = info->mean = NAN;
        stage->category_count += info->category_count;
        stage->category_bytes += bp_text_dictionary_bytes(visitor->dictionary);
        visitor->value = take_category;
        status = visit_column(stage, column, visitor, error);
    }
    if (status == BP_OK)
        status = flush_values(visitor, error);
    bp_text_dictionary_free(visitor->dictionary);
    return status;
}

bp_status bp_table_stage_convert(bp_table_stage *stage, size_t column, bp_column_draft *out,
                                 bp_error *error)
{
    const staged_column *staged = &stage->columns[column];
    const bool categorical = staged->any_text || (staged->any_boolean && staged->any_number);
    bp_column_draft draft = {.info = {.row_count = stage->row_count, .width = 1}};
    draft.info.type = categorical           ? BP_COLUMN_CATEGORICAL
                      : staged->any_boolean ? BP_COLUMN_BOOLEAN
                                            : BP_COLUMN_NUMERIC;
    draft.info.element = categorical ? BP_ELEMENT_CATEGORY : BP_ELEMENT_FLOAT64;
    draft.info.name = strdup(staged->name);
    value_visitor *visitor = calloc(1, sizeof *visitor);
    bp_status status = BP_OK;
    if (!visitor || !draft.info.name) {
        status = no_memory(error);
        goto done;
    }
    visitor->draft = &draft;
    visitor->boolean = draft.info.type == BP_COLUMN_BOOLEAN;
    const bp_array_layout layout = {
        .element = draft.info.element, .width = 1, .row_count = stage->row_count};
    status = bp_column_writer_open(&draft.writer, stage->directory, &layout, error);
    if (status != BP_OK)
        goto done;
    status = categorical ? convert_texts(stage, column, visitor, error)
                         : convert_numbers(stage, column, visitor, error);
    if (status == BP_OK)
        status = bp_column_writer_finish(draft.writer, draft.info.sha256, error);
done:
    free(visitor);
    if (status != BP_OK) {
        bp_column_draft_done(&draft);
        return status;
    }
    *out = draft;
    return BP_OK;
}
