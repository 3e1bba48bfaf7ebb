#include "common/base.h"
#include "batch/batch.h"

#include <signal.h>
#include <time.h>

static volatile sig_atomic_t batch_stop;

static void batch_on_signal(int number)
{
	(void)number;
	batch_stop = 1;
}

void batch_stop_install(void)
{
	struct sigaction action = { .sa_handler = batch_on_signal };

	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN); /* a lost server is an error of a call */
}

bool batch_stop_asked(void)
{
	return batch_stop;
}

int batch_stopped(struct err *err)
{
	return err_set(err, ERR_STOPPED, "stopped by a signal; nothing was published");
}

int64_t batch_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

int64_t batch_wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

void batch_sleep_ms(int64_t ms)
{
	int64_t end_ms = batch_now_ms() + ms;

	while (ms > 0 && !batch_stop) {
		int64_t part_ms = ms < 100 ? ms : 100; /* a signal may come between the check and the sleep */

		nanosleep(&(struct timespec){ .tv_nsec = part_ms * 1000000 }, NULL);
		ms = end_ms - batch_now_ms();
	}
}
