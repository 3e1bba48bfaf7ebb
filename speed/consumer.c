/* Kafka as the worker sees it. Failure modes:
 * - no broker: complains, librdkafka goes on trying;
 * - the topic is not there: waits for it at the start; later it is an error of the partitions, which recover;
 * - retention took the position (OFFSET_OUT_OF_RANGE, nothing is reset in silence): noted as lost, goes on at
 * the first offset that is there; with an archive the recovery path looks there;
 * - the group takes partitions away: pending is dropped, the next owner reads it again;
 * - a message that was read before a seek: never handed on by librdkafka, and below the position ignored
 * here. */
#include "common/base.h"
#include "speed/speed.h"

#include "common/log.h"
#include "common/mem.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CONSUMER_TAKE_MS = 5, CONSUMER_TAKE_N = 256 };

/* --- assignment -------------------------------------------------------------------------------- */

static struct partition *consumer_partition(struct speed *speed, int number)
{
	if (number >= speed->n_partitions) {
		speed->partitions =
			xreallocarray(speed->partitions, (size_t)number + 1, sizeof(*speed->partitions));
		while (speed->n_partitions <= number)
			speed->partitions[speed->n_partitions++] = NULL;
	}
	if (!speed->partitions[number])
		speed->partitions[number] = partition_new(&speed->config, number);
	return speed->partitions[number];
}

static void consumer_leave(struct speed *speed, struct partition *p)
{
	speed->n_pending -= p->n_pending;
	speed->is_full = false;
	partition_drop(p);
	archived_close(p);
	p->state = PARTITION_AWAY;
}

static void consumer_assigned(struct speed *speed, rd_kafka_topic_partition_list_t *list)
{
	char text[256] = "";
	size_t len = 0;

	for (int i = 0; i < list->cnt; i++) {
		struct partition *p = consumer_partition(speed, list->elems[i].partition);

		p->state = PARTITION_WAITING;
		p->retry_ms = 0;
		if (len + 16 < sizeof(text))
			len += (size_t)snprintf(
				text + len, sizeof(text) - len, "%s%d", len ? "," : "", p->number);
	}
	speed->is_member = speed->must_assign = true;
	consumer_assign(speed); /* of nothing yet: the recovery path says where to read */
	for (int i = 0; i < speed->n_partitions; i++) /* their horizons need not be kept any longer */
		if (speed->partitions[i] && speed->partitions[i]->state == PARTITION_AWAY)
			partition_forget(speed->partitions[i]);
	log_info("assigned partitions=%s n=%d", text, list->cnt);
	progress_catch_up(speed);
}

static void consumer_on_rebalance(
	rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque)
{
	struct speed *speed = opaque;

	if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
		consumer_assigned(speed, list);
		return;
	}
	if (code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)
		log_warn("the group cannot be balanced: '%s', retrying", rd_kafka_err2str(code));
	for (int i = 0; i < speed->n_partitions; i++)
		if (speed->partitions[i] && speed->partitions[i]->state != PARTITION_AWAY)
			consumer_leave(speed, speed->partitions[i]);
	speed->is_member = false;
	kafka_assign(rk, NULL);
	log_info("revoked all partitions");
}

static void consumer_on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	struct speed *speed = opaque;

	(void)rk;
	if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && complaint_due(&speed->no_kafka))
		log_warn("no broker of kafka can be reached at '%s': '%s', retrying", speed->config.brokers,
			reason);
}

/* --- opening ----------------------------------------------------------------------------------- */

int consumer_open(struct speed *speed, struct err *err)
{
	static const char *const properties[][2] = {
		{ "partition.assignment.strategy",
			"range" }, /* eager: cooperative ones can spin in librdkafka 2.0 */
		{ "session.timeout.ms", "10000" }, { "heartbeat.interval.ms", "2000" },
		{ "enable.auto.commit", "false" }, { "enable.auto.offset.store", "false" },
		{ "auto.offset.reset", "error" }, { "enable.partition.eof", "true" },
		{ "fetch.wait.max.ms", "500" },
		{ "topic.metadata.refresh.interval.ms", "30000" }, /* new partitions are found that soon */
	};
	rd_kafka_conf_t *conf;
	char group[192];
	const uint64_t one = 1;

	if (kafka_conf(&speed->config, RD_KAFKA_CONSUMER, &conf, err))
		return -1;
	if (speed->keep->mode)
		snprintf(group, sizeof(group), "%s.%s.%s", speed->config.name, speed->keep->mode,
			speed->config.version);
	else
		snprintf(group, sizeof(group), "%s", speed->config.name);
	kafka_conf_set(conf, &speed->config, "group.id", group);
	for (size_t i = 0; i < ARRAY_SIZE(properties); i++)
		kafka_conf_set(conf, &speed->config, properties[i][0], properties[i][1]);
	rd_kafka_conf_set_rebalance_cb(conf, consumer_on_rebalance);
	rd_kafka_conf_set_error_cb(conf, consumer_on_error);
	rd_kafka_conf_set_opaque(conf, speed);
	if (kafka_open(&speed->rk, RD_KAFKA_CONSUMER, conf, err))
		return -1;
	rd_kafka_poll_set_consumer(speed->rk);
	speed->queue = rd_kafka_queue_get_consumer(speed->rk);
	speed->queue_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (speed->queue_fd < 0)
		return err_set(err, ERR_OS, "cannot make an event descriptor: '%s'", strerror(errno));
	rd_kafka_queue_io_event_enable(speed->queue, speed->queue_fd, &one, sizeof(one));
	return 0;
}

int consumer_find_topic(struct speed *speed, struct err *err)
{
	while (!speed_stop) {
		if (kafka_describe(speed->rk, speed->config.topic, 2000, &speed->log, err) == 0 &&
			letters_ensure(&speed->letters, speed->rk, speed->log.n_partitions, err) == 0) {
			if (complaint_over(&speed->no_topic))
				log_info("kafka and topic '%s' are there", speed->config.topic);
			break;
		}
		if (err->code == ERR_USAGE)
			return -1;
		if (complaint_due(&speed->no_topic))
			log_warn("%s; retrying", err->msg);
		rd_kafka_poll(speed->rk, 0);
		for (int i = 0; i < 10 && !speed_stop; i++)
			clock_sleep_ms(SPEED_RETRY_MS / 10);
	}
	*err = (struct err){ 0 };
	return 0;
}

int consumer_subscribe(struct speed *speed, struct err *err)
{
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_resp_err_t code;

	rd_kafka_topic_partition_list_add(topics, speed->config.topic, RD_KAFKA_PARTITION_UA);
	code = rd_kafka_subscribe(speed->rk, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	return code ? err_set(err, ERR_KAFKA, "cannot subscribe to '%s': '%s'", speed->config.topic,
			      rd_kafka_err2str(code))
		    : 0;
}

/* --- where to read ----------------------------------------------------------------------------- */

/* Always by a new assignment with exact offsets, of those that have one. (Starting at a logical offset,
 * pausing and seeking is a race in librdkafka 2.0: the answer to the question for the logical offset may come
 * after the seek and win.) */
void consumer_assign(struct speed *speed)
{
	rd_kafka_topic_partition_list_t *list;

	if (!speed->is_member || !speed->must_assign)
		return;
	speed->must_assign = false;
	list = rd_kafka_topic_partition_list_new(speed->n_partitions);
	for (int i = 0; i < speed->n_partitions; i++) {
		const struct partition *p = speed->partitions[i];

		if (p && p->state >= PARTITION_WARMING && !p->archived.reads)
			rd_kafka_topic_partition_list_add(list, speed->config.topic, i)->offset =
				partition_reads_at(p);
	}
	kafka_assign(speed->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
}

/* --- messages ---------------------------------------------------------------------------------- */

static void consumer_out_of_range(struct speed *speed, struct partition *p)
{
	struct err err = { 0 };
	int64_t first, end;

	if (p->state < PARTITION_WARMING)
		return;
	if (p->state == PARTITION_FOLDING && !archived_is_used(speed) &&
		kafka_range(speed->letters.rk, speed->config.topic, p->number, SPEED_ASK_MS, &first, &end,
			&err) == 0 &&
		partition_lose(p, first)) {
		speed->must_assign = true;
		log_warn("partition %d: retention took offsets %" PRId64 " to %" PRId64
			 " before they were read, "
			 "going on behind them; every answer says so until a run covers them",
			p->number, p->lost_from, p->lost_to);
		return;
	}
	log_warn("partition %d: offset %" PRId64 " is not there, recovering", p->number, p->position);
	recovery_need(speed, p, SPEED_RETRY_MS);
}

/* An event of the consumer that is not a message. */
static void consumer_event(struct speed *speed, const rd_kafka_message_t *message)
{
	struct partition *p =
		message->rkt && message->partition >= 0 && message->partition < speed->n_partitions
			? speed->partitions[message->partition]
			: NULL;

	if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF && p) {
		partition_end(p, message->offset);
		return;
	}
	if ((message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
		    message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) &&
		p) {
		consumer_out_of_range(speed, p);
		return;
	}
	if (complaint_due(&speed->no_kafka))
		log_warn("kafka says '%s'%s%s, retrying", rd_kafka_err2str(message->err),
			p ? " for partition " : "", p ? p->base : "");
}

static void consumer_letter(struct speed *speed, struct partition *p, const struct record *record,
	const struct partition_letter *letter)
{
	struct err err = { 0 };
	char late_ms[24];
	int failed = 0;

	snprintf(late_ms, sizeof(late_ms), "%" PRId64, letter->late_ms);
	if (letter->reject != EVENT_OK)
		failed = letters_send(
			&speed->letters, p, record, LETTERS_DEAD, event_reject_code(letter->reject), &err);
	else if (letter->late_ms)
		failed = letters_send(&speed->letters, p, record, LETTERS_LATE, late_ms, &err);
	if (!failed)
		return;
	if (complaint_due(&speed->no_letter))
		log_warn("partition %d: %s; reading it again", p->number, err.msg);
	speed->letters.n_partitions = 0; /* look at the topics again */
}

bool consumer_record(struct speed *speed, struct partition *p, const struct record *record)
{
	int64_t before = p->n_pending;
	struct partition_letter letter;
	struct err err = { 0 };
	int result = partition_record(p, speed->parser, record,
		speed->keep == &keep_redis ? speed->wall_ms : INT64_MAX, &letter, &err);

	if (result == PARTITION_TAKEN)
		consumer_letter(speed, p, record, &letter);
	if (result < 0)
		speed->fatal = err;
	if (result < 0 || result == PARTITION_IGNORED) {
		speed->progress.n_warmed += p->state == PARTITION_WARMING;
		return false;
	}
	p->arrived_ms = speed->wall_ms;
	speed->n_pending += p->n_pending - before;
	speed->is_full =
		speed->n_pending >= speed->config.pending_max || partition_is_full(p, speed->keep->sums_max);
	speed->progress.n_records++;
	throttle_take(&speed->throttle);
	return true;
}

static void consumer_message(struct speed *speed, rd_kafka_message_t *message)
{
	const struct record record = { message->offset, rd_kafka_message_timestamp(message, NULL),
		{ message->key, message->key_len }, { message->payload, message->len }, message };

	if (!consumer_record(speed, speed->partitions[message->partition], &record))
		rd_kafka_message_destroy(message);
}

bool consumer_must_rest(const struct speed *speed)
{
	return speed->fatal.code != ERR_NONE || speed->is_full || throttle_is_due(&speed->throttle);
}

bool consumer_take(struct speed *speed)
{
	int64_t until_ms = clock_ms() + CONSUMER_TAKE_MS;

	speed->wall_ms = clock_wall_ms();
	do {
		for (int i = 0; i < CONSUMER_TAKE_N; i++) {
			rd_kafka_message_t *message = rd_kafka_consumer_poll(speed->rk, 0);

			if (!message) {
				speed->n_drained++;
				return true;
			}
			if (message->err) {
				consumer_event(speed, message);
				rd_kafka_message_destroy(message);
			} else {
				consumer_message(speed, message);
			}
			if (consumer_must_rest(speed))
				return false;
		}
	} while (clock_ms() < until_ms);
	return false;
}

/* --- end --------------------------------------------------------------------------------------- */

/* Only for tools that show a group's lag: where a worker goes on is kept with the values. */
void consumer_commit(struct speed *speed)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(speed->n_partitions);

	for (int i = 0; i < speed->n_partitions; i++)
		if (speed->partitions[i] && speed->partitions[i]->state == PARTITION_FOLDING &&
			speed->partitions[i]->next >= 0)
			rd_kafka_topic_partition_list_add(list, speed->config.topic, i)->offset =
				speed->partitions[i]->next;
	if (list->cnt)
		rd_kafka_commit(speed->rk, list, 1);
	rd_kafka_topic_partition_list_destroy(list);
}

void consumer_close(struct speed *speed)
{
	rd_kafka_error_t *error;
	int64_t until_ms = clock_ms() + SPEED_STOP_MS / 4;

	if (!speed->rk)
		return;
	error = rd_kafka_consumer_close_queue(speed->rk, speed->queue); /* leaves the group */
	if (error)
		rd_kafka_error_destroy(error);
	while (!rd_kafka_consumer_closed(speed->rk) && clock_ms() < until_ms) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(speed->rk, 50);

		if (message)
			rd_kafka_message_destroy(message);
	}
	rd_kafka_queue_io_event_enable(speed->queue, -1, NULL, 0);
	rd_kafka_queue_destroy(speed->queue);
	rd_kafka_destroy_flags(
		speed->rk, rd_kafka_consumer_closed(speed->rk) ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	speed->rk = NULL;
	close(speed->queue_fd);
}
