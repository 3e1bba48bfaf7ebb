#include "common/base.h"
#include "batch/batch.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

static atomic_bool batch_stop; /* lock-free, so a handler may set it and any thread read it */

static void batch_on_signal(int number)
{
	(void)number;
	atomic_store(&batch_stop, true);
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
	return atomic_load(&batch_stop);
}

int batch_stopped(struct err *err)
{
	return err_set(err, ERR_STOPPED, "stopped by a signal");
}

int batch_no_thread(int status, struct err *err)
{
	return err_set(err, ERR_OS, "cannot start a thread: %s; hint: see ulimit -u", strerror(status));
}

void batch_sleep_ms(int64_t ms)
{
	int64_t end_ms = clock_ms() + ms;

	while (ms > 0 && !batch_stop_asked()) {
		int64_t part_ms = ms < 100 ? ms : 100; /* a signal may come between the check and the sleep */

		clock_sleep_ms(part_ms);
		ms = end_ms - clock_ms();
	}
}
