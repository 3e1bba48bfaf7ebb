#include "common/base.h"
#include "common/kernel/handover.h"
#include "tests/unit/unit.h"

static void test_join(void **state)
{
	/* clang-format off */
	static const struct {
		const char *what;
		struct generation gens[3];
		size_t n_gens;
		int64_t run, cut;
		int first;
	} cases[] = {
		{ "nothing published yet", { { 0, 0, 50 } }, 1, 0, 0, 0 },
		{ "no generations", { { 0, 0, 0 } }, 0, 0, 0, -1 },
		{ "sealed, not yet published", { { 0, 0, 50 }, { 1, 50, 80 } }, 2, 0, 0, 0 },
		{ "the same, published", { { 0, 0, 50 }, { 1, 50, 80 } }, 2, 1, 50, 1 },
		{ "covered one has expired", { { 1, 50, 80 } }, 1, 1, 50, 0 },
		{ "open one is empty", { { 1, 50, 50 } }, 1, 1, 50, 0 },
		{ "three in a row", { { 1, 0, 5 }, { 4, 5, 9 }, { 7, 9, 12 } }, 3, 4, 5, 1 },
		{ "run has no generation", { { 0, 0, 50 }, { 2, 50, 80 } }, 2, 1, 50, -1 },
		{ "run is newer than all", { { 0, 0, 50 } }, 1, 1, 50, -1 },
		{ "needed one has expired", { { 2, 50, 80 } }, 1, 1, 20, -1 },
		{ "cut below the start: a hole", { { 1, 50, 80 } }, 1, 1, 40, -1 },
		{ "cut above the start: twice", { { 1, 50, 80 } }, 1, 1, 60, -1 },
		{ "hole between two", { { 1, 50, 80 }, { 2, 81, 90 } }, 2, 1, 50, -1 },
		{ "overlap of two", { { 1, 50, 80 }, { 2, 79, 90 } }, 2, 1, 50, -1 },
		{ "hole before the run does not matter", { { 1, 50, 80 }, { 2, 85, 90 } }, 2, 2, 85, 1 },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (handover_join(cases[i].gens, cases[i].n_gens, cases[i].run, cases[i].cut) !=
			cases[i].first)
			fail_msg("%s", cases[i].what);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_join) };

	return cmocka_run_group_tests_name("handover", tests, NULL, NULL);
}
