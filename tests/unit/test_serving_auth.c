#include "common/base.h"
#include "common/redis.h"
#include "common/secret.h"
#include "serving/auth.h"
#include "tests/unit/unit.h"

#include <sys/stat.h>
#include <unistd.h>

#define OLD "0123456789abcdef"
#define NEW "fedcba9876543210-._~+/=="

static char path[] = "/tmp/lambda-test-auth-XXXXXX";

static void write_file(const char *text, size_t len, mode_t mode)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static enum auth_result check(const struct auth *auth, const char *value)
{
	return auth_check(auth, value ? unit_text(value) : (struct text){ 0 });
}

static void test_who_may_ask(void **state)
{
	static const char *const wrong[] = { "", "Bearer", "Bearer ", "Bearer 0", OLD, "Basic " OLD,
		"Bearer" OLD, "Bearer 0123456789abcdeg", "Bearer " OLD "0", "Bearer 0123456789abcde",
		"Bearer " OLD " " OLD, "Bearer \x01" OLD };
	struct auth auth = { 0 };
	struct err err = { 0 };
	char *longest;

	(void)state;
	assert_int_equal(check(&auth, NULL), AUTH_GRANTED); /* none is needed */
	write_file(OLD "\r\n\n  " NEW " \n", strlen(OLD) + strlen(NEW) + 7, 0640);
	assert_int_equal(auth_open(&auth, path, &err), 0);
	assert_int_equal(check(&auth, NULL), AUTH_MISSING);
	assert_int_equal(check(&auth, "Bearer " OLD), AUTH_GRANTED);
	assert_int_equal(check(&auth, "bEARER   " NEW), AUTH_GRANTED);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (check(&auth, wrong[i]) != AUTH_WRONG)
			fail_msg("'%s' was let in", wrong[i]);
	longest = calloc(1, 9000);
	assert_non_null(longest);
	memset(longest, 'a', 8999);
	memcpy(longest, "Bearer ", 7);
	assert_int_equal(check(&auth, longest), AUTH_WRONG);
	free(longest);
	/* the tail of an unused entry is zeros, which no text may stand for */
	assert_int_equal(auth_check(&auth, (struct text){ "Bearer \0", 8 }), AUTH_WRONG);

	write_file("short\n", 6, 0600);
	assert_int_equal(auth_reload(&auth, &err), -1);
	assert_int_equal(check(&auth, "Bearer " OLD), AUTH_GRANTED); /* the old ones stay */
	write_file(NEW, strlen(NEW), 0600);
	assert_int_equal(auth_reload(&auth, &err), 0);
	assert_int_equal(check(&auth, "Bearer " OLD), AUTH_WRONG);
	assert_int_equal(check(&auth, "Bearer " NEW), AUTH_GRANTED);
	auth_close(&auth);
}

static void assert_refused(const char *text, size_t len, mode_t mode, const char *word)
{
	struct auth auth = { 0 };
	struct err err = { 0 };

	write_file(text, len, mode);
	assert_int_equal(auth_open(&auth, path, &err), -1);
	assert_int_equal(err.code, ERR_USAGE);
	if (!strstr(err.msg, word) || strstr(err.msg, "secret"))
		fail_msg("%s", err.msg);
}

static void test_files_that_are_refused(void **state)
{
	struct auth auth = { 0 };
	struct err err = { 0 };
	char *large = calloc(1, 20000), many[17 * 17];

	(void)state;
	assert_non_null(large);
	memset(large, 'a', 20000);
	for (size_t i = 0; i < 17; i++)
		memcpy(many + 17 * i, OLD "\n", 17);
	assert_refused("", 0, 0600, "empty");
	assert_refused(" \n\n", 3, 0600, "empty");
	assert_refused(OLD "\n", 17, 0604, "chmod");
	assert_refused(OLD "\n", 17, 0602, "chmod");
	assert_refused(OLD "\n", 17, 0620, "chmod");
	assert_refused("secret-is-short\n", 16, 0600, "entry 1");
	assert_refused(OLD "\nsecret secret secret\n", 38, 0600, "entry 2");
	assert_refused("secret=secret=secret=secret\n", 28, 0600, "entry 1");
	assert_refused("====================\n", 21, 0600, "entry 1");
	assert_refused("secret-secret\0secret\n", 21, 0600, "NUL");
	assert_refused(large, 300, 0600, "entry 1");
	assert_refused(large, 20000, 0600, "too large");
	assert_refused(many, sizeof(many), 0600, "16");
	free(large);
	assert_int_equal(auth_open(&auth, "/nonexistent/file", &err), -1);
	assert_int_equal(auth_open(&auth, "/dev/null", &err), -1);
	assert_int_equal(auth_open(&auth, "/tmp", &err), -1);
	assert_int_equal(auth_open(&auth, "", &err), 0);
}

static void test_one_secret(void **state)
{
	struct err err = { 0 };
	char *secret = NULL;

	(void)state;
	write_file("  pass word\n\n", 13, 0600);
	assert_int_equal(secret_read_one("--x", path, &secret, &err), 0);
	assert_string_equal(secret, "pass word");
	secret_free(secret);
	write_file("one\ntwo\n", 8, 0600);
	assert_int_equal(secret_read_one("--x", path, &secret, &err), -1);
	write_file("\n", 1, 0600);
	assert_int_equal(secret_read_one("--x", path, &secret, &err), -1);
}

static void test_password_of_redis(void **state)
{
	static const struct {
		const char *uri, *host, *user;
	} cases[] = { { "redis://h", "h", NULL }, { "redis://u%40x@h:7/3", "h", "u@x" },
		{ "redis://[::1]:7", "::1", NULL }, { "redis://@h", "h", NULL } };
	static const char password[] = "a@b:c/%20 \xe4\x7f";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *uri = redis_uri_with_password(cases[i].uri, password);
		struct redis_uri parsed;
		struct err err = { 0 };

		assert_non_null(uri);
		assert_int_equal(redis_uri_parse(uri, &parsed, &err), 0);
		assert_string_equal(parsed.password, password);
		assert_string_equal(parsed.host, cases[i].host);
		if (cases[i].user)
			assert_string_equal(parsed.user, cases[i].user);
		else
			assert_null(parsed.user);
		redis_uri_release(&parsed);
		free(uri);
	}
	assert_null(redis_uri_with_password("redis://u:p@h", password));
	assert_null(redis_uri_with_password("redis://:p@h", password));
	assert_null(redis_uri_with_password("http://h", password));
}

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_may_ask),
		cmocka_unit_test(test_files_that_are_refused),
		cmocka_unit_test(test_one_secret),
		cmocka_unit_test(test_password_of_redis),
	};

	return cmocka_run_group_tests_name("auth", tests, make_file, remove_file);
}
