#include "common/base.h"
#include "speed/speed.h"

#include "common/log.h"

int main(int argc, char **argv)
{
	struct speed speed = { 0 };
	struct err err = { 0 };
	int status =
		config_load(&speed.config, CONFIG_SPEED, "lambda-speed", "[SETTING]...", argc, argv, &err);

	if (status > 0)
		return 0;
	if (status || speed_open(&speed, &err) || speed_run(&speed, &err))
		log_error("%s", err.msg);
	speed_close(&speed);
	if (err.code == ERR_NONE)
		log_info("end");
	return err_exit_status(err.code);
}
