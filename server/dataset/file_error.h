/* errno of a file operation as an error. */
#ifndef BP_SERVER_DATASET_FILE_ERROR_H
#define BP_SERVER_DATASET_FILE_ERROR_H

#include "core/base/error.h"

/* BP_STORAGE_FULL for a full disk or quota, else BP_INPUT_OUTPUT. doing: "write a column file". */
bp_status bp_file_error(bp_error *error, int error_number, const char *doing);

#endif
