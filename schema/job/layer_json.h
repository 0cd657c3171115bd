/* Layers as documents. */
#ifndef BP_SCHEMA_JOB_LAYER_JSON_H
#define BP_SCHEMA_JOB_LAYER_JSON_H

#include <jansson.h>

#include "core/layer/layer.h"
#include "schema/json/choice.h"

/* How a layer's dropout is written: {"keep": p, "of": "connections"}, of units where it does not say. */
extern const bp_choice_style bp_dropout_style;

/* Whether its weights are the vectors of the embedding, so that none of its own are initialised. */
bool bp_layer_spec_is_tied(const bp_layer_spec *spec);

/* {"type", hyperparameters…, "activation", "init", "dropout"?}: as in network.layers; a layer that only
 * masks has the hyperparameters alone, a tied one no "init". NULL: no memory. */
json_t *bp_layer_spec_json(const bp_layer_spec *spec);

/* [{"type", "input", "output", "parameters", "tensors": [{"name", "shape"}]}] for layers that were
 * measured without an error. NULL: no memory. */
json_t *bp_layer_shapes_json(const bp_layer_spec *layers, size_t layer_count, bp_layer_input input);

#endif
