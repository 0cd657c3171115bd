#include "core/kernel/array_kernels.h"
#include "core/kernel/cell.h"
#include "core/kernel/cell_vector.h"
#include "core/kernel/vector_math.h"

enum { GATES = 4 };

void BP_VARIANT(bp_lstm_forward)(const bp_lstm_call *call, size_t first, size_t count)
{
    const size_t units = call->units;
    for (size_t row = first; row < first + count; row++) {
        bp_real *gates = (bp_real *)call->gates + row * GATES * units;
        const bp_real *c_before = (const bp_real *)call->c_before + row * units;
        bp_real *c_row = (bp_real *)call->c + row * units;
        bp_real *h_row = (bp_real *)call->h + row * units;
        bp_real *tanh_row = call->tanh_c ? (bp_real *)call->tanh_c + row * units : NULL;
        for (size_t j = 0; j < units; j += BP_VECTOR_COUNT) {
            const size_t left = units - j;
            bp_real *at = gates + j;
            const bp_vector i = bp_vector_sigmoid(bp_cell_load(at, left));
            const bp_vector f = bp_vector_sigmoid(bp_cell_load(at + units, left));
            const bp_vector g = bp_vector_tanh(bp_cell_load(at + 2 * units, left));
            const bp_vector o = bp_vector_sigmoid(bp_cell_load(at + 3 * units, left));
            const bp_vector c = bp_vector_fma(f, bp_cell_load(c_before + j, left), i * g);
            const bp_vector squashed = bp_vector_tanh(c);
            bp_cell_store(at, i, left);
            bp_cell_store(at + units, f, left);
            bp_cell_store(at + 2 * units, g, left);
            bp_cell_store(at + 3 * units, o, left);
            bp_cell_store(c_row + j, c, left);
            if (tanh_row)
                bp_cell_store(tanh_row + j, squashed, left);
            bp_cell_store(h_row + j, o * squashed, left);
        }
    }
}

void BP_VARIANT(bp_lstm_backward)(const bp_lstm_call *call, size_t first, size_t count)
{
    const size_t units = call->units;
    for (size_t row = first; row < first + count; row++) {
        bp_real *gates = (bp_real *)call->gates + row * GATES * units;
        const bp_real *c_before = (const bp_real *)call->c_before + row * units;
        const bp_real *tanh_row = (const bp_real *)call->tanh_c + row * units;
        const bp_real *dh_row = (const bp_real *)call->dh + row * units;
        bp_real *dc_row = (bp_real *)call->dc + row * units;
        for (size_t j = 0; j < units; j += BP_VECTOR_COUNT) {
            const size_t left = units - j;
            bp_real *at = gates + j;
            const bp_vector i = bp_cell_load(at, left), f = bp_cell_load(at + units, left);
            const bp_vector g = bp_cell_load(at + 2 * units, left);
            const bp_vector o = bp_cell_load(at + 3 * units, left);
            const bp_vector squashed = bp_cell_load(tanh_row + j, left);
            const bp_vector dh = bp_cell_load(dh_row + j, left);
            const bp_vector dc =
                bp_vector_fma(dh * o, bp_tanh_slope(squashed), bp_cell_load(dc_row + j, left));
            bp_cell_store(at, dc * g * bp_sigmoid_slope(i), left);
            bp_cell_store(at + units, dc * bp_cell_load(c_before + j, left) * bp_sigmoid_slope(f),
                          left);
            bp_cell_store(at + 2 * units, dc * i * bp_tanh_slope(g), left);
            bp_cell_store(at + 3 * units, dh * squashed * bp_sigmoid_slope(o), left);
            bp_cell_store(dc_row + j, dc * f, left);
        }
    }
}
