#include "schema/json/stored.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"

static void fail(bp_stored *stored, bp_status status)
{
    if (stored->status == BP_OK)
        stored->status = status;
}

void bp_stored_corrupt(bp_stored *stored)
{
    fail(stored, BP_CORRUPT);
}

static char *copy(bp_stored *stored, const json_t *value)
{
    const char *text = json_string_value(value);
    if (!text) {
        fail(stored, BP_CORRUPT);
        return NULL;
    }
    char *made = strdup(text);
    if (!made)
        fail(stored, BP_NO_MEMORY);
    return made;
}

char *bp_stored_text(bp_stored *stored, const json_t *object, const char *key)
{
    return copy(stored, json_object_get(object, key));
}

void bp_stored_fixed_text(bp_stored *stored, char *out, size_t size, const json_t *object,
                          const char *key)
{
    const json_t *value = json_object_get(object, key);
    out[0] = '\0';
    if (!json_is_string(value) || json_string_length(value) >= size)
        fail(stored, BP_CORRUPT);
    else
        strcpy(out, json_string_value(value));
}

bool bp_stored_bool(bp_stored *stored, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_boolean(value))
        fail(stored, BP_CORRUPT);
    return json_is_true(value);
}

uint64_t bp_stored_count(bp_stored *stored, const json_t *object, const char *key)
{
    uint64_t count = 0;
    if (!bp_json_read_count(&count, json_object_get(object, key)))
        fail(stored, BP_CORRUPT);
    return count;
}

double bp_stored_number(bp_stored *stored, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    double number = NAN;
    if (!json_is_null(value) && !bp_json_read_number(&number, value))
        fail(stored, BP_CORRUPT);
    return number;
}

size_t bp_stored_name(bp_stored *stored, const char *const *names, const json_t *object,
                      const char *key)
{
    const char *name = json_string_value(json_object_get(object, key));
    for (size_t index = 0; name && names[index]; index++)
        if (!strcmp(names[index], name))
            return index;
    fail(stored, BP_CORRUPT);
    return 0;
}

const json_t *bp_stored_array(bp_stored *stored, const json_t *object, const char *key)
{
    const json_t *array = json_object_get(object, key);
    if (json_is_array(array))
        return array;
    fail(stored, BP_CORRUPT);
    return NULL;
}

void *bp_stored_allocate(bp_stored *stored, size_t count, size_t size)
{
    void *made = calloc(count ? count : 1, size);
    if (!made)
        fail(stored, BP_NO_MEMORY);
    return made;
}

char **bp_stored_texts(bp_stored *stored, size_t *out_count, const json_t *object, const char *key)
{
    const json_t *array = bp_stored_array(stored, object, key);
    size_t count = json_array_size(array);
    char **texts = array ? bp_stored_allocate(stored, count, sizeof *texts) : NULL;
    if (!texts)
        return NULL;
    for (size_t index = 0; index < count; index++)
        texts[index] = copy(stored, json_array_get(array, index));
    *out_count = count;
    return texts;
}

double *bp_stored_numbers(bp_stored *stored, size_t *out_count, const json_t *object,
                          const char *key)
{
    const json_t *array = bp_stored_array(stored, object, key);
    size_t count = json_array_size(array);
    double *values = array ? bp_stored_allocate(stored, count, sizeof *values) : NULL;
    if (!values)
        return NULL;
    for (size_t index = 0; index < count; index++)
        if (!bp_json_read_number(&values[index], json_array_get(array, index)))
            fail(stored, BP_CORRUPT);
    *out_count = count;
    return values;
}

json_t *bp_texts_json(char *const *texts, size_t count)
{
    json_t *array = json_array();
    for (size_t index = 0; array && index < count; index++)
        if (json_array_append_new(array, json_string(texts[index])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

json_t *bp_numbers_json(const double *values, size_t count)
{
    json_t *array = json_array();
    for (size_t index = 0; array && index < count; index++)
        if (json_array_append_new(array, bp_json_number(values[index])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

void bp_texts_free(char **texts, size_t count)
{
    for (size_t index = 0; texts && index < count; index++)
        free(texts[index]);
    free(texts);
}
