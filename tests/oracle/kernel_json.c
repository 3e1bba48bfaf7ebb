/* What the JSON scanner makes of each value of a dump ("0 OFFSET 0 SIZE\nVALUE\n"), one line each, for
 * test_json.py to compare with another parser: "json", "size", or what stands there, blank by blank:
 *   { } [ ] true false null    #NUMBER as written
 *   "HEX the bytes that a string means, :HEX those of a key; "- and :- for one that cannot be stored */
#include "common/base.h"
#include "common/kernel/json.h"
#include "common/mem.h"

static void print_text(FILE *out, char mark, const struct json *json)
{
	char *meaning = xmalloc(json->text.len + 1);

	fprintf(out, " %c", mark);
	if (json->unstorable) {
		fputc('-', out);
	} else {
		size_t len = json_unescape(json->text, meaning);

		for (size_t i = 0; i < len; i++)
			fprintf(out, "%02x", (unsigned)(unsigned char)meaning[i]);
	}
	free(meaning);
}

static void print_token(FILE *out, enum json_token token, const struct json *json)
{
	if (token == JSON_STRING)
		print_text(out, '"', json);
	else if (token == JSON_NUMBER)
		fprintf(out, " #%.*s", (int)json->text.len, json->text.at);
	else
		fprintf(out, " %s",
			token == JSON_OBJECT  ? "{"
			: token == JSON_ARRAY ? "["
			: token == JSON_TRUE  ? "true"
			: token == JSON_FALSE ? "false"
					      : "null");
}

/* Walks as a caller does who wants everything. */
static enum json_token walk(FILE *out, struct json *json)
{
	bool is_object[JSON_DEPTH_MAX] = { false };
	size_t depth = 0;
	enum json_token token = json_value(json);

	for (;;) {
		if (token == JSON_BROKEN || token == JSON_TOO_DEEP)
			return token;
		if (token == JSON_END)
			fprintf(out, is_object[--depth] ? " }" : " ]");
		else
			print_token(out, token, json);
		if (token == JSON_OBJECT || token == JSON_ARRAY)
			is_object[depth++] = token == JSON_OBJECT;
		if (!depth)
			return json_drain(json);
		token = is_object[depth - 1] ? json_member(json) : json_element(json);
		if (token == JSON_KEY) {
			print_text(out, ':', json);
			token = json_value(json);
		}
	}
}

static void print_value(const char *value, size_t len)
{
	char *text = NULL;
	size_t text_len = 0;
	FILE *out = open_memstream(&text, &text_len);
	struct json json;
	enum json_token walked, drained;

	assert(out);
	json_init(&json, value, len);
	walked = walk(out, &json);
	fclose(out);
	json_init(&json, value, len);
	drained = json_drain(&json);
	assert(walked == drained); /* who skips sees what who walks sees */
	printf("%s\n", walked == JSON_END ? text + 1 : walked == JSON_TOO_DEEP ? "size" : "json");
	free(text);
}

int main(void)
{
	long offset, size;

	while (scanf("0 %ld 0 %ld", &offset, &size) == 2) {
		size_t len = size > 0 ? (size_t)size : 0;
		char *value = xmalloc(len); /* of its own, so that a sanitizer sees a read behind its end */

		if (getchar() != '\n' || fread(value, 1, len, stdin) != len || getchar() != '\n')
			return 1;
		print_value(value, len);
		free(value);
	}
	return 0;
}
