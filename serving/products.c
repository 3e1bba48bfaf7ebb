#include "common/base.h"
#include "serving/products.h"

#include "common/kernel/currency.h"
#include "common/log.h"
#include "common/mem.h"
#include "embedded.h"
#include "serving/container.h"
#include "serving/product_read.h"
#include "serving/product_table.h"

enum { PRODUCTS_ANSWERS = 8 };

enum product_load_state {
	PRODUCT_LOAD_READING,
	PRODUCT_LOAD_PAUSING,
	PRODUCT_LOAD_NAMING,
	PRODUCT_LOAD_READY
};

struct product_load {
	struct products *products;
	struct snapshot *snapshot; /* one reference */
	int32_t from, to; /* business days, both included */
	bool kappa; /* of the kappa view */
	enum product_load_state state;
	int tries;
	size_t n_open; /* replies owed to us */
	bool apart, speed_away;
	struct problem problem; /* status 0: none */
	int64_t started_ms, ready_ms, retry_ms;
	int64_t fresh_ms; /* how long no newer one is wanted */
	struct product_table table;
	struct pg_link_call call;
	struct redis_link_call call_read;
	struct product_read read;
	int32_t *days; /* owned; those of the speed view that are asked for */
	size_t n_days;
	size_t next; /* which of partitions x days is being asked for */
	char run_text[24], from_text[16], to_text[16];
	char *names; /* owned; a Postgres array */
	struct waiter *waiters;
	struct snapshot_answer answers[PRODUCTS_ANSWERS];
};

static void product_load_on_chunks(
	struct redis_link_call *call, const redisReply *reply, const struct err *failed);

static void product_load_forget(struct product_load *load)
{
	for (size_t i = 0; i < PRODUCTS_ANSWERS; i++)
		body_unref(load->answers[i].body);
	memset(load->answers, 0, sizeof(load->answers));
	product_table_release(&load->table);
	product_read_release(&load->read);
	snapshot_unref(load->snapshot);
	free(load->names);
	free(load->days);
	load->snapshot = NULL;
	load->names = NULL;
	load->days = NULL;
	load->n_days = 0;
}

static void product_load_free(struct product_load *load)
{
	product_load_forget(load);
	free(load);
}

/* Renders at most once per load and question. */
static struct body *product_load_answer(
	struct product_load *load, const struct question *question, struct problem *problem)
{
	struct snapshot_answer *slot = NULL;

	if (load->problem.status) {
		*problem = load->problem;
		return NULL;
	}
	for (size_t i = 0; i < PRODUCTS_ANSWERS; i++) {
		const struct question *asked = &load->answers[i].question;

		if (load->answers[i].body && asked->currency == question->currency &&
			asked->view == question->view && asked->by_units == question->by_units &&
			asked->limit == question->limit)
			return body_ref(load->answers[i].body);
		if (!slot && !load->answers[i].body)
			slot = &load->answers[i];
	}
	if (!slot)
		return product_table_render(&load->table, load->snapshot, question, problem);
	slot->body = product_table_render(&load->table, load->snapshot, question, problem);
	slot->question = *question;
	return slot->body ? body_ref(slot->body) : NULL;
}

/* Was it made of the batch view, or of the version, that is in use? */
static bool product_load_is_of(const struct product_load *load, const struct snapshot *snapshot)
{
	const struct picture *mine = load->snapshot ? load->snapshot->picture : NULL;

	return mine && (load->kappa ? mine->kappa.promotion == snapshot->picture->kappa.promotion
				    : mine->batch == snapshot->picture->batch);
}

/* How old what it has from the speed view may become: as old as in all other answers. 0: nothing is to be
 * kept. */
static int64_t product_load_keeps_ms(const struct product_load *load)
{
	const struct live *live = load->products->live;
	bool speed = !load->problem.status && !load->kappa && load->snapshot->picture->speed;

	return speed && product_load_is_of(load, live->snapshot) ? live->config->max_speed_age_ms : 0;
}

static bool product_load_answers_the_same(const struct product_load *load, const struct product_load *other)
{
	return other != load && other->state == PRODUCT_LOAD_READY && other->from == load->from &&
	       other->to == load->to && other->kappa == load->kappa;
}

/* The speed view cannot be asked now: takes what the last load of these days had from it, so that a short
 * fault lowers no number. False: there is none, or it is too old. */
static bool product_load_inherit(struct product_load *load)
{
	struct products *products = load->products;
	const struct snapshot *shown = products->live->snapshot;
	struct product_load *last = NULL;

	for (size_t i = 0; i < PRODUCTS_KEPT && !last && shown && shown->picture->speed; i++) {
		struct product_load *other = products->kept[i];
		int64_t keeps_ms = other && product_load_answers_the_same(load, other)
					   ? product_load_keeps_ms(other)
					   : 0;

		if (keeps_ms && load->ready_ms - other->snapshot->picture->made_ms < keeps_ms)
			last = other;
	}
	if (!last)
		return false;
	product_table_release(&load->table);
	load->table = last->table;
	product_table_init(&last->table);
	snapshot_unref(load->snapshot);
	load->snapshot = live_snapshot_of(products->live, last->snapshot->picture);
	return true;
}

/* Takes the place of the last load of these days; one that has failed only that of another one that has. */
static void product_load_replace(const struct product_load *load)
{
	struct products *products = load->products;

	for (size_t i = 0; i < PRODUCTS_KEPT; i++) {
		struct product_load *other = products->kept[i];

		if (!other || !product_load_answers_the_same(load, other) ||
			(load->problem.status && !other->problem.status))
			continue;
		product_load_free(other);
		products->kept[i] = NULL;
	}
}

/* The answer must not claim what the speed view would add. */
static void product_load_drop_speed(struct product_load *load)
{
	struct snapshot *without = snapshot_without_speed(load->snapshot);

	snapshot_unref(load->snapshot);
	load->snapshot = without;
	for (size_t i = 0; i < load->table.rows.n; i++) {
		struct product_row *row = table_at(&load->table.rows, i);

		row->provisional_e4 = row->provisional_units = 0;
	}
}

static void product_load_finish(struct product_load *load)
{
	struct waiter *waiter = load->waiters;

	load->waiters = NULL;
	load->state = PRODUCT_LOAD_READY;
	load->ready_ms = (int64_t)uv_now(load->products->timer.loop);
	load->fresh_ms = (load->ready_ms - load->started_ms) * PRODUCTS_SHARE;
	if (load->fresh_ms < PRODUCTS_FRESH_MS || load->problem.status || load->speed_away)
		load->fresh_ms = PRODUCTS_FRESH_MS;
	if (!load->problem.status && load->speed_away && !product_load_inherit(load))
		product_load_drop_speed(load);
	product_load_replace(load);
	while (waiter) {
		struct waiter *next = waiter->next;
		struct problem problem;
		struct body *body = product_load_answer(load, &waiter->question, &problem);

		waiter->done(waiter, body, &problem);
		waiter = next;
	}
}

static void product_load_on_names(struct pg_link_call *call, const PGresult *result, const struct err *err)
{
	struct product_load *load = CONTAINER_OF(call, struct product_load, call);

	for (int i = 0; !err && i < PQntuples(result); i++) {
		struct text sku = { PQgetvalue(result, i, 0), (size_t)PQgetlength(result, i, 0) };

		product_table_name(&load->table, sku, PQgetvalue(result, i, 1));
	}
	product_load_finish(load); /* without names if need be: they are a courtesy */
}

/* All replies are there. */
static void product_load_go_on(struct product_load *load)
{
	struct err err = { 0 };

	if (load->problem.status) {
		product_load_finish(load);
		return;
	}
	if (load->apart && ++load->tries < PRODUCTS_TRIES) {
		load->state = PRODUCT_LOAD_PAUSING;
		load->retry_ms = (int64_t)uv_now(load->products->timer.loop) + PRODUCTS_RETRY_MS;
		return;
	}
	if (load->kappa) {
		if (load->apart)
			problem_set(&load->problem, 503, "the version was replaced meanwhile; try again");
		product_load_finish(load);
		return;
	}
	load->speed_away = load->speed_away || load->apart;
	if (load->snapshot->picture->batch->publication)
		load->names = product_table_unnamed(&load->table);
	if (load->names) {
		load->state = PRODUCT_LOAD_NAMING;
		load->call.done = product_load_on_names;
		load->call.sql = sql_serving_names;
		load->call.n_params = 2;
		load->call.params[1] = load->names;
		if (!pg_link_send(load->products->link, &load->call, &err))
			return;
	}
	product_load_finish(load);
}

static void product_load_on_reply(struct product_load *load)
{
	if (--load->n_open == 0)
		product_load_go_on(load);
}

static void product_load_check(struct product_load *load, const char *view, const struct err *err)
{
	if (err && err->code == ERR_DATA)
		problem_set(&load->problem, 500, "a sum of these amounts does not fit 64 bits");
	else if (err)
		problem_set(&load->problem, 503, "the %s view cannot be asked for products now", view);
}

/* The product of a row that begins with currency and sku; NULL: it can be none. */
static struct product_row *product_load_row(struct product_load *load, const PGresult *result, int row)
{
	struct text sku = { PQgetvalue(result, row, 1), (size_t)PQgetlength(result, row, 1) };
	int currency = pg_currency(result, row, 0);

	return currency < 0 ? NULL : product_table_put(&load->table, currency, sku);
}

static void product_load_on_rows(struct pg_link_call *call, const PGresult *result, const struct err *err)
{
	struct product_load *load = CONTAINER_OF(call, struct product_load, call);

	product_load_check(load, "batch", err);
	for (int i = 0; !err && i < PQntuples(result); i++) {
		struct product_row *row = product_load_row(load, result, i);

		if (!row) {
			problem_set(&load->problem, 500, "the batch view holds a product that is none");
			break;
		}
		row->confirmed_e4 = pg_number(result, i, 2);
		row->confirmed_units = pg_number(result, i, 3);
		if (!row->name && !PQgetisnull(result, i, 4))
			row->name = xstrdup(PQgetvalue(result, i, 4));
	}
	product_load_on_reply(load);
}

/* Adds a partition's chunks, if they belong to the same hand-over as the batch rows. */
static int product_load_take(
	struct product_load *load, int partition, const redisReply *reply, struct err *err)
{
	const struct picture *picture = load->snapshot->picture;
	struct redis_view view;
	bool other;
	int result = 0;

	if (product_read_reply(&load->read, reply, picture->batch->run, &view, &other, err))
		return -1;
	if (other || !picture_joins(picture, partition, &view.state))
		load->apart = true;
	for (size_t g = 0; g < view.n_generations && !result && !load->apart; g++) {
		for (size_t c = 0; c < view.generations[g].n_chunks && !result; c++)
			result = product_table_add_chunk(&load->table, &view.generations[g].chunks[c], err);
	}
	redis_view_release(&view);
	return result;
}

static int product_load_compare(const void *a, const void *b)
{
	const int32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Which days our copy of the speed view has of those asked for; of a single day it need not know. */
static void product_load_find_days(struct product_load *load)
{
	const struct table *days = &load->snapshot->picture->days;
	size_t n = 0;

	load->days = xcalloc(days->n + 1, sizeof(*load->days));
	if (load->from == load->to)
		load->days[n++] = load->from;
	for (size_t i = 0; i < days->n && load->from != load->to; i++) {
		const struct view_day *day = table_at(days, i);

		if (day->key.day >= load->from && day->key.day <= load->to)
			load->days[n++] = day->key.day;
	}
	qsort(load->days, n, sizeof(*load->days), product_load_compare);
	for (size_t i = 0; i < n; i++) /* one for each currency */
		if (!i || load->days[i] != load->days[i - 1])
			load->days[load->n_days++] = load->days[i];
}

/* Asks for the next chunks: a partition and day after the other, for such a reply can keep Redis busy for
 * some milliseconds, and the others who use it should not have to wait for all of them. */
static void product_load_ask_speed(struct product_load *load)
{
	const struct config *config = load->products->live->config;
	const struct picture *picture = load->snapshot->picture;
	struct speedview *speedview = &load->products->live->speedview;
	SCOPED(redis_link_transaction_release) struct redis_link_transaction transaction = { 0 };
	size_t n = (size_t)picture->n_parts * load->n_days, partition;
	char base[REDIS_BASE_MAX];
	struct err err = { 0 };

	while (load->next < n && picture->parts[load->next / load->n_days].join != MERGE_JOINED)
		load->next += load->n_days;
	if (load->next >= n || load->speed_away || load->apart || !picture->speed)
		return;
	partition = load->next / load->n_days;
	redis_base(base, config->name, config->topic, (int)partition);
	product_read_ask(&load->read, base, &speedview->copies[partition].view, picture->batch->run,
		load->days[load->next % load->n_days], &transaction);
	load->call_read.done = product_load_on_chunks;
	if (redis_link_send_all(speedview->link, &transaction, &load->call_read, &err))
		load->speed_away = true;
	else
		load->n_open++;
}

static void product_load_on_chunks(
	struct redis_link_call *call, const redisReply *reply, const struct err *failed)
{
	struct product_load *load = CONTAINER_OF(call, struct product_load, call_read);
	struct err err = { 0 };

	if (failed) {
		load->speed_away = true;
	} else if (product_load_take(load, (int)(load->next / load->n_days), reply, &err)) {
		log_warn("the products of the speed view cannot be read: %s", err.msg);
		load->speed_away = true;
	}
	load->next++;
	if (!failed)
		product_load_ask_speed(load);
	product_load_on_reply(load);
}

static void product_load_on_kappa(struct pg_link_call *call, const PGresult *result, const struct err *err)
{
	struct product_load *load = CONTAINER_OF(call, struct product_load, call);

	product_load_check(load, "kappa", err);
	if (!err && !PQntuples(result))
		load->apart = true;
	for (int i = 0; !err && i < PQntuples(result) && !PQgetisnull(result, i, 0); i++) {
		struct product_row *row = product_load_row(load, result, i);

		if (!row) {
			problem_set(&load->problem, 500, "the kappa view holds a product that is none");
			break;
		}
		row->provisional_e4 = pg_number(result, i, 2);
		row->provisional_units = pg_number(result, i, 3);
		if (!row->name && !PQgetisnull(result, i, 4))
			row->name = xstrdup(PQgetvalue(result, i, 4));
	}
	product_load_on_reply(load);
}

static int product_load_start_kappa(struct product_load *load)
{
	struct err err;

	snprintf(load->run_text, sizeof(load->run_text), "%" PRId64, load->snapshot->picture->kappa.id);
	load->call = (struct pg_link_call){ .done = product_load_on_kappa,
		.sql = sql_serving_kappa_products,
		.n_params = 3,
		.params = { load->run_text, load->from_text, load->to_text } };
	if (pg_link_send(load->products->link, &load->call, &err))
		return problem_set(&load->problem, 503, "the kappa view cannot be asked for products now");
	load->n_open++;
	return 0;
}

/* Begins, or begins again. -1: nothing is under way, and there is a problem. */
static int product_load_start(struct product_load *load)
{
	struct live *live = load->products->live;
	enum question_view view = load->kappa ? QUESTION_KAPPA : QUESTION_MERGED;
	struct err err = { 0 };

	product_load_forget(load);
	product_table_init(&load->table);
	if (!live_snapshot(live, view)) {
		live_explain(live, view, &load->problem);
		return -1;
	}
	load->snapshot = snapshot_ref(live_snapshot(live, view));
	load->state = PRODUCT_LOAD_READING;
	load->apart = load->speed_away = false;
	load->n_open = 0;
	snprintf(load->run_text, sizeof(load->run_text), "%" PRId64, load->snapshot->picture->batch->run);
	snprintf(load->from_text, sizeof(load->from_text), "%" PRId32, load->from);
	snprintf(load->to_text, sizeof(load->to_text), "%" PRId32, load->to);
	if (load->kappa)
		return product_load_start_kappa(load);
	if (load->snapshot->picture->batch->publication) {
		load->call = (struct pg_link_call){ .done = product_load_on_rows,
			.sql = sql_serving_products,
			.n_params = 3,
			.params = { load->run_text, load->from_text, load->to_text } };
		if (pg_link_send(load->products->link, &load->call, &err))
			return problem_set(
				&load->problem, 503, "the batch view cannot be asked for products now");
		load->n_open++;
	}
	load->next = 0;
	product_load_find_days(load);
	product_load_ask_speed(load);
	return 0;
}

static void products_on_timer(uv_timer_t *timer)
{
	struct products *products = timer->data;
	int64_t now = (int64_t)uv_now(timer->loop);

	for (size_t i = 0; i < PRODUCTS_KEPT; i++) {
		struct product_load *load = products->kept[i];

		if (!load)
			continue;
		if (load->state == PRODUCT_LOAD_PAUSING && now >= load->retry_ms) {
			if (product_load_start(load) || !load->n_open)
				product_load_finish(load);
		} else if (load->state == PRODUCT_LOAD_READY &&
			   now - load->ready_ms >= load->fresh_ms + PRODUCTS_STALE_MS &&
			   now - load->ready_ms >= product_load_keeps_ms(load)) {
			product_load_free(load);
			products->kept[i] = NULL;
		}
	}
}

/* The newest load for the days that is ready (or not), of what is in use; NULL when there is none. */
static struct product_load *products_find(
	const struct products *products, const struct question *question, bool ready)
{
	const struct snapshot *snapshot = live_snapshot(products->live, question->view);
	struct product_load *found = NULL;

	for (size_t i = 0; i < PRODUCTS_KEPT; i++) {
		struct product_load *load = products->kept[i];

		if (load && load->from == question->from && load->to == question->to &&
			load->kappa == (question->view == QUESTION_KAPPA) &&
			(load->state == PRODUCT_LOAD_READY) == ready &&
			(!ready || product_load_is_of(load, snapshot)) &&
			(!found || found->started_ms < load->started_ms))
			found = load;
	}
	return found;
}

/* A new load in a free place, or in that of the one that was ready first; NULL when there is no room. */
static struct product_load *products_load(struct products *products, const struct question *question)
{
	struct product_load **slot = NULL, *load;

	for (size_t i = 0; i < PRODUCTS_KEPT; i++) {
		struct product_load **at = &products->kept[i];

		if (!*at) {
			slot = at;
			break;
		}
		if ((*at)->state == PRODUCT_LOAD_READY && (!slot || (*slot)->ready_ms > (*at)->ready_ms))
			slot = at;
	}
	if (!slot)
		return NULL;
	if (*slot)
		product_load_free(*slot);
	load = *slot = xcalloc(1, sizeof(*load));
	load->products = products;
	load->from = question->from;
	load->to = question->to;
	load->kappa = question->view == QUESTION_KAPPA;
	load->started_ms = (int64_t)uv_now(products->timer.loop);
	product_table_init(&load->table);
	if (product_load_start(load))
		product_load_finish(load);
	else if (!load->n_open) /* nothing to wait for: no batch, no partitions */
		product_load_go_on(load);
	return load;
}

struct body *products_ask(
	struct products *products, struct waiter *waiter, bool *ret_waits, struct problem *problem)
{
	struct question *question = &waiter->question;
	const struct snapshot *snapshot = live_snapshot(products->live, question->view);
	struct product_load *ready, *load;
	struct body *body;
	bool wanted, usable;
	int64_t age_ms;

	*ret_waits = false;
	if (!snapshot) {
		live_explain(products->live, question->view, problem);
		return NULL;
	}
	if (question->today)
		question->from = question->to = snapshot->today;
	ready = products_find(products, question, true);
	load = products_find(products, question, false);
	age_ms = ready ? (int64_t)uv_now(products->timer.loop) - ready->ready_ms : 0;
	wanted = !load && (!ready || age_ms >= ready->fresh_ms);
	usable = ready && age_ms < ready->fresh_ms + (ready->problem.status ? 0 : PRODUCTS_STALE_MS);
	body = usable ? product_load_answer(ready, question, problem) : NULL;
	if (wanted) /* may take the place of `ready` */
		load = products_load(products, question);
	if (usable)
		return body;
	if (!load) {
		problem_set(problem, 503,
			"products of too many different days are asked for at a time; try again in a second");
		return NULL;
	}
	if (load->state == PRODUCT_LOAD_READY)
		return product_load_answer(load, question, problem);
	waiter->next = load->waiters;
	load->waiters = waiter;
	*ret_waits = true;
	return NULL;
}

int products_open(struct products *products, uv_loop_t *loop, struct live *live, struct err *err)
{
	products->live = live;
	if (pg_link_open(loop, live->config->postgres, "products", NULL, &products->link, err))
		return -1;
	uv_timer_init(loop, &products->timer);
	products->timer.data = products;
	uv_timer_start(&products->timer, products_on_timer, PRODUCTS_RETRY_MS, PRODUCTS_RETRY_MS);
	return 0;
}

/* After live_close(): no reply of Redis is owed to us any more. */
void products_close(struct products *products)
{
	if (!products->link)
		return;
	pg_link_close(products->link);
	products->link = NULL;
	uv_close((uv_handle_t *)&products->timer, NULL);
	for (size_t i = 0; i < PRODUCTS_KEPT; i++) {
		struct product_load *load = products->kept[i];

		products->kept[i] = NULL;
		if (!load)
			continue;
		if (load->state != PRODUCT_LOAD_READY) {
			problem_set(&load->problem, 503, "stopping");
			product_load_finish(load);
		}
		product_load_free(load);
	}
}
