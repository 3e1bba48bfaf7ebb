/* Sees to it that the log is still the one that it was, in a thread of its own. librdkafka 2.0 knows no ids
 * of topics: one that is deleted, created again and filled past our position is read on as if nothing had
 * happened. So every WATCH_EVERY_MS a record that had been read before is read once more. The one that is
 * looked for next is always one that was known before the last look found the log unchanged; so it is of the
 * old log, whatever has been read since.
 *
 * What it cannot see: a partition that had no record yet; one of which retention took the record meanwhile
 * (the next one is then taken on trust); a log that is shorter (the consumer notices that). */
#ifndef SPEED_WATCH_H
#define SPEED_WATCH_H

#include "common/config.h"
#include "common/tail.h"

enum { WATCH_EVERY_MS = 2000 };

struct watch;

/* Starts the thread. config is borrowed until watch_stop() has returned true. */
struct watch *watch_start(const struct config *config);

/* The last record below the partition's position, of whoever reads it. Further back than before: it started
 * again there. NULL: it is somebody else's. */
void watch_tail(struct watch *watch, int partition, const struct tail *tail);

/* Is it another log than the one that was read, in any partition? *err then says so (ERR_DATA), else it stays
 * as it is. */
bool watch_differs(struct watch *watch, struct err *err);

/* Is another look at what is known over, since *look was 0? True at once where nothing is known. */
MUST_USE bool watch_is_over(struct watch *watch, uint64_t *look);

/* Ends the thread and frees everything; false: as ticker_stop(). Accepts NULL. */
bool watch_stop(struct watch *watch);

#endif
