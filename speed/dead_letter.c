#include "common/base.h"
#include "speed/dead_letter.h"

#include "common/log.h"

enum { DEAD_LETTER_ADMIN_MS = 10000, DEAD_LETTER_DESCRIBE_MS = 5000 };

static void dead_letter_on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	struct dead_letter *dead = opaque;
	struct partition *partition = message->_private;

	(void)rk;
	dead->n_waiting--;
	partition->n_dead--;
	if (!message->err)
		return;
	partition->dead_failed = true;
	err_set(&dead->err, ERR_KAFKA, "cannot put a broken record on topic '%s': '%s'%s", dead->topic,
		rd_kafka_err2str(message->err),
		message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
			? " hint: raise the topic's max.message.bytes"
			: "");
}

int dead_letter_open(struct dead_letter *dead, const struct config *config, struct err *err)
{
	rd_kafka_conf_t *conf;

	snprintf(dead->topic, sizeof(dead->topic), "%s.dead", config->name);
	if (kafka_conf(config, RD_KAFKA_PRODUCER, &conf, err))
		return -1;
	kafka_conf_set(conf, config, "linger.ms", "1");
	kafka_conf_set(conf, config, "message.timeout.ms", "30000");
	kafka_conf_set(conf, config, "message.max.bytes", "4194304");
	kafka_conf_set(conf, config, "queue.buffering.max.kbytes", "65536");
	rd_kafka_conf_set_dr_msg_cb(conf, dead_letter_on_delivery);
	rd_kafka_conf_set_opaque(conf, dead);
	return kafka_open(&dead->rk, RD_KAFKA_PRODUCER, conf, err);
}

/* --- the topic --------------------------------------------------------------------------------- */

/* Waits for the answer to an admin request of one topic. An answer "exists already" is fine. */
static int dead_letter_answer(struct dead_letter *dead, rd_kafka_queue_t *queue, struct err *err)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, DEAD_LETTER_ADMIN_MS);
	const rd_kafka_topic_result_t **results = NULL;
	rd_kafka_resp_err_t code;
	size_t n = 0;

	if (!event)
		return err_set(err, ERR_KAFKA, "cannot create topic '%s': no answer", dead->topic);
	code = rd_kafka_event_error(event);
	if (!code && rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT)
		results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
	else if (!code)
		results = rd_kafka_CreatePartitions_result_topics(
			rd_kafka_event_CreatePartitions_result(event), &n);
	if (!code && n)
		code = rd_kafka_topic_result_error(results[0]);
	if (code && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		err_set(err, ERR_KAFKA, "cannot create or extend topic '%s': '%s'", dead->topic,
			rd_kafka_err2str(code));
	else
		code = RD_KAFKA_RESP_ERR_NO_ERROR;
	rd_kafka_event_destroy(event);
	return code ? -1 : 0;
}

static int dead_letter_create(struct dead_letter *dead, int n_partitions, struct err *err)
{
	static const char *const settings[][2] = {
		{ "cleanup.policy", "compact" },
		{ "retention.ms", "-1" },
		{ "max.message.bytes", "4194304" },
	};
	char text[256];
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(dead->topic, n_partitions, -1, text, sizeof(text));
	rd_kafka_queue_t *queue;
	int status;

	if (!topic)
		return err_set(err, ERR_KAFKA, "cannot create topic '%s': '%s'", dead->topic, text);
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		rd_kafka_NewTopic_set_config(topic, settings[i][0], settings[i][1]);
	queue = rd_kafka_queue_new(dead->rk);
	rd_kafka_CreateTopics(dead->rk, &topic, 1, NULL, queue);
	status = dead_letter_answer(dead, queue, err);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewTopic_destroy(topic);
	if (status == 0)
		log_info("created topic '%s' for broken records partitions=%d", dead->topic, n_partitions);
	return status;
}

static int dead_letter_extend(struct dead_letter *dead, int n_partitions, struct err *err)
{
	char text[256];
	rd_kafka_NewPartitions_t *more =
		rd_kafka_NewPartitions_new(dead->topic, (size_t)n_partitions, text, sizeof(text));
	rd_kafka_queue_t *queue;
	int status;

	if (!more)
		return err_set(err, ERR_KAFKA, "cannot extend topic '%s': '%s'", dead->topic, text);
	queue = rd_kafka_queue_new(dead->rk);
	rd_kafka_CreatePartitions(dead->rk, &more, 1, NULL, queue);
	status = dead_letter_answer(dead, queue, err);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewPartitions_destroy(more);
	return status;
}

int dead_letter_ensure(struct dead_letter *dead, rd_kafka_t *asker, int n_partitions, struct err *err)
{
	struct kafka_log there = { 0 };

	if (n_partitions <= dead->n_partitions)
		return 0;
	if (kafka_describe(asker, dead->topic, DEAD_LETTER_DESCRIBE_MS, &there, err)) {
		if (err->code != ERR_DATA) /* Kafka does not answer; ERR_DATA: there is no such topic */
			return -1;
		if (dead_letter_create(dead, n_partitions, err))
			return -1;
	} else if (there.n_partitions < n_partitions && dead_letter_extend(dead, n_partitions, err)) {
		return -1;
	}
	dead->n_partitions = n_partitions;
	return 0;
}

/* --- letters ----------------------------------------------------------------------------------- */

int dead_letter_send(struct dead_letter *dead, struct partition *partition, const rd_kafka_message_t *message,
	enum event_reject reject, struct err *err)
{
	const char *topic = rd_kafka_topic_name(message->rkt), *reason = event_reject_code(reject);
	size_t len = message->len < DEAD_LETTER_MAX_BYTES ? message->len : DEAD_LETTER_MAX_BYTES;
	char key[48], number[16], offset[24], bytes[24];
	void *value = message->payload ? message->payload : (void *)""; /* none at all would be a tombstone */
	rd_kafka_headers_t *headers = rd_kafka_headers_new(5);
	rd_kafka_resp_err_t code;

	snprintf(number, sizeof(number), "%d", (int)message->partition);
	snprintf(offset, sizeof(offset), "%" PRId64, message->offset);
	snprintf(bytes, sizeof(bytes), "%zu", message->len);
	snprintf(key, sizeof(key), "%s/%s", number, offset);
	rd_kafka_header_add(headers, "topic", -1, topic, -1);
	rd_kafka_header_add(headers, "partition", -1, number, -1);
	rd_kafka_header_add(headers, "offset", -1, offset, -1);
	rd_kafka_header_add(headers, "reason", -1, reason, -1);
	if (len < message->len)
		rd_kafka_header_add(headers, "bytes", -1, bytes, -1);
	for (int tries = 0;; tries++) {
		code = rd_kafka_producev(dead->rk, RD_KAFKA_V_TOPIC(dead->topic),
			RD_KAFKA_V_PARTITION(message->partition), RD_KAFKA_V_KEY(key, strlen(key)),
			RD_KAFKA_V_VALUE(value, len), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
			RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(partition), RD_KAFKA_V_END);
		if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || tries == 20)
			break;
		rd_kafka_poll(dead->rk, 100);
	}
	if (code) {
		rd_kafka_headers_destroy(headers); /* a letter that was taken has them now */
		partition->dead_failed = true;
		return err_set(err, ERR_KAFKA, "cannot put a broken record on topic '%s': '%s'", dead->topic,
			rd_kafka_err2str(code));
	}
	dead->n_waiting++;
	partition->n_dead++;
	return 0;
}

void dead_letter_poll(struct dead_letter *dead, int timeout_ms)
{
	rd_kafka_poll(dead->rk, timeout_ms);
}

void dead_letter_close(struct dead_letter *dead)
{
	if (!dead->rk)
		return;
	rd_kafka_purge(dead->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_poll(dead->rk, 0);
	rd_kafka_destroy(dead->rk);
	dead->rk = NULL;
}
