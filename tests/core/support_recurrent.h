/* What the tests of recurrent layers share: networks with each cell under each form of dropout. */
#ifndef BP_TESTS_CORE_SUPPORT_RECURRENT_H
#define BP_TESTS_CORE_SUPPORT_RECURRENT_H

#include "core/check/gradient_check.h"
#include "core/dropout/dropout.h"
#include "tests/core/support_network.h"

enum {
    RECURRENT_STREAMS = 3,
    RECURRENT_STEPS = 4,
    RECURRENT_ROWS = RECURRENT_STREAMS * RECURRENT_STEPS,
    RECURRENT_IN = 4,
    RECURRENT_OUT = 3,
    RECURRENT_DEPTH_LIMIT = 2, /* stacked cells */
    RECURRENT_LAYERS = RECURRENT_DEPTH_LIMIT + 2,
};

/* Cells: rnn with tanh and with relu, gru, lstm. */
enum { RECURRENT_CELLS = 4 };
bp_layer_spec support_recurrent(size_t cell, size_t units);
const char *support_recurrent_name(size_t cell);

/* Forms: none, standard (units of each row), and what is the same at all steps: units of both, of the
 * input, of the state, connections of both, of the state, a dropout layer; and a dropout layer with a
 * mask for each row. */
enum { RECURRENT_FORMS = 9 };
const char *support_recurrent_form(size_t form);

/* `depth` layers of the cell, the form on each (or a dropout layer below), under a dense one. Returns
 * how many layers. */
size_t support_recurrent_network(bp_layer_spec layers[RECURRENT_LAYERS], size_t cell, size_t depth,
                                 size_t form);

/* The sizes above. */
bp_network_spec support_recurrent_spec(const bp_layer_spec *layers, size_t count, const char *loss);

/* Sums over tensors of a fourth-order check, from a state that is not zero; prints the worst of a
 * tensor that fails. */
bp_check_report support_recurrent_check(const bp_layer_spec *layers, size_t count, const char *loss,
                                        bp_noise noise, bool print);

#endif
