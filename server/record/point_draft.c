#include "server/record/point_draft.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LAYER_VALUES = 3,
    /* loss, accuracy, learning_rate, gradient_norm, penalty, two of two parts, two of a text's or one of
     * entities */
    OTHER_VALUES = 11,
    NAME_SIZE = 48
};

struct bp_point_draft {
    size_t layer_count, limit, count;
    char (*layer_names)[NAME_SIZE]; /* (layer_count, LAYER_VALUES) */
    const char **names;             /* (limit) */
    double *values;                 /* (limit) */
};

bp_status bp_point_draft_create(bp_point_draft **out, size_t layer_count, bp_error *error)
{
    static const char *const texts[LAYER_VALUES] = {"update_ratio", "dead_share",
                                                    "saturated_share"};
    bp_point_draft *draft = calloc(1, sizeof *draft);
    if (draft) {
        draft->layer_count = layer_count;
        draft->limit = OTHER_VALUES + LAYER_VALUES * layer_count;
        draft->layer_names = calloc(LAYER_VALUES * layer_count, sizeof *draft->layer_names);
        draft->names = calloc(draft->limit, sizeof *draft->names);
        draft->values = calloc(draft->limit, sizeof *draft->values);
    }
    if (!draft || !draft->layer_names || !draft->names || !draft->values) {
        bp_point_draft_free(draft);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
    }
    for (size_t i = 0; i < LAYER_VALUES * layer_count; i++)
        snprintf(draft->layer_names[i], NAME_SIZE, "layers.%zu.%s", i / LAYER_VALUES,
                 texts[i % LAYER_VALUES]);
    *out = draft;
    return BP_OK;
}

void bp_point_draft_begin(bp_point_draft *draft)
{
    draft->count = 0;
}

void bp_point_draft_put(bp_point_draft *draft, const char *name, double value)
{
    assert(draft->count < draft->limit);
    draft->names[draft->count] = name;
    draft->values[draft->count++] = value;
}

void bp_point_draft_put_layer(bp_point_draft *draft, size_t layer, const bp_diagnosis *diagnosis)
{
    assert(layer < draft->layer_count);
    const double values[LAYER_VALUES] = {diagnosis->update_ratio, diagnosis->dead_share,
                                         diagnosis->saturated_share};
    for (size_t i = 0; i < LAYER_VALUES; i++)
        if (!isnan(values[i]))
            bp_point_draft_put(draft, draft->layer_names[layer * LAYER_VALUES + i], values[i]);
}

bp_measured bp_point_draft_measured(const bp_point_draft *draft, uint64_t step, uint64_t epoch)
{
    return (bp_measured){.step = step,
                         .epoch = epoch,
                         .count = draft->count,
                         .names = draft->names,
                         .values = draft->values};
}

void bp_point_draft_free(bp_point_draft *draft)
{
    if (!draft)
        return;
    free(draft->layer_names);
    free(draft->names);
    free(draft->values);
    free(draft);
}
