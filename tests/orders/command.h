/* The commands of `orders`. Each reads its arguments, does its work and returns 0 or -1 with err filled. */
#ifndef ORDERS_COMMAND_H
#define ORDERS_COMMAND_H

#include "common/err.h"

#include <signal.h>

/* Set by SIGINT and SIGTERM: finish what was begun and end. */
extern volatile sig_atomic_t command_stop;

MUST_USE int command_generate(int argc, char **argv, struct err *err);
MUST_USE int command_import(int argc, char **argv, struct err *err);

#endif
