/* Blocks of ids: what goes in comes out, and a block that is not what its hash says is noticed. */
#include "common/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "batch/id_block.h"
#include "common/mem.h"

static const struct id_entry cases[] = {
	{ 0, 0, true, { 1, 2 } },
	{ 1, 1700000000000, true, { UINT64_MAX, 0 } },
	{ 2, 1699999999999, false, { 0, 0 } },
	{ 3, -1, true, { 0, UINT64_MAX } },
	{ 200, INT64_MAX, true, { 3, 4 } },
	{ 201, INT64_MIN, false, { 0, 0 } },
	{ ID_BLOCK_OFFSETS - 1, INT64_MAX, true, { 5, 6 } },
	{ INT64_MAX / 2, 7, true, { 7, 8 } },
};

static int check_entry(void *arg, const struct id_entry *entry, struct err *err)
{
	size_t *n = arg;
	const struct id_entry *wanted = &cases[(*n)++];

	(void)err;
	assert_int_equal(entry->offset, wanted->offset);
	assert_int_equal(entry->record_ms, wanted->record_ms);
	assert_int_equal(entry->valid, wanted->valid);
	if (entry->valid)
		assert_memory_equal(&entry->id, &wanted->id, sizeof(entry->id));
	return 0;
}

static void test_roundtrip(void **state)
{
	struct id_block block = { 0 };
	struct err err;

	(void)state;
	for (size_t len = 0; len <= ARRAY_SIZE(cases); len++) {
		size_t n = 0;

		id_block_start(&block, "");
		assert_true(id_block_is_empty(&block));
		for (size_t i = 0; i < len; i++)
			id_block_add(&block, &cases[i]);
		assert_int_equal(id_block_is_empty(&block), !len);
		assert_int_equal(id_block_each(block.bytes, block.len, check_entry, &n, &err), 0);
		assert_int_equal(n, len);
	}
	free(block.bytes);
}

static void test_borders(void **state)
{
	struct id_block block = { 0 };

	(void)state;
	id_block_start(&block, "");
	assert_true(id_block_takes(&block, INT64_C(5) * ID_BLOCK_OFFSETS + 7));
	id_block_add(&block, &(struct id_entry){ INT64_C(5) * ID_BLOCK_OFFSETS + 7, 0, true, { 0, 0 } });
	assert_true(id_block_takes(&block, INT64_C(6) * ID_BLOCK_OFFSETS - 1));
	assert_false(id_block_takes(&block, INT64_C(6) * ID_BLOCK_OFFSETS));
	free(block.bytes);
}

/* Many entries: the block grows; any bit that is another one, and any byte less, is noticed. */
static void test_damage(void **state)
{
	struct id_block block = { 0 };
	char older[ID_HASH_MAX], hash[ID_HASH_MAX];

	(void)state;
	id_block_hash((const unsigned char *)"x", 1, older);
	id_block_start(&block, older);
	for (int64_t i = 0; i < 10000; i++)
		id_block_add(&block, &(struct id_entry){ 3 * i, 1000 * i, i % 7 != 0, { (uint64_t)i, 9 } });
	id_block_hash(block.bytes, block.len, hash);
	assert_int_equal(strlen(hash), 32);
	assert_true(id_block_is(block.bytes, block.len, hash, older));
	assert_false(id_block_is(block.bytes, block.len, hash, ""));
	assert_false(id_block_is(block.bytes, block.len, older, older));
	for (size_t i = 0; i < block.len; i += i < 100 ? 1 : 997) {
		block.bytes[i] ^= (unsigned char)(1 << i % 8);
		assert_false(id_block_is(block.bytes, block.len, hash, older));
		block.bytes[i] ^= (unsigned char)(1 << i % 8);
		assert_false(id_block_is(block.bytes, i, hash, older));
	}
	free(block.bytes);
}

static int stop_at_third(void *arg, const struct id_entry *entry, struct err *err)
{
	(void)entry;
	return ++*(int *)arg == 3 ? err_set(err, ERR_DATA, "enough") : 0;
}

static void test_stops(void **state)
{
	struct id_block block = { 0 };
	struct err err;
	int n = 0;

	(void)state;
	id_block_start(&block, "");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		id_block_add(&block, &cases[i]);
	assert_int_equal(id_block_each(block.bytes, block.len, stop_at_third, &n, &err), -1);
	assert_int_equal(n, 3);
	free(block.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roundtrip),
		cmocka_unit_test(test_borders),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
