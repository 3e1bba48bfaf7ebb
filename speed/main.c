#include "common/base.h"
#include "speed/commands.h"
#include "speed/speed.h"

#include "common/log.h"

static int main_command(struct config *config)
{
	struct err err = { 0 };

	if (commands_run(config, &err))
		log_error("%s", err.msg);
	config_release(config);
	return err_exit_status(err.code);
}

int main(int argc, char **argv)
{
	struct speed speed = { 0 };
	struct err err = { 0 };
	int status =
		config_load(&speed.config, CONFIG_SPEED, "lambda-speed", commands_usage, argc, argv, &err);

	if (status > 0) {
		config_release(&speed.config);
		return 0;
	}
	if (!status && speed.config.n_args)
		return main_command(&speed.config);
	if (status || speed_open(&speed, &err) || speed_run(&speed, &err))
		log_error("%s", err.msg);
	speed_close(&speed);
	if (err.code == ERR_NONE)
		log_info("end");
	return err_exit_status(err.code);
}
