#include "common/base.h"
#include "common/zone.h"
#include "common/mem.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

enum { DAY_S = 86400 };

/* Days that the table has on both sides of the span of times, so that every zone's days cover it. */
enum { ZONE_MARGIN_DAYS = 2 };

/* From `from_s` on the zone is `offset_s` ahead of UTC. */
struct zone_shift {
	int64_t from_s, offset_s;
};

struct zone_shifts {
	struct zone_shift *list;
	size_t n, capacity;
};

static bool zone_name_valid(const char *zone)
{
	if (!*zone || strlen(zone) >= sizeof(((struct calendar *)0)->zone))
		return false;
	if (*zone < 'A' ||
		*zone > 'Z') /* also leaves out posix/ and right/, and keeps the path inside the database */
		return false;
	for (const char *c = zone; *c; c++) {
		bool letter = (*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z');

		if (!letter && !(*c >= '0' && *c <= '9') && !strchr("_+-/", *c))
			return false;
	}
	return true;
}

/* The C library takes an unknown name for UTC without a word, so the database is asked first. */
static int zone_check(const char *zone, struct err *err)
{
	const char *dir = getenv("TZDIR");
	char magic[4] = "";
	int fd = -1;

	if (!dir || !*dir)
		dir = "/usr/share/zoneinfo";
	if (zone_name_valid(zone)) {
		SCOPED(xfreep) char *path = xasprintf("%s/%s", dir, zone);

		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd >= 0) {
		if (read(fd, magic, sizeof(magic)) != (ssize_t)sizeof(magic))
			magic[0] = '\0';
		close(fd);
	}
	if (memcmp(magic, "TZif", sizeof(magic)) != 0)
		return err_set(err, ERR_USAGE,
			"unknown time zone '%s' in '%s', hint: an IANA name such as Europe/London; package "
			"tzdata",
			zone, dir);
	return 0;
}

static int64_t zone_offset(int64_t at_s)
{
	time_t at = at_s;
	struct tm tm;
	const struct tm *done = localtime_r(&at, &tm);

	assert(done); /* fails for years beyond an int only */
	return tm.tm_gmtoff;
}

static void zone_shift_add(struct zone_shifts *shifts, int64_t from_s, int64_t offset_s)
{
	if (shifts->n == shifts->capacity) {
		shifts->capacity = shifts->capacity ? shifts->capacity * 2 : 64;
		shifts->list = xreallocarray(shifts->list, shifts->capacity, sizeof(*shifts->list));
	}
	shifts->list[shifts->n++] = (struct zone_shift){ from_s, offset_s };
}

/* All shifts from `from_s` to `to_s`: one look a day (no zone has two that close together), then a search for
 * the second. */
static void zone_find_shifts(int64_t from_s, int64_t to_s, struct zone_shifts *shifts)
{
	int64_t before = zone_offset(from_s);

	zone_shift_add(shifts, from_s, before);
	for (int64_t at = from_s + DAY_S; at <= to_s; at += DAY_S) {
		int64_t offset = zone_offset(at);
		int64_t low = at - DAY_S, high = at;

		if (offset == before)
			continue;
		while (high - low > 1) { /* low still has the offset before, high no longer */
			int64_t middle = low + (high - low) / 2;

			if (zone_offset(middle) == before)
				low = middle;
			else
				high = middle;
		}
		zone_shift_add(shifts, high, offset);
		before = offset;
	}
}

/* Day D starts at the first instant whose local date is D or later. */
static int zone_fill(struct calendar *calendar, const struct zone_shifts *shifts, struct err *err)
{
	size_t i = 0;

	for (int32_t d = 0; d <= calendar->n_days; d++) {
		int64_t local = ((int64_t)calendar->first_day + d) * DAY_S;
		int64_t start;

		for (;; i++) {
			start = local - shifts->list[i].offset_s;
			if (start < shifts->list[i].from_s)
				start = shifts->list[i].from_s;
			if (i + 1 == shifts->n || start < shifts->list[i + 1].from_s)
				break;
		}
		if (start % 60 != 0)
			return err_set(err, ERR_USAGE,
				"time zone '%s' has a day that does not start at a whole minute of UTC",
				calendar->zone);
		calendar->start_ms[d] = start * 1000;
	}
	return 0;
}

int zone_load(const char *zone, struct calendar *ret_calendar, struct err *err)
{
	struct calendar calendar = { 0 };
	struct zone_shifts shifts = { 0 };
	int64_t from_s, to_s;
	int failed;

	if (zone_check(zone, err))
		return -1;
	if (setenv("TZ", zone, 1) != 0)
		return err_set(err, ERR_OS, "cannot set TZ to '%s'", zone);
	tzset();
	memcpy(calendar.zone, zone, strlen(zone));
	calendar.first_day = (int32_t)(DATETIME_MIN_MS / 1000 / DAY_S) - ZONE_MARGIN_DAYS;
	calendar.n_days = (int32_t)(DATETIME_END_MS / 1000 / DAY_S) + ZONE_MARGIN_DAYS - calendar.first_day;
	calendar.start_ms = xcalloc((size_t)calendar.n_days + 1, sizeof(*calendar.start_ms));
	from_s = ((int64_t)calendar.first_day - ZONE_MARGIN_DAYS) * DAY_S;
	to_s = ((int64_t)calendar.first_day + calendar.n_days + ZONE_MARGIN_DAYS) * DAY_S;
	zone_find_shifts(from_s, to_s, &shifts);
	failed = zone_fill(&calendar, &shifts, err);
	free(shifts.list);
	if (failed) {
		calendar_release(&calendar);
		return -1;
	}
	*ret_calendar = calendar;
	return 0;
}
