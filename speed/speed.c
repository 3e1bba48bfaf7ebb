#include "common/base.h"
#include "speed/speed.h"

#include "common/log.h"
#include "common/notify.h"
#include "common/mem.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

volatile sig_atomic_t speed_stop;

static void speed_on_stop(int signal)
{
	(void)signal;
	if (!speed_stop)
		alarm(SPEED_STOP_MS / 1000);
	speed_stop = 1;
}

/* The end took too long, because a server hangs. To leave at once is safe at any time: what was not kept, the
 * next worker reads again. */
static void speed_on_alarm(int signal)
{
	(void)signal;
	_exit(0);
}

static void speed_signals(void)
{
	struct sigaction stop = { .sa_handler = speed_on_stop }, end = { .sa_handler = speed_on_alarm };

	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGALRM, &end, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int speed_open(struct speed *speed, struct err *err)
{
	char host[64] = "";

	speed->queue_fd = -1;
	speed_signals();
	speed->keep = !strcmp(speed->config.store, "postgres") ? &keep_postgres : &keep_redis;
	config_log(&speed->config);
	gethostname(host, sizeof(host) - 1);
	snprintf(speed->worker, sizeof(speed->worker), "%s-%d", host, (int)getpid());
	fold_version(&speed->config.rules, speed->fold);
	speed->parser = event_parser_new();
	if (consumer_open(speed, err) || letters_open(&speed->letters, &speed->config, err))
		return -1;
	if (speed->keep == &keep_redis)
		speed->published = published_start(&speed->config);
	speed->watch = watch_start(&speed->config);
	speed->throttle.per_second = speed->config.throttle;
	log_info("start worker=%s fold=%s", speed->worker, speed->fold);
	return 0;
}

/* A connection to where values are kept, if it is time to try. */
static void speed_connect(struct speed *speed)
{
	struct err err = { 0 };

	if (speed->keep->is_open(speed) || clock_ms() < speed->connect_ms)
		return;
	if (speed->keep->open(speed, &err)) {
		speed->connect_ms = clock_ms() + SPEED_RETRY_MS;
		if (err.code == ERR_DATA || err.code == ERR_USAGE)
			speed->fatal = err;
		else if (complaint_due(&speed->no_keep))
			log_warn("%s; retrying", err.msg);
		return;
	}
	if (complaint_over(&speed->no_keep))
		log_info("%s is there", speed->keep->name);
}

static void speed_read_keep(struct speed *speed, int timeout_ms)
{
	struct err err = { 0 };

	if (speed->keep->is_open(speed) && speed->keep->read(speed, timeout_ms, &err))
		flush_lost_keep(speed, &err);
}

static bool speed_is_full(const struct speed *speed)
{
	return speed->is_full || flush_waits_for_letters(speed) || throttle_is_due(&speed->throttle);
}

/* Sleeps until Kafka or a reply has something, or a timer may be due. */
static void speed_wait(struct speed *speed, bool full)
{
	struct pollfd fds[2] = {
		{ .fd = full ? -1 : speed->queue_fd, .events = POLLIN },
		{ .fd = speed->keep->fd(speed), .events = POLLIN },
	};
	bool soon = speed->n_pending || speed->letters.n_waiting;
	char drop[64];

	if (poll(fds, ARRAY_SIZE(fds), soon ? 1 : 100) > 0 && fds[0].revents)
		while (read(speed->queue_fd, drop, sizeof(drop)) > 0)
			;
}

static void speed_say_alive(struct speed *speed)
{
	if (speed->alive_every_ms && clock_ms() - speed->alive_ms >= speed->alive_every_ms) {
		speed->alive_ms = clock_ms();
		notify("WATCHDOG=1");
	}
}

static void speed_turn(struct speed *speed)
{
	bool full = speed_is_full(speed), idle = full;

	speed_connect(speed);
	recovery_turn(speed);
	if (!full) {
		idle = consumer_take(speed);
		idle = archived_take(speed) && idle;
	}
	speed_read_keep(speed, 0);
	letters_poll(&speed->letters, 0);
	flush_turn(speed);
	if (clock_ms() - speed->tick_ms >= SPEED_TICK_MS) {
		speed->tick_ms = clock_ms();
		progress_tick(speed);
		recovery_watch(speed);
	}
	speed_say_alive(speed);
	progress_turn(speed);
	if (idle)
		speed_wait(speed, full);
}

/* Everything that is pending goes to where it is kept, as far as that answers in time. */
static void speed_finish(struct speed *speed)
{
	int64_t until_ms = clock_ms() + SPEED_STOP_MS / 2;
	struct err err = { 0 };

	while (speed->keep->is_open(speed) && clock_ms() < until_ms) {
		bool dirty = false;

		speed_read_keep(speed, 5);
		letters_poll(&speed->letters, 0);
		speed->flushed_ms = 0; /* no need to wait between two flushes */
		flush_turn(speed);
		for (int i = 0; i < speed->n_partitions; i++)
			dirty = dirty ||
				(speed->partitions[i] && speed->partitions[i]->state == PARTITION_FOLDING &&
					speed->partitions[i]->position > speed->partitions[i]->next);
		if (!dirty)
			break;
	}
	if (speed->keep->is_open(speed) && speed->keep->drain(speed, &err))
		log_warn("stopping without the last replies: %s", err.msg);
	consumer_commit(speed);
}

int speed_run(struct speed *speed, struct err *err)
{
	if (consumer_find_topic(speed, err) || consumer_subscribe(speed, err))
		return -1;
	progress_catch_up(speed);
	speed->tick_ms = clock_ms();
	speed->alive_every_ms = notify_watchdog_ms();
	notify("READY=1");
	while (!speed_stop && speed->fatal.code == ERR_NONE)
		speed_turn(speed);
	if (speed->fatal.code != ERR_NONE) {
		recovery_last_look(speed);
		*err = speed->fatal;
		return -1;
	}
	log_info("stopping");
	notify("STOPPING=1");
	speed_finish(speed);
	return 0;
}

void speed_close(struct speed *speed)
{
	bool stopped;

	for (int i = 0; i < speed->n_partitions; i++)
		if (speed->partitions[i]) {
			partition_drop(speed->partitions[i]); /* gives messages back before Kafka is closed */
			archived_close(speed->partitions[i]);
		}
	consumer_close(speed);
	letters_close(&speed->letters);
	if (speed->keep)
		speed->keep->release(speed);
	for (int i = 0; i < speed->n_partitions; i++)
		if (speed->partitions[i])
			partition_free(speed->partitions[i]);
	free(speed->partitions);
	event_parser_free(speed->parser);
	stopped = published_stop(speed->published);
	if (watch_stop(speed->watch) && stopped)
		config_release(&speed->config);
}
