/* What a file is, by its beginning. Files say it themselves only where they are IDX or NPY; tables, texts
 * and tagged sentences differ by habit, and whoever knows better says so with ?format=.
 *
 * A UTF-8 byte order mark is passed over. In this order:
 *   NPY   begins with its magic bytes
 *   IDX   begins with two zero bytes
 *   CoNLL every line is empty, a comment or as many columns as the others, at least two, and either the
 *         last of each looks like a chunk's tag (O, B-person), or they stand between tabs and empty lines
 *         stand between them
 *   vectors  lines of a word and as many numbers each, at least two, between blanks; not all words are numbers
 *         themselves. A first line of two numbers does not count
 *   text  the first line holds none of , ; tab and |, and it is the only one or some line has several
 *         words; or the delimiters of the first line are all punctuation (blanks follow them) between long
 *         phrases, or between phrases where the lines hold unequal numbers of them
 *   CSV   everything else */
#ifndef BP_SERVER_UPLOAD_FORMAT_GUESS_H
#define BP_SERVER_UPLOAD_FORMAT_GUESS_H

#include <stdbool.h>

#include "server/dataset/datasets.h"

enum { BP_GUESS_BYTES = 64 * 1024 }; /* that are enough */

/* whole: the bytes are all of the file; otherwise the last line is taken for cut. Never BP_FORMAT_AUTO.
 * Allocates nothing. */
bp_dataset_format bp_format_guess(const char *bytes, size_t count, bool whole);

/* Whether the bytes begin like an IDX or NPY file: its format, else BP_FORMAT_AUTO. */
bp_dataset_format bp_format_of_array(const char *bytes, size_t count);

/* "csv", as ?format= has it. */
const char *bp_format_name(bp_dataset_format format);

#endif
