/* A fact: what a run keeps of a valid event until it is known which event of its id counts. A few dozen bytes
 * instead of the record: the id's hash, the place in the log, and what the sums need; skus as numbers of the
 * reader's dictionary. Pure. */
#ifndef BATCH_FACTS_H
#define BATCH_FACTS_H

#include "common/kernel/event.h"
#include "common/kernel/horizon.h"

enum fact_flag {
	FACT_BELOW_BASE = 1, /* the base run covers it */
	FACT_SPEED = 2, /* not below the base's cut, and counted by speed's rules */
	FACT_LATE = 4,
	FACT_EXCLUDED = 8, /* not below the base's cut, and left out by speed's rules because it is late */
	FACT_KNOWN = 16, /* below the cut of the run that is replayed, which has counted its id */
};

struct fact {
	struct event_id_hash id;
	int32_t partition;
	unsigned flags;
	int64_t offset, record_ms;
	int64_t late_ms; /* of fold_record(); 0 without FACT_LATE */
};

/* An upper bound of the event's encoded size. */
size_t fact_size_max(const struct event *event);

/* Writes at most fact_size_max() bytes; returns how many. skus: a number per line. */
size_t fact_encode(
	unsigned char *at, const struct fact *fact, const struct event *event, const uint32_t *skus);

/* Reads the fact at `at`; *ret_body is for fact_event(). Returns where the next one begins. The bytes are our
 * own. */
const unsigned char *fact_decode(
	const unsigned char *at, struct fact *ret_fact, const unsigned char **ret_body);

/* The event as far as sums need it: time cut to the minute, the customer (borrowed from the body), lines with
 * quantity and price, their skus as numbers. event->lines and skus: room for EVENT_LINES_MAX. */
void fact_event(const unsigned char *body, struct event *event, uint32_t *skus);

#endif
