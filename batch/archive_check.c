#include "common/base.h"
#include "batch/archive_check.h"

#include "batch/batch.h"
#include "common/log.h"

enum { CHECK_ASK_MS = 5000, CHECK_SPAN_MAX = 48 };

static int archive_check_part(
	const struct archive *archive, int partition, const struct config *config, struct err *err)
{
	const struct archive_part *part = &archive->parts[partition];
	const struct archive_file *last;

	if (!archive_part_end(part))
		return 0;
	last = archive_part_at(part, archive_part_end(part) - 1);
	if (kafka_check_tail(config, partition, &last->manifest.tail, config->connect_wait_ms, err))
		return err_wrap(err, "the archive in '%s'", archive->dir);
	return 0;
}

int archive_check_log(const struct archive *archive, const struct config *config, const struct kafka_log *log,
	struct err *err)
{
	if (strcmp(archive->note.log, log->identity) || archive->n_parts > log->n_partitions)
		return err_set(err, ERR_DATA,
			"the archive in '%s' is of the log '%s' with %d partitions, this is '%s' with %d; "
			"hint: was the topic "
			"created anew, or the cluster changed? each log needs an --archive of its own",
			archive->dir, archive->note.log, archive->n_parts, log->identity, log->n_partitions);
	for (int i = 0; i < archive->n_parts; i++)
		if (archive_check_part(archive, i, config, err))
			return -1;
	return 0;
}

/* "3 d", "5 h", "12 min", "7 s" */
static const char *check_span(char buf[CHECK_SPAN_MAX], int64_t ms)
{
	static const struct {
		int64_t ms;
		const char *unit;
	} units[] = { { INT64_C(86400000), "d" }, { 3600000, "h" }, { 60000, "min" }, { 1000, "s" } };
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(units) && ms < 2 * units[i].ms)
		i++;
	snprintf(buf, CHECK_SPAN_MAX, "%" PRId64 " %s", ms / units[i].ms, units[i].unit);
	return buf;
}

void archive_warn_retention(const struct archive *archive, rd_kafka_t *rk, const struct config *config)
{
	int64_t retention_ms = kafka_retention_ms(rk, config->topic, CHECK_ASK_MS);
	int64_t since_ms = clock_wall_ms() - archive->note.archived_ms;
	char spans[2][CHECK_SPAN_MAX];

	if (retention_ms < 0 || since_ms <= retention_ms)
		return;
	if (!archive->note.archived_ms)
		log_warn("Kafka keeps the records of '%s' for %s, and its archive was never complete; run "
			 "'lambda-batch "
			 "archive' more often than that",
			config->topic, check_span(spans[0], retention_ms));
	else
		log_warn("Kafka keeps the records of '%s' for %s, but they were archived %s ago: some may be "
			 "gone for good; "
			 "run 'lambda-batch archive' more often than that",
			config->topic, check_span(spans[0], retention_ms), check_span(spans[1], since_ms));
}
