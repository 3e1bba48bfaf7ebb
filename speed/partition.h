/* One partition in the hands of this worker: folds records into pending values, and knows how far
 * they are kept. Decides; does no I/O (messages and commands come and go through the callers). One thread. */
#ifndef SPEED_PARTITION_H
#define SPEED_PARTITION_H

#include "common/kafka.h"
#include "speed/archived.h"
#include "speed/values.h"

enum partition_state {
	PARTITION_AWAY, /* not ours */
	PARTITION_WAITING, /* ours; the recovery path comes first */
	PARTITION_WARMING, /* reads the horizon behind its start again */
	PARTITION_FOLDING,
};

/* A record of the log, of Kafka or of the archive. */
struct record {
	int64_t offset, timestamp_ms;
	struct text key, value; /* at == NULL: null */
	rd_kafka_message_t *message; /* that all of it belongs to; NULL: all lives until the next record */
};

struct partition {
	int number;
	enum partition_state state;
	char base[REDIS_BASE_MAX];

	struct fold fold;
	bool has_fold; /* the horizon's memory is there */
	struct values pending;
	int64_t n_pending; /* records */
	int64_t next; /* everything below is kept; -1: not known */
	int64_t position; /* everything below is kept, on the way there, or pending */
	int64_t sent; /* the new next of the flush on its way; 0: none */
	uint64_t life; /* raised when pending is dropped: replies to an older life do not matter */
	struct tail tail; /* of the last record below position */
	rd_kafka_message_t *last; /* owned; the message that the tail must still be taken from, or NULL */
	int64_t lost_from, lost_to; /* pending: what retention took */

	int64_t oldest_ms,
		sent_oldest_ms; /* record timestamp of the oldest pending or sent record, or DATETIME_NONE */
	int64_t arrived_ms; /* wall clock of the last arrival, or DATETIME_NONE */
	int64_t end; /* of the log, as far as known */
	bool at_end; /* the end-of-partition event came at `position` */
	int64_t fetched_end; /* `end` as the last answer to a fetch told it, at the last tick */
	int64_t held; /* offsets that an open transaction holds back behind `position`, as far as known */
	int64_t held_at, held_ms; /* the log goes on behind this position, since (wall clock, or
				     DATETIME_NONE) */
	uint64_t held_drained; /* speed->n_drained then */

	struct archived archived;
	int64_t warm_from, warm_at; /* while warming: where it began, how far it is */
	int64_t retry_ms; /* waiting: not before (monotonic) */
	struct redis_state known; /* as it was kept when we asked last */
	bool foreign; /* other functions than ours have written the state in Redis: it must go */
	int n_stale; /* so often in a row, Postgres had an older publication than Redis has seen */
	int64_t customers_hour; /* Kappa mode: orders by customer before it are gone; INT64_MIN: not known */
	int64_t n_letters; /* letters that are not acknowledged yet */
	bool letters_failed; /* one of them cannot be delivered */
};

struct partition *partition_new(const struct config *config, int number);
void partition_free(struct partition *partition);

/* Forgets what is pending: the state that is kept decides where it goes on. */
void partition_drop(struct partition *partition);
/* Gives the horizon's memory back as well. */
void partition_forget(struct partition *partition);

/* Goes on at the open generation's next, with the state in partition->known; first: the log's first offset.
 * Sets next, position and what is lost. Returns true when the horizon's memory serves: then it folds, or
 * reads what is missing between the memory's end and the position (a run has cut ahead of what was read).
 * False: the horizon must be read from *ret_from_ms (record time) on, partition_warm() says where. */
bool partition_resume(
	struct partition *partition, const struct config *config, int64_t first, int64_t *ret_from_ms);
/* The horizon is read from offset `from` on; partition_resume() said so. */
void partition_warm(struct partition *partition, int64_t from);

enum partition_result {
	PARTITION_TAKEN, /* folded; a message is kept: the partition destroys it */
	PARTITION_IGNORED, /* not for us: the caller destroys the message */
};

/* Of a record that was taken: what must go to a topic for letters now. */
struct partition_letter {
	enum event_reject reject; /* EVENT_OK: none */
	int64_t late_ms; /* 0: not late */
};

/* The next record; wall_ms as of values_add(). ERR_DATA on overflow: -1. */
int partition_record(struct partition *partition, struct event_parser *parser, const struct record *record,
	int64_t wall_ms, struct partition_letter *ret_letter, struct err *err);
/* No record stands between the last one and `offset`. */
void partition_skip(struct partition *partition, int64_t offset);
/* The offset that is read next; of one that warms or folds. */
int64_t partition_reads_at(const struct partition *partition);
/* The end-of-partition event at `offset`. */
void partition_end(struct partition *partition, int64_t offset);
/* Retention took [position, first): goes on at first. False when that cannot be added to what is pending. */
bool partition_lose(struct partition *partition, int64_t first);

/* It holds so many sums or texts that a flush would take long: no more before the next one. */
bool partition_is_full(const struct partition *partition, size_t sums_max);
/* Is there something to flush, and may it be? */
bool partition_is_dirty(const struct partition *partition);
/* What the flush of all that is pending (partition->pending) is about. */
void partition_flush(struct partition *partition, const char *fold, struct redis_flush *ret_flush);
/* It has been built: it is on its way now, and nothing is pending. */
void partition_sent(struct partition *partition);
/* It has been taken. */
void partition_flushed(struct partition *partition);

/* Everything of the log that we know of is kept. */
bool partition_is_current(const struct partition *partition);
int64_t partition_lag(const struct partition *partition);
/* The record timestamp of the oldest record that is not kept yet, as far as known, or DATETIME_NONE. */
int64_t partition_waiting_ms(const struct partition *partition);

#endif
