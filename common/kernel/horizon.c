#include "common/base.h"
#include "common/kernel/horizon.h"
#include "common/kernel/hash.h"
#include "common/mem.h"

enum { HORIZON_CAPACITY_MIN = 1024, HORIZON_AHEAD = 8 };

enum { HORIZON_FIRST = -1 }; /* `older` of the first with its id */

/* Entries have numbers in the order in which they came; entry n stands at n & (capacity - 1). */
struct horizon_entry {
	struct event_id_hash id;
	int64_t offset;
	int64_t record_ms;
	int64_t latest_ms; /* T at that offset */
	int64_t older; /* number of the entry before it with that id, which may be gone by now */
};

struct horizon_ring {
	struct horizon_entry *entries;
	size_t capacity;
	int64_t head, tail; /* numbers [head, tail) are there */
	/* Of the newest entry of each id: 2 * capacity slots; 0 is free, else the low half of the id's hash
	 * and, below it, the entry's place + 1. So a slot of another id is passed by without a look at its
	 * entry, which is seldom in the cache. */
	uint64_t *index;
	/* No verdict at this offset or behind it needs what was before head; -1: nothing was. */
	int64_t exact_from;
};

struct event_id_hash event_id_hash(struct text event_id)
{
	struct event_id_hash hash;

	hash_128(event_id.at, event_id.len, &hash.low, &hash.high);
	return hash;
}

/* --- ring and index ----------------------------------------------------------------------------- */

static inline struct horizon_entry *horizon_at(const struct horizon_ring *ring, int64_t number)
{
	return &ring->entries[(size_t)number & (ring->capacity - 1)];
}

static inline size_t horizon_mask(const struct horizon_ring *ring)
{
	return ring->capacity * 2 - 1;
}

static inline uint64_t horizon_word(const struct horizon_ring *ring, struct event_id_hash id, int64_t number)
{
	return id.low << 32 | (((size_t)number & (ring->capacity - 1)) + 1);
}

static inline size_t horizon_place(uint64_t word)
{
	return (uint32_t)word - 1;
}

static inline size_t horizon_home(const struct horizon_ring *ring, uint64_t word)
{
	return word >> 32 & horizon_mask(ring);
}

/* The slot of that id, or the free one where it belongs. */
static size_t horizon_slot(const struct horizon_ring *ring, struct event_id_hash id)
{
	size_t mask = horizon_mask(ring), slot = (uint32_t)id.low & mask;

	for (; ring->index[slot]; slot = (slot + 1) & mask) {
		const struct horizon_entry *entry;

		if (ring->index[slot] >> 32 != (uint32_t)id.low)
			continue;
		entry = &ring->entries[horizon_place(ring->index[slot])];
		if (entry->id.low == id.low && entry->id.high == id.high)
			break;
	}
	return slot;
}

/* Frees a slot and moves up those behind it, so that every search still ends where it should. */
static void horizon_unlink(struct horizon_ring *ring, size_t slot)
{
	size_t mask = horizon_mask(ring);

	for (size_t next = (slot + 1) & mask; ring->index[next]; next = (next + 1) & mask) {
		if (((next - horizon_home(ring, ring->index[next])) & mask) >= ((next - slot) & mask)) {
			ring->index[slot] = ring->index[next];
			slot = next;
		}
	}
	ring->index[slot] = 0;
}

static void horizon_grow(struct horizon_ring *ring)
{
	size_t capacity = ring->capacity ? ring->capacity * 2 : HORIZON_CAPACITY_MIN;
	struct horizon_entry *entries = xreallocarray(NULL, capacity, sizeof(*entries));

	assert(capacity <= UINT32_C(1) << 30);
	for (int64_t n = ring->head; n < ring->tail; n++)
		entries[(size_t)n & (capacity - 1)] = *horizon_at(ring, n);
	free(ring->entries);
	free(ring->index);
	ring->entries = entries;
	ring->capacity = capacity;
	ring->index = xcalloc(capacity * 2, sizeof(*ring->index));
	for (int64_t n = ring->head; n < ring->tail; n++)
		ring->index[horizon_slot(ring, horizon_at(ring, n)->id)] =
			horizon_word(ring, horizon_at(ring, n)->id, n);
}

/* Takes the newest entry back. */
static void horizon_pop(struct horizon_ring *ring)
{
	const struct horizon_entry *entry = horizon_at(ring, --ring->tail);
	size_t slot = horizon_slot(ring, entry->id);

	if (entry->older >= ring->head)
		ring->index[slot] = horizon_word(ring, entry->id, entry->older);
	else
		horizon_unlink(ring, slot);
}

/* Forgets the oldest entry. */
static void horizon_forget(struct horizon *horizon)
{
	struct horizon_ring *ring = horizon->ring;
	const struct horizon_entry *entry = horizon_at(ring, ring->head);
	size_t slot = horizon_slot(ring, entry->id);

	if (ring->index[slot] == horizon_word(ring, entry->id, ring->head))
		horizon_unlink(ring, slot);
	if (ring->tail - ring->head >
		HORIZON_AHEAD) { /* its slot will be needed soon, and is not in the cache */
		size_t ahead = (uint32_t)horizon_at(ring, ring->head + HORIZON_AHEAD)->id.low;

		__builtin_prefetch(&ring->index[ahead & horizon_mask(ring)]);
	}
	horizon->from = entry->offset + 1;
	ring->head++;
}

/* Can a verdict at `offset`, with T = latest_ms there, do without a record at old_offset of the time old_ms?
 * Then all later ones can. */
static bool horizon_is_past(
	const struct horizon *horizon, int64_t offset, int64_t latest_ms, int64_t old_offset, int64_t old_ms)
{
	/* old_ms <= latest_ms, and a timestamp may be anything: the difference is taken without sign */
	return offset - old_offset > horizon->max_records ||
	       (latest_ms >= old_ms &&
		       (uint64_t)latest_ms - (uint64_t)old_ms > (uint64_t)horizon->max_age_ms);
}

/* Forgets what verdicts from the guard on, the entry `slack` back, do not need. */
static void horizon_trim(struct horizon *horizon)
{
	struct horizon_ring *ring = horizon->ring;
	int64_t guard = ring->tail - 1 - horizon->slack;

	while (ring->head < guard) {
		const struct horizon_entry *newer = horizon_at(ring, guard),
					   *oldest = horizon_at(ring, ring->head);

		if (!horizon_is_past(
			    horizon, newer->offset, newer->latest_ms, oldest->offset, oldest->record_ms))
			break;
		ring->exact_from = newer->offset;
		horizon_forget(horizon);
	}
}

static struct horizon_entry *horizon_push(struct horizon *horizon, int64_t offset)
{
	struct horizon_ring *ring = horizon->ring;
	struct horizon_entry *entry;

	if (!ring->capacity || (size_t)(ring->tail - ring->head) == ring->capacity)
		horizon_grow(ring);
	entry = horizon_at(ring, ring->tail);
	entry->offset = offset;
	entry->latest_ms = horizon->latest_record_ms;
	return entry;
}

/* --- horizon ------------------------------------------------------------------------------------ */

void horizon_init(struct horizon *horizon, int64_t max_records, int64_t max_age_ms)
{
	assert(max_records >= 0 && max_age_ms >= 0);
	*horizon = (struct horizon){
		.max_records = max_records,
		.max_age_ms = max_age_ms,
		.slack = HORIZON_SLACK,
		.from = -1,
		.latest_record_ms = DATETIME_NONE,
		.ring = xcalloc(1, sizeof(struct horizon_ring)),
	};
}

void horizon_release(struct horizon *horizon)
{
	if (!horizon->ring)
		return;
	free(horizon->ring->entries);
	free(horizon->ring->index);
	free(horizon->ring);
	horizon->ring = NULL;
}

void horizon_start(struct horizon *horizon, int64_t from, int64_t latest_record_ms)
{
	struct horizon_ring *ring = horizon->ring;

	assert(from >= 0);
	free(ring->entries);
	free(ring->index);
	*ring = (struct horizon_ring){ .exact_from = -1 };
	horizon->from = horizon->next = from;
	horizon->latest_record_ms = latest_record_ms;
}

bool horizon_see(struct horizon *horizon, int64_t offset, int64_t record_ms, struct event_id_hash id)
{
	struct horizon_ring *ring = horizon->ring;
	struct horizon_entry *entry;
	bool duplicate = false;
	size_t slot;

	assert(horizon->from >= 0 && offset >= horizon->next);
	if (record_ms > horizon->latest_record_ms)
		horizon->latest_record_ms = record_ms;
	entry = horizon_push(horizon, offset);
	entry->id = id;
	entry->record_ms = record_ms;
	entry->older = HORIZON_FIRST;
	slot = horizon_slot(ring, id);
	if (ring->index[slot]) {
		size_t place = horizon_place(ring->index[slot]);
		const struct horizon_entry *older = &ring->entries[place];

		duplicate =
			!horizon_is_past(horizon, offset, entry->latest_ms, older->offset, older->record_ms);
		/* the number of the entry at that place: it is less than a whole ring back */
		entry->older = ring->tail - (int64_t)(((size_t)ring->tail - place) & (ring->capacity - 1));
	}
	ring->index[slot] = horizon_word(ring, id, ring->tail);
	ring->tail++;
	horizon->next = offset + 1;
	horizon_trim(horizon);
	return duplicate;
}

void horizon_pass(struct horizon *horizon, int64_t offset, int64_t record_ms)
{
	assert(horizon->from >= 0 && offset >= horizon->next);
	horizon->next = offset + 1;
	if (record_ms > horizon->latest_record_ms)
		horizon->latest_record_ms = record_ms;
}

void horizon_skip(struct horizon *horizon, int64_t offset)
{
	assert(horizon->from >= 0 && offset >= horizon->next);
	horizon->next = offset;
}

bool horizon_rewind(struct horizon *horizon, int64_t offset, int64_t latest_record_ms)
{
	struct horizon_ring *ring = horizon->ring;

	if (horizon->from < 0 || offset < horizon->from || offset > horizon->next ||
		offset < ring->exact_from)
		return false;
	while (ring->tail > ring->head && horizon_at(ring, ring->tail - 1)->offset >= offset)
		horizon_pop(ring);
	horizon->next = offset;
	horizon->latest_record_ms = latest_record_ms;
	return true;
}

int64_t horizon_oldest_record_ms(const struct horizon *horizon, int64_t latest_record_ms)
{
	int64_t oldest;

	if (latest_record_ms == DATETIME_NONE ||
		__builtin_sub_overflow(latest_record_ms, horizon->max_age_ms, &oldest))
		return DATETIME_NONE;
	return oldest;
}

size_t horizon_bytes(const struct horizon *horizon)
{
	const struct horizon_ring *ring = horizon->ring;

	return ring->capacity * sizeof(*ring->entries) + 2 * ring->capacity * sizeof(*ring->index);
}
