/* A wall clock that is wrong, for a program that is started with LD_PRELOAD=.../clock.so FAULT_CLOCK=FILE:
 * the file holds by how many seconds, and may be changed at any time (by replacing it). Monotonic clocks stay
 * right, and so do waits inside libraries: libfaketime also changes those of librdkafka, which then wait for
 * the difference. */
#include "common/base.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t clock_wrong_s(void)
{
	const char *path = getenv("FAULT_CLOCK");
	char text[32] = "";
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return strtol(text, NULL, 10);
}

int clock_gettime(clockid_t id, struct timespec *ret)
{
	int status = (int)syscall(SYS_clock_gettime, id, ret);

	if (!status && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ret->tv_sec += clock_wrong_s();
	return status;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	*ret = (struct timeval){ .tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000 };
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}
