/* The dense layer's hyperparameters. */
#ifndef BP_CORE_LAYER_DENSE_H
#define BP_CORE_LAYER_DENSE_H

enum { BP_DENSE_UNITS, BP_DENSE_BIAS, BP_DENSE_TIED };

#endif
