#include "common/base.h"
#include "common/redis_values.h"

#include "common/kernel/currency.h"
#include "common/kernel/money.h"

int redis_revenue_field(struct text field, int *ret_minute, int *ret_currency, char *ret_what)
{
	int minute, currency;

	if (field.len != 6 || field.at[0] < '0' || field.at[0] > '5' || field.at[1] < '0' ||
		field.at[1] > '9' || !memchr("grocu", field.at[5], 5))
		return -1;
	minute = (field.at[0] - '0') * 10 + field.at[1] - '0';
	currency = currency_find((struct text){ field.at + 2, 3 });
	if (currency < 0)
		return -1;
	*ret_minute = minute;
	*ret_currency = currency;
	*ret_what = field.at[5];
	return 0;
}

/* Adds to a number of events. Beyond any real one it is refused, so that numbers of events may be added up
 * unchecked. */
static int redis_count_add(int64_t *count, int64_t value)
{
	int64_t sum;

	if (money_add(*count, value, &sum) || sum < 0 || sum > REDIS_COUNT_MAX)
		return -1;
	*count = sum;
	return 0;
}

int redis_revenue_add(struct revenue *sum, char what, int64_t value)
{
	int64_t *member = what == 'g'   ? &sum->gross_e4
			  : what == 'r' ? &sum->refunds_e4
			  : what == 'o' ? &sum->orders
			  : what == 'c' ? &sum->refund_count
					: &sum->units;
	int64_t added;

	if (what == 'o' || what == 'c')
		return redis_count_add(member, value);
	if (money_add(*member, value, &added) || added < (what == 'u' ? -INT64_MAX : 0))
		return -1;
	*member = added;
	return 0;
}

int redis_product_field(struct text field, char *ret_what, int *ret_currency, struct text *ret_sku)
{
	int currency;

	if (field.len < 5 || (field.at[0] != 'n' && field.at[0] != 'u'))
		return -1;
	currency = currency_find((struct text){ field.at + 1, 3 });
	if (currency < 0)
		return -1;
	*ret_what = field.at[0];
	*ret_currency = currency;
	*ret_sku = (struct text){ field.at + 4, field.len - 4 };
	return 0;
}

int redis_late_field(struct text field, char *ret_what, int *ret_currency)
{
	int currency;

	if (field.len != 4 || !memchr("el^", field.at[0], 3))
		return -1;
	currency = currency_find((struct text){ field.at + 1, 3 });
	if (currency < 0)
		return -1;
	*ret_what = field.at[0];
	*ret_currency = currency;
	return 0;
}

static bool redis_text_is(struct text text, const char *other)
{
	return text.len == strlen(other) && memcmp(text.at, other, text.len) == 0;
}

int redis_counter_add(struct counters *counters, struct text field, int64_t value)
{
	static const char rejected[] = "rejected:";
	int64_t *member = redis_text_is(field, "records")     ? &counters->records
			  : redis_text_is(field, "counted")   ? &counters->counted
			  : redis_text_is(field, "duplicate") ? &counters->duplicate
			  : redis_text_is(field, "late")      ? &counters->late
			  : redis_text_is(field, "excluded")  ? &counters->excluded
							      : NULL;

	if (!member && field.len > sizeof(rejected) - 1 &&
		memcmp(field.at, rejected, sizeof(rejected) - 1) == 0) {
		struct text code = { field.at + sizeof(rejected) - 1, field.len - (sizeof(rejected) - 1) };

		for (int reason = EVENT_OK + 1; reason < EVENT_N_REJECTS; reason++)
			if (redis_text_is(code, event_reject_code(reason)))
				member = &counters->rejected[reason];
	}
	return member ? redis_count_add(member, value) : -1;
}
