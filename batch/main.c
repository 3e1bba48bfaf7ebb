#include "common/base.h"
#include "batch/batch.h"

#include "common/log.h"

static const char main_usage[] =
	"[SETTING]... COMMAND\n\n"
	"  run                 computes everything anew from the whole log, and publishes it\n"
	"  replay              computes anew what arrived since --from, goes on from the run before, and "
	"publishes it\n"
	"  status              what is published, the newest runs, what is running\n"
	"  rollback [RUN]      goes back to a run that was published before; without RUN to the one before "
	"the "
	"present one\n"
	"  publish RUN         publishes a run that waits for it\n"
	"  archive             copies the log from Kafka to files under --archive, before retention takes "
	"it\n"
	"  archive cat [PARTITION[:FROM-TO]]\n"
	"                      prints what the archive has, one JSON object per record\n"
	"  archive verify      reads the whole archive and says what is damaged or missing\n"
	"  prune               drops the rows of all but the newest runs\n"
	"  migrate             brings the database's schema up to date\n"
	"  validate [FILE|-]   checks events, one per line, and says what is wrong with the bad ones; no "
	"server";

static const struct {
	const char *name;
	int (*command)(const struct config *config, struct err *err);
	int n_args_max; /* behind the name */
} main_commands[] = {
	{ "run", run, 0 },
	{ "replay", replay, 0 },
	{ "status", status, 0 },
	{ "rollback", rollback, 1 },
	{ "publish", publish_by_hand, 1 },
	{ "archive", archive, 2 },
	{ "prune", prune, 0 },
	{ "migrate", migrate, 0 },
	{ "validate", validate, 1 },
};

static int main_command(const struct config *config, struct err *err)
{
	if (!config->n_args)
		return err_set(err, ERR_USAGE, "a command is needed; hint: --help lists them");
	for (size_t i = 0; i < ARRAY_SIZE(main_commands); i++) {
		if (strcmp(config->args[0], main_commands[i].name) != 0)
			continue;
		if (config->n_args - 1 > main_commands[i].n_args_max)
			return err_set(err, ERR_USAGE, "'%s' is too much behind '%s'; hint: see --help",
				config->args[1 + main_commands[i].n_args_max], config->args[0]);
		if (config->dry_run && main_commands[i].command != run && main_commands[i].command != replay)
			return err_set(err, ERR_USAGE,
				"--dry-run is only for 'run' and 'replay', not for '%s'", config->args[0]);
		return main_commands[i].command(config, err);
	}
	return err_set(err, ERR_USAGE, "there is no command '%s'; hint: --help lists them", config->args[0]);
}

int main(int argc, char **argv)
{
	struct config config = { 0 };
	struct err err = { 0 };
	int status;

	batch_stop_install();
	status = config_load(&config, CONFIG_BATCH, BATCH_PROGRAM, main_usage, argc, argv, &err);
	if (!status)
		status = main_command(&config, &err);
	if (status < 0)
		log_error("%s", err.msg);
	config_release(&config);
	return status < 0 ? err_exit_status(err.code) : 0; /* err keeps what was mended on the way */
}
