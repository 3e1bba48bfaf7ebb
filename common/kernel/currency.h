/* The currencies of ISO 4217 (active list; no funds, no metals). A currency is a small number here, its place
 * in the alphabetical list: stable within a build, never stored outside the process. Pure; any thread. */
#ifndef COMMON_KERNEL_CURRENCY_H
#define COMMON_KERNEL_CURRENCY_H

#include "common/kernel/text.h"

/* -1: not in the list */
int currency_find(struct text code);
int currency_count(void);
const char *currency_code(int currency); /* three letters, terminated */
unsigned currency_decimals(int currency); /* of its minor unit: JPY 0, GBP 2, KWD 3, CLP 0 */

#endif
