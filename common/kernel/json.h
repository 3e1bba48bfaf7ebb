/* A strict pull scanner for JSON (RFC 8259): nothing is skipped unchecked, nothing is allocated, nothing
 * recurses. It says what stands there; it builds nothing. Pure; one thread per struct json.
 *
 * The caller walks down: json_value(), then json_member() in an object or json_element() in an array until
 * JSON_END. Once the text turns out to be broken every call returns that same failure. */
#ifndef COMMON_KERNEL_JSON_H
#define COMMON_KERNEL_JSON_H

#include "common/kernel/text.h"

enum { JSON_DEPTH_MAX = 256 };

enum json_token {
	JSON_BROKEN = 1, /* not well-formed, or not UTF-8 */
	JSON_TOO_DEEP, /* more than JSON_DEPTH_MAX arrays and objects in one another; it ends there */
	JSON_END, /* of the object, the array or the whole text */
	JSON_KEY,
	JSON_OBJECT,
	JSON_ARRAY,
	JSON_STRING,
	JSON_NUMBER,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
};

struct json {
	const unsigned char *at, *end; /* after a failure: the byte that does not belong there, or the end */
	struct text text; /* the last key, string (as written, without its quotes) or number; in the input */
	bool escaped; /* it has escapes, so that json_unescape() is needed */
	bool unstorable; /* it holds U+0000 or a lone surrogate */
	bool any_unstorable; /* ... or one before it did */
	bool value_due; /* a value must come next */
	bool fresh; /* no comma before what comes next */
	unsigned depth; /* of open arrays and objects */
	enum json_token failure;
	uint64_t objects[JSON_DEPTH_MAX / 64]; /* bit d: the container at depth d + 1 is an object */
};

/* value may be NULL when len is 0; it must outlive the scan. */
void json_init(struct json *json, const void *value, size_t len);

/* The value that is due: at the start, and after a key. Of an object or array only its opening. */
enum json_token json_value(struct json *json);
/* The next member of the innermost open object: JSON_KEY, and then its value is due; or JSON_END. */
enum json_token json_member(struct json *json);
/* The next element of the innermost open array, as json_value() gives it; or JSON_END. */
enum json_token json_element(struct json *json);

/* Walks over the value that is due, with all that is in it. */
void json_skip(struct json *json);
/* Walks over all that is left and checks it; JSON_END when the whole text is well-formed. From any state. */
enum json_token json_drain(struct json *json);

/* Writes the meaning of a string that the scanner accepted and that is not unstorable; out holds raw.len
 * bytes. Returns the length. */
size_t json_unescape(struct text raw, char *out);

#endif
