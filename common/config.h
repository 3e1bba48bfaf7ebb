/* Settings: one table (settings.c) feeds parsing, range checks, --help and the start-up dump. A flag wins
 * over its LAMBDA_* variable, which wins over the default. After config_load() it is a const struct config *
 * for everybody. */
#ifndef COMMON_CONFIG_H
#define COMMON_CONFIG_H

#include "common/err.h"
#include "common/kernel/fold.h"
#include "common/ranges.h"

/* Which program a setting is for; a bit set. */
enum config_program { CONFIG_BATCH = 1, CONFIG_SPEED = 2, CONFIG_SERVING = 4, CONFIG_ALL = 7 };

struct config {
	enum config_program program;
	const char *brokers; /* Kafka bootstrap servers */
	const char *topic;
	const char *name; /* prefixes Redis keys, consumer group and side topics */
	const char *postgres; /* libpq URI; may hold a password: log config_redacted() of it, never this */
	const char *redis; /* redis://[[user]:password@]host:port[/db], with the password of
			      redis_password_file */
	const char *redis_password_file; /* or "" */
	char *redis_whole; /* owned; what redis points to when the password is of a file; else NULL */
	const char *time_zone; /* IANA name, of the business day */
	const char *log_level;
	const char *kafka_config; /* file of librdkafka properties, or "" */
	char *kafka_text; /* owned; that file's content, or NULL */
	const char *
		*kafka_properties; /* NAME=VALUE, of that file and from -X, which come behind; n of them */
	size_t n_kafka_properties;

	/* rules: what can change a number (struct fold_rules) */
	int64_t horizon_records, horizon_ms, grace_ms, max_skew_ms;
	const char *late; /* "count" or "exclude" */
	const char *customers; /* "yes" or "no" */

	/* batch and speed */
	bool json; /* status for machines */
	int64_t rollback_keep_ms;
	const char *archive; /* ROOT of the archive, or "": there is none; speed: of Kappa mode */
	struct ranges accept_lost; /* owned; run or version go on although these offsets are gone */
	/* batch */
	int64_t memory_bytes; /* for the search for duplicates; beyond it spills to spill_dir */
	const char *spill_dir;
	int64_t readers; /* Kafka handles = threads; 0: one per core */
	int64_t seal_wait_ms; /* how long to wait for speed to reach the log's end */
	int64_t connect_wait_ms; /* how long a server may be away before the run gives up */
	bool allow_truncated_history;
	const char *source; /* "kafka" (the archive first, if there is one) or "archive" */
	int64_t archive_file_bytes; /* of lines, before compression; then the next file begins */
	int64_t max_change; /* percent; a run that changes more than this waits to be published by hand */
	bool dry_run; /* a run that changes nothing, and says what it would change */
	int64_t keep; /* runs that prune leaves */
	const char *replay_from; /* "" or a time, of replay */
	const char *keep_ids; /* "yes" or "no" */
	int64_t replay_base; /* 0: the newest run that fits */
	/* speed */
	int64_t flush_every_ms; /* at least this long between two flushes */
	int64_t pending_max; /* records held between two flushes, all partitions together */
	const char *store; /* "redis" or "postgres" */
	const char *version; /* of Kappa mode */
	const char *from; /* "nothing" or "beginning" */
	int64_t throttle; /* events per second; 0: no limit */
	/* serving */
	const char *view; /* "merged" or "kappa" */
	const char *listen; /* host:port */
	const char *auth_token_file; /* or "": no token is needed */
	const char *cors_origins; /* comma separated allow-list, or "*" */
	int64_t max_speed_age_ms; /* how long the last speed view is shown while speed cannot be asked */
	int64_t idle_ms; /* a partition without a record for this long does not hold the watermark back */
	int64_t request_ms; /* deadline of a request, from its first byte to the last of its answer */
	int64_t connections_max;

	int n_args; /* what is not a flag: the command and its arguments */
	char **args;
	struct calendar calendar; /* of time_zone; owned */
	struct fold_rules rules; /* made of the above */
};

/* Reads flags, environment and the files with secrets, checks every value, loads the time zone, starts the
 * log (log_init()). program_name  "lambda-batch" usage         what stands behind "usage: NAME ", and the
 * commands if there are any, for --help returns       0; 1 when --help or --version was asked and printed:
 * the caller ends with status 0; -1 with ERR_USAGE that names the setting, the value and what is allowed */
int config_load(struct config *config, enum config_program program, const char *program_name,
	const char *usage, int argc, char **argv, struct err *err);
void config_release(struct config *config);

/* info lines with every setting of the program, secrets left out */
void config_log(const struct config *config);

/* A URI or conninfo text without its passwords; what stands behind a password may be missing too. The caller
 * frees it. */
char *config_redacted(const char *uri);

/* The commit that this program was built from (git describe). */
extern const char build_id[];

#endif
