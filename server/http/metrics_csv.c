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

char *bp_metrics_csv(size_t *out_size, const json_t *points)
{
    static const char *const fixed[] = {"seq", "step", "epoch", "time"};
    enum { FIXED_COUNT = sizeof fixed / sizeof fixed[0] };
    char *text = NULL;
    size_t size = 0, index;
    json_t *names = value_names(points), *point, *unused;
    FILE *stream = names ? open_memstream(&text, &size) : NULL;
    bool complete = stream != NULL;
    const char *name;
    if (complete) {
        complete = fputs("seq,step,epoch,time", stream) >= 0;
        json_object_foreach(names, name, unused)
        {
            complete = complete && fprintf(stream, ",%s", name) > 0;
        }
        complete = complete && fputs("\r\n", stream) >= 0;
    }
    json_array_foreach(points, index, point)
    {
        if (!complete)
            break;
        for (size_t i = 0; complete && i < FIXED_COUNT; i++)
            complete = (i == 0 || fputc(',', stream) != EOF) &&
                       put(stream, json_object_get(point, fixed[i]));
        const json_t *values = json_object_get(point, "values");
        json_object_foreach(names, name, unused)
        {
            complete =
                complete && fputc(',', stream) != EOF && put(stream, json_object_get(values, name));
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
