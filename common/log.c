#include "common/base.h"
#include "common/log.h"

#include <stdarg.h>
#include <time.h>
#include <unistd.h>

static const char *log_program = "lambda";
static enum log_level log_max = LOG_LEVEL_INFO;

static const char *const log_names[] = { "error", "warn", "info", "debug" };

void log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_max = level;
}

void log_at(enum log_level level, const char *format, ...)
{
	char line[1200];
	struct timespec now;
	struct tm tm;
	va_list ap;
	size_t len;

	if (level > log_max)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	len = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	len += (size_t)snprintf(line + len, sizeof(line) - len, ".%03ldZ %s %s: ", now.tv_nsec / 1000000,
		log_names[level], log_program);
	va_start(ap, format);
	vsnprintf(line + len, sizeof(line) - len - 1, format, ap);
	va_end(ap);
	for (char *c = line + len; *c; c++) /* foreign text must not forge a second line */
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	len = strlen(line);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return; /* nobody to tell */
}
