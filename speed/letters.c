#include "common/base.h"
#include "speed/letters.h"

#include "common/log.h"

enum { LETTERS_ADMIN_MS = 10000, LETTERS_DESCRIBE_MS = 5000 };

static void letters_on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	struct letters *letters = opaque;
	struct partition *partition = message->_private;

	(void)rk;
	letters->n_waiting--;
	partition->n_letters--;
	if (!message->err)
		return;
	partition->letters_failed = true;
	err_set(&letters->err, ERR_KAFKA, "cannot put a record on topic '%s': '%s'%s",
		rd_kafka_topic_name(message->rkt), rd_kafka_err2str(message->err),
		message->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE
			? "; hint: raise the topic's max.message.bytes"
			: "");
}

int letters_open(struct letters *letters, const struct config *config, struct err *err)
{
	rd_kafka_conf_t *conf;

	letters->log = config->topic;
	snprintf(letters->topics[LETTERS_DEAD], sizeof(letters->topics[0]), "%s.dead", config->name);
	snprintf(letters->topics[LETTERS_LATE], sizeof(letters->topics[0]), "%s.late", config->name);
	if (kafka_conf(config, RD_KAFKA_PRODUCER, &conf, err))
		return -1;
	kafka_conf_set(conf, config, "linger.ms", "1");
	kafka_conf_set(conf, config, "message.timeout.ms", "30000");
	kafka_conf_set(conf, config, "message.max.bytes", "4194304");
	kafka_conf_set(conf, config, "queue.buffering.max.kbytes", "65536");
	rd_kafka_conf_set_dr_msg_cb(conf, letters_on_delivery);
	rd_kafka_conf_set_opaque(conf, letters);
	return kafka_open(&letters->rk, RD_KAFKA_PRODUCER, conf, err);
}

/* --- the topics -------------------------------------------------------------------------------- */

/* Waits for the answer to an admin request of one topic. An answer "exists already" is fine. */
static int letters_answer(const char *name, rd_kafka_queue_t *queue, struct err *err)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, LETTERS_ADMIN_MS);
	const rd_kafka_topic_result_t **results = NULL;
	rd_kafka_resp_err_t code;
	size_t n = 0;

	if (!event)
		return err_set(err, ERR_KAFKA, "cannot create topic '%s': no answer", name);
	code = rd_kafka_event_error(event);
	if (!code && rd_kafka_event_type(event) == RD_KAFKA_EVENT_CREATETOPICS_RESULT)
		results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
	else if (!code)
		results = rd_kafka_CreatePartitions_result_topics(
			rd_kafka_event_CreatePartitions_result(event), &n);
	if (!code && n)
		code = rd_kafka_topic_result_error(results[0]);
	if (code && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		err_set(err, ERR_KAFKA, "cannot create or extend topic '%s': '%s'", name,
			rd_kafka_err2str(code));
	else
		code = RD_KAFKA_RESP_ERR_NO_ERROR;
	rd_kafka_event_destroy(event);
	return code ? -1 : 0;
}

static int letters_create(struct letters *letters, const char *name, int n_partitions, struct err *err)
{
	static const char *const settings[][2] = {
		{ "cleanup.policy", "compact" },
		{ "retention.ms", "-1" },
		{ "max.message.bytes", "4194304" },
	};
	char text[256];
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, n_partitions, -1, text, sizeof(text));
	rd_kafka_queue_t *queue;
	int status;

	if (!topic)
		return err_set(err, ERR_KAFKA, "cannot create topic '%s': '%s'", name, text);
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		rd_kafka_NewTopic_set_config(topic, settings[i][0], settings[i][1]);
	queue = rd_kafka_queue_new(letters->rk);
	rd_kafka_CreateTopics(letters->rk, &topic, 1, NULL, queue);
	status = letters_answer(name, queue, err);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewTopic_destroy(topic);
	if (status == 0)
		log_info("created topic '%s' partitions=%d", name, n_partitions);
	return status;
}

static int letters_extend(struct letters *letters, const char *name, int n_partitions, struct err *err)
{
	char text[256];
	rd_kafka_NewPartitions_t *more =
		rd_kafka_NewPartitions_new(name, (size_t)n_partitions, text, sizeof(text));
	rd_kafka_queue_t *queue;
	int status;

	if (!more)
		return err_set(err, ERR_KAFKA, "cannot extend topic '%s': '%s'", name, text);
	queue = rd_kafka_queue_new(letters->rk);
	rd_kafka_CreatePartitions(letters->rk, &more, 1, NULL, queue);
	status = letters_answer(name, queue, err);
	rd_kafka_queue_destroy(queue);
	rd_kafka_NewPartitions_destroy(more);
	return status;
}

static int letters_ensure_topic(
	struct letters *letters, const char *name, rd_kafka_t *asker, int n_partitions, struct err *err)
{
	struct kafka_log there = { 0 };

	if (!kafka_describe(asker, name, LETTERS_DESCRIBE_MS, &there, err))
		return there.n_partitions < n_partitions ? letters_extend(letters, name, n_partitions, err)
							 : 0;
	if (err->code != ERR_DATA) /* Kafka does not answer; ERR_DATA: there is no such topic */
		return -1;
	return letters_create(letters, name, n_partitions, err);
}

int letters_ensure(struct letters *letters, rd_kafka_t *asker, int n_partitions, struct err *err)
{
	if (n_partitions <= letters->n_partitions)
		return 0;
	for (int kind = 0; kind < LETTERS_N_KINDS; kind++)
		if (letters_ensure_topic(letters, letters->topics[kind], asker, n_partitions, err))
			return -1;
	letters->n_partitions = n_partitions;
	return 0;
}

/* --- letters ----------------------------------------------------------------------------------- */

static rd_kafka_headers_t *letters_headers(const struct letters *letters, const struct partition *partition,
	const struct record *record, enum letters_kind kind, const char *why)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(5);
	char number[24];

	rd_kafka_header_add(headers, "topic", -1, letters->log, -1);
	snprintf(number, sizeof(number), "%d", partition->number);
	rd_kafka_header_add(headers, "partition", -1, number, -1);
	snprintf(number, sizeof(number), "%" PRId64, record->offset);
	rd_kafka_header_add(headers, "offset", -1, number, -1);
	rd_kafka_header_add(headers, kind == LETTERS_DEAD ? "reason" : "late_ms", -1, why, -1);
	snprintf(number, sizeof(number), "%zu", record->value.len);
	if (record->value.len > LETTERS_MAX_BYTES)
		rd_kafka_header_add(headers, "bytes", -1, number, -1);
	return headers;
}

/* The topic has been extended, maybe by another worker, and this handle would not find out for minutes. To
 * ask is to learn. */
static void letters_look(struct letters *letters, const char *name)
{
	struct kafka_log there = { 0 };
	struct err ignored;

	if (kafka_describe(letters->rk, name, LETTERS_DESCRIBE_MS, &there, &ignored))
		log_debug("%s", ignored.msg);
}

int letters_send(struct letters *letters, struct partition *partition, const struct record *record,
	enum letters_kind kind, const char *why, struct err *err)
{
	struct text value = record->value;
	rd_kafka_headers_t *headers = letters_headers(letters, partition, record, kind, why);
	rd_kafka_resp_err_t code;
	char key[48];

	if (!value.at) /* none at all would be a tombstone */
		value.at = "";
	if (value.len > LETTERS_MAX_BYTES)
		value.len = LETTERS_MAX_BYTES;
	snprintf(key, sizeof(key), "%d/%" PRId64, partition->number, record->offset);
	for (int tries = 0;; tries++) {
		code = rd_kafka_producev(letters->rk, RD_KAFKA_V_TOPIC(letters->topics[kind]),
			RD_KAFKA_V_PARTITION(partition->number), RD_KAFKA_V_KEY(key, strlen(key)),
			RD_KAFKA_V_VALUE((void *)value.at, value.len),
			RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_HEADERS(headers),
			RD_KAFKA_V_OPAQUE(partition), RD_KAFKA_V_END);
		if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || tries == 20)
			break;
		rd_kafka_poll(letters->rk, 100);
	}
	if (code) {
		rd_kafka_headers_destroy(headers); /* a letter that was taken has them now */
		partition->letters_failed = true;
		if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
			letters_look(letters, letters->topics[kind]);
		return err_set(err, ERR_KAFKA, "cannot put a record on topic '%s': '%s'",
			letters->topics[kind], rd_kafka_err2str(code));
	}
	letters->n_waiting++;
	partition->n_letters++;
	return 0;
}

void letters_poll(struct letters *letters, int timeout_ms)
{
	rd_kafka_poll(letters->rk, timeout_ms);
}

void letters_close(struct letters *letters)
{
	if (!letters->rk)
		return;
	rd_kafka_purge(letters->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_poll(letters->rk, 0);
	rd_kafka_destroy(letters->rk);
	letters->rk = NULL;
}
