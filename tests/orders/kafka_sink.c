#include "common/base.h"
#include "common/mem.h"
#include "tests/orders/kafka_sink.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <time.h>

#define REACH_MS 10000
#define POLL_EVERY 1000 /* records */

struct kafka_sink {
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	uint64_t n_put, n_acked, n_failed;
	FILE *ack_log; /* NULL: none */
	char last_error[256]; /* of a broker connection */
	char failure[256]; /* of the first record that failed */
};

/* a record's opaque, when there is an ack log */
struct ack {
	int64_t net_e4;
	char currency[4];
	char id[64];
	size_t id_len;
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct kafka_sink *k = opaque;
	struct ack *ack = m->_private;

	(void)rk;
	if (!m->err) {
		k->n_acked++;
	} else if (k->n_failed++ == 0) {
		snprintf(k->failure, sizeof(k->failure), "%s", rd_kafka_message_errstr(m));
	}
	if (!m->err && ack) {
		struct timespec ts;

		clock_gettime(CLOCK_REALTIME, &ts);
		fprintf(k->ack_log, "%.*s %lld %s %" PRId64 "\n", (int)ack->id_len, ack->id,
			(long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000, ack->currency, ack->net_e4);
	}
	free(ack);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	struct kafka_sink *k = opaque;

	(void)rk;
	(void)code;
	snprintf(k->last_error, sizeof(k->last_error), "%s", reason);
}

static int set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
	char msg[256];

	if (rd_kafka_conf_set(conf, name, value, msg, sizeof(msg)) != RD_KAFKA_CONF_OK)
		return err_set(err, ERR_USAGE, "-X %s: '%s'", name, msg);
	return 0;
}

static int set_all(
	rd_kafka_conf_t *conf, const struct sink_config *config, const char *brokers, struct err *err)
{
	const char *const settings[][2] = {
		{ "bootstrap.servers", brokers },
		{ "client.id", "orders" },
		{ "enable.idempotence", "true" },
		{ "acks", "all" },
		{ "compression.type", "lz4" },
		{ "partitioner", "murmur2_random" },
		{ "linger.ms", config->live ? "1" : "50" },
		{ "batch.size", "1000000" },
		{ "batch.num.messages", "20000" },
		{ "queue.buffering.max.messages", "500000" },
		{ "queue.buffering.max.kbytes", "262144" },
		{ "message.timeout.ms", "120000" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (set(conf, settings[i][0], settings[i][1], err))
			return -1;
	for (unsigned i = 0; i < config->x.n; i++) {
		const char *equals = strchr(config->x.items[i], '=');

		if (!equals)
			return err_set(
				err, ERR_USAGE, "-X: '%s': name=value is expected", config->x.items[i]);
		SCOPED(xfreep)
		char *name = xstrndup(config->x.items[i], (size_t)(equals - config->x.items[i]));
		if (set(conf, name, equals + 1, err))
			return -1;
	}
	return 0;
}

/* Asks for all topics: to ask for one by name could create it. */
static int check_topic(struct kafka_sink *k, const char *brokers, const char *topic, struct err *err)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_resp_err_t code = rd_kafka_metadata(k->rk, 1, NULL, &md, REACH_MS);
	bool found = false;

	if (code) {
		rd_kafka_poll(k->rk, 0);
		return err_set(err, ERR_KAFKA, "cannot reach Kafka at '%s': '%s'", brokers,
			k->last_error[0] ? k->last_error : rd_kafka_err2str(code));
	}
	for (int i = 0; i < md->topic_cnt; i++)
		found = found || strcmp(md->topics[i].topic, topic) == 0;
	rd_kafka_metadata_destroy(md);
	if (!found)
		return err_set(err, ERR_KAFKA, "Kafka at '%s' has no topic '%s'; hint: create it first",
			brokers, topic);
	return 0;
}

static int open_ack_log(struct kafka_sink *k, const char *file, struct err *err)
{
	if (!file)
		return 0;
	k->ack_log = strcmp(file, "-") == 0 ? stdout : fopen(file, "we");
	if (!k->ack_log)
		return err_set(err, ERR_IO, "cannot write '%s': %s", file, strerror(errno));
	return 0;
}

static void release(struct kafka_sink *k)
{
	if (k->topic)
		rd_kafka_topic_destroy(k->topic);
	if (k->rk)
		rd_kafka_destroy(k->rk);
	if (k->ack_log && k->ack_log != stdout)
		fclose(k->ack_log);
	free(k);
}

static const char *either(const char *given, const char *variable, const char *otherwise)
{
	const char *value = given ? given : getenv(variable);

	return value && value[0] ? value : otherwise;
}

int kafka_sink_open(const struct sink_config *config, struct kafka_sink **ret, struct err *err)
{
	const char *brokers = either(config->brokers, "LAMBDA_BROKERS", "127.0.0.1:9092");
	const char *topic = either(config->topic, "LAMBDA_TOPIC", "orders");
	struct kafka_sink *k = xcalloc(1, sizeof(*k));
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char msg[256];

	rd_kafka_conf_set_opaque(conf, k);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, NULL); /* what matters comes through the callbacks */
	if (set_all(conf, config, brokers, err) || open_ack_log(k, config->ack_log, err)) {
		rd_kafka_conf_destroy(conf);
		release(k);
		return -1;
	}
	k->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, msg, sizeof(msg)); /* takes conf on success */
	if (!k->rk) {
		rd_kafka_conf_destroy(conf);
		release(k);
		return err_set(err, ERR_USAGE, "librdkafka: '%s'", msg);
	}
	if (check_topic(k, brokers, topic, err)) {
		release(k);
		return -1;
	}
	k->topic = rd_kafka_topic_new(k->rk, topic, NULL);
	*ret = k;
	return 0;
}

static struct ack *ack_new(const struct record *record)
{
	struct ack *ack = xmalloc(sizeof(*ack));

	assert(record->id_len <= sizeof(ack->id));
	ack->net_e4 = record->net_e4;
	memcpy(ack->currency, record->currency, sizeof(ack->currency));
	memcpy(ack->id, record->id, record->id_len);
	ack->id_len = record->id_len;
	return ack;
}

int kafka_sink_put(struct kafka_sink *k, const struct record *record, struct err *err)
{
	struct ack *ack = k->ack_log && record->id_len ? ack_new(record) : NULL;
	void *value = (void *)record->value; /* copied, not changed */

	if (++k->n_put % POLL_EVERY == 0)
		rd_kafka_poll(k->rk, 0);
	while (rd_kafka_produce(k->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value,
		record->value_len, record->key, record->key_len, ack)) {
		rd_kafka_resp_err_t code = rd_kafka_last_error();

		if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
			free(ack);
			return err_set(err, ERR_KAFKA, "cannot send a record of %zu bytes: '%s'",
				record->value_len, rd_kafka_err2str(code));
		}
		rd_kafka_poll(k->rk, 100);
	}
	if (k->n_failed)
		return err_set(err, ERR_KAFKA, "a record was not acknowledged: '%s'", k->failure);
	return 0;
}

int kafka_sink_wait(struct kafka_sink *k, uint64_t wait_us, struct err *err)
{
	/* at least one: librdkafka counts in milliseconds, and 0 would spin */
	int wait_ms = wait_us < 1000 ? 1 : wait_us > 100000 ? 100 : (int)(wait_us / 1000);

	rd_kafka_poll(k->rk, wait_ms);
	if (k->ack_log && fflush(k->ack_log))
		return err_set(err, ERR_IO, "cannot write the ack log: %s", strerror(errno));
	if (k->n_failed)
		return err_set(err, ERR_KAFKA, "a record was not acknowledged: '%s'", k->failure);
	return 0;
}

/* Ends: after message.timeout.ms the last record has failed. */
int kafka_sink_close(struct kafka_sink *k, struct err *err)
{
	int rc = 0;

	while (rd_kafka_outq_len(k->rk) > 0)
		rd_kafka_flush(k->rk, 1000);
	if (k->ack_log && fflush(k->ack_log))
		rc = err_set(err, ERR_IO, "cannot write the ack log: %s", strerror(errno));
	if (k->n_acked != k->n_put)
		rc = err_set(err, ERR_KAFKA, "%" PRIu64 " of %" PRIu64 " records were not acknowledged: '%s'",
			k->n_put - k->n_acked, k->n_put, k->failure);
	release(k);
	return rc;
}
