/* What a network over tokens begins with, and that no other has it. */
#include <stdint.h>

#include "core/layer/dense.h"
#include "core/layer/token_layers.h"
#include "core/network/network_plan.h"

/* As layer types go: NULL where none is chosen, which is somebody else's error. */
static const bp_layer_type *type_at(const bp_network_spec *spec, size_t index)
{
    const bp_member *member = spec->layers[index].layer.member;
    return member ? bp_layer_type_of(member) : NULL;
}

static bp_status check_window(const bp_network_spec *spec, size_t index, bp_error *error)
{
    char where[BP_ERROR_WHERE_SIZE];
    const double width = spec->layers[index].layer.value[BP_WINDOW_WIDTH];
    if (spec->sequence.streams > 0) {
        bp_network_layer_field(where, sizeof where, index, "type");
        return bp_error_set(error, BP_INVALID, where,
                            "a language model reads one token at a time and has no window");
    }
    if (!(width >= 1) || (size_t)width % 2 == 0 || width == (double)spec->input_width)
        return BP_OK; /* or an error of its plan */
    bp_network_layer_field(where, sizeof where, index, "width");
    return bp_error_set(error, BP_SHAPE, where, "the rows of the data are windows of %zu tokens",
                        spec->input_width);
}

/* Whether a layer multiplies with the embedding's table. */
static bool is_tied(const bp_network_spec *spec, size_t index)
{
    const bp_layer_type *type = type_at(spec, index);
    return type && type->member.index == BP_LAYER_dense &&
           spec->layers[index].layer.value[BP_DENSE_TIED] != 0;
}

/* The last layer alone may; its own plan sees to the shapes, and to there being a table. */
static bp_status check_tied(const bp_network_spec *spec, bp_error *error)
{
    char where[BP_ERROR_WHERE_SIZE];
    const size_t last = spec->layer_count - 1;
    for (size_t index = 0; index < last; index++) {
        if (!is_tied(spec, index))
            continue;
        bp_network_layer_field(where, sizeof where, index, "tied");
        return bp_error_set(error, BP_INVALID, where,
                            "only the last layer can share the embedding's vectors");
    }
    for (size_t index = 0; is_tied(spec, last) && index < last; index++) {
        const bp_layer_type *type = type_at(spec, index);
        if (!type || type->member.index != BP_LAYER_embedding)
            continue;
        const double *value = spec->layers[index].layer.value;
        bp_network_layer_field(where, sizeof where, index, "sparse");
        if (value[BP_EMBEDDING_SPARSE] != 0)
            return bp_error_set(error, BP_INVALID, where,
                                "the last layer is tied to these vectors and has a gradient for "
                                "all of them");
        bp_network_layer_field(where, sizeof where, last, "tied");
        if (value[BP_EMBEDDING_TRAINABLE] == 0)
            return bp_error_set(error, BP_INVALID, where,
                                "the embedding's vectors are not trained, and these weights would "
                                "not be either");
    }
    return BP_OK;
}

/* An embedding and perhaps a window, in either order, before all others. */
static bp_status check_begin(const bp_network_spec *spec, bp_error *error)
{
    size_t seen[BP_LAYER_COUNT] = {0};
    bool begins = true;
    for (size_t index = 0; index < spec->layer_count; index++) {
        const bp_layer_type *type = type_at(spec, index);
        begins = begins && type && type->is_token_layer;
        if (!type || !type->is_token_layer)
            continue;
        char where[BP_ERROR_WHERE_SIZE];
        bp_network_layer_field(where, sizeof where, index, "type");
        if (seen[type->member.index]++ > 0)
            return bp_error_set(error, BP_INVALID, where, "there is one %s already",
                                type->member.name);
        if (!begins)
            return bp_error_set(error, BP_INVALID, where,
                                "%s reads tokens, so it comes before layers that compute",
                                type->member.name);
        if (type->member.index == BP_LAYER_window) {
            const bp_status status = check_window(spec, index, error);
            if (status != BP_OK)
                return status;
        }
    }
    if (seen[BP_LAYER_embedding] == 0)
        return bp_error_set(error, BP_INVALID, "/network/layers/0/type",
                            "a network over tokens begins with an embedding");
    if (seen[BP_LAYER_window] == 0 && spec->input_width != 1)
        return bp_error_set(error, BP_SHAPE, "/network/layers",
                            "rows of %zu tokens need a window of that width", spec->input_width);
    return BP_OK;
}

bp_status bp_network_check_tokens(const bp_network_spec *spec, bp_error *error)
{
    const bp_status status = check_tied(spec, error);
    if (status != BP_OK)
        return status;
    if (spec->input_kind == BP_INPUT_TOKENS) {
        if (spec->token_count < 1)
            return bp_error_set(error, BP_SHAPE, "/data", "there are no tokens");
        if (spec->token_count > INT32_MAX)
            return bp_error_set(error, BP_TOO_LARGE, "/data", "there are too many tokens");
        return check_begin(spec, error);
    }
    for (size_t index = 0; index < spec->layer_count; index++) {
        const bp_layer_type *type = type_at(spec, index);
        if (!type || !type->is_token_layer)
            continue;
        char where[BP_ERROR_WHERE_SIZE];
        bp_network_layer_field(where, sizeof where, index, "type");
        return bp_error_set(error, BP_INVALID, where, "%s needs tokens: a text or tagged data set",
                            type->member.name);
    }
    return BP_OK;
}
