/* lambda-batch validate [FILE|-]: checks events before they are produced, by the kernel that will judge them
 * in the log. One event per line; needs no server. For each bad line it prints the line's number, the reason
 * (docs/events.md) and a sentence for who wrote the producer. Memory is bounded by the size of an event.
 *
 * A line ends with LF or CR LF; the last one may go without, and may be empty. Any other empty line is a
 * record without a value. Failure modes:
 * - a bad line: exit 65, after all lines have been read
 * - the file cannot be opened or read: exit 66
 * - the findings cannot be written: exit 74 */
#include "common/base.h"
#include "batch/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/kernel/money.h"
#include "common/log.h"
#include "common/mem.h"

/* --- sentences ---------------------------------------------------------------------------------- */

enum { VALIDATE_PLACE_MAX = 48, VALIDATE_QUOTE_MAX = 64 };

static const struct {
	const char *field, *type;
} validate_types[] = {
	{ "event_id", "a string" },
	{ "type", "a string" },
	{ "order_id", "a string" },
	{ "customer_id", "a string or null" },
	{ "event_time", "a string" },
	{ "currency", "a string" },
	{ "lines", "an array" },
	{ "schema_version", "the integer 1" },
	{ "sku", "a string" },
	{ "quantity", "an integer" },
	{ "unit_price", "a string, such as \"2.55\"" },
	{ "name", "a string or null" },
};

static bool validate_field_is(const struct event_fault *fault, const char *name)
{
	return fault->field && !strcmp(fault->field, name);
}

static const char *validate_expected(const struct event_fault *fault)
{
	if (fault->line >= 0 && validate_field_is(fault, "lines"))
		return "an object";
	for (size_t i = 0; i < ARRAY_SIZE(validate_types); i++)
		if (validate_field_is(fault, validate_types[i].field))
			return validate_types[i].type;
	return "an object";
}

static const char *validate_token(enum json_token token)
{
	switch (token) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_NUMBER:
		return "a number";
	case JSON_TRUE:
		return "true";
	case JSON_FALSE:
		return "false";
	default:
		return "null";
	}
}

/* "event_time", "lines[2]", "lines[2].sku" */
static const char *validate_place(const struct event_fault *fault, char buf[VALIDATE_PLACE_MAX])
{
	if (!fault->field)
		snprintf(buf, VALIDATE_PLACE_MAX, "the value");
	else if (fault->line < 0)
		snprintf(buf, VALIDATE_PLACE_MAX, "%s", fault->field);
	else if (validate_field_is(fault, "lines"))
		snprintf(buf, VALIDATE_PLACE_MAX, "lines[%" PRId64 "]", fault->line);
	else
		snprintf(buf, VALIDATE_PLACE_MAX, "lines[%" PRId64 "].%s", fault->line, fault->field);
	return buf;
}

/* The value as it is written, its beginning if it is long, and nothing in it that a terminal would obey. */
static const char *validate_quote(const struct event_fault *fault, char buf[VALIDATE_QUOTE_MAX])
{
	const char *mark = fault->token == JSON_STRING ? "\"" : "";
	const char *at = fault->value.at;
	size_t len = fault->value.len, keep = VALIDATE_QUOTE_MAX - 8, n;

	if (len > keep) {
		len = keep;
		while (len && ((unsigned char)at[len] & 0xc0) == 0x80)
			len--; /* not in the middle of a character */
	}
	n = (size_t)snprintf(buf, VALIDATE_QUOTE_MAX, "%s%.*s%s%s", mark, (int)len, at,
		len < fault->value.len ? "..." : "", mark);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)buf[i];

		if (c == 0x7f)
			buf[i] = '?';
		if (c == 0xc2 && (unsigned char)buf[i + 1] < 0xa0)
			buf[i] = buf[i + 1] = '?';
	}
	return buf;
}

static void validate_say_json(
	const struct event_fault *fault, const unsigned char *value, size_t len, char text[VALIDATE_TEXT_MAX])
{
	size_t at = fault->at;
	unsigned char c = at < len ? value[at] : 0;

	if (!len)
		snprintf(text, VALIDATE_TEXT_MAX, "the line is empty");
	else if (at == len)
		snprintf(text, VALIDATE_TEXT_MAX, "the text ends too early, behind byte %zu", at);
	else if (!at && len >= 3 && !memcmp(value, "\xef\xbb\xbf", 3))
		snprintf(text, VALIDATE_TEXT_MAX, "the line begins with a byte order mark");
	else if (c >= 0x80)
		snprintf(text, VALIDATE_TEXT_MAX,
			"byte %zu (0x%02x) is not UTF-8, or stands outside a string", at + 1, c);
	else if (c < ' ' || c == 0x7f)
		snprintf(text, VALIDATE_TEXT_MAX, "byte %zu is the control character 0x%02x, not escaped",
			at + 1, c);
	else if (c == '\\')
		snprintf(text, VALIDATE_TEXT_MAX, "byte %zu ('\\') begins no escape that JSON has", at + 1);
	else
		snprintf(text, VALIDATE_TEXT_MAX, "byte %zu ('%c') does not belong there", at + 1, c);
}

static void validate_say_size(
	const struct event_fault *fault, const char *place, char text[VALIDATE_TEXT_MAX])
{
	int max = validate_field_is(fault, "name") ? EVENT_NAME_MAX_BYTES : EVENT_ID_MAX_BYTES;
	SCOPED(xfreep) char *meaning = NULL;
	size_t len;

	if (fault->token == JSON_TOO_DEEP) {
		snprintf(text, VALIDATE_TEXT_MAX,
			"arrays and objects are nested more than %d deep at byte %zu", EVENT_NESTING_MAX,
			fault->at + 1);
		return;
	}
	if (validate_field_is(fault, "lines")) {
		if (fault->token == JSON_END)
			snprintf(text, VALIDATE_TEXT_MAX, "lines has no element");
		else
			snprintf(text, VALIDATE_TEXT_MAX, "lines has more than %d elements", EVENT_LINES_MAX);
		return;
	}
	meaning = xmalloc(fault->value.len + 1);
	len = json_unescape(fault->value, meaning);
	if (len)
		snprintf(
			text, VALIDATE_TEXT_MAX, "%s has %zu bytes, at most %d are allowed", place, len, max);
	else
		snprintf(text, VALIDATE_TEXT_MAX, "%s is empty", place);
}

static void validate_say_type(
	const struct event_fault *fault, const char *place, char text[VALIDATE_TEXT_MAX])
{
	snprintf(text, VALIDATE_TEXT_MAX, "%s is %s%s, but must be %s", place, validate_token(fault->token),
		validate_field_is(fault, "schema_version") && fault->token == JSON_NUMBER
			? " with fraction or exponent"
			: "",
		validate_expected(fault));
}

static void validate_say_time(
	const struct event_fault *fault, const char *place, const char *quote, char text[VALIDATE_TEXT_MAX])
{
	size_t len = fault->value.len;
	const char *at = fault->value.at;
	bool has_offset = len > 6 && (strchr("Zz", at[len - 1]) || strchr("+-", at[len - 6]));

	if (!has_offset)
		snprintf(text, VALIDATE_TEXT_MAX, "%s %s has no offset such as Z or +01:00 at its end", place,
			quote);
	else
		snprintf(text, VALIDATE_TEXT_MAX,
			"%s %s is no time such as 2026-11-23T10:00:00Z, from 1980 to 2199", place, quote);
}

static void validate_say_price(
	const struct event_fault *fault, const char *place, const char *quote, char text[VALIDATE_TEXT_MAX])
{
	const char *at = fault->value.at, *end = at + fault->value.len, *digits = at, *decimals = NULL;
	bool minus = at < end && *at == '-';

	if (minus)
		digits++;
	for (at = digits; at < end && *at >= '0' && *at <= '9';)
		at++;
	if (at > digits && at < end && *at == '.') {
		decimals = at + 1;
		for (at = decimals; at < end && *at >= '0' && *at <= '9';)
			at++;
	}
	if (at < end || at == digits || decimals == end)
		snprintf(text, VALIDATE_TEXT_MAX, "%s %s is not of the form digits or digits.digits", place,
			quote);
	else if (minus)
		snprintf(text, VALIDATE_TEXT_MAX, "%s %s is negative", place, quote);
	else if (decimals && end - decimals > 4)
		snprintf(text, VALIDATE_TEXT_MAX, "%s %s has more than 4 decimals", place, quote);
	else
		snprintf(text, VALIDATE_TEXT_MAX, "%s %s has more than 10 digits before the point", place,
			quote);
}

/* The reasons that a value has. */
static void validate_say_value(enum event_reject reject, const struct event_fault *fault, const char *place,
	const char *quote, char text[VALIDATE_TEXT_MAX])
{
	if (reject == EVENT_REJECT_VERSION)
		snprintf(text, VALIDATE_TEXT_MAX, "%s %s is not known, only 1 is", place, quote);
	else if (reject == EVENT_REJECT_EVENT_TYPE)
		snprintf(text, VALIDATE_TEXT_MAX, "%s %s is neither order_placed nor order_refunded", place,
			quote);
	else if (reject == EVENT_REJECT_TIME)
		validate_say_time(fault, place, quote, text);
	else if (reject == EVENT_REJECT_CURRENCY)
		snprintf(text, VALIDATE_TEXT_MAX, "%s %s is no currency of ISO 4217, such as GBP", place,
			quote);
	else if (reject == EVENT_REJECT_QUANTITY)
		snprintf(text, VALIDATE_TEXT_MAX, "%s %s is no integer from 1 to %d", place, quote,
			EVENT_QUANTITY_MAX);
	else
		validate_say_price(fault, place, quote, text);
}

void validate_explain(const struct event_parser *parser, enum event_reject reject, const void *value,
	size_t len, char text[VALIDATE_TEXT_MAX])
{
	const struct event_fault *fault = event_fault(parser);
	char place_buf[VALIDATE_PLACE_MAX], quote_buf[VALIDATE_QUOTE_MAX];
	const char *place;

	if (len > EVENT_RECORD_MAX_BYTES) {
		snprintf(text, VALIDATE_TEXT_MAX, "the line has more than %d bytes", EVENT_RECORD_MAX_BYTES);
		return;
	}
	place = validate_place(fault, place_buf);
	if (reject == EVENT_REJECT_JSON)
		validate_say_json(fault, value, len, text);
	else if (reject == EVENT_REJECT_SIZE)
		validate_say_size(fault, place, text);
	else if (reject == EVENT_REJECT_TYPE)
		validate_say_type(fault, place, text);
	else if (reject == EVENT_REJECT_DUPLICATE_KEY)
		snprintf(text, VALIDATE_TEXT_MAX, "%s stands there twice", place);
	else if (reject == EVENT_REJECT_MISSING)
		snprintf(text, VALIDATE_TEXT_MAX, "%s is missing", place);
	else if (reject == EVENT_REJECT_TEXT)
		snprintf(text, VALIDATE_TEXT_MAX, "%s holds U+0000 or a lone surrogate", place);
	else if (!fault->field)
		snprintf(text, VALIDATE_TEXT_MAX, "the total is over %" PRId64 " units of the currency",
			EVENT_TOTAL_MAX_E4 / MONEY_E4);
	else
		validate_say_value(reject, fault, place, validate_quote(fault, quote_buf), text);
}

/* --- lines -------------------------------------------------------------------------------------- */

enum {
	VALIDATE_LINE_KEPT =
		EVENT_RECORD_MAX_BYTES + 2, /* enough to see that it is too long, whatever ends it */
	VALIDATE_INPUT_BYTES = 1 << 16,
};

struct validate {
	const char *name; /* of the input, for messages */
	int fd;
	char *input, *line; /* owned, like the parser */
	size_t input_at, input_len;
	size_t line_len; /* of what was kept */
	struct event_parser *parser;
	int64_t n_lines, n_bad, bad[EVENT_N_REJECTS];
};

static void validate_release(struct validate *v)
{
	if (v->fd > STDIN_FILENO)
		close(v->fd);
	free(v->input);
	free(v->line);
	event_parser_free(v->parser);
}

static int validate_open(struct validate *v, const char *name, struct err *err)
{
	v->name = strcmp(name, "-") != 0 ? name : "standard input";
	if (v->name == name)
		v->fd = open(name, O_RDONLY | O_CLOEXEC);
	if (v->fd < 0)
		return err_set(err, ERR_NO_INPUT, "cannot open '%s': %s", name, strerror(errno));
	v->input = xmalloc(VALIDATE_INPUT_BYTES);
	v->line = xmalloc(VALIDATE_LINE_KEPT);
	v->parser = event_parser_new();
	return 0;
}

/* Sees to it that there is input: 1, 0 at its end. */
static int validate_fill(struct validate *v, struct err *err)
{
	while (v->input_at == v->input_len) {
		ssize_t n = read(v->fd, v->input, VALIDATE_INPUT_BYTES);

		if (batch_stop_asked())
			return batch_stopped(err);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, ERR_NO_INPUT, "cannot read '%s': %s", v->name, strerror(errno));
		if (n == 0)
			return 0;
		v->input_at = 0;
		v->input_len = (size_t)n;
	}
	return 1;
}

/* The next line without its end: 1, 0 when there is none any more. */
static int validate_next(struct validate *v, struct err *err)
{
	const char *stop = NULL;
	int more;

	v->line_len = 0;
	while (!stop && (more = validate_fill(v, err)) > 0) {
		const char *at = v->input + v->input_at;
		size_t room = VALIDATE_LINE_KEPT - v->line_len, n;

		stop = memchr(at, '\n', v->input_len - v->input_at);
		n = stop ? (size_t)(stop - at) : v->input_len - v->input_at;
		memcpy(v->line + v->line_len, at, n < room ? n : room);
		v->line_len += n < room ? n : room;
		v->input_at += n + (stop != NULL);
	}
	if (v->line_len && v->line[v->line_len - 1] == '\r')
		v->line_len--;
	if (stop && !v->line_len)
		more = validate_fill(v, err); /* an empty line counts unless it is the last */
	else
		more = more < 0 ? -1 : v->line_len > 0;
	v->n_lines += more > 0;
	return more;
}

static int validate_lines(struct validate *v, struct err *err)
{
	char text[VALIDATE_TEXT_MAX];
	int more;

	while ((more = validate_next(v, err)) > 0 && !ferror(stdout)) {
		const struct event *event;
		enum event_reject reject = event_parse(v->parser, v->line, v->line_len, &event);

		if (!reject)
			continue;
		v->bad[reject]++;
		v->n_bad++;
		validate_explain(v->parser, reject, v->line, v->line_len, text);
		printf("line %" PRId64 ": %s: %s\n", v->n_lines, event_reject_code(reject), text);
	}
	if (more < 0)
		return -1;
	if (batch_stop_asked()) /* it also interrupts writing */
		return batch_stopped(err);
	if (fflush(stdout) || ferror(stdout))
		return err_set(err, ERR_IO, "cannot write what was found: %s", strerror(errno));
	return 0;
}

static int validate_result(const struct validate *v, struct err *err)
{
	char reasons[512] = "";
	size_t len = 0;

	if (!v->n_bad) {
		log_info("'%s': all events are good, lines=%" PRId64, v->name, v->n_lines);
		return 0;
	}
	for (int i = EVENT_OK + 1; i < EVENT_N_REJECTS; i++)
		if (v->bad[i])
			len += (size_t)snprintf(reasons + len, sizeof(reasons) - len, " %s=%" PRId64,
				event_reject_code((enum event_reject)i), v->bad[i]);
	return err_set(err, ERR_DATA, "'%s': some events are bad, lines=%" PRId64 " bad=%" PRId64 "%s",
		v->name, v->n_lines, v->n_bad, reasons);
}

int validate(const struct config *config, struct err *err)
{
	struct validate v = { .fd = STDIN_FILENO };
	int result = -1;

	if (!validate_open(&v, config->n_args > 1 ? config->args[1] : "-", err) && !validate_lines(&v, err))
		result = validate_result(&v, err);
	validate_release(&v);
	return result;
}
