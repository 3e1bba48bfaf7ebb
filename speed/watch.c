/* See watch.h. Failure modes: Kafka cannot be asked, or hangs: the next look comes later, and whoever reads
 * the log complains. */
#include "common/base.h"
#include "speed/watch.h"

#include "common/clock.h"
#include "common/kafka.h"
#include "common/mem.h"
#include "speed/ticker.h"

enum { WATCH_ASK_MS = 5000 };

struct watched {
	struct tail known; /* what is looked for; offset -1: nothing */
	struct tail newest; /* what will be when that was there */
	struct err differs;
};

struct watch {
	const struct config *config;
	struct ticker ticker;
	pthread_mutex_t mutex; /* of what follows */
	struct watched *partitions;
	int n_partitions;
	uint64_t n_begun, n_over; /* looks at all of them; over is one that Kafka has answered for all */
};

static bool watch_next(struct watch *watch, int partition, struct tail *ret_known, struct tail *ret_newest)
{
	bool there;

	pthread_mutex_lock(&watch->mutex);
	there = partition < watch->n_partitions;
	if (there) {
		*ret_known = watch->partitions[partition].known;
		*ret_newest = watch->partitions[partition].newest;
	}
	pthread_mutex_unlock(&watch->mutex);
	return there;
}

/* One look. A log that ends before the record says nothing here. */
static int watch_look(
	struct watch *watch, rd_kafka_t *rk, int partition, const struct tail *tail, struct err *err)
{
	int64_t first, end;

	if (kafka_range_again(rk, watch->config->topic, partition, WATCH_ASK_MS, &first, &end, err))
		return -1;
	if (tail->offset >= end)
		return err_set(err, ERR_KAFKA, "it ends before");
	return kafka_check_tail_by(rk, watch->config->topic, partition, tail, WATCH_ASK_MS, err);
}

/* False: Kafka did not answer. */
static bool watch_partition(struct watch *watch, rd_kafka_t *rk, int partition, const struct tail *known,
	const struct tail *newest)
{
	struct err err = { 0 };
	struct watched *watched;

	if (watch_look(watch, rk, partition, known, &err) && err.code != ERR_DATA)
		return false;
	pthread_mutex_lock(&watch->mutex);
	watched = &watch->partitions[partition];
	if (watched->known.offset == known->offset &&
		watched->known.hash == known->hash) { /* else it has
						       * started again */
		watched->differs = err;
		if (err.code == ERR_NONE)
			watched->known = *newest;
	}
	pthread_mutex_unlock(&watch->mutex);
	return true;
}

static void watch_all(struct watch *watch, rd_kafka_t *rk)
{
	struct tail known, newest;
	bool answered = true;

	pthread_mutex_lock(&watch->mutex);
	watch->n_begun++;
	pthread_mutex_unlock(&watch->mutex);
	for (int i = 0; watch_next(watch, i, &known, &newest) && !ticker_rest(&watch->ticker, 0); i++)
		if (known.offset >= 0)
			answered &= watch_partition(watch, rk, i, &known, &newest);
	pthread_mutex_lock(&watch->mutex);
	if (answered)
		watch->n_over = watch->n_begun;
	pthread_mutex_unlock(&watch->mutex);
}

static void *watch_run(void *arg)
{
	struct watch *watch = arg;
	rd_kafka_t *rk = NULL;
	struct err err = { 0 };

	while (!ticker_rest(&watch->ticker, WATCH_EVERY_MS))
		if (rk || !kafka_open_reader(watch->config, &rk, &err))
			watch_all(watch, rk);
	kafka_close(&rk);
	return NULL;
}

struct watch *watch_start(const struct config *config)
{
	struct watch *watch = xcalloc(1, sizeof(*watch));

	watch->config = config;
	pthread_mutex_init(&watch->mutex, NULL);
	ticker_start(&watch->ticker, watch_run, watch);
	return watch;
}

static void watch_grow(struct watch *watch, int n)
{
	if (n <= watch->n_partitions)
		return;
	watch->partitions = xreallocarray(watch->partitions, (size_t)n, sizeof(*watch->partitions));
	while (watch->n_partitions < n) {
		struct watched *watched = &watch->partitions[watch->n_partitions++];

		*watched = (struct watched){ 0 };
		tail_init(&watched->known);
		tail_init(&watched->newest);
	}
}

void watch_tail(struct watch *watch, int partition, const struct tail *tail)
{
	struct watched *watched;

	pthread_mutex_lock(&watch->mutex);
	watch_grow(watch, partition + 1);
	watched = &watch->partitions[partition];
	if (tail)
		watched->newest = *tail;
	else
		tail_init(&watched->newest);
	if (watched->known.offset < 0 || watched->newest.offset < watched->known.offset) {
		watched->known = watched->newest;
		watched->differs = (struct err){ 0 };
	}
	pthread_mutex_unlock(&watch->mutex);
}

bool watch_differs(struct watch *watch, struct err *err)
{
	bool differs = false;

	pthread_mutex_lock(&watch->mutex);
	for (int i = 0; i < watch->n_partitions && !differs; i++) {
		differs = watch->partitions[i].differs.code != ERR_NONE;
		if (differs)
			*err = watch->partitions[i].differs;
	}
	pthread_mutex_unlock(&watch->mutex);
	return differs;
}

bool watch_is_over(struct watch *watch, uint64_t *look)
{
	bool known = false, over;

	pthread_mutex_lock(&watch->mutex);
	for (int i = 0; i < watch->n_partitions; i++)
		known |= watch->partitions[i].known.offset >= 0;
	if (!*look)
		*look = watch->n_begun + 1;
	over = !known || watch->n_over >= *look;
	pthread_mutex_unlock(&watch->mutex);
	return over;
}

bool watch_stop(struct watch *watch)
{
	if (!watch)
		return true;
	if (!ticker_stop(&watch->ticker))
		return false;
	pthread_mutex_destroy(&watch->mutex);
	free(watch->partitions);
	free(watch);
	return true;
}
