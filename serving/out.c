#include "common/base.h"
#include "serving/out.h"

#include <stdarg.h>

#include "common/kernel/datetime.h"
#include "common/kernel/money.h"
#include "common/kernel/utf8.h"
#include "common/mem.h"

void out_init(struct out *out, size_t max_bytes)
{
	memset(out, 0, sizeof(*out));
	out->max = max_bytes;
}

void out_release(struct out *out)
{
	free(out->buf);
	memset(out, 0, sizeof(*out));
}

static void out_put(struct out *out, const char *at, size_t len)
{
	if (out->full || len > out->max - out->len) {
		out->full = true;
		return;
	}
	if (out->len + len > out->capacity) {
		out->capacity = out->capacity ? out->capacity * 2 : 1024;
		if (out->capacity < out->len + len)
			out->capacity = out->len + len;
		if (out->capacity > out->max)
			out->capacity = out->max;
		out->buf = xrealloc(out->buf, out->capacity);
	}
	memcpy(out->buf + out->len, at, len);
	out->len += len;
}

static void out_key(struct out *out, const char *key)
{
	if (out->len && !out->full && !strchr("{[:", out->buf[out->len - 1]))
		out_put(out, ",", 1);
	if (!key)
		return;
	out_put(out, "\"", 1);
	out_put(out, key, strlen(key));
	out_put(out, "\":", 2);
}

void out_open(struct out *out, const char *key, char bracket)
{
	out_key(out, key);
	out_put(out, &bracket, 1);
}

void out_close(struct out *out, char bracket)
{
	out_put(out, &bracket, 1);
}

void out_json(struct out *out, const char *key, const char *json)
{
	out_key(out, key);
	out_put(out, json, strlen(json));
}

void out_text(struct out *out, const char *key, struct text value)
{
	const unsigned char *at = (const unsigned char *)value.at, *end = at + value.len;
	char escape[8];

	out_key(out, key);
	out_put(out, "\"", 1);
	while (at < end) {
		size_t n = *at < 0x80 ? 1 : utf8_length(at, end);

		if (!n) {
			out_put(out, "\xef\xbf\xbd", 3);
			at++;
			continue;
		}
		if (*at == '"' || *at == '\\') {
			snprintf(escape, sizeof(escape), "\\%c", *at);
			out_put(out, escape, 2);
		} else if (*at < ' ' || *at == 0x7f) {
			snprintf(escape, sizeof(escape), "\\u%04x", *at);
			out_put(out, escape, 6);
		} else {
			out_put(out, (const char *)at, n);
		}
		at += n;
	}
	out_put(out, "\"", 1);
}

void out_string(struct out *out, const char *key, const char *value)
{
	if (value)
		out_text(out, key, (struct text){ value, strlen(value) });
	else
		out_null(out, key);
}

static void out_plain(struct out *out, const char *key, const char *value)
{
	out_key(out, key);
	out_put(out, value, strlen(value));
}

void out_int(struct out *out, const char *key, int64_t value)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "%" PRId64, value);
	out_plain(out, key, buf);
}

void out_bool(struct out *out, const char *key, bool value)
{
	out_plain(out, key, value ? "true" : "false");
}

void out_null(struct out *out, const char *key)
{
	out_plain(out, key, "null");
}

void out_seconds(struct out *out, const char *key, int64_t ms)
{
	char buf[40];
	size_t len = (size_t)snprintf(buf, sizeof(buf), "%" PRId64 ".%03d", ms / 1000, (int)(ms % 1000));

	while (buf[len - 1] == '0' && buf[len - 2] != '.')
		buf[--len] = 0;
	out_plain(out, key, buf);
}

void out_date(struct out *out, const char *key, int32_t day)
{
	char buf[DATE_TEXT_MAX];

	date_format(day, buf);
	out_string(out, key, buf);
}

void out_time(struct out *out, const char *key, int64_t ms)
{
	char buf[DATETIME_TEXT_MAX];

	if (ms == DATETIME_NONE) {
		out_null(out, key);
		return;
	}
	datetime_format(ms, buf);
	out_string(out, key, buf);
}

void out_second(struct out *out, const char *key, int64_t ms)
{
	char buf[DATETIME_TEXT_MAX];
	char *point;

	if (ms == DATETIME_NONE) {
		out_null(out, key);
		return;
	}
	datetime_format(ms, buf);
	point = strchr(buf, '.');
	if (point)
		memcpy(point, "Z", 2);
	out_string(out, key, buf);
}

void out_money(struct out *out, const char *key, int64_t e4, unsigned decimals)
{
	char buf[MONEY_TEXT_MAX];

	money_format(e4, decimals, buf);
	out_string(out, key, buf);
}

void out_raw(struct out *out, const char *format, ...)
{
	char buf[512];
	va_list ap;
	int len;

	va_start(ap, format);
	len = vsnprintf(buf, sizeof(buf), format, ap);
	va_end(ap);
	assert(len >= 0 && (size_t)len < sizeof(buf));
	out_put(out, buf, (size_t)len);
}
