/* An array sink that keeps all it gets. */
#ifndef BP_TESTS_SUPPORT_ARRAY_RECORDER_H
#define BP_TESTS_SUPPORT_ARRAY_RECORDER_H

#include "server/dataset/parser_sink.h"

typedef struct array_recorder {
    bp_array_layout layout;
    unsigned char bytes[4096]; /* of all elements */
    size_t element_count, layout_count;
} array_recorder;

bp_array_sink array_recorder_sink(array_recorder *recorder);

#endif
