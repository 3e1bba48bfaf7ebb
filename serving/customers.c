#include "common/base.h"
#include "serving/customers.h"

#include "common/log.h"
#include "common/mem.h"
#include "embedded.h"
#include "serving/container.h"
#include "serving/customer_sums.h"

enum { CUSTOMER_HOUR_MINUTES = 60, CUSTOMER_NUMBER_MAX = 24 };

struct customer_load {
	TAILQ_ENTRY(customer_load) link;
	struct customers *customers;
	struct waiter *waiter; /* borrowed until it is told */
	struct snapshot *snapshot; /* one reference */
	struct customer_sums sums;
	int tries;
	size_t n_open; /* replies owed to us */
	bool pausing;
	bool apart, speed_away;
	bool speed_keeps; /* every partition is there, and keeps orders by customer */
	struct problem problem; /* status 0: none */
	struct pg_link_call call;
	char run[CUSTOMER_NUMBER_MAX], from[CUSTOMER_NUMBER_MAX], to[CUSTOMER_NUMBER_MAX];
	struct redis_link_call call_read;
	int partition; /* that is being asked */
};

static void customers_on_timer(uv_timer_t *timer);
static void customer_load_on_view(
	struct redis_link_call *call, const redisReply *reply, const struct err *failed);

static void customer_load_forget(struct customer_load *load)
{
	customer_sums_release(&load->sums);
	snapshot_unref(load->snapshot);
	load->snapshot = NULL;
}

static void customer_load_free(struct customer_load *load)
{
	TAILQ_REMOVE(&load->customers->loads, load, link);
	load->customers->n_loads--;
	customer_load_forget(load);
	free(load);
}

/* Does what was read reach back to the start of the window? */
static bool customer_load_complete(const struct customer_load *load)
{
	const struct batch_view *batch = load->snapshot->picture->batch;
	enum question_view view = load->waiter->question.view;

	if (view != QUESTION_SPEED && batch->publication &&
		(batch->customers_from_ms == TALLY_NO_CUSTOMERS ||
			batch->customers_from_ms > load->sums.from * MINUTE_MS))
		return false;
	return view == QUESTION_BATCH || (load->speed_keeps && !load->speed_away);
}

/* Without the speed view the answer must not claim what it would add. */
static void customer_load_drop_speed(struct customer_load *load)
{
	struct snapshot *without = snapshot_without_speed(load->snapshot);

	snapshot_unref(load->snapshot);
	load->snapshot = without;
	customer_sums_drop_provisional(&load->sums);
}

static void customer_load_finish(struct customer_load *load)
{
	struct waiter *waiter = load->waiter;
	struct problem problem = load->problem;
	struct body *body = NULL;

	if (!problem.status && load->speed_away && waiter->question.view != QUESTION_BATCH)
		customer_load_drop_speed(load);
	if (!problem.status)
		body = customer_sums_render(&load->sums, load->snapshot, &waiter->question,
			customer_load_complete(load), &problem);
	customer_load_free(load);
	waiter->done(waiter, body, &problem);
}

/* All replies are there. */
static void customer_load_go_on(struct customer_load *load)
{
	if (load->customers->closing && !load->problem.status)
		problem_set(&load->problem, 503, "stopping");
	if (load->problem.status || load->waiter->gone) {
		customer_load_finish(load);
		return;
	}
	if (load->apart && ++load->tries < CUSTOMERS_TRIES) {
		load->pausing = true;
		if (!uv_is_active((uv_handle_t *)&load->customers->timer))
			uv_timer_start(&load->customers->timer, customers_on_timer, CUSTOMERS_RETRY_MS, 0);
		return;
	}
	if (load->apart && load->waiter->question.view == QUESTION_KAPPA)
		problem_set(&load->problem, 503, "the version was replaced meanwhile; try again");
	load->speed_away = load->speed_away || load->apart;
	customer_load_finish(load);
}

static void customer_load_on_reply(struct customer_load *load)
{
	if (--load->n_open == 0)
		customer_load_go_on(load);
}

/* --- batch --- */

static int customer_load_take_row(
	struct customer_load *load, const PGresult *result, int row, bool provisional, struct err *err)
{
	int currency = pg_currency(result, row, 1);
	struct revenue more = {
		.gross_e4 = pg_number(result, row, 2),
		.refunds_e4 = pg_number(result, row, 3),
		.orders = pg_number(result, row, 4),
		.refund_count = pg_number(result, row, 5),
	};

	if (currency < 0)
		return err_set(err, ERR_DATA, "the run holds currency '%s', which this build does not know",
			PQgetvalue(result, row, 1));
	return customer_sums_add(&load->sums, pg_number(result, row, 0), currency, &more, provisional, err);
}

static void customer_load_on_rows(struct pg_link_call *call, const PGresult *result, const struct err *failed)
{
	struct customer_load *load = CONTAINER_OF(call, struct customer_load, call);
	struct err err = { 0 };

	bool kappa = load->waiter->question.view == QUESTION_KAPPA;

	if (failed)
		problem_set(&load->problem, 503, "the %s view cannot be asked for a customer now",
			kappa ? "kappa" : "batch");
	if (!failed && kappa) {
		load->apart = !PQntuples(result); /* the version is gone */
		load->speed_keeps = !load->apart && *PQgetvalue(result, 0, 6) == 't';
	}
	for (int i = 0; !failed && i < PQntuples(result) && !PQgetisnull(result, i, 0); i++) {
		if (customer_load_take_row(load, result, i, kappa, &err)) {
			problem_set(&load->problem, 500, "%s", err.msg);
			break;
		}
	}
	customer_load_on_reply(load);
}

/* Of the run, or of the version of the kappa view. */
static void customer_load_ask_postgres(struct customer_load *load)
{
	const struct picture *picture = load->snapshot->picture;
	struct err err;

	snprintf(load->run, sizeof(load->run), "%" PRId64,
		picture->kappa.id ? picture->kappa.id : picture->batch->run);
	snprintf(load->from, sizeof(load->from), "%" PRId64, load->sums.from);
	snprintf(load->to, sizeof(load->to), "%" PRId64, load->sums.to);
	load->call = (struct pg_link_call){ .done = customer_load_on_rows,
		.sql = picture->kappa.id ? sql_serving_kappa_customer : sql_serving_customer,
		.n_params = 4,
		.params = { load->run, load->waiter->question.customer, load->from, load->to } };
	if (pg_link_send(load->customers->link, &load->call, &err))
		problem_set(&load->problem, 503, "postgres cannot be asked for a customer now");
	else
		load->n_open++;
}

/* --- speed --- */

static int customer_load_take(
	struct customer_load *load, int partition, const redisReply *reply, struct err *err)
{
	struct redis_view view;
	int result = 0;

	if (redis_read_reply(reply, &view, err))
		return -1;
	if (!picture_joins(load->snapshot->picture, partition, &view.state))
		load->apart = true;
	else
		result = customer_sums_add_view(&load->sums, &view, err);
	if (strstr(view.state.fold, ";customers=no"))
		load->speed_keeps = false;
	redis_view_release(&view);
	return result;
}

/* Asks the next partition. One after the other: Redis needs some 0.3 ms for each, and the others who use it
 * should not have to wait for all partitions of all who ask. */
static void customer_load_ask_speed(struct customer_load *load)
{
	const struct config *config = load->customers->live->config;
	const struct picture *picture = load->snapshot->picture;
	SCOPED(redis_command_release) struct redis_command command = { 0 };
	const char *id = load->waiter->question.customer;
	char base[REDIS_BASE_MAX];
	struct err err;

	if (!picture->speed)
		load->speed_away = true;
	for (; load->partition < picture->n_parts; load->partition++) {
		enum merge_join join = picture->parts[load->partition].join;

		if (join == MERGE_JOINED)
			break;
		if (join != MERGE_AHEAD)
			load->speed_keeps = false;
	}
	if (load->partition == picture->n_parts || load->speed_away || load->apart)
		return;
	redis_base(base, config->name, config->topic, load->partition);
	redis_customer_command(&command, base, (struct text){ id, strlen(id) },
		load->sums.from / CUSTOMER_HOUR_MINUTES, (load->sums.to - 1) / CUSTOMER_HOUR_MINUTES,
		picture->batch->run);
	load->call_read.done = customer_load_on_view;
	if (redis_link_send(load->customers->live->speedview.link, &command, &load->call_read, &err))
		load->speed_away = true;
	else
		load->n_open++;
}

static void customer_load_on_view(
	struct redis_link_call *call, const redisReply *reply, const struct err *failed)
{
	struct customer_load *load = CONTAINER_OF(call, struct customer_load, call_read);
	struct err err;

	if (failed) {
		load->speed_away = true;
	} else if (customer_load_take(load, load->partition, reply, &err)) {
		log_warn("a customer of the speed view cannot be read: %s", err.msg);
		load->speed_away = true;
	}
	load->partition++;
	if (!failed)
		customer_load_ask_speed(load);
	customer_load_on_reply(load);
}

/* --- the load --- */

/* Begins, or begins again. */
static void customer_load_begin(struct customer_load *load)
{
	struct question *question = &load->waiter->question;
	struct snapshot *snapshot = live_snapshot(load->customers->live, question->view);
	int64_t to;

	customer_load_forget(load);
	load->pausing = load->apart = load->speed_away = false;
	load->speed_keeps = true;
	load->partition = 0;
	load->n_open = 1; /* ours, until all is asked */
	if (!snapshot) { /* it was there when this was asked */
		live_explain(load->customers->live, question->view, &load->problem);
		customer_load_on_reply(load);
		return;
	}
	load->snapshot = snapshot_ref(snapshot);
	to = load->snapshot->as_of_ms / MINUTE_MS + 1;
	customer_sums_init(&load->sums, to - question->window_minutes, to);
	question->from = calendar_day(load->snapshot->rules->calendar, load->sums.from * MINUTE_MS);
	question->to = calendar_day(load->snapshot->rules->calendar, to * MINUTE_MS - 1);
	if (question->view == QUESTION_KAPPA ||
		(question->view != QUESTION_SPEED && load->snapshot->picture->batch->publication))
		customer_load_ask_postgres(load);
	if (question->view == QUESTION_MERGED || question->view == QUESTION_SPEED)
		customer_load_ask_speed(load);
	customer_load_on_reply(load);
}

static void customers_on_timer(uv_timer_t *timer)
{
	struct customers *customers = timer->data;
	struct customer_load *load, *next;

	for (load = TAILQ_FIRST(&customers->loads); load; load = next) {
		next = TAILQ_NEXT(load, link);
		if (load->pausing)
			customer_load_begin(load);
	}
}

void customers_ask(struct customers *customers, struct waiter *waiter)
{
	struct problem problem;
	struct customer_load *load;

	if (customers->n_loads >= CUSTOMERS_MAX) {
		problem_set(
			&problem, 503, "too many customers are asked for at a time; try again in a second");
		waiter->done(waiter, NULL, &problem);
		return;
	}
	load = xcalloc(1, sizeof(*load));
	load->customers = customers;
	load->waiter = waiter;
	TAILQ_INSERT_TAIL(&customers->loads, load, link);
	customers->n_loads++;
	customer_load_begin(load);
}

int customers_open(struct customers *customers, uv_loop_t *loop, struct live *live, struct err *err)
{
	customers->live = live;
	TAILQ_INIT(&customers->loads);
	if (pg_link_open(loop, live->config->postgres, "customers", NULL, &customers->link, err))
		return -1;
	uv_timer_init(loop, &customers->timer);
	customers->timer.data = customers;
	return 0;
}

void customers_close(struct customers *customers)
{
	struct customer_load *load, *next;

	if (!customers->link)
		return;
	customers->closing = true;
	pg_link_close(customers->link);
	customers->link = NULL;
	uv_close((uv_handle_t *)&customers->timer, NULL);
	for (load = TAILQ_FIRST(&customers->loads); load;
		load = next) { /* tries that wait: nothing is owed */
		next = TAILQ_NEXT(load, link);
		problem_set(&load->problem, 503, "stopping");
		customer_load_finish(load);
	}
}
