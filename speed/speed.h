/* lambda-speed: one worker. The parts, and who calls whom:
 *
 *   main.c        start and end
 *   speed.c       the loop and its turns
 *   consumer.c    Kafka: assignment, messages, where to read next
 *   archived.c    the archive, before Kafka (Kappa mode)
 *   recovery.c    the one path back: published run, adopt, state, log, horizon
 *   flush.c       what is added when, and what the replies mean
 *   keep_redis.c, keep_postgres.c   where values are kept: the speed view, or a version of Kappa mode
 *   progress.c    heartbeats, log lines, offsets for lag tools
 *   partition.c, values.c   what one partition has pending (no I/O)
 *   store.c, published.c, letters.c   Redis, what is published, the topics for broken and late records
 *   watch.c       is it still the same log?
 *   commands.c    status, promote, rollback and prune of Kappa mode
 *
 * One thread, but for those that ask Postgres (published.c) and Kafka (watch.c), by ticker.c. Whatever goes
 * wrong, pending records are dropped and the state that is kept says where to go on: nothing is counted twice
 * or lost (docs/speed.md). */
#ifndef SPEED_SPEED_H
#define SPEED_SPEED_H

#include "speed/complaint.h"
#include "speed/keep.h"
#include "speed/keep_postgres.h"
#include "speed/letters.h"
#include "speed/partition.h"
#include "speed/published.h"
#include "speed/store.h"
#include "speed/throttle.h"
#include "speed/watch.h"

#include <signal.h>

enum {
	SPEED_TICK_MS = 1000, /* adopt and heartbeat */
	SPEED_RETRY_MS = 1000, /* between two tries of a partition, or to connect to Redis */
	SPEED_ASK_MS = 5000, /* for one question to Kafka */
	SPEED_STOP_MS = 4500, /* from SIGTERM to the end, at most */
	SPEED_CATCH_UP_MS =
		250, /* between two flushes while far behind: larger ones cost Redis less per event */
};

struct progress {
	bool catching_up;
	int64_t since_ms; /* monotonic: when it began */
	int64_t said_ms; /* the last line */
	int64_t n_records, n_warmed; /* since then */
	int64_t said_records; /* n_records at the last line */
	int64_t behind_ms; /* since when it is not current, or 0 */
};

struct speed {
	struct config config;
	char fold[FOLD_VERSION_MAX];
	char worker[128];
	rd_kafka_t *rk; /* the consumer */
	rd_kafka_queue_t *queue; /* of rk */
	int queue_fd; /* readable when the queue has something; -1: not made yet */
	struct kafka_log log;
	struct event_parser *parser;
	struct published *published;
	struct watch *watch;
	struct letters letters;
	const struct keep *keep;
	struct store store; /* of keep_redis */
	struct kappa_keep *kappa; /* of keep_postgres; NULL until it was opened first */
	struct partition **partitions; /* by number; NULL: never had it */
	int n_partitions;
	int64_t n_pending; /* records, over all partitions */
	bool is_full; /* reading waits for a flush */
	bool is_member; /* the group has given us partitions */
	bool must_assign; /* where to read has changed */
	int64_t wall_ms; /* wall clock of this turn */
	uint64_t n_drained; /* so often, nothing was left of what Kafka's client had fetched */
	int64_t flushed_ms, tick_ms, commit_ms, connect_ms,
		alive_ms; /* monotonic: when last, or not before */
	int64_t alive_every_ms; /* how often the service manager wants to hear of us; 0: never */
	int archived_turn; /* the partition whose files were read last */
	int asked_end; /* the partition whose log's end is asked for next */
	struct progress progress;
	struct throttle throttle;
	struct complaint no_keep, no_postgres, no_kafka, no_topic, no_letter, no_archive, stale;
	struct err fatal; /* set: the program ends with it */
};

extern volatile sig_atomic_t speed_stop; /* SIGTERM or SIGINT came */

/* speed.c */
MUST_USE int speed_open(struct speed *speed, struct err *err);
MUST_USE int speed_run(struct speed *speed, struct err *err);
void speed_close(struct speed *speed); /* accepts a half-open one */

/* consumer.c */
MUST_USE int consumer_open(struct speed *speed, struct err *err);
/* Waits until the topic and its brokers are there; complains; 0 also when stopped. */
MUST_USE int consumer_find_topic(struct speed *speed, struct err *err);
MUST_USE int consumer_subscribe(struct speed *speed, struct err *err);
/* Takes messages for some milliseconds. Returns true when the queue is empty. */
bool consumer_take(struct speed *speed);
/* Folds one record of whatever source. True when it took record->message over. */
bool consumer_record(struct speed *speed, struct partition *p, const struct record *record);
/* No more records now: a flush comes first, or the throttle, or the end. */
bool consumer_must_rest(const struct speed *speed);
/* Reads what speed->must_assign asks for: all that fold or warm, each from where it is, but for those that
 * read the archive. */
void consumer_assign(struct speed *speed);
void consumer_commit(struct speed *speed);
void consumer_close(struct speed *speed);

/* recovery.c */
/* The partition drops what is pending and waits for the recovery path; not before wait_ms are over. */
void recovery_need(struct speed *speed, struct partition *partition, int64_t wait_ms);
/* Tries for all that wait and are due. */
void recovery_turn(struct speed *speed);
/* Once a second: the program ends when the log is another one than that which was read (speed->fatal). */
void recovery_watch(struct speed *speed);
/* Before the program ends for speed->fatal: was another log read on? It may be one partition's way back that
 * has found it, so what is known of the others is looked at once more. What was flushed is then removed.
 * Blocks, some seconds at most; SIGTERM ends the look. */
void recovery_last_look(struct speed *speed);
/* `what` is of this log, and `fold` not of a newer program: else ERR_DATA. "": not known. */
MUST_USE int recovery_check_origin(
	const struct speed *speed, const char *what, const char *log, const char *fold, struct err *err);

/* flush.c */
void flush_turn(struct speed *speed); /* sends a flush if one is due */
bool flush_waits_for_letters(const struct speed *speed);
void flush_lost_keep(struct speed *speed, const struct err *err); /* closes it; everything recovers */
/* The reply to a partition's flush: it was taken; or refused, because the place is at `next`; or it failed.
 */
void flush_done(struct partition *p);
void flush_refused(struct speed *speed, struct partition *p, const char *reason, int64_t next);
void flush_failed(struct speed *speed, struct partition *p, const struct err *err);

/* progress.c */
void progress_tick(struct speed *speed); /* once a second: heartbeat, commit, and what else is due */
bool progress_is_ours(const struct partition *p);
void progress_beat(const struct speed *speed, const struct partition *p, struct redis_beat *ret_beat);
void progress_turn(struct speed *speed); /* log lines */
void progress_catch_up(struct speed *speed); /* from now on until all is current */

#endif
