#include "schema/json/name_hint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_LIMIT = 64, COMPARED_LIMIT = 2000 }; /* so that a hint costs milliseconds at most */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: Damerau–Levenshtein distance in which no piece is edited twice. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t row[3][LENGTH_LIMIT + 1]; /* the last three rows of the table, taken in turn */
    for (size_t j = 0; j <= b_length; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *now = row[i % 3], *above = row[(i + 2) % 3], *higher = row[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            now[j] =
                smaller(above[j - 1] + (a[i - 1] != b[j - 1]), smaller(above[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = smaller(now[j], higher[j - 2] + 1);
        }
    }
    return row[a_length % 3][b_length];
}

const char *bp_name_nearest(const char *name, bp_name_at *at, const void *list)
{
    size_t length = strlen(name);
    if (length == 0 || length > LENGTH_LIMIT)
        return NULL;
    const char *best = NULL;
    size_t best_distance = length / 3 + 2; /* exclusive: at most a third of it plus one */
    for (size_t index = 0; index < COMPARED_LIMIT; index++) {
        const char *known = at(list, index);
        if (!known)
            break;
        size_t known_length = strlen(known);
        if (known_length > LENGTH_LIMIT)
            continue;
        size_t edits = distance(name, length, known, known_length);
        if (edits < best_distance && edits < known_length) {
            best_distance = edits;
            best = known;
        }
    }
    return best;
}

char *bp_name_advice(const char *name, bp_name_at *at, const void *list, size_t shown_limit)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    const char *nearest = bp_name_nearest(name, at, list);
    if (nearest)
        fprintf(out, "; did you mean \"%s\"?", nearest);
    size_t count = 0;
    while (at(list, count))
        count++;
    if (count)
        fprintf(out, "%s known: ", nearest ? "" : ";");
    for (size_t index = 0; index < count && index < shown_limit; index++)
        fprintf(out, "%s\"%s\"", index ? ", " : "", at(list, index));
    if (count > shown_limit)
        fprintf(out, " and %zu more", count - shown_limit);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
