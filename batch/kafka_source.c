/* One librdkafka handle and one queue for all its partitions, drained by callback (the fastest of its
 * interfaces). A partition is done when its position, the next record's offset or that of the
 * end-of-partition event, has reached the cut: transaction markers take offsets but never come. Failure
 * modes:
 * - brokers away: librdkafka reconnects; when nothing came for connect_wait, ERR_KAFKA
 * - retention was faster: the fetch is out of range, ERR_DATA (auto.offset.reset=error, so nothing is skipped
 *   in silence)
 * - topic deleted: ERR_DATA
 * - not permitted, leader lost, any other error: debug only, for librdkafka tries again; the last one is told
 *   when nothing came for connect_wait */
#include "common/base.h"
#include "batch/kafka_source.h"

#include "batch/batch.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/mem.h"

enum { SOURCE_POLL_MS = 100 };

struct kafka_source {
	const struct config *config;
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	rd_kafka_queue_t *queue;
	struct part **parts;
	bool *started;
	int n_parts;
	record_fn *on_record;
	void *arg;
	int64_t heard_ms; /* when a record or an end came last */
	bool heard; /* ... in this turn */
	char trouble[256]; /* what librdkafka said last */
	int failed;
	struct err *err;
};

static int source_open(struct kafka_source *source, struct err *err)
{
	const struct config *config = source->config;
	rd_kafka_conf_t *conf;

	if (kafka_conf(config, RD_KAFKA_CONSUMER, &conf, err))
		return -1;
	kafka_conf_set(conf, config, "enable.partition.eof", "true");
	kafka_conf_set(conf, config, "auto.offset.reset", "error");
	/* throughput; what waits in a handle is bounded per partition */
	kafka_conf_set(conf, config, "fetch.message.max.bytes", "4194304");
	kafka_conf_set(conf, config, "queued.max.messages.kbytes", "16384");
	kafka_conf_set(conf, config, "queued.min.messages", "200000");
	if (kafka_open(&source->rk, RD_KAFKA_CONSUMER, conf, err))
		return -1;
	source->topic = rd_kafka_topic_new(source->rk, config->topic, NULL);
	if (!source->topic)
		return err_set(err, ERR_KAFKA, "cannot open topic '%s': %s", config->topic,
			rd_kafka_err2str(rd_kafka_last_error()));
	source->queue = rd_kafka_queue_new(source->rk);
	return 0;
}

static void source_stop(struct kafka_source *source, int i)
{
	if (source->started[i])
		rd_kafka_consume_stop(source->topic, source->parts[i]->partition);
	source->started[i] = false;
}

static void source_close(struct kafka_source *source)
{
	for (int i = 0; i < source->n_parts; i++)
		source_stop(source, i);
	free(source->started);
	if (source->queue)
		rd_kafka_queue_destroy(source->queue);
	if (source->topic)
		rd_kafka_topic_destroy(source->topic);
	kafka_close(&source->rk);
}

static struct part *source_part(struct kafka_source *source, int32_t partition)
{
	for (int i = 0; i < source->n_parts; i++)
		if (source->parts[i]->partition == partition)
			return source->parts[i];
	return NULL;
}

static void source_on_error(struct kafka_source *source, const rd_kafka_message_t *message)
{
	const char *topic = source->config->topic;

	switch (message->err) {
	case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
	case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
		source->failed = err_set(source->err, ERR_DATA,
			"%s/%d lost records while they were to be read: '%s'; "
			"hint: retention is shorter than a run takes; set retention.ms=-1 on the topic",
			topic, (int)message->partition, rd_kafka_message_errstr(message));
		break;
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		source->failed =
			err_set(source->err, ERR_DATA, "topic '%s' went away while it was read", topic);
		break;
	default: /* librdkafka goes on by itself, or else nothing comes any more: then source_silent() tells
		  */
		snprintf(
			source->trouble, sizeof(source->trouble), ": '%s'", rd_kafka_message_errstr(message));
		log_debug("%s/%d: %s", topic, (int)message->partition, rd_kafka_message_errstr(message));
	}
}

/* Behind an error or the cut, what is still queued is passed over. */
static void source_on_message(rd_kafka_message_t *message, void *arg)
{
	struct kafka_source *source = arg;
	struct part *part = message->rkt ? source_part(source, message->partition) : NULL;
	struct record record;

	if (source->failed || (part && part->next >= part->cut))
		return;
	if (part && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		source->heard = true;
		if (message->offset > part->next)
			part->next = message->offset;
		return;
	}
	if (!part || message->err) {
		source_on_error(source, message);
		return;
	}
	source->heard = true;
	if (message->offset >= part->cut) {
		part->next = part->cut;
		return;
	}
	record = (struct record){ part, message->offset, rd_kafka_message_timestamp(message, NULL),
		message->key, message->payload, message->key_len, message->len, message };
	source->failed = source->on_record(source->arg, &record, source->err);
	if (!source->failed)
		part->next = message->offset + 1;
}

/* Returns how many partitions are not at their cut yet. */
static int source_stop_done(struct kafka_source *source)
{
	int left = 0;

	for (int i = 0; i < source->n_parts; i++) {
		if (source->parts[i]->next >= source->parts[i]->cut)
			source_stop(source, i);
		else
			left++;
	}
	return left;
}

static int source_silent(struct kafka_source *source, int64_t wait_ms)
{
	const struct part *part = source->parts[0];

	for (int i = 0; part->next >= part->cut; i++)
		part = source->parts[i];
	return err_set(source->err, ERR_KAFKA,
		"nothing came from Kafka for %" PRId64 " s%s; %s/%d is read up to offset %" PRId64
		", the run needs %" PRId64 "; hint: is a broker of '%s' down, or has the log lost its end?",
		wait_ms / 1000, source->trouble, source->config->topic, (int)part->partition, part->next,
		part->cut, source->config->brokers);
}

static int source_turn(struct kafka_source *source)
{
	int64_t wait_ms = source->config->connect_wait_ms > 1000 ? source->config->connect_wait_ms : 1000;

	if (batch_stop_asked())
		return batch_stopped(source->err);
	source->heard = false;
	rd_kafka_consume_callback_queue(source->queue, SOURCE_POLL_MS, source_on_message, source);
	if (source->heard) /* not while it came: spilling may take its time */
		source->heard_ms = clock_ms();
	rd_kafka_poll(source->rk, 0);
	if (source->failed)
		return -1;
	if (clock_ms() - source->heard_ms > wait_ms)
		return source_silent(source, wait_ms);
	return 0;
}

static int source_run(struct kafka_source *source)
{
	for (int i = 0; i < source->n_parts; i++) {
		struct part *part = source->parts[i];

		if (part->next >= part->cut)
			continue;
		if (rd_kafka_consume_start_queue(source->topic, part->partition, part->next, source->queue))
			return err_set(source->err, ERR_KAFKA, "cannot read %s/%d: %s", source->config->topic,
				(int)part->partition, rd_kafka_err2str(rd_kafka_last_error()));
		source->started[i] = true;
	}
	source->heard_ms = clock_ms();
	while (source_stop_done(source))
		if (source_turn(source))
			return -1;
	return 0;
}

int kafka_source_read(const struct config *config, struct part **parts, int n_parts, record_fn *on_record,
	void *arg, struct err *err)
{
	struct kafka_source source = { .config = config,
		.parts = parts,
		.n_parts = n_parts,
		.on_record = on_record,
		.arg = arg,
		.err = err };
	int status;

	source.started = xcalloc((size_t)n_parts, sizeof(*source.started));
	status = source_open(&source, err) ? -1 : source_run(&source);
	source_close(&source);
	return status;
}

bool kafka_source_header(const struct record *record, size_t n, struct archive_header *ret_header)
{
	rd_kafka_headers_t *headers;
	const char *name;
	const void *value;
	size_t len;

	if (rd_kafka_message_headers(record->message, &headers) ||
		rd_kafka_header_get_all(headers, n, &name, &value, &len))
		return false;
	*ret_header = (struct archive_header){ { name, strlen(name) }, { value, len } };
	return true;
}
