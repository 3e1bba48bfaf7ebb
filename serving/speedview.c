#include "common/base.h"
#include "serving/speedview.h"

#include "common/log.h"
#include "common/mem.h"

static const int64_t SPEEDVIEW_PROBE_NOW = INT64_MIN / 2; /* for last_probe_ms */

static void speedview_grow(struct speedview *speedview, int n)
{
	if (n <= speedview->n_room)
		return;
	speedview->copies = xreallocarray(speedview->copies, (size_t)n, sizeof(*speedview->copies));
	speedview->partitions =
		xreallocarray(speedview->partitions, (size_t)n, sizeof(*speedview->partitions));
	speedview->reads = xreallocarray(speedview->reads, (size_t)n, sizeof(*speedview->reads));
	for (int i = speedview->n_room; i < n; i++) {
		speedcopy_init(&speedview->copies[i], &speedview->config->calendar);
		speedview->reads[i] = (struct speedview_read){ .speedview = speedview, .partition = i };
	}
	speedview->n_room = n;
}

void speedview_expect(struct speedview *speedview, int n_partitions)
{
	speedview->n_expected =
		n_partitions < SPEEDVIEW_PARTITIONS_MAX ? n_partitions : SPEEDVIEW_PARTITIONS_MAX;
}

/* All partitions up to the last one that has a state are known, and stay known. Are there more than before?
 */
static bool speedview_find(struct speedview *speedview)
{
	int before = speedview->n_copies;

	for (int i = speedview->n_asked - 1; i >= speedview->n_copies; i--)
		if (speedview->copies[i].view.there)
			speedview->n_copies = i + 1;
	return speedview->n_copies > before;
}

static void speedview_pause(struct speedview *speedview, uint64_t ms);

static void speedview_end_round(struct speedview *speedview)
{
	int64_t now = (int64_t)uv_now(speedview->timer.loop);
	bool changed;

	if (speedview->closing)
		return;
	if (speedview->failed) {
		speedview_pause(speedview, SPEEDVIEW_RETRY_MS);
		return;
	}
	if (!speedview->complete) {
		speedview_pause(speedview, 0);
		return;
	}
	if (speedview->probing)
		speedview->last_probe_ms = now;
	if (speedview_find(speedview)) { /* and behind them there may be others, without which sums are low */
		speedview->last_probe_ms = SPEEDVIEW_PROBE_NOW;
		speedview_pause(speedview, 0);
		return;
	}
	if (speedview->complained)
		log_info("the speed view can be read again");
	speedview->complained = speedview->away = false;
	changed = speedview->changed || !speedview->ever;
	speedview->changed = false;
	speedview->ever = true;
	speedview->last_ok_ms = now;
	speedview_pause(speedview, SPEEDVIEW_PAUSE_MS);
	if (changed)
		speedview->on_change(speedview->data);
}

static void speedview_complain(struct speedview *speedview, const struct err *err)
{
	speedview->failed = speedview->away = true;
	if (speedview->complained || err->code == ERR_STOPPED || redis_link_is_away(speedview->link))
		return;
	log_warn("the speed view cannot be read, retrying: %s", err->msg);
	speedview->complained = true;
}

/* Counts per business day mean nothing to us when they are of another zone's days. */
static int speedview_check_zone(const struct speedview *speedview, const char *fold, struct err *err)
{
	const char *zone = strstr(fold, ";tz=");
	size_t len = strlen(speedview->config->time_zone);

	if (!zone || (!strncmp(zone + 4, speedview->config->time_zone, len) && zone[4 + len] == ';'))
		return 0;
	return err_set(err, ERR_DATA,
		"lambda-speed counts by other rules ('%s') than --time-zone=%s; hint: all three programs "
		"need the same",
		fold, speedview->config->time_zone);
}

static int speedview_take(
	struct speedview *speedview, int partition, const redisReply *reply, struct err *err)
{
	struct redis_view view;
	int result;

	if (redis_read_reply(reply, &view, err))
		return -1;
	result = speedview_check_zone(speedview, view.state.fold, err);
	if (!result)
		result = speedcopy_take(&speedview->copies[partition], &view, err);
	redis_view_release(&view);
	if (result)
		return err_wrap(err, "partition %d", partition);
	if (!speedview->copies[partition].exact)
		speedview->complete = false;
	if (speedview->copies[partition].changed)
		speedview->changed = true;
	return 0;
}

static void speedview_on_reply(
	struct redis_link_call *call, const redisReply *reply, const struct err *failed)
{
	struct speedview_read *read = (struct speedview_read *)call;
	struct speedview *speedview = read->speedview;
	struct err err = { 0 };

	if (failed)
		speedview_complain(speedview, failed);
	else if (speedview_take(speedview, read->partition, reply, &err))
		speedview_complain(speedview, &err);
	if (--speedview->n_open == 0)
		speedview_end_round(speedview);
}

static int speedview_ask(struct speedview *speedview, int partition, struct err *err)
{
	SCOPED(redis_command_release) struct redis_command command = { 0 };
	struct speedcopy *copy = &speedview->copies[partition];
	struct redis_since *pairs = xcalloc(copy->view.n_gens + 1, sizeof(*pairs));
	char base[REDIS_BASE_MAX];
	size_t n = speedcopy_since(copy, pairs);

	redis_base(base, speedview->config->name, speedview->config->topic, partition);
	redis_read_command(&command, base, "r", SPEEDVIEW_CHUNKS, pairs, n);
	free(pairs);
	speedview->reads[partition].call.done = speedview_on_reply;
	return redis_link_send(speedview->link, &command, &speedview->reads[partition].call, err);
}

static void speedview_start(struct speedview *speedview)
{
	int64_t now = (int64_t)uv_now(speedview->timer.loop);
	struct err err = { 0 };

	if (!redis_link_is_up(speedview->link)) { /* it says itself what is wrong */
		speedview->away = speedview->away || redis_link_is_away(speedview->link);
		speedview_pause(speedview, SPEEDVIEW_PAUSE_MS);
		return;
	}
	speedview->n_asked =
		speedview->n_copies > speedview->n_expected ? speedview->n_copies : speedview->n_expected;
	speedview->probing = now - speedview->last_probe_ms >= SPEEDVIEW_PROBE_MS;
	if (speedview->probing) {
		speedview->n_asked += SPEEDVIEW_PROBES;
		if (speedview->n_asked > SPEEDVIEW_PARTITIONS_MAX)
			speedview->n_asked = SPEEDVIEW_PARTITIONS_MAX;
	}
	speedview_grow(speedview, speedview->n_asked);
	if (speedview->n_copies < speedview->n_expected)
		speedview->n_copies = speedview->n_expected;
	speedview->failed = false;
	speedview->complete = true;
	speedview->n_open = 0;
	for (int i = 0; i < speedview->n_asked; i++) {
		if (speedview_ask(speedview, i, &err)) {
			speedview_complain(speedview, &err);
			break;
		}
		speedview->n_open++;
	}
	if (!speedview->n_open)
		speedview_pause(speedview, SPEEDVIEW_RETRY_MS);
}

static void speedview_on_timer(uv_timer_t *timer)
{
	speedview_start(timer->data);
}

static void speedview_pause(struct speedview *speedview, uint64_t ms)
{
	uv_timer_start(&speedview->timer, speedview_on_timer, ms, 0);
}

int speedview_open(struct speedview *speedview, uv_loop_t *loop, const struct config *config,
	void (*on_change)(void *data), void *data, struct err *err)
{
	speedview->config = config;
	speedview->last_probe_ms = SPEEDVIEW_PROBE_NOW;
	speedview->on_change = on_change;
	speedview->data = data;
	if (redis_link_open(loop, config->redis, &speedview->link, err))
		return -1;
	uv_timer_init(loop, &speedview->timer);
	speedview->timer.data = speedview;
	speedview_pause(speedview, 0);
	return 0;
}

void speedview_close(struct speedview *speedview)
{
	if (!speedview->link)
		return;
	speedview->closing = true;
	redis_link_close(speedview->link);
	speedview->link = NULL;
	uv_close((uv_handle_t *)&speedview->timer, NULL);
}

void speedview_release(struct speedview *speedview)
{
	for (int i = 0; i < speedview->n_room; i++)
		speedcopy_release(&speedview->copies[i]);
	free(speedview->copies);
	free(speedview->partitions);
	free(speedview->reads);
	memset(speedview, 0, sizeof(*speedview));
}

bool speedview_is_exact(const struct speedview *speedview)
{
	for (int i = 0; i < speedview->n_copies; i++)
		if (!speedview->copies[i].exact)
			return false;
	return true;
}

bool speedview_is_away(const struct speedview *speedview)
{
	return speedview->away;
}

const struct speed_partition *speedview_partitions(struct speedview *speedview)
{
	for (int i = 0; i < speedview->n_copies; i++)
		speedview->partitions[i] = speedview->copies[i].view;
	return speedview->partitions;
}
