/* What recurrent layers share: tensors, room, and passes through time, step by step, around a cell.
 *
 *   weight_ih [G·H, in], weight_hh [G·H, H], bias_ih and bias_hh [G·H], G gates in PyTorch's order
 *   forward   P_x = X W_ihᵀ + b_ih for all steps in one product; step by step P_h = h_before W_hhᵀ +
 *             b_hh, added to P_x unless the cell wants it apart, and the cell makes h of them
 *   backward  from the last step to the first the cell turns dJ/dh into Δ, of P; dJ/dh_before = Δ_h
 *             W_hh; then ∇W_ih = Δ_xᵀ X, ∇W_hh = Δ_hᵀ H_before, ∇b = Σ Δ over all steps at once, dX =
 *             Δ_x W_ih. Nothing goes back into the state that the pass began from.
 * Source: Werbos 1990, Backpropagation through time; Williams & Peng 1990 for its truncation. */
#ifndef BP_CORE_LAYER_RECURRENT_H
#define BP_CORE_LAYER_RECURRENT_H

#include "core/layer/layer.h"

/* The one hyperparameter. */
enum { BP_RECURRENT_UNITS };

/* One step of a pass, (S, …) each; arrays that the cell does not use are NULL. */
typedef struct bp_cell_step {
    const bp_layer *layer;
    const bp_pass *pass;
    size_t streams;       /* S */
    void *gates;          /* (S, G·H) P, or P_x where the cell wants P_h apart */
    void *state_part;     /* (S, G·H) P_h where it is apart */
    const void *h_before; /* (S, H), unmasked */
    void *h;              /* (S, H) */
    const void *c_before;
    void *c, *tanh_c;
    void *delta; /* (S, H) dJ/dh, complete */
    void *
        delta_before; /* (S, H) of the step before, for what goes past its product; NULL at first */
    void *carry;      /* (S, H) dJ/dc from the step after */
} bp_cell_step;

typedef struct bp_cell {
    size_t gate_count; /* G */
    bool keeps_c;      /* carries c beside h */
    bool parts_state;  /* P_h apart from P_x */
    /* After the products of a step: writes h, and c. NULL: h = f(P), f the layer's activation, fused
     * into the product; gates are then the layer's z. */
    void (*forward)(const bp_cell_step *step);
    /* gates, and state_part, become Δ. */
    void (*backward)(const bp_cell_step *step);
} bp_cell;

/* What bp_layer_type wants, for records that have a cell. */
bp_status bp_recurrent_plan(bp_layer_shape *shape, const bp_layer_spec *spec,
                            const bp_layer_input *input, bp_error *error);
bool bp_recurrent_measure(size_t *packed_bytes, size_t *scratch_bytes, const bp_layer *layer,
                          const bp_kernels *kernels);
void bp_recurrent_initialize(bp_layer *layer, const bp_kernels *kernels, uint64_t seed,
                             void *scratch);
void bp_recurrent_forward(bp_layer *layer, const bp_pass *pass);
void bp_recurrent_backward(bp_layer *layer, const bp_pass *pass, void *dx);

/* Hands the streams of a step to rows(argument, first, count), in blocks where they are many. */
void bp_recurrent_rows(const bp_cell_step *step,
                       void (*rows)(const void *argument, size_t first, size_t count),
                       const void *argument);

#endif
