/* Where each offset of a partition is read from: a file of the archive that has it, else Kafka to the end,
 * else it is gone. Pure. */
#ifndef COMMON_PLAN_H
#define COMMON_PLAN_H

#include "common/archive.h"

enum plan_source {
	PLAN_FILE, /* [from, to) is in the file */
	PLAN_GONE, /* [from, to) is nowhere */
	PLAN_KAFKA, /* Kafka has everything from `from` on */
	PLAN_END, /* without Kafka: nothing has anything from `from` on */
};

struct plan_piece {
	enum plan_source source;
	int64_t from, to;
	const struct archive_file *file;
};

/* archive: NULL when there is none. kafka_first: the lowest offset that Kafka has, -1 when it is not read. */
struct plan_piece plan_at(const struct archive_part *archive, int64_t kafka_first, int64_t offset);

#endif
