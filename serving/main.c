/* lambda-serving: answers HTTP requests from the batch view and the speed view, merged. */
#include "common/base.h"

#include <signal.h>
#include <uv.h>

#include "common/config.h"
#include "common/log.h"
#include "common/notify.h"
#include "serving/server.h"

struct app {
	struct config config;
	uv_loop_t loop;
	uv_signal_t signals[3];
	uv_timer_t watchdog; /* tells the service manager that the loop turns */
	uv_timer_t draining; /* looks whether the last request has been answered */
	struct live live;
	struct products products;
	struct customers customers;
	struct rows rows;
	struct runs runs;
	struct server server;
	bool has_loop, stopping;
};

static void app_stop(struct app *app);

static void app_reload(struct app *app)
{
	struct err err = { 0 };

	if (!*app->config.auth_token_file)
		log_info("nothing to read again: there is no --auth-token-file");
	else if (auth_reload(&app->server.auth, &err))
		log_error("going on with the tokens that were read before: %s", err.msg);
	else
		log_info("read %u tokens again", app->server.auth.n_tokens);
}

static void app_on_signal(uv_signal_t *handle, int number)
{
	struct app *app = handle->data;

	if (number == SIGHUP) {
		app_reload(app);
		return;
	}
	log_info("stopping on signal %d", number);
	app_stop(app);
}

static void app_on_watchdog(uv_timer_t *timer)
{
	(void)timer;
	notify("WATCHDOG=1");
}

static void app_timers(struct app *app)
{
	int64_t every_ms = notify_watchdog_ms();

	uv_timer_init(&app->loop, &app->draining);
	app->draining.data = app;
	uv_timer_init(&app->loop, &app->watchdog);
	if (every_ms)
		uv_timer_start(&app->watchdog, app_on_watchdog, (uint64_t)every_ms, (uint64_t)every_ms);
}

static int app_open(struct app *app, struct err *err)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP }; /* SIGHUP: the tokens have changed */
	int status = uv_loop_init(&app->loop);

	if (status)
		return err_set(err, ERR_OS, "cannot make an event loop: %s", uv_strerror(status));
	app->has_loop = true;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uv_signal_init(&app->loop, &app->signals[i]);
		app->signals[i].data = app;
		uv_signal_start(&app->signals[i], app_on_signal, numbers[i]);
	}
	app_timers(app);
	if (server_open(&app->server, &app->loop, &app->config, &app->live, &app->products, &app->customers,
		    &app->rows, &app->runs, err))
		return -1;
	if (live_open(&app->live, &app->loop, &app->config, err))
		return -1;
	return products_open(&app->products, &app->loop, &app->live, err) ||
			       customers_open(&app->customers, &app->loop, &app->live, err) ||
			       rows_open(&app->rows, &app->loop, &app->live, err) ||
			       runs_open(&app->runs, &app->loop, &app->live, err)
		       ? -1
		       : 0;
}

/* Requests under way may need the views, which therefore close last. */
static void app_on_draining(uv_timer_t *timer)
{
	struct app *app = timer->data;

	if (!server_is_drained(&app->server))
		return;
	server_close(&app->server);
	live_close(&app->live);
	products_close(&app->products);
	customers_close(&app->customers);
	rows_close(&app->rows);
	runs_close(&app->runs);
	uv_close((uv_handle_t *)&app->draining, NULL);
	uv_close((uv_handle_t *)&app->watchdog, NULL);
}

static void app_stop(struct app *app)
{
	if (app->stopping)
		return;
	app->stopping = true;
	notify("STOPPING=1");
	server_stop(&app->server);
	for (size_t i = 0; i < ARRAY_SIZE(app->signals); i++)
		uv_close((uv_handle_t *)&app->signals[i], NULL);
	uv_timer_start(&app->draining, app_on_draining, 0, 20);
}

static int app_close(struct app *app)
{
	int leaked = 0;

	if (app->has_loop) {
		app_stop(app);
		uv_run(&app->loop, UV_RUN_DEFAULT);
		leaked = uv_loop_close(&app->loop);
	}
	live_release(&app->live);
	runs_release(&app->runs);
	config_release(&app->config);
	return leaked;
}

int main(int argc, char **argv)
{
	static struct app app;
	struct err err = { 0 };
	int asked =
		config_load(&app.config, CONFIG_SERVING, "lambda-serving", "[SETTING]...", argc, argv, &err);

	if (!asked && app.config.n_args)
		asked = err_set(&err, ERR_USAGE, "unexpected argument '%s'", app.config.args[0]);
	if (!asked) {
		config_log(&app.config);
		if (!app_open(&app, &err)) {
			notify("READY=1");
			uv_run(&app.loop, UV_RUN_DEFAULT);
		}
	}
	if (err.code)
		log_error("%s", err.msg);
	if (app_close(&app)) {
		log_error("handles were left open; this is a bug");
		err.code = err.code ? err.code : ERR_INTERNAL;
	}
	return err_exit_status(err.code);
}
