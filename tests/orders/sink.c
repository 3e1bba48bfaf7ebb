#include "common/base.h"
#include "common/mem.h"
#include "tests/orders/kafka_sink.h"
#include "tests/orders/sink.h"
#include "tests/orders/text.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#define WRITE_AT (1 << 20) /* bytes */

struct sink {
	const struct sink_config *config;
	struct kafka_sink *kafka; /* NULL: standard output */
	struct text out;
	uint64_t n, bytes, start_us, shown_us;
	bool terminal;
};

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int sink_open(const struct sink_config *config, struct sink **ret, struct err *err)
{
	struct kafka_sink *kafka = NULL;

	if (!config->to_stdout && kafka_sink_open(config, &kafka, err))
		return -1;
	struct sink *s = xcalloc(1, sizeof(*s));
	s->config = config;
	s->kafka = kafka;
	s->start_us = s->shown_us = clock_us();
	s->terminal = isatty(STDERR_FILENO);
	*ret = s;
	return 0;
}

static void show(struct sink *s)
{
	uint64_t now_us = clock_us();

	if (!s->terminal || now_us - s->shown_us < 200000)
		return;
	s->shown_us = now_us;
	fprintf(stderr, "\r%" PRIu64, s->n);
	if (s->config->expected)
		fprintf(stderr, " of %" PRIu64 " (%" PRIu64 " %%)", s->config->expected,
			s->n * 100 / s->config->expected);
	fprintf(stderr, " events, %" PRIu64 "/s \033[K", s->n * 1000000 / (now_us - s->start_us + 1));
}

static int write_out(struct sink *s, struct err *err)
{
	for (size_t done = 0; done < s->out.len;) {
		ssize_t n = write(STDOUT_FILENO, s->out.data + done, s->out.len - done);

		if (n < 0 && errno != EINTR)
			return err_set(err, ERR_IO, "cannot write to standard output: %s", strerror(errno));
		done += n > 0 ? (size_t)n : 0;
	}
	s->out.len = 0;
	return 0;
}

int sink_put(struct sink *s, const struct record *record, struct err *err)
{
	s->n++;
	s->bytes += record->value ? record->value_len : 0;
	if (s->n % 4096 == 0)
		show(s);
	if (s->kafka)
		return kafka_sink_put(s->kafka, record, err);
	if (record->value)
		text_add(&s->out, record->value, record->value_len);
	text_add(&s->out, "\n", 1);
	return s->out.len < WRITE_AT ? 0 : write_out(s, err);
}

int sink_wait(struct sink *s, uint64_t wait_us, struct err *err)
{
	show(s);
	if (s->kafka)
		return kafka_sink_wait(s->kafka, wait_us, err);
	struct timespec ts = { (time_t)(wait_us / 1000000), (long)(wait_us % 1000000) * 1000 };

	if (write_out(s, err))
		return -1;
	nanosleep(&ts, NULL);
	return 0;
}

int sink_close(struct sink *s, struct err *err)
{
	if (!s)
		return 0;
	int rc = s->kafka ? kafka_sink_close(s->kafka, err) : write_out(s, err);
	uint64_t us = clock_us() - s->start_us + 1;

	fprintf(stderr,
		"%s%" PRIu64 " events, %" PRIu64 ".%" PRIu64 " MB in %" PRIu64 ".%" PRIu64 " s (%" PRIu64
		"/s)\n",
		s->terminal ? "\r\033[K" : "", s->n, s->bytes / 1000000, s->bytes / 100000 % 10, us / 1000000,
		us / 100000 % 10, s->n * 1000000 / us);
	text_release(&s->out);
	free(s);
	return rc;
}
