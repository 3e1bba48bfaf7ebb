#include "common/base.h"
#include "common/kafka.h"

#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"

enum {
	KAFKA_CALL_MS = 5000
}; /* one question to a broker; kafka_describe() asks again until its own deadline */

static int kafka_bounded(int64_t timeout_ms)
{
	return (int)(timeout_ms < 0 ? 0 : timeout_ms < KAFKA_CALL_MS ? timeout_ms : KAFKA_CALL_MS);
}

/* Called from librdkafka's threads. Lost connections are its normal life and end in errors of calls, which
 * the programs log. */
static void kafka_on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk;
	log_at(level <= 2 ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, "librdkafka %s: %s", facility, text);
}

static bool kafka_given(const struct config *config, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < config->n_kafka_properties; i++)
		if (!strncmp(config->kafka_properties[i], name, len) &&
			config->kafka_properties[i][len] == '=')
			return true;
	return false;
}

void kafka_conf_set(rd_kafka_conf_t *conf, const struct config *config, const char *name, const char *value)
{
	char text[256];

	if (!kafka_given(config, name) &&
		rd_kafka_conf_set(conf, name, value, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
		log_error("%s", text);
		assert(0 && "a property that librdkafka refuses");
	}
}

int kafka_conf(const struct config *config, rd_kafka_type_t role, rd_kafka_conf_t **ret_conf, struct err *err)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char text[256];

	rd_kafka_conf_set_log_cb(conf, kafka_on_log);
	kafka_conf_set(conf, config, "bootstrap.servers", config->brokers);
	kafka_conf_set(conf, config, "client.id", config->name);
	/* by default librdkafka lets up to 10 s pass before it tries again to connect, and that for the
	 * broker, the group's coordinator and each client of a program by itself, one behind the other */
	kafka_conf_set(conf, config, "reconnect.backoff.max.ms", "1000");
	if (role == RD_KAFKA_CONSUMER)
		kafka_conf_set(conf, config, "isolation.level", "read_committed");
	for (size_t i = 0; i < config->n_kafka_properties; i++) {
		const char *property = config->kafka_properties[i];
		const char *value = strchr(property, '=') + 1;
		SCOPED(xfreep) char *name = xstrndup(property, (size_t)(value - 1 - property));

		if (rd_kafka_conf_set(conf, name, value, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
			rd_kafka_conf_destroy(conf);
			return err_set(err, ERR_USAGE, "-X %s: not accepted: '%s'", name, text);
		}
	}
	*ret_conf = conf;
	return 0;
}

int kafka_open(rd_kafka_t **ret_rk, rd_kafka_type_t role, rd_kafka_conf_t *conf, struct err *err)
{
	char text[256];
	rd_kafka_t *rk = rd_kafka_new(role, conf, text, sizeof(text));

	if (!rk) { /* a conf that was not taken is still ours */
		rd_kafka_conf_destroy(conf);
		return err_set(err, ERR_USAGE, "cannot set up Kafka: '%s'", text);
	}
	*ret_rk = rk;
	return 0;
}

void kafka_close(rd_kafka_t **rk)
{
	if (!*rk)
		return;
	if (rd_kafka_type(*rk) == RD_KAFKA_CONSUMER)
		rd_kafka_consumer_close(*rk);
	rd_kafka_destroy(*rk);
	*rk = NULL;
}

/* One try. 1: no answer yet. */
static int kafka_describe_once(rd_kafka_t *rk, rd_kafka_topic_t *rkt, const char *topic, int timeout_ms,
	struct kafka_log *log, struct err *err)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t code = rd_kafka_metadata(rk, 0, rkt, &metadata, timeout_ms);
	int n_partitions;

	if (code) {
		err_set(err, ERR_KAFKA, "no answer from Kafka: '%s'", rd_kafka_err2str(code));
		return 1;
	}
	assert(metadata->topic_cnt == 1);
	code = metadata->topics[0].err;
	n_partitions = metadata->topics[0].partition_cnt;
	rd_kafka_metadata_destroy(metadata);
	if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
		return err_set(err, ERR_DATA,
			"Kafka has no topic '%s', hint: create it, or name another with --topic", topic);
	if (code || !n_partitions) {
		err_set(err, ERR_KAFKA, "topic '%s' is not ready: '%s'", topic, rd_kafka_err2str(code));
		return 1;
	}
	log->n_partitions = n_partitions;
	return 0;
}

int kafka_describe(
	rd_kafka_t *rk, const char *topic, int64_t timeout_ms, struct kafka_log *ret_log, struct err *err)
{
	int64_t deadline_ms = clock_ms() + timeout_ms;
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
	struct kafka_log log;
	char *cluster = NULL;
	int status;

	if (!rkt)
		return err_set(
			err, ERR_USAGE, "--topic: '%s': %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
	do {
		status = kafka_describe_once(
			rk, rkt, topic, kafka_bounded(deadline_ms - clock_ms()), &log, err);
		if (status > 0 && clock_ms() < deadline_ms) /* "not ready" comes at once */
			clock_sleep_ms(100);
	} while (status > 0 && clock_ms() < deadline_ms);
	rd_kafka_topic_destroy(rkt);
	if (status)
		return -1;
	cluster = rd_kafka_clusterid(rk, kafka_bounded(timeout_ms));
	if (!cluster)
		return err_set(err, ERR_KAFKA, "Kafka did not tell its cluster id");
	snprintf(log.identity, sizeof(log.identity), "%s/%s", cluster, topic);
	rd_kafka_mem_free(rk, cluster);
	*ret_log = log;
	return 0;
}

/* After a question that ended with code: 1 to ask again, 0 when the code is the answer. What the client knows
 * of a topic may be older than a partition, or from a moment without leaders; librdkafka keeps it for
 * minutes, unless it is told to ask anew. */
static int kafka_renew(rd_kafka_t *rk, const char *topic, rd_kafka_resp_err_t code, int64_t deadline_ms,
	int tries, struct err *err)
{
	struct kafka_log log;

	if (code != RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION && code != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE &&
		code != RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION)
		return 0;
	if (tries > 1)
		clock_sleep_ms(100);
	if (clock_ms() >= deadline_ms)
		return 0;
	return kafka_describe(rk, topic, deadline_ms - clock_ms(), &log, err) ? -1 : 1;
}

int kafka_range(rd_kafka_t *rk, const char *topic, int partition, int64_t timeout_ms, int64_t *ret_first,
	int64_t *ret_end, struct err *err)
{
	int64_t deadline_ms = clock_ms() + timeout_ms, first, end;
	rd_kafka_resp_err_t code;
	int tries = 0, again;

	do { /* with read_committed the question carries the isolation level: the answer is the last stable
		offset */
		code = rd_kafka_query_watermark_offsets(
			rk, topic, partition, &first, &end, kafka_bounded(deadline_ms - clock_ms()));
		again = kafka_renew(rk, topic, code, deadline_ms, ++tries, err);
	} while (again > 0);
	if (again < 0)
		return -1;
	if (code)
		return err_set(err, ERR_KAFKA, "cannot ask for the offsets of %s/%d: '%s'", topic, partition,
			rd_kafka_err2str(code));
	*ret_first = first;
	*ret_end = end;
	return 0;
}

int kafka_offset_at(rd_kafka_t *rk, const char *topic, int partition, int64_t time_ms, int64_t timeout_ms,
	int64_t *ret_offset, struct err *err)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *asked = rd_kafka_topic_partition_list_add(list, topic, partition);
	int64_t deadline_ms = clock_ms() + timeout_ms, first, offset;
	rd_kafka_resp_err_t code;
	int tries = 0, again;

	do {
		asked->offset = time_ms;
		code = rd_kafka_offsets_for_times(rk, list, kafka_bounded(deadline_ms - clock_ms()));
		if (!code)
			code = asked->err;
		again = kafka_renew(rk, topic, code, deadline_ms, ++tries, err);
	} while (again > 0);
	offset = asked->offset;
	rd_kafka_topic_partition_list_destroy(list);
	if (again < 0)
		return -1;
	if (code)
		return err_set(err, ERR_KAFKA, "cannot ask for the offset at a time of %s/%d: '%s'", topic,
			partition, rd_kafka_err2str(code));
	if (offset < 0) /* RD_KAFKA_OFFSET_END: nothing that young */
		return kafka_range(rk, topic, partition, timeout_ms, &first, ret_offset, err);
	*ret_offset = offset;
	return 0;
}

static int64_t kafka_retention_of(rd_kafka_event_t *event)
{
	const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
	const rd_kafka_ConfigResource_t **resources;
	const rd_kafka_ConfigEntry_t **entries;
	size_t n = 0;

	if (!result || rd_kafka_event_error(event))
		return -2;
	resources = rd_kafka_DescribeConfigs_result_resources(result, &n);
	if (!n)
		return -2;
	entries = rd_kafka_ConfigResource_configs(resources[0], &n);
	for (size_t i = 0; i < n; i++) {
		const char *value = rd_kafka_ConfigEntry_value(entries[i]);

		if (!strcmp(rd_kafka_ConfigEntry_name(entries[i]), "retention.ms") && value)
			return strtoll(value, NULL, 10);
	}
	return -2;
}

int64_t kafka_retention_ms(rd_kafka_t *rk, const char *topic, int64_t timeout_ms)
{
	rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event;
	int64_t retention_ms = -2;
	char text[256];

	if (!rd_kafka_AdminOptions_set_request_timeout(options, (int)timeout_ms, text, sizeof(text))) {
		rd_kafka_DescribeConfigs(rk, &resource, 1, options, queue);
		event = rd_kafka_queue_poll(queue, (int)timeout_ms + 1000);
		if (event) {
			retention_ms = kafka_retention_of(event);
			rd_kafka_event_destroy(event);
		}
	}
	rd_kafka_queue_destroy(queue);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_ConfigResource_destroy(resource);
	return retention_ms;
}

void kafka_tail(struct tail *tail, const rd_kafka_message_t *message)
{
	tail_of_record(tail, message->offset, rd_kafka_message_timestamp(message, NULL), message->key,
		message->key_len, message->payload, message->len);
}

void kafka_assign(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_partition_list_t *now;

	rd_kafka_assign(rk, list);
	for (int i = 0; i < 2; i++)
		if (!rd_kafka_assignment(rk, &now))
			rd_kafka_topic_partition_list_destroy(now);
}

/* The record at the tail's offset; *ret_found stays false if there is none. */
static int kafka_read_tail(rd_kafka_t *rk, const char *topic, int partition, int64_t offset,
	int64_t timeout_ms, struct tail *ret_tail, bool *ret_found, struct err *err)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	int64_t deadline_ms = clock_ms() + timeout_ms, first, end;
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
	bool done = false;

	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
	kafka_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	while (!code && !done && clock_ms() < deadline_ms) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 20);

		if (!message) { /* librdkafka's thread for the broker may sleep for a second: a question wakes
				   it */
			rd_kafka_query_watermark_offsets(rk, topic, partition, &first, &end, 100);
			continue;
		}
		code = message->err;
		if (!code && message->offset == offset) {
			kafka_tail(ret_tail, message);
			*ret_found = true;
		}
		done = true; /* a later record or the end: the one that we ask for is not there */
		rd_kafka_message_destroy(message);
	}
	kafka_assign(rk, NULL);
	if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF || code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
		return 0;
	if (code || !done)
		return err_set(err, ERR_KAFKA, "cannot read %s/%d at offset %" PRId64 ": '%s'", topic,
			partition, offset, code ? rd_kafka_err2str(code) : "no answer in time");
	return 0;
}

int kafka_open_reader(const struct config *config, rd_kafka_t **ret_rk, struct err *err)
{
	static const char *const properties[][2] = {
		{ "enable.auto.commit", "false" },
		{ "enable.partition.eof", "true" },
		{ "auto.offset.reset", "error" },
		{ "fetch.wait.max.ms", "10" },
		{ "queued.min.messages", "1" }, /* one record is all that is wanted */
		{ "fetch.message.max.bytes", "4096" },
	};
	rd_kafka_conf_t *conf;

	if (kafka_conf(config, RD_KAFKA_CONSUMER, &conf, err))
		return -1;
	kafka_conf_set(
		conf, config, "group.id", config->name); /* librdkafka wants one; nothing is committed */
	for (size_t i = 0; i < ARRAY_SIZE(properties); i++)
		kafka_conf_set(conf, config, properties[i][0], properties[i][1]);
	return kafka_open(ret_rk, RD_KAFKA_CONSUMER, conf, err);
}

int kafka_range_again(rd_kafka_t *rk, const char *topic, int partition, int64_t timeout_ms,
	int64_t *ret_first, int64_t *ret_end, struct err *err)
{
	int status = kafka_range(rk, topic, partition, timeout_ms, ret_first, ret_end, err);

	if (status && err->code == ERR_DATA)
		err->code = ERR_KAFKA;
	return status;
}

int kafka_check_tail_by(rd_kafka_t *rk, const char *topic, int partition, const struct tail *tail,
	int64_t timeout_ms, struct err *err)
{
	struct tail found_tail;
	int64_t first, end;
	bool found = false;

	if (tail->offset < 0)
		return 0;
	if (kafka_range_again(rk, topic, partition, timeout_ms, &first, &end, err))
		return -1;
	if (tail->offset < first)
		return 0;
	if (tail->offset < end &&
		kafka_read_tail(rk, topic, partition, tail->offset, timeout_ms, &found_tail, &found, err))
		return -1;
	if (found && found_tail.hash == tail->hash)
		return 0;
	if (!found && kafka_range_again(rk, topic, partition, timeout_ms, &first, &end, err))
		return -1;
	if (!found && tail->offset < first) /* retention took it just now */
		return 0;
	return err_set(err, ERR_DATA,
		"%s/%d is another log than before: the record at offset %" PRId64
		" is %s, hint: was the topic created anew or the cluster changed? "
		"start with another --name and an empty database, or point --brokers and --topic to the old "
		"log",
		topic, partition, tail->offset, found ? "a different one" : "gone");
}

int kafka_check_tail(const struct config *config, int partition, const struct tail *tail, int64_t timeout_ms,
	struct err *err)
{
	SCOPED(kafka_close) rd_kafka_t *rk = NULL;

	if (tail->offset < 0)
		return 0;
	return kafka_open_reader(config, &rk, err)
		       ? -1
		       : kafka_check_tail_by(rk, config->topic, partition, tail, timeout_ms, err);
}
