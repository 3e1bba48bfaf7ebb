/* What the kernel makes of each value of a dump ("0 OFFSET 0 SIZE\nVALUE\n"; size -1: no value), one line
 * each, for test_kernel.py to compare with the oracle. */
#include "common/base.h"
#include "common/kernel/event.h"
#include "common/mem.h"

static void print_verdict(struct event_parser *parser, long offset, const char *value, long size)
{
	const struct event *event;
	enum event_reject reject =
		event_parse(parser, size < 0 ? NULL : value, size < 0 ? 0 : (size_t)size, &event);

	if (reject)
		printf("%ld %s\n", offset, event_reject_code(reject));
	else
		printf("%ld %s %" PRId64 " %" PRId64 " %" PRId64 " %u\n", offset,
			event->type == EVENT_PLACED ? "order_placed" : "order_refunded", event->time_ms,
			event->total_e4, event->units, event->n_lines);
}

int main(void)
{
	struct event_parser *parser = event_parser_new();
	long offset, size;

	while (scanf("0 %ld 0 %ld", &offset, &size) == 2) {
		size_t len = size > 0 ? (size_t)size : 0;
		char *value = xmalloc(len); /* of its own, so that a sanitizer sees a read behind its end */

		if (getchar() != '\n' || fread(value, 1, len, stdin) != len || getchar() != '\n')
			return 1;
		print_verdict(parser, offset, value, size);
		free(value);
	}
	event_parser_free(parser);
	return 0;
}
