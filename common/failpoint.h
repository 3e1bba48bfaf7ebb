/* Places where a test of faults ends or stalls a program: FAILPOINT("flush.sent"). Nothing in normal builds.
 * In a build with -DFAILPOINTS the process kills itself there with SIGKILL when LAMBDA_FAILPOINT names the
 * place, and stops itself with SIGSTOP when LAMBDA_STALLPOINT does: NAME, or NAME:N for the Nth time. A name
 * stands in one place only. Thread: any. */
#ifndef COMMON_FAILPOINT_H
#define COMMON_FAILPOINT_H

#include "common/kernel/plant.h"

#ifdef FAILPOINTS

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static inline void failpoint_signal(const char *variable, const char *name, long reached, int signal)
{
	const char *wanted = getenv(variable);
	size_t len = strlen(name);

	if (!wanted || strncmp(wanted, name, len) != 0 || (wanted[len] && wanted[len] != ':'))
		return;
	if (reached == (wanted[len] ? strtol(wanted + len + 1, NULL, 10) : 1))
		raise(signal);
}

#define FAILPOINT(name) \
	do { \
		static _Atomic long failpoint_reached; \
		long failpoint_nth = ++failpoint_reached; \
\
		failpoint_signal("LAMBDA_FAILPOINT", name, failpoint_nth, SIGKILL); \
		failpoint_signal("LAMBDA_STALLPOINT", name, failpoint_nth, SIGSTOP); \
	} while (0)

#else

#define FAILPOINT(name) ((void)0)

#endif

#endif
