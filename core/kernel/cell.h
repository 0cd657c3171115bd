/* The elementwise parts of recurrent cells, fused: what lies between the products of one time step, for
 * rows of streams. Rows are independent of each other, so any split gives the same bits. Arrays are of
 * the kernel table's width, row-major, `units` (H) wide unless said otherwise; arrays of one call do
 * not overlap, but for what is said to. Nothing is allocated; any thread.
 *
 * Letters as in PyTorch: i input, f forget, g candidate, o output gate, c cell, h output (LSTM); r
 * reset, z update, n candidate (GRU); σ the logistic function, ∘ the elementwise product.
 * Sources: Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000; Cho et al. 2014. */
#ifndef BP_CORE_KERNEL_CELL_H
#define BP_CORE_KERNEL_CELL_H

#include <stddef.h>

/* One step of an LSTM: c = f∘c_before + i∘g, h = o∘tanh(c). */
typedef struct bp_lstm_call {
    size_t units;
    /* (rows, 4H), blocks i f g o. Forward: in, what goes into σ and tanh; out, their values.
     * Backward: in, the values; out, dJ/d(what went in). */
    void *gates;
    const void *c_before;
    void *c;        /* forward: out; may be c_before */
    void *tanh_c;   /* forward: out, NULL where no backward follows; backward: in */
    void *h;        /* forward: out */
    const void *dh; /* backward: dJ/dh */
    void *dc;       /* backward: in, dJ/dc from the step after; out, dJ/dc_before */
} bp_lstm_call;

/* One step of a GRU: r = σ(x_r + s_r), z = σ(x_z + s_z), n = tanh(x_n + r∘s_n),
 * h = (1 − z)∘n + z∘h_before. */
typedef struct bp_gru_call {
    size_t units;
    /* (rows, 3H), blocks r z n. Forward: in, x; out, the values r z n. Backward: in, the values; out,
     * dJ/dx. */
    void *gates;
    /* (rows, 3H). Forward: in, s, whose block n backward wants to see again. Backward: out, dJ/ds. */
    void *state_part;
    const void *h_before;
    void *h;         /* forward: out */
    const void *dh;  /* backward: dJ/dh */
    void *dh_before; /* backward: gets z∘dh added; NULL: nobody wants it */
} bp_gru_call;

#endif
