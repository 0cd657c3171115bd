#include "core/kernel/array_kernels.h"
#include "core/kernel/cell.h"
#include "core/kernel/cell_vector.h"
#include "core/kernel/vector_math.h"

enum { GATES = 3 };

void BP_VARIANT(bp_gru_forward)(const bp_gru_call *call, size_t first, size_t count)
{
    const size_t units = call->units;
    for (size_t row = first; row < first + count; row++) {
        bp_real *gates = (bp_real *)call->gates + row * GATES * units;
        const bp_real *state_part = (const bp_real *)call->state_part + row * GATES * units;
        const bp_real *h_before = (const bp_real *)call->h_before + row * units;
        bp_real *h_row = (bp_real *)call->h + row * units;
        for (size_t j = 0; j < units; j += BP_VECTOR_COUNT) {
            const size_t left = units - j;
            bp_real *at = gates + j;
            const bp_real *s = state_part + j;
            const bp_vector r = bp_vector_sigmoid(bp_cell_load(at, left) + bp_cell_load(s, left));
            const bp_vector z =
                bp_vector_sigmoid(bp_cell_load(at + units, left) + bp_cell_load(s + units, left));
            const bp_vector n = bp_vector_tanh(bp_vector_fma(r, bp_cell_load(s + 2 * units, left),
                                                             bp_cell_load(at + 2 * units, left)));
            bp_cell_store(at, r, left);
            bp_cell_store(at + units, z, left);
            bp_cell_store(at + 2 * units, n, left);
            const bp_vector before = bp_cell_load(h_before + j, left);
            bp_cell_store(h_row + j, bp_vector_fma(z, before, (1 - z) * n), left);
        }
    }
}

void BP_VARIANT(bp_gru_backward)(const bp_gru_call *call, size_t first, size_t count)
{
    const size_t units = call->units;
    for (size_t row = first; row < first + count; row++) {
        bp_real *gates = (bp_real *)call->gates + row * GATES * units;
        bp_real *state_part = (bp_real *)call->state_part + row * GATES * units;
        const bp_real *h_before = (const bp_real *)call->h_before + row * units;
        const bp_real *dh_row = (const bp_real *)call->dh + row * units;
        bp_real *dh_before = call->dh_before ? (bp_real *)call->dh_before + row * units : NULL;
        for (size_t j = 0; j < units; j += BP_VECTOR_COUNT) {
            const size_t left = units - j;
            bp_real *at = gates + j, *s = state_part + j;
            const bp_vector r = bp_cell_load(at, left), z = bp_cell_load(at + units, left);
            const bp_vector n = bp_cell_load(at + 2 * units, left);
            const bp_vector dh = bp_cell_load(dh_row + j, left);
            const bp_vector before = bp_cell_load(h_before + j, left);
            const bp_vector dn = dh * (1 - z) * bp_tanh_slope(n);
            const bp_vector dz = dh * (before - n) * bp_sigmoid_slope(z);
            const bp_vector dr = dn * bp_cell_load(s + 2 * units, left) * bp_sigmoid_slope(r);
            bp_cell_store(at, dr, left);
            bp_cell_store(at + units, dz, left);
            bp_cell_store(at + 2 * units, dn, left);
            bp_cell_store(s, dr, left);
            bp_cell_store(s + units, dz, left);
            bp_cell_store(s + 2 * units, dn * r, left);
            if (dh_before)
                bp_cell_store(dh_before + j,
                              bp_vector_fma(dh, z, bp_cell_load(dh_before + j, left)), left);
        }
    }
}
