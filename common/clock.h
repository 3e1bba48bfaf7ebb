/* The two clocks, in milliseconds. Any thread. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include "common/base.h"

/* For deadlines and durations: only differences mean something, nobody sets it. */
int64_t clock_ms(void);
/* Since 1970, as the machine believes. */
int64_t clock_wall_ms(void);
/* A signal ends it early. */
void clock_sleep_ms(int64_t ms);

#endif
