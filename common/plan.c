#include "common/base.h"
#include "common/plan.h"

struct plan_piece plan_at(const struct archive_part *archive, int64_t kafka_first, int64_t offset)
{
	const struct archive_file *file = archive ? archive_part_at(archive, offset) : NULL;
	int64_t next = archive ? archive_part_next(archive, offset) : -1;

	if (file)
		return (struct plan_piece){ PLAN_FILE, offset, file->manifest.to, file };
	if (kafka_first >= 0 && offset >= kafka_first)
		return (struct plan_piece){ PLAN_KAFKA, offset, INT64_MAX, NULL };
	if (kafka_first >= 0 && (next < 0 || next > kafka_first))
		next = kafka_first;
	if (next < 0)
		return (struct plan_piece){ PLAN_END, offset, offset, NULL };
	return (struct plan_piece){ PLAN_GONE, offset, next, NULL };
}
