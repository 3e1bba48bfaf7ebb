#include "common/base.h"
#include "batch/archive_source.h"

#include "batch/batch.h"
#include "common/plan.h"

/* Reading comes to `offset`; record: the one there, NULL when the archive has none up to there. Below the
 * base's cut stood a record that the base run has seen last: that very one must come by. */
static int archive_source_check(
	const struct part *part, int64_t offset, const struct archive_record *record, struct err *err)
{
	struct tail tail;

	if (part->base_tail.offset < part->next || part->base_tail.offset > offset)
		return 0;
	tail_init(&tail);
	if (record)
		tail_of_record(&tail, record->offset, record->timestamp_ms, record->key.at, record->key.len,
			record->value.at, record->value.len);
	if (tail.offset == part->base_tail.offset && tail.hash == part->base_tail.hash)
		return 0;
	return err_set(err, ERR_DATA,
		"the archive is of another log than the published run: the record at offset %" PRId64
		" of partition %d is %s; hint: use the archive of that log, or another --name and an empty "
		"database",
		part->base_tail.offset, (int)part->partition,
		tail.offset == part->base_tail.offset ? "a different one" : "missing");
}

static int archive_source_record(
	struct part *part, const struct archive_record *in, record_fn *on_record, void *arg, struct err *err)
{
	const struct record record = { part, in->offset, in->timestamp_ms, in->key.at, in->value.at,
		in->key.len, in->value.len, NULL };

	if (batch_stop_asked())
		return batch_stopped(err);
	if (in->offset < part->next) /* of files that overlap */
		return 0;
	if (archive_source_check(part, in->offset, in, err))
		return -1;
	part->next = in->offset + 1;
	return on_record(arg, &record, err);
}

static int archive_source_file(
	struct part *part, const struct archive_file *file, record_fn *on_record, void *arg, struct err *err)
{
	struct archive_reader *reader;
	struct archive_record record;
	int more;

	if (archive_reader_open(file, &reader, err))
		return -1;
	while ((more = archive_reader_next(reader, &record, NULL, err)) > 0)
		if (archive_source_record(part, &record, on_record, arg, err)) {
			more = -1;
			break;
		}
	archive_reader_close(reader);
	if (more || archive_source_check(part, file->manifest.to - 1, NULL, err))
		return -1;
	part->next = file->manifest.to;
	return 0;
}

int archive_source_read(struct part *part, record_fn *on_record, void *arg, struct err *err)
{
	for (;;) {
		struct plan_piece piece = plan_at(part->archive, part->kafka_first, part->next);

		if (piece.source == PLAN_KAFKA || piece.source == PLAN_END)
			return 0;
		if (piece.source == PLAN_GONE)
			part->next = piece.to;
		else if (archive_source_file(part, piece.file, on_record, arg, err))
			return -1;
	}
}
