/* orders: puts orders into the log, made up or from a file. A tool for tests and the demo, not part of the
 * product: it knows the event's rules only from docs/events.md and uses nothing of the kernel. */
#include "common/base.h"
#include "tests/orders/command.h"

volatile sig_atomic_t command_stop;

static const struct {
	const char *name;
	int (*run)(int argc, char **argv, struct err *err);
	const char *help;
} commands[] = {
	{ "generate", command_generate, "made-up orders: a history of days, or live" },
	{ "import", command_import, "orders of the UCI Online Retail file" },
};

static void print_help(FILE *out)
{
	fputs("usage: orders COMMAND [OPTION...]\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	fputs("\norders COMMAND --help says more. To Kafka: exit status 0 means that every record was "
	      "acknowledged.\n"
	      "Exit: 0, 64 usage, 65 bad data, 66 no file, 69 Kafka, 74 input or output, 75 stopped before "
	      "the end.\n",
		out);
}

static void on_signal(int sig)
{
	(void)sig;
	command_stop = 1;
}

static int run(int argc, char **argv, struct err *err)
{
	if (argc < 2) {
		print_help(stderr);
		return err_set(err, ERR_USAGE, "a command is missing");
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("orders " LAMBDA_VERSION);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 2, argv + 2, err);
	return err_set(err, ERR_USAGE, "unknown command '%s'; hint: orders --help", argv[1]);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct err err = { 0 };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (run(argc, argv, &err) == 0 && (fflush(stdout) || ferror(stdout)))
		err_set(&err, ERR_IO, "cannot write to standard output");
	if (err.code)
		fprintf(stderr, "orders: %s\n", err.msg);
	return err_exit_status(err.code);
}
