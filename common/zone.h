/* Builds a calendar from the system's time zone database, through the C library. */
#ifndef COMMON_ZONE_H
#define COMMON_ZONE_H

#include "common/err.h"
#include "common/kernel/calendar.h"

/* zone  an IANA name such as "Europe/London"; a name that the database does not have is ERR_USAGE
 * Takes some ten milliseconds. Sets TZ for the process: call it once, before the first thread. A local
 * midnight that a clock change skips is the first instant of that day; of one that comes twice the first
 * counts. */
MUST_USE int zone_load(const char *zone, struct calendar *ret_calendar, struct err *err);

#endif
