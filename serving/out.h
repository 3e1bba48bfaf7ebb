/* Writes JSON into a growing buffer that has a limit: what a client can size is bounded. Commas come by
 * themselves. Once the limit is reached everything is ignored and body_of_out() returns NULL. One thread. */
#ifndef SERVING_OUT_H
#define SERVING_OUT_H

#include "common/kernel/text.h"

struct out {
	char *buf; /* owned */
	size_t len, capacity, max;
	bool full;
};

void out_init(struct out *out, size_t max_bytes);
void out_release(struct out *out);

/* In an object `key` names the value; in an array, and for the whole text, it is NULL. Keys are plain ASCII.
 */
void out_open(struct out *out, const char *key, char bracket); /* '{' or '[' */
void out_close(struct out *out, char bracket); /* '}' or ']' */
void out_text(
	struct out *out, const char *key, struct text value); /* bytes that are no UTF-8 become U+FFFD */
void out_string(struct out *out, const char *key, const char *value); /* NULL becomes null */
void out_int(struct out *out, const char *key, int64_t value);
void out_bool(struct out *out, const char *key, bool value);
void out_null(struct out *out, const char *key);
void out_seconds(struct out *out, const char *key, int64_t ms); /* 20 becomes 0.02, 0 becomes 0.0 */
void out_date(struct out *out, const char *key, int32_t day);
void out_time(struct out *out, const char *key, int64_t ms); /* DATETIME_NONE becomes null */
void out_second(struct out *out, const char *key, int64_t ms); /* likewise, without a fraction */
void out_money(struct out *out, const char *key, int64_t e4, unsigned decimals);

void out_json(struct out *out, const char *key, const char *json); /* a whole value, as Postgres wrote it */

/* Text that is not JSON (the metrics). */
void out_raw(struct out *out, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
