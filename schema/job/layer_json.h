/* Layers as documents. */
#ifndef BP_SCHEMA_JOB_LAYER_JSON_H
#define BP_SCHEMA_JOB_LAYER_JSON_H

#include <jansson.h>

#include "core/layer/layer.h"

/* {"type", hyperparameters…, "activation", "init"}: as in network.layers. NULL: no memory. */
json_t *bp_layer_spec_json(const bp_layer_spec *spec);

/* [{"type", "input", "output", "parameters", "tensors": [{"name", "shape"}]}] for layers that were
 * measured without an error. NULL: no memory. */
json_t *bp_layer_shapes_json(const bp_layer_spec *layers, size_t layer_count, size_t input_width);

#endif
