/* Failure modes:
 * - the root is not there, a file cannot be read: the partition waits and tries again;
 * - a note, manifest or file is damaged, of another log, or the version's last record is not in it: the
 *   program ends with ERR_DATA, before anything of that file is folded;
 * - a hole: the program ends with ERR_DATA and names the range, or goes over it where it was accepted;
 * - retention takes records while files are read that the archive did not have: found when Kafka is asked for
 *   them (consumer_out_of_range()), which comes here again. */
#include "common/base.h"
#include "speed/speed.h"

#include <errno.h>
#include <unistd.h>

#include "common/failpoint.h"
#include "common/log.h"

enum { ARCHIVED_TAKE_MS = 5, ARCHIVED_TAKE_N = 256 };

bool archived_is_used(const struct speed *speed)
{
	return speed->keep == &keep_postgres && *speed->config.archive;
}

/* --- opening ----------------------------------------------------------------------------------- */

static void archived_rewind(struct archived *archived)
{
	archive_reader_close(archived->reader);
	archived->reader = NULL;
}

void archived_close(struct partition *p)
{
	struct archived *archived = &p->archived;

	archived_rewind(archived);
	archive_release(&archived->archive);
	*archived = (struct archived){ 0 };
	tail_init(&archived->expected);
}

int archived_open(struct speed *speed, struct partition *p, struct err *err)
{
	const struct config *config = &speed->config;
	struct archive archive;

	archived_close(p);
	if (!archived_is_used(speed))
		return 0;
	if (archive_open_one(config->archive, config->topic, p->number, &archive, err))
		return -1;
	if (archive.present && strcmp(archive.note.log, speed->log.identity) != 0) {
		err_set(err, ERR_DATA,
			"the archive in '%s' is of the log '%s', this is '%s'; hint: was the topic created "
			"anew, or the cluster changed? each log needs an --archive of its own",
			archive.dir, archive.note.log, speed->log.identity);
		archive_release(&archive);
		return -1;
	}
	if (!archive.present && complaint_due(&speed->no_archive))
		log_warn("there is no archive of '%s' in '%s' yet; reading Kafka alone", config->topic,
			config->archive);
	p->archived.archive = archive;
	p->archived.is_open = true;
	return 0;
}

/* --- what there is ----------------------------------------------------------------------------- */

static const struct archive_part *archived_part(const struct partition *p)
{
	const struct archive *archive = &p->archived.archive;

	return p->archived.is_open && p->number < archive->n_parts ? &archive->parts[p->number] : NULL;
}

int64_t archived_first(const struct partition *p, int64_t kafka_first)
{
	const struct archive_part *part = archived_part(p);

	return part && part->n_files && part->files[0].manifest.from < kafka_first
		       ? part->files[0].manifest.from
		       : kafka_first;
}

int64_t archived_offset_at(const struct partition *p, int64_t time_ms, int64_t kafka_at)
{
	const struct archive_part *part = archived_part(p);

	for (size_t i = 0; part && i < part->n_files && part->files[i].manifest.from < kafka_at; i++)
		if (part->files[i].manifest.count && part->files[i].manifest.last_ms >= time_ms)
			return part->files[i].manifest.from;
	return kafka_at;
}

struct tail archived_tail(const struct partition *p)
{
	const struct archive_part *part = archived_part(p);
	struct tail none;

	tail_init(&none);
	return part && archive_part_end(part)
		       ? archive_part_at(part, archive_part_end(part) - 1)->manifest.tail
		       : none;
}

/* --- is it the same log? ----------------------------------------------------------------------- */

/* The record that should be `expected` is `found`. */
static int archived_compare(const struct partition *p, const struct tail *found, struct err *err)
{
	const struct tail *expected = &p->archived.expected;

	if (found->offset == expected->offset && found->hash == expected->hash)
		return 0;
	return err_set(err, ERR_DATA,
		"the archive in '%s' is of another log than the version: the record at offset %" PRId64
		" of partition %d is %s; hint: use the archive of that log, or begin another version",
		p->archived.archive.dir, expected->offset, p->number,
		found->offset == expected->offset ? "a different one" : "missing");
}

int archived_check(struct partition *p, struct err *err)
{
	const struct archive_part *part = archived_part(p);
	const struct archive_file *file;

	if (!part || p->known.tail.offset < 0)
		return 0;
	p->archived.expected = p->known.tail;
	file = archive_part_at(part, p->known.tail.offset);
	if (!file || file->manifest.to > redis_state_open(&p->known)->next)
		return 0; /* comes by, or is not in the archive */
	return archived_compare(p, &file->manifest.tail, err);
}

/* The file begins behind the record: the manifest knows what stands before it. */
static int archived_check_before(struct partition *p, struct err *err)
{
	const struct archive_manifest *manifest = &p->archived.file->manifest;
	struct tail *expected = &p->archived.expected;

	if (expected->offset < 0 || expected->offset >= manifest->from)
		return 0;
	if (manifest->before.offset >= 0 && manifest->from <= redis_state_open(&p->known)->next &&
		archived_compare(p, &manifest->before, err))
		return -1;
	tail_init(expected);
	return 0;
}

/* Reading has come to `offset`; record: the one there, NULL when the file has none up to there. */
static int archived_check_record(
	struct partition *p, int64_t offset, const struct archive_record *record, struct err *err)
{
	struct tail *expected = &p->archived.expected, found;

	if (expected->offset < 0 || offset < expected->offset)
		return 0;
	tail_init(&found);
	if (record)
		tail_of_record(&found, record->offset, record->timestamp_ms, record->key.at, record->key.len,
			record->value.at, record->value.len);
	if (archived_compare(p, &found, err))
		return -1;
	tail_init(expected);
	return 0;
}

/* --- where to read ----------------------------------------------------------------------------- */

static int archived_hole(
	struct speed *speed, struct partition *p, const struct plan_piece *hole, struct err *err)
{
	const struct range range = { p->number, hole->from, hole->to };

	if (!ranges_have(&speed->config.accept_lost, range))
		return err_set(err, ERR_DATA,
			"orders of '%s' are gone: offsets %d:%" PRId64 "-%" PRId64
			" are not in Kafka and not in the archive; hint: --accept-lost=%d:%" PRId64
			"-%" PRId64 " goes on without them, and every answer says so",
			speed->config.topic, p->number, hole->from, hole->to, p->number, hole->from,
			hole->to);
	if (!partition_lose(p, hole->to)) { /* another one is pending: once that is kept */
		recovery_need(speed, p, SPEED_RETRY_MS);
		return 0;
	}
	log_warn("partition %d: offsets %" PRId64 " to %" PRId64
		 " are lost: going on without them, as accepted",
		p->number, hole->from, hole->to);
	return 0;
}

int archived_find(struct speed *speed, struct partition *p, int64_t kafka_first, struct err *err)
{
	struct plan_piece piece;

	p->archived.reads = p->archived.checked = false;
	archived_rewind(&p->archived);
	while (p->state >= PARTITION_WARMING) {
		piece = plan_at(archived_part(p), kafka_first, partition_reads_at(p));
		if (piece.source != PLAN_GONE)
			break;
		if (p->state == PARTITION_WARMING) /* the horizon begins behind it */
			partition_skip(p, piece.to < p->position ? piece.to : p->position);
		else if (archived_hole(speed, p, &piece, err))
			return -1;
	}
	if (p->state < PARTITION_WARMING)
		return 0;
	p->archived.reads = piece.source == PLAN_FILE;
	if (!p->archived.reads)
		speed->must_assign = true;
	p->archived.file = piece.file;
	return p->archived.reads ? archived_check_before(p, err) : 0;
}

/* --- reading ----------------------------------------------------------------------------------- */

static void archived_failed(struct speed *speed, struct partition *p, const struct err *err)
{
	recovery_need(speed, p, SPEED_RETRY_MS);
	if (err->code == ERR_DATA)
		speed->fatal = *err;
	else if (complaint_due(&speed->no_archive))
		log_warn("partition %d waits: %s; retrying", p->number, err->msg);
}

/* Where the files that we know of end: more may have been archived; and what has Kafka now? */
static int archived_look_again(
	struct speed *speed, struct partition *p, int64_t *ret_kafka_first, struct err *err)
{
	struct tail expected = p->archived.expected;
	int64_t end;

	if (archived_open(speed, p, err))
		return -1;
	p->archived.expected = expected;
	return kafka_range_again(
		speed->letters.rk, speed->config.topic, p->number, SPEED_ASK_MS, ret_kafka_first, &end, err);
}

/* The file is at its end: the first time it was checked. */
static int archived_end(struct speed *speed, struct partition *p, struct err *err)
{
	const struct archive_manifest *manifest = &p->archived.file->manifest;
	int64_t kafka_first = INT64_MAX;

	archived_rewind(&p->archived);
	if (!p->archived.checked) {
		p->archived.checked = true;
		return 0;
	}
	if (archived_check_record(p, manifest->to - 1, NULL, err))
		return -1;
	partition_skip(p, manifest->to);
	FAILPOINT("archived.end");
	if (!archive_part_at(archived_part(p), partition_reads_at(p)) &&
		archived_look_again(speed, p, &kafka_first, err))
		return -1;
	if (archived_find(speed, p, kafka_first, err))
		return -1;
	if (!p->archived.reads && p->state >= PARTITION_WARMING)
		log_info("partition %d: the archive is read, going on with kafka from offset %" PRId64,
			p->number, partition_reads_at(p));
	return 0;
}

/* One record. 1, 0 at the file's end. */
static int archived_step(struct speed *speed, struct partition *p, struct err *err)
{
	struct archived *archived = &p->archived;
	struct archive_record in;
	struct record record;
	int more;

	if (!archived->reader && archive_reader_open(archived->file, &archived->reader, err))
		return -1;
	more = archive_reader_next(archived->reader, &in, NULL, err);
	if (more <= 0 || !archived->checked)
		return more;
	if (archived_check_record(p, in.offset, &in, err))
		return -1;
	record = (struct record){ in.offset, in.timestamp_ms, in.key, in.value, NULL };
	consumer_record(speed, p, &record);
	FAILPOINT("archived.record");
	return 1;
}

/* Some records of one partition. What was lost is flushed first: there may be another hole. */
static void archived_some(struct speed *speed, struct partition *p)
{
	struct err err = { 0 };
	int more = 1;

	if (p->lost_from < p->lost_to)
		return;
	for (int i = 0; i < ARCHIVED_TAKE_N && more > 0 && !consumer_must_rest(speed); i++)
		more = archived_step(speed, p, &err);
	if (more < 0 || (!more && archived_end(speed, p, &err)))
		archived_failed(speed, p, &err);
}

bool archived_take(struct speed *speed)
{
	int64_t until_ms = clock_ms() + ARCHIVED_TAKE_MS;
	bool idle;

	do {
		idle = true;
		for (int i = 0; i < speed->n_partitions && !consumer_must_rest(speed); i++) {
			struct partition *p;

			speed->archived_turn = (speed->archived_turn + 1) % speed->n_partitions;
			p = speed->partitions[speed->archived_turn];
			if (!p || p->state < PARTITION_WARMING || !p->archived.reads)
				continue;
			idle = false;
			archived_some(speed, p);
		}
	} while (!idle && !consumer_must_rest(speed) && clock_ms() < until_ms);
	return idle;
}
