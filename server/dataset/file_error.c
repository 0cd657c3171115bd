#include "server/dataset/file_error.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

bp_status bp_file_error(bp_error *error, int error_number, const char *doing)
{
    char text[128];
    const bool full = error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
    return bp_error_set(error, full ? BP_STORAGE_FULL : BP_INPUT_OUTPUT, NULL, "cannot %s: %s",
                        doing, strerror_r(error_number, text, sizeof text));
}
