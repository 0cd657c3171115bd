#include "server/model/text_place.h"

#include <stdlib.h>
#include <string.h>

/* Multiplications of a turn. */
enum { TURN_PRODUCTS = 10 * 1000 * 1000 };

size_t bp_text_place_turn(const bp_text_place *place)
{
    const size_t tokens = TURN_PRODUCTS / bp_model_row_products(place->model);
    if (tokens < 1)
        return 1;
    return tokens < BP_PREDICTION_CHUNK ? tokens : BP_PREDICTION_CHUNK;
}

bp_status bp_text_place_enter(bp_model_arena *out, bp_text_place *place, bp_error *error)
{
    bp_kernels_thread_start();
    bp_model_arena used;
    bp_status status = bp_model_arena_take(&used, place->model, error);
    if (status != BP_OK)
        return status;
    const size_t bytes = bp_network_state_bytes(used.network);
    if (place->state) {
        memcpy(bp_network_state(used.network), place->state, bytes);
    } else if (bytes > 0) {
        place->state = malloc(bytes);
        if (!place->state) {
            bp_model_arena_give(place->model, &used);
            return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a text");
        }
    }
    *out = used;
    return BP_OK;
}

void bp_text_place_leave(bp_text_place *place, bp_model_arena *used)
{
    const size_t bytes = bp_network_state_bytes(used->network);
    if (bytes > 0)
        memcpy(place->state, bp_network_state(used->network), bytes);
    bp_model_arena_give(place->model, used);
}

void bp_text_place_done(bp_text_place *place)
{
    free(place->state);
    bp_model_release(place->model);
    *place = (bp_text_place){.model = NULL};
}
