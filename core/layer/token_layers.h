/* The layers that a network over tokens begins with: embedding, and window where a row is more than one
 * token. They come in either order: the vectors of a window's tokens, on end. */
#ifndef BP_CORE_LAYER_TOKEN_LAYERS_H
#define BP_CORE_LAYER_TOKEN_LAYERS_H

#include "core/layer/layer.h"

/* Hyperparameters. */
enum { BP_EMBEDDING_DIMENSION, BP_EMBEDDING_TRAINABLE, BP_EMBEDDING_SPARSE };
enum { BP_WINDOW_WIDTH };

/* The one tensor of an embedding, (tokens, dimension). */
enum { BP_EMBEDDING_WEIGHT };

#endif
