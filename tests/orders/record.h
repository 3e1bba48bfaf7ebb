/* One record on its way to the log: what `orders generate` and `orders import` make and a sink takes.
 * Borrowed: key and value are good until the next one is made. */
#ifndef ORDERS_RECORD_H
#define ORDERS_RECORD_H

#include "common/base.h"

struct record {
	const char *key, *value; /* value NULL: a record without one */
	size_t key_len, value_len;
	/* of an event that counts, for --ack-log; id_len 0 for a duplicate or a broken record */
	const char *id;
	size_t id_len;
	char currency[4];
	int64_t net_e4; /* 1/10000 of a unit; negative for a refund */
};

#endif
