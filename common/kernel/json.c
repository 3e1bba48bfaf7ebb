#include "common/base.h"
#include "common/kernel/json.h"
#include "common/kernel/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

void json_init(struct json *json, const void *value, size_t len)
{
	static const unsigned char nothing[1];

	*json = (struct json){ .at = len ? value : nothing, .value_due = true };
	json->end = json->at + len;
}

static enum json_token json_fail(struct json *json, enum json_token failure)
{
	json->failure = failure;
	return failure;
}

/* Inside a string or a number: `at` is the byte that it broke at. */
static bool json_broken(struct json *json, const unsigned char *at)
{
	json->at = at;
	return false;
}

/* --- strings ------------------------------------------------------------------------------------ */

static inline bool json_is_plain(unsigned char c)
{
	return c >= ' ' && c < 0x80 && c != '"' && c != '\\';
}

/* The first byte that is not plain, or `end`: quote, backslash, control character or not ASCII. */
static inline const unsigned char *json_plain_end(const unsigned char *at, const unsigned char *end)
{
#ifdef __SSE2__
	while (end - at >= 16) {
		const void *block = at;
		__m128i bytes = _mm_loadu_si128(block);
		__m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
		__m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
		__m128i other =
			_mm_cmplt_epi8(bytes, _mm_set1_epi8(' ')); /* signed: what is not ASCII is negative */
		int mask = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, backslash), other));

		if (mask)
			return at + __builtin_ctz((unsigned)mask);
		at += 16;
	}
#else
	const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;

	while (end - at >= 8) {
		uint64_t bytes, quote, backslash, found;

		memcpy(&bytes, at, 8);
		quote = bytes ^ ones * '"';
		backslash = bytes ^ ones * '\\';
		found = ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | (bytes - ones * ' ') |
			bytes;
		if (found & tops)
			break; /* the loop below finds out which byte it is, and whether it is one */
		at += 8;
	}
#endif
	while (at < end && json_is_plain(*at))
		at++;
	return at;
}

/* Four hexadecimal digits as a number; -1 when they are not. */
static int json_hex4(const unsigned char *at)
{
	int value = 0;

	for (int i = 0; i < 4; i++) {
		unsigned char c = at[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = value * 16 + ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return value;
}

static bool json_is_high_surrogate(int unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

static bool json_is_low_surrogate(int unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

/* The length of the escape at `at` (of a surrogate pair: of both), 0 when it is none. */
static size_t json_escape(struct json *json, const unsigned char *at)
{
	size_t left = (size_t)(json->end - at);
	int unit;

	json->escaped = true;
	if (left < 2)
		return 0;
	if (at[1] != 'u')
		return at[1] && strchr("\"\\/bfnrt", at[1]) ? 2 : 0;
	if (left < 6)
		return 0;
	unit = json_hex4(at + 2);
	if (unit < 0)
		return 0;
	if (json_is_high_surrogate(unit) && left >= 12 && at[6] == '\\' && at[7] == 'u' &&
		json_is_low_surrogate(json_hex4(at + 8)))
		return 12;
	if (unit == 0 || json_is_high_surrogate(unit) || json_is_low_surrogate(unit))
		json->unstorable = json->any_unstorable = true;
	return 6;
}

/* The rest of a string whose opening quote has been read. */
static bool json_string(struct json *json)
{
	const unsigned char *start = json->at, *at = start;

	json->escaped = json->unstorable = false;
	for (;;) {
		size_t len = 0;

		at = json_plain_end(at, json->end);
		if (at == json->end)
			return json_broken(json, at);
		if (*at == '"')
			break;
		if (*at == '\\')
			len = json_escape(json, at);
		else if (*at >= 0x80)
			len = utf8_length(at, json->end);
		if (!len)
			return json_broken(json, at);
		at += len;
	}
	json->text = (struct text){ (const char *)start, (size_t)(at - start) };
	json->at = at + 1;
	return true;
}

static size_t json_put_utf8(int point, char *out)
{
	if (point < 0x80) {
		out[0] = (char)point;
		return 1;
	}
	if (point < 0x800) {
		out[0] = (char)(0xc0 | point >> 6);
		out[1] = (char)(0x80 | (point & 0x3f));
		return 2;
	}
	if (point < 0x10000) {
		out[0] = (char)(0xe0 | point >> 12);
		out[1] = (char)(0x80 | (point >> 6 & 0x3f));
		out[2] = (char)(0x80 | (point & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | point >> 18);
	out[1] = (char)(0x80 | (point >> 12 & 0x3f));
	out[2] = (char)(0x80 | (point >> 6 & 0x3f));
	out[3] = (char)(0x80 | (point & 0x3f));
	return 4;
}

size_t json_unescape(struct text raw, char *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const unsigned char *at = (const unsigned char *)raw.at, *end = at + raw.len;
	size_t len = 0;

	while (at < end) {
		int point;

		if (*at != '\\') {
			out[len++] = (char)*at++;
			continue;
		}
		if (at[1] != 'u') {
			out[len++] = to[strchr(from, at[1]) - from];
			at += 2;
			continue;
		}
		point = json_hex4(at + 2);
		at += 6;
		if (json_is_high_surrogate(point)) {
			point = 0x10000 + ((point - 0xd800) << 10) + (json_hex4(at + 2) - 0xdc00);
			at += 6;
		}
		len += json_put_utf8(point, out + len);
	}
	return len;
}

/* --- numbers and words -------------------------------------------------------------------------- */

static const unsigned char *json_digits(const unsigned char *at, const unsigned char *end)
{
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at;
}

static bool json_number(struct json *json)
{
	const unsigned char *start = json->at, *at = start, *end = json->end, *digits;

	if (*at == '-')
		at++;
	digits = at;
	at = json_digits(at, end);
	if (at == digits)
		return json_broken(json, at);
	if (*digits == '0' && at - digits > 1)
		return json_broken(json, digits + 1);
	if (at < end && *at == '.') {
		digits = ++at;
		at = json_digits(at, end);
		if (at == digits)
			return json_broken(json, at);
	}
	if (at < end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		digits = at;
		at = json_digits(at, end);
		if (at == digits)
			return json_broken(json, at);
	}
	json->text = (struct text){ (const char *)start, (size_t)(at - start) };
	json->at = at;
	return true;
}

static bool json_word(struct json *json, const char *word, size_t len)
{
	if ((size_t)(json->end - json->at) < len || memcmp(json->at, word, len) != 0)
		return false;
	json->at += len;
	return true;
}

/* --- structure ---------------------------------------------------------------------------------- */

/* The next byte that is not white space, not yet taken; -1 at the end. */
static inline int json_peek(struct json *json)
{
	const unsigned char *at = json->at, *end = json->end;

	while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
		at++;
	json->at = at;
	return at < end ? *at : -1;
}

static enum json_token json_open(struct json *json, enum json_token token)
{
	uint64_t *word = &json->objects[json->depth / 64 % ARRAY_SIZE(json->objects)];
	uint64_t bit = UINT64_C(1) << json->depth % 64;

	if (json->depth == JSON_DEPTH_MAX)
		return json_fail(json, JSON_TOO_DEEP);
	*word = token == JSON_OBJECT ? *word | bit : *word & ~bit;
	json->depth++;
	json->at++;
	json->fresh = true;
	return token;
}

static enum json_token json_close(struct json *json)
{
	json->depth--;
	json->at++;
	json->fresh = false;
	return JSON_END;
}

static bool json_in_object(const struct json *json)
{
	unsigned d = json->depth - 1;

	return json->objects[d / 64] >> d % 64 & 1;
}

static enum json_token json_scalar(struct json *json, bool ok, enum json_token token)
{
	json->fresh = false;
	return ok ? token : json_fail(json, JSON_BROKEN);
}

enum json_token json_value(struct json *json)
{
	int next;

	if (json->failure)
		return json->failure;
	assert(json->value_due);
	json->value_due = false;
	next = json_peek(json);
	switch (next) {
	case '"':
		json->at++;
		return json_scalar(json, json_string(json), JSON_STRING);
	case '{':
		return json_open(json, JSON_OBJECT);
	case '[':
		return json_open(json, JSON_ARRAY);
	case 't':
		return json_scalar(json, json_word(json, "true", 4), JSON_TRUE);
	case 'f':
		return json_scalar(json, json_word(json, "false", 5), JSON_FALSE);
	case 'n':
		return json_scalar(json, json_word(json, "null", 4), JSON_NULL);
	default:
		if (next != '-' && (next < '0' || next > '9'))
			return json_fail(json, JSON_BROKEN);
		return json_scalar(json, json_number(json), JSON_NUMBER);
	}
}

/* Takes the comma between two members or elements, if one must stand here. */
static bool json_comma(struct json *json, int next)
{
	if (json->fresh)
		return true;
	if (next != ',')
		return false;
	json->at++;
	return true;
}

enum json_token json_member(struct json *json)
{
	int next;

	if (json->failure)
		return json->failure;
	assert(!json->value_due && json->depth);
	next = json_peek(json);
	if (next == '}')
		return json_close(json);
	if (!json_comma(json, next) || json_peek(json) != '"')
		return json_fail(json, JSON_BROKEN);
	json->at++;
	if (!json_string(json) || json_peek(json) != ':')
		return json_fail(json, JSON_BROKEN);
	json->at++;
	json->value_due = true;
	return JSON_KEY;
}

enum json_token json_element(struct json *json)
{
	int next;

	if (json->failure)
		return json->failure;
	assert(!json->value_due && json->depth);
	next = json_peek(json);
	if (next == ']')
		return json_close(json);
	if (!json_comma(json, next))
		return json_fail(json, JSON_BROKEN);
	json->value_due = true;
	return json_value(json);
}

/* Walks on until no value is due and `depth` containers are open. */
static void json_walk(struct json *json, unsigned depth)
{
	while (!json->failure && (json->value_due || json->depth > depth)) {
		if (json->value_due)
			json_value(json);
		else if (json_in_object(json))
			json_member(json);
		else
			json_element(json);
	}
}

void json_skip(struct json *json)
{
	json_walk(json, json->depth);
}

enum json_token json_drain(struct json *json)
{
	json_walk(json, 0);
	if (!json->failure && json_peek(json) >= 0)
		json_fail(json, JSON_BROKEN);
	return json->failure ? json->failure : JSON_END;
}
