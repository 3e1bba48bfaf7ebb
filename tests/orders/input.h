/* A file read whole, decompressed if it is zstd (by its content, not its name). */
#ifndef ORDERS_INPUT_H
#define ORDERS_INPUT_H

#include "common/err.h"
#include "tests/orders/text.h"

/* file "-" is standard input. At most 4 GiB of text. ERR_NO_INPUT: it cannot be opened; ERR_DATA: broken
 * zstd, too long. */
MUST_USE int input_read(const char *file, struct text *ret, struct err *err);

#endif
