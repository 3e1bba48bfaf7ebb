#include "common/base.h"
#include "common/kernel/table.h"
#include "tests/unit/unit.h"

struct entry8 {
	int64_t key;
	int64_t value;
};

struct entry_any {
	unsigned char key[20];
	int32_t value;
};

static void test_insertion_order(void **state)
{
	struct table table;
	bool new;

	(void)state;
	table_init(&table, sizeof(struct entry8), sizeof(int64_t));
	assert_null(table_find(&table, &(int64_t){ 1 }));
	for (int round = 0; round < 2; round++) { /* the second time in memory that has been used */
		for (int64_t i = 0; i < 5000; i++) {
			int64_t key = i * 7919 % 5003;
			struct entry8 *entry = table_put(&table, &key, &new);

			assert_true(new);
			assert_int_equal(entry->key, key);
			assert_int_equal(entry->value, 0);
			entry->value = i;
			assert_ptr_equal(table_put(&table, &key, &new), entry);
			assert_false(new);
		}
		assert_int_equal(table.n, 5000);
		for (size_t i = 0; i < table.n; i++)
			assert_int_equal(((struct entry8 *)table_at(&table, i))->value, i);
		table_clear(&table);
		assert_int_equal(table.n, 0);
		assert_null(table_find(&table, &(int64_t){ 0 }));
		assert_true(table_bytes(&table) >= 5000 * sizeof(struct entry8));
	}
	table_release(&table);
	assert_int_equal(table_bytes(&table), 0);
	table_release(&table);
}

/* Keys of 1 to 20 bytes against a list that is searched from its start. */
static void test_against_list(void **state)
{
	struct unit_random random = { unit_seed(__func__) };

	(void)state;
	for (size_t key_size = 1; key_size <= 20; key_size++) {
		struct table table;
		struct entry_any list[300] = { 0 };
		size_t n = 0;

		table_init(&table, sizeof(struct entry_any), key_size);
		for (int i = 0; i < 600; i++) {
			unsigned char key[20] = { 0 };
			struct entry_any *entry;
			size_t at = 0;
			bool new;

			key[0] = (unsigned char)unit_random_below(&random, 16);
			key[key_size - 1] =
				(unsigned char)(key[key_size - 1] + unit_random_below(&random, 16));
			while (at < n && memcmp(list[at].key, key, key_size) != 0)
				at++;
			assert_int_equal(table_find(&table, key) != NULL, at < n);
			entry = table_put(&table, key, &new);
			assert_int_equal(new, at == n);
			if (new) {
				list[n] = (struct entry_any){ .value = (int32_t)n };
				memcpy(list[n].key, key, key_size);
				entry->value = (int32_t)n++;
			}
			assert_int_equal(entry->value, at);
			assert_ptr_equal(entry, table_at(&table, at));
		}
		table_release(&table);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_insertion_order),
		cmocka_unit_test(test_against_list),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
