/* Bytes of one element in a column file. */
#ifndef BP_SERVER_DATASET_ELEMENT_SIZE_H
#define BP_SERVER_DATASET_ELEMENT_SIZE_H

#include "schema/dataset/dataset_info.h"

static inline size_t bp_element_size(bp_element element)
{
    switch (element) {
    case BP_ELEMENT_UINT8:
    case BP_ELEMENT_INT8:
        return 1;
    case BP_ELEMENT_INT16:
        return 2;
    case BP_ELEMENT_INT32:
    case BP_ELEMENT_FLOAT32:
    case BP_ELEMENT_CATEGORY:
        return 4;
    case BP_ELEMENT_INT64:
    case BP_ELEMENT_FLOAT64:
        return 8;
    }
    return 0;
}

#endif
