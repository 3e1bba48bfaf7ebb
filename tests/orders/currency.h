/* Active currencies of ISO 4217 with their decimals; the tool's own list, so that it shares no error with the
 * kernel. */
#ifndef ORDERS_CURRENCY_H
#define ORDERS_CURRENCY_H

#include "common/base.h"

/* Decimals of the currency of three letters at `code`, or -1 if there is none. */
int currency_decimals(const char *code);

#endif
