#include "server/http/metrics_csv.h"

#include <stdio.h>
#include <stdlib.h>

#include "schema/json/json_text.h"

/* A number in the digits that JSON has it in; a text (a time, "NaN") as it is: none of ours needs
 * quotes. False: no memory. */
static bool put(FILE *stream, const json_t *value)
{
    if (json_is_string(value))
        return fputs(json_string_value(value), stream) >= 0;
    if (!value || json_is_null(value))
        return true;
    char *text = bp_json_text(value, NULL);
    bool done = text && fputs(text, stream) >= 0;
    free(text);
    return done;
}

/* Names of all values, as the keys of an object. NULL: no memory. */
static json_t *value_names(const json_t *points)
{
    json_t *names = json_object();
    size_t index;
    json_t *point;
    json_array_foreach(points, index, point)
    {
        const char *name;
        json_t *value;
        json_object_foreach(json_object_get(point, "values"), name, value)
        {
            if (json_object_set_new(names, name, json_true()) != 0) {
                json_decref(names);
                return NULL;
            }
        }
    }
    return names;
}

/* The header of a value's columns. */
static bool put_header(FILE *stream, const char *name, bool summed_up)
{
    return (summed_up ? fprintf(stream, ",%s.min,%s.max,%s.last", name, name, name)
                      : fprintf(stream, ",%s", name)) > 0;
}

static bool put_cells(FILE *stream, const json_t *value, bool summed_up)
{
    if (!summed_up)
        return fputc(',', stream) != EOF && put(stream, value);
    return fputc(',', stream) != EOF && put(stream, json_object_get(value, "min")) &&
           fputc(',', stream) != EOF && put(stream, json_object_get(value, "max")) &&
           fputc(',', stream) != EOF && put(stream, json_object_get(value, "last"));
}

char *bp_metrics_csv(size_t *out_size, const json_t *points, bool summed_up)
{
    static const char *const of_points[] = {"seq", "step", "epoch", "time"};
    static const char *const of_spans[] = {"seq", "first_seq", "step", "epoch", "time"};
    const char *const *fixed = summed_up ? of_spans : of_points;
    const size_t fixed_count = summed_up ? 5 : 4;
    char *text = NULL;
    size_t size = 0, index;
    json_t *names = value_names(points), *point, *unused;
    FILE *stream = names ? open_memstream(&text, &size) : NULL;
    bool complete = stream != NULL;
    const char *name;
    if (complete) {
        complete =
            fputs(summed_up ? "seq,first_seq,step,epoch,time" : "seq,step,epoch,time", stream) >= 0;
        json_object_foreach(names, name, unused)
        {
            complete = complete && put_header(stream, name, summed_up);
        }
        complete = complete && fputs("\r\n", stream) >= 0;
    }
    json_array_foreach(points, index, point)
    {
        if (!complete)
            break;
        for (size_t i = 0; complete && i < fixed_count; i++)
            complete = (i == 0 || fputc(',', stream) != EOF) &&
                       put(stream, json_object_get(point, fixed[i]));
        const json_t *values = json_object_get(point, "values");
        json_object_foreach(names, name, unused)
        {
            complete = complete && put_cells(stream, json_object_get(values, name), summed_up);
        }
        complete = complete && fputs("\r\n", stream) >= 0;
    }
    if (stream && fclose(stream) != 0)
        complete = false;
    json_decref(names);
    if (!complete) {
        free(text);
        return NULL;
    }
    *out_size = size;
    return text;
}
