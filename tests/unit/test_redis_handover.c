/* Commands and replies of the functions in Redis, without a Redis: what is sent, byte by byte, and what is
 * made of replies. */
#include "common/base.h"
#include "common/kernel/currency.h"
#include "common/redis_handover.h"
#include "common/redis_values.h"
#include "speed/values.h"
#include "tests/unit/unit.h"

#include "embedded.h"

/* Replies are made from a short text: "[ok same [a b]]" is an array, '~' an empty text, '+' in a text a
 * blank,
 * "!text" an error. */

struct bytes {
	char at[8192];
	size_t len;
};

static void bytes_add(struct bytes *bytes, const char *text, size_t len)
{
	assert_true(bytes->len + len < sizeof(bytes->at));
	memcpy(bytes->at + bytes->len, text, len);
	bytes->len += len;
}

static const char *reply_array(struct bytes *out, const char *at);

static const char *reply_text(struct bytes *out, const char *at)
{
	size_t len = strcspn(at, " ]");
	char text[256] = "", head[32];
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		if (at[i] != '~')
			text[n++] = (char)(at[i] == '+' ? ' ' : at[i]);
	if (text[0] == '!' && n) {
		bytes_add(out, "-", 1);
		bytes_add(out, text + 1, n - 1);
	} else {
		bytes_add(out, head, (size_t)snprintf(head, sizeof(head), "$%zu\r\n", n));
		bytes_add(out, text, n);
	}
	bytes_add(out, "\r\n", 2);
	return at + len;
}

static const char *reply_array(struct bytes *out, const char *at)
{
	struct bytes body = { .len = 0 };
	char head[32];
	size_t n = 0;

	for (at++; *at != ']'; n++) {
		at = *at == '[' ? reply_array(&body, at) : reply_text(&body, at);
		at += *at == ' ';
	}
	bytes_add(out, head, (size_t)snprintf(head, sizeof(head), "*%zu\r\n", n));
	bytes_add(out, body.at, body.len);
	return at + 1;
}

static redisReply *reply_from(const char *text)
{
	struct bytes bytes = { .len = 0 };
	redisReader *reader = redisReaderCreate();
	void *reply = NULL;

	if (*text == '[')
		reply_array(&bytes, text);
	else
		reply_text(&bytes, text);
	assert_int_equal(redisReaderFeed(reader, bytes.at, bytes.len), REDIS_OK);
	assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
	assert_non_null(reply);
	redisReaderFree(reader);
	return reply;
}

/* A command's arguments, separated by '|'. */
static void expect_command(struct redis_command *command, const char *expected)
{
	size_t len;
	const char *bytes = redis_command_done(command, &len);
	redisReader *reader = redisReaderCreate();
	char text[2048] = "";
	void *parsed = NULL;
	redisReply *reply;

	assert_int_equal(redisReaderFeed(reader, bytes, len), REDIS_OK);
	assert_int_equal(redisReaderGetReply(reader, &parsed), REDIS_OK);
	assert_non_null(parsed);
	reply = parsed;
	for (size_t i = 0, at = 0; i < reply->elements; i++)
		at += (size_t)snprintf(
			text + at, sizeof(text) - at, "%s%s", i ? "|" : "", reply->element[i]->str);
	assert_string_equal(text, expected);
	freeReplyObject(reply);
	redisReaderFree(reader);
}

/* --- commands ---------------------------------------------------------------------------------- */

static void test_command_bytes(void **state)
{
	SCOPED(redis_command_release) struct redis_command command = { 0 };
	static const char expected[] =
		"*4\r\n$3\r\nSET\r\n$3\r\na\0b\r\n$0\r\n\r\n$20\r\n-9223372036854775808\r\n";
	const char *bytes;
	size_t len;

	(void)state;
	for (int twice = 0; twice < 2; twice++) {
		redis_command_start(&command);
		redis_command_text(&command, "SET");
		redis_command_bytes(&command, "a\0b", 3);
		redis_command_text(&command, "");
		redis_command_int(&command, INT64_MIN);
		bytes = redis_command_done(&command, &len);
		assert_int_equal(len, sizeof(expected) - 1);
		assert_memory_equal(bytes, expected, len);
	}
}

static void test_commands(void **state)
{
	SCOPED(redis_command_release) struct redis_command command = { 0 };
	struct redis_adopt adopt = { .publication = 3,
		.run = 2,
		.cut = 10,
		.fold = "k1;x",
		.latest = FOLD_STATE_NONE,
		.log = "c/t",
		.keep_ms = 5,
		.force = true };
	struct redis_beat beat = { .time_ms = 1,
		.end = 2,
		.next = 3,
		.waiting_ms = DATETIME_NONE,
		.record_ms = 4,
		.held_ms = DATETIME_NONE,
		.worker = "w" };
	struct redis_since since[] = { { 1, 7 }, { 2, 0 } };
	struct tail tail = { .offset = 9, .hash = 0xabc };
	struct tail none;
	char base[REDIS_BASE_MAX];

	(void)state;
	tail_init(&none);
	redis_base(base, "lambda", "orders", 11);
	assert_string_equal(base, "lambda:{orders/11}");
	redis_seal_command(&command, "b", 4);
	expect_command(&command, "FCALL|lambda_1_seal|1|b|4");
	adopt.tail = &tail;
	redis_adopt_command(&command, "b", &adopt);
	expect_command(&command, "FCALL|lambda_1_adopt|1|b|3|2|10|k1;x|||c/t|9 0000000000000abc|5|1");
	adopt.tail = &none;
	adopt.latest = (struct fold_state){ 100, -200 };
	adopt.force = false;
	redis_adopt_command(&command, "b", &adopt);
	expect_command(&command, "FCALL|lambda_1_adopt|1|b|3|2|10|k1;x|100|-200|c/t||5|0");
	redis_beat_command(&command, "b", &beat, 0);
	expect_command(
		&command, "HSET|b:beat|time|1|end|2|next|3|waiting||record|4|held|0|held_since||worker|w");
	redis_beat_command(&command, "b", &beat, 1);
	expect_command(&command, "PEXPIRE|b:beat|60000");
	redis_read_command(&command, "b", "p:77", 50, since, 2);
	expect_command(&command, "FCALL_RO|lambda_1_read|1|b|p:77|50|1|7|2|0");
}

static void test_flush_of_values(void **state)
{
	SCOPED(redis_command_release) struct redis_command command = { 0 };
	int64_t starts[] = { 0, 86400000, 2 * 86400000 };
	struct calendar calendar = { .first_day = 0, .n_days = 2, .start_ms = starts };
	struct fold_rules rules = { .calendar = &calendar,
		.horizon_records = 10,
		.horizon_ms = 1000000,
		.grace_ms = 60000,
		.max_skew_ms = 1 << 30,
		.customers = true };
	struct event_line line = { .sku = UNIT_TEXT("A1"), .quantity = 2, .unit_price_e4 = 15000 };
	struct event event = { .event_id = UNIT_TEXT("e1"),
		.customer_id = UNIT_TEXT("bob"),
		.currency = currency_find(UNIT_TEXT("GBP")),
		.total_e4 = 30000,
		.units = 2,
		.n_lines = 1,
		.lines = &line,
		.time_ms = 90 * MINUTE_MS };
	struct redis_flush flush = {
		.expected_next = 5, .new_next = 9, .fold = "k1;x", .lost_from = 5, .lost_to = 6
	};
	struct tail tail = { .offset = 8, .hash = 1 };
	struct values values;
	struct fold fold;
	int64_t late_ms;
	struct err err;

	(void)state;
	values_init(&values);
	fold_init(&fold, &rules);
	assert_false(fold_resume(&fold, 5, &FOLD_STATE_NONE));
	horizon_start(&fold.horizon, 5, DATETIME_NONE);
	assert_int_equal(values_add(&values, &fold, 5, 100, 1000, &event, EVENT_OK, &late_ms, &err), 0);
	assert_int_equal(values_add(&values, &fold, 6, 101, 1000, &event, EVENT_OK, &late_ms, &err),
		0); /* a duplicate */
	event.event_id = UNIT_TEXT("e2");
	event.time_ms = 20 * MINUTE_MS; /* late */
	event.type = EVENT_REFUNDED;
	assert_int_equal(values_add(&values, &fold, 7, 102, 1000, &event, EVENT_OK, &late_ms, &err), 0);
	assert_int_equal(
		values_add(&values, &fold, 8, 103, 1000, NULL, EVENT_REJECT_JSON, &late_ms, &err), 0);
	flush.latest = fold.state;
	flush.tail = &tail;
	for (int twice = 0; twice < 2; twice++) {
		values_flush(&values, &command, "b", &flush);
		expect_command(&command,
			"FCALL|lambda_1_flush|1|b|5|9||k1;x|5400000|103|8 0000000000000001|5-6|7|"
			"c|5|records|4|counted|2|duplicate|1|late|1|rejected:json|1|"
			"r:0|3|20GBPr|30000|20GBPc|1|20GBPu|-2|"
			"r:1|3|30GBPg|30000|30GBPo|1|30GBPu|2|"
			"p:0|0|"
			"o:0|1|@bob|;20GBP0,0,1,30000|"
			"o:1|1|@bob|;30GBP1,30000,0,0|"
			"d:0|4|duplicate|1|eGBP|1|lGBP|-30000|^GBP|4200000");
	}
	values_clear(&values);
	flush.lost_to = 5;
	values_flush(&values, &command, "b", &flush);
	expect_command(&command, "FCALL|lambda_1_flush|1|b|5|9||k1;x|5400000|103|8 0000000000000001||1|c|0");
	fold_release(&fold);
	values_release(&values);
}

/* --- replies ----------------------------------------------------------------------------------- */

#define STATE \
	"gens 0,0,10+3,10,25 seen 4 born 77 fold k1;x latest_event 5 latest_record ~ log c/t tail " \
	"24+00000000000000ff " \
	"lost 0:2-4+3:11-12 covered 0:99 cut:3 5,,9+00000000000000aa"

static void test_state(void **state)
{
	redisReply *reply = reply_from("[ok same " STATE "]");
	struct redis_adopt_reply answer;
	struct err err;

	(void)state;
	assert_int_equal(redis_adopt_reply(reply, &answer, &err), 0);
	freeReplyObject(reply);
	assert_string_equal(answer.what, "same");
	assert_true(answer.state.present && !answer.state.broken);
	assert_int_equal(answer.state.n_generations, 2);
	assert_int_equal(redis_state_open(&answer.state)->next, 25);
	assert_int_equal(redis_state_run(&answer.state, 0)->next, 10);
	assert_null(redis_state_run(&answer.state, 1));
	assert_int_equal(answer.state.seen, 4);
	assert_int_equal(answer.state.born, 77);
	assert_int_equal(answer.state.latest.latest_event_ms, 5);
	assert_true(answer.state.latest.latest_record_ms == DATETIME_NONE);
	assert_int_equal(answer.state.tail.offset, 24);
	assert_int_equal(answer.state.tail.hash, 0xff);
	assert_int_equal(answer.state.n_lost, 2);
	assert_int_equal(answer.state.lost[1].from, 11);
	assert_string_equal(answer.state.log, "c/t");
	redis_state_release(&answer.state);

	reply = reply_from("[ok same writing 3 " STATE "]");
	assert_int_equal(redis_adopt_reply(reply, &answer, &err), 0);
	freeReplyObject(reply);
	assert_true(answer.state.broken);
	redis_state_release(&answer.state);
}

static void test_flush_and_seal_replies(void **state)
{
	static const char seal[] = "[ok 12 k1;x ~ 7 c/t 11+00000000000000ff]";
	struct redis_flush_reply flush;
	struct redis_seal_reply sealed;
	redisReply *reply;
	struct err err;

	(void)state;
	reply = reply_from("[ok " HANDOVER_CODE "]");
	assert_int_equal(redis_flush_reply(reply, &flush, &err), 0);
	assert_true(flush.ok && !flush.foreign);
	freeReplyObject(reply);
	for (int i = 0; i < 2; i++) { /* somebody else's function */
		reply = reply_from(i ? "[ok]" : "[ok of-another-build]");
		assert_int_equal(redis_flush_reply(reply, &flush, &err), 0);
		assert_true(flush.ok && flush.foreign);
		freeReplyObject(reply);
	}
	reply = reply_from("[refused next " STATE "]");
	assert_int_equal(redis_flush_reply(reply, &flush, &err), 0);
	assert_false(flush.ok);
	assert_string_equal(flush.reason, "next");
	assert_int_equal(redis_state_open(&flush.state)->run, 3);
	redis_state_release(&flush.state);
	freeReplyObject(reply);
	reply = reply_from("[refused empty]");
	assert_int_equal(redis_flush_reply(reply, &flush, &err), 0);
	assert_false(flush.state.present);
	freeReplyObject(reply);
	reply = reply_from(seal);
	assert_int_equal(redis_seal_reply(reply, &sealed, &err), 0);
	assert_int_equal(sealed.cut, 12);
	assert_int_equal(sealed.latest.latest_record_ms, 7);
	assert_int_equal(sealed.tail.hash, 0xff);
	freeReplyObject(reply);
	reply = reply_from("[refused superseded]");
	assert_int_equal(redis_seal_reply(reply, &sealed, &err), 0);
	assert_false(sealed.ok);
	assert_string_equal(sealed.reason, "superseded");
	freeReplyObject(reply);
}

static void test_view(void **state)
{
	redisReply *reply = reply_from(
		"[[" STATE
		"] [time 5 end 30 next 25 waiting ~ record 4 held 7 held_since 3 worker h-1 new 1] "
		"[0 1 10 [c 10 [records 3 rejected:json 2]] [r:5 10 [07GBPg -5]]] [3 0 20]]");
	struct redis_view view;
	struct text field;
	int64_t value;
	struct err err;

	(void)state;
	assert_int_equal(redis_read_reply(reply, &view, &err), 0);
	assert_int_equal(view.state.n_generations, 2);
	assert_true(view.beat.present && view.beat.waiting_ms == DATETIME_NONE);
	assert_int_equal(view.beat.end, 30);
	assert_true(view.beat.held == 7 && view.beat.held_ms == 3);
	assert_string_equal(view.beat.worker, "h-1");
	assert_int_equal(view.n_generations, 2);
	assert_true(view.generations[0].complete && !view.generations[1].complete);
	assert_int_equal(view.generations[1].upto, 20);
	assert_int_equal(view.generations[0].n_chunks, 2);
	assert_int_equal(view.generations[0].chunks[0].kind, 'c');
	assert_int_equal(view.generations[0].chunks[1].number, 5);
	assert_int_equal(redis_chunk_field(&view.generations[0].chunks[1], 0, &field, &value), 0);
	assert_int_equal(field.len, 6);
	assert_int_equal(value, -5);
	redis_view_release(&view);
	freeReplyObject(reply);

	reply = reply_from("[[] []]");
	assert_int_equal(redis_read_reply(reply, &view, &err), 0);
	assert_false(view.state.present || view.beat.present);
	redis_view_release(&view);
	freeReplyObject(reply);
}

static void test_wrong_replies(void **state)
{
	static const char *const wrong[] = {
		"ok",
		"[]",
		"[ok]",
		"[[ok]]",
		"[ok same gens]",
		"[ok same gens 1,2]",
		"[ok same gens 1,3,2]",
		"[ok same gens 1,-1,2]",
		"[ok same gens -1,0,2]",
		"[ok same gens 1,2,3+x]",
		"[ok same seen x gens 0,0,0]",
		"[ok same gens 0,0,0 tail 5]",
		"[ok same gens 0,0,0 lost 5]",
		"[ok a-word-that-is-too-long-for-this gens 0,0,0]",
		"[[gens 0,0] []]",
		"[[] [time x]]",
		"[[] [time]]",
		"[[] [] [1]]",
		"[[] [] [1 1 x]]",
		"[[] [] [1 1 5 [r:x 5 []]]]",
		"[[] [] [1 1 5 [q:1 5 []]]]",
		"[[] [] [1 1 5 [r:1 5 [a]]]]",
		"[[] [] [1 1 5 [r:1 5]]]",
		"!ERR+what",
		"!DAMAGED+key",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		redisReply *reply = reply_from(wrong[i]);
		struct redis_adopt_reply adopted;
		struct redis_seal_reply sealed;
		struct redis_view view;
		struct err err = { 0 };

		if (redis_adopt_reply(reply, &adopted, &err) == 0)
			fail_msg("adopt takes '%s'", wrong[i]);
		if (redis_seal_reply(reply, &sealed, &err) == 0)
			fail_msg("seal takes '%s'", wrong[i]);
		if (redis_read_reply(reply, &view, &err) == 0)
			fail_msg("read takes '%s'", wrong[i]);
		assert_int_equal(err.code, strncmp(wrong[i], "!DAMAGED", 8) ? ERR_REDIS : ERR_DATA);
		freeReplyObject(reply);
	}
}

/* --- values and addresses ---------------------------------------------------------------------- */

static void test_fields(void **state)
{
	static const char *const wrong[] = { "", "07GBP", "07GBPx", "60GBPg", "x7GBPg", "07GBXg", "07GBPgg" };
	struct counters counters = { 0 };
	struct revenue revenue = { .gross_e4 = INT64_MAX };
	struct text sku;
	int minute, currency;
	char what;

	(void)state;
	assert_int_equal(redis_revenue_field(UNIT_TEXT("59EURu"), &minute, &currency, &what), 0);
	assert_int_equal(minute, 59);
	assert_string_equal(currency_code(currency), "EUR");
	assert_int_equal(what, 'u');
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (redis_revenue_field(unit_text(wrong[i]), &minute, &currency, &what) == 0)
			fail_msg("'%s' is taken", wrong[i]);
	assert_int_equal(redis_revenue_add(&revenue, 'g', 1), -1);
	assert_int_equal(redis_revenue_add(&revenue, 'u', -3), 0);
	assert_int_equal(revenue.units, -3);
	assert_int_equal(redis_revenue_add(&revenue, 'u', INT64_MIN + 3), -1);
	assert_int_equal(redis_revenue_add(&revenue, 'r', -1), -1);
	assert_int_equal(redis_revenue_add(&revenue, 'o', -1), -1);
	assert_int_equal(redis_revenue_add(&revenue, 'o', REDIS_COUNT_MAX), 0);
	assert_int_equal(redis_revenue_add(&revenue, 'o', 1), -1);
	assert_int_equal(revenue.orders, REDIS_COUNT_MAX);
	assert_int_equal(redis_product_field(UNIT_TEXT("nGBP85123a"), &what, &currency, &sku), 0);
	assert_int_equal(sku.len, 6);
	assert_int_equal(redis_product_field(UNIT_TEXT("xGBPa"), &what, &currency, &sku), -1);
	assert_int_equal(redis_product_field(UNIT_TEXT("nGBP"), &what, &currency, &sku), -1);
	assert_int_equal(redis_counter_add(&counters, UNIT_TEXT("rejected:amount"), 4), 0);
	assert_int_equal(counters.rejected[EVENT_REJECT_AMOUNT], 4);
	assert_int_equal(redis_counter_add(&counters, UNIT_TEXT("records"), -1), -1);
	assert_int_equal(redis_counter_add(&counters, UNIT_TEXT("records"), INT64_MAX), -1);
	assert_int_equal(redis_counter_add(&counters, UNIT_TEXT("rejected:"), 4), -1);
	assert_int_equal(redis_counter_add(&counters, UNIT_TEXT("what"), 4), -1);
}

static void test_uri(void **state)
{
	static const struct {
		const char *uri, *host, *user, *password;
		int port, db;
	} cases[] = {
		{ "redis://localhost", "localhost", NULL, NULL, 6379, 0 },
		{ "redis://h:1/3", "h", NULL, NULL, 1, 3 },
		{ "redis://h/", "h", NULL, NULL, 6379, 0 },
		{ "redis://:se%20cr%40et@h:7", "h", NULL, "se cr@et", 7, 0 },
		{ "redis://me:p@ss@h", "h", "me", "p@ss", 6379, 0 },
		{ "redis://[::1]:7/2", "::1", NULL, NULL, 7, 2 },
	};
	static const char *const wrong[] = { "", "localhost", "http://h", "redis://",
		"redis://h:", "redis://h:0", "redis://h:65536", "redis://h:7x", "redis://h/x", "redis://h/-1",
		"redis://user@h", "redis://:%zz@h", "redis://[::1", "redis://[::1]7", "redis://:7" };
	struct redis_uri uri;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (redis_uri_parse(cases[i].uri, &uri, &err))
			fail_msg("'%s' is refused", cases[i].uri);
		assert_string_equal(uri.host, cases[i].host);
		assert_int_equal(uri.port, cases[i].port);
		assert_int_equal(uri.db, cases[i].db);
		assert_string_equal(uri.user ? uri.user : "none", cases[i].user ? cases[i].user : "none");
		assert_string_equal(
			uri.password ? uri.password : "none", cases[i].password ? cases[i].password : "none");
		redis_uri_release(&uri);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (redis_uri_parse(wrong[i], &uri, &err) == 0)
			fail_msg("'%s' is taken", wrong[i]);
}

static void test_hello(void **state)
{
	SCOPED(redis_command_release) struct redis_command command = { 0 };
	struct redis_uri uri = {
		.host = (char *)"h", .user = (char *)"me", .password = (char *)"x", .db = 2
	};

	(void)state;
	assert_true(redis_hello_command(&command, &uri, 0));
	expect_command(&command, "AUTH|me|x");
	assert_true(redis_hello_command(&command, &uri, 1));
	expect_command(&command, "SELECT|2");
	assert_false(redis_hello_command(&command, &uri, 2));
	uri.password = NULL;
	assert_true(redis_hello_command(&command, &uri, 0));
	expect_command(&command, "SELECT|2");
	uri.db = 0;
	assert_false(redis_hello_command(&command, &uri, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_bytes),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_flush_of_values),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_flush_and_seal_replies),
		cmocka_unit_test(test_view),
		cmocka_unit_test(test_wrong_replies),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_uri),
		cmocka_unit_test(test_hello),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
