/* What the parts of lambda-batch share: the stop flag, and the commands. */
#ifndef BATCH_BATCH_H
#define BATCH_BATCH_H

#include "common/clock.h"
#include "common/config.h"
#include "common/kernel/event.h"

#define BATCH_PROGRAM "lambda-batch"

/* SIGTERM or SIGINT came: whoever loops ends with batch_stopped(). Any thread. */
bool batch_stop_asked(void);
void batch_stop_install(void); /* the handlers; once, before the first thread */
int batch_stopped(struct err *err); /* ERR_STOPPED; -1 */
int batch_no_thread(int status, struct err *err); /* of pthread_create(): ERR_OS; -1 */

/* Waits, but not beyond a signal to stop. */
void batch_sleep_ms(int64_t ms);

/* The commands; 0, or -1 with *err. */
MUST_USE int migrate(const struct config *config, struct err *err);
MUST_USE int replay(const struct config *config, struct err *err);
int run(const struct config *config, struct err *err);
MUST_USE int status(const struct config *config, struct err *err);
MUST_USE int prune(const struct config *config, struct err *err);
MUST_USE int rollback(const struct config *config, struct err *err);
MUST_USE int publish_by_hand(const struct config *config, struct err *err);
MUST_USE int archive(const struct config *config, struct err *err);
MUST_USE int validate(const struct config *config, struct err *err);

enum { VALIDATE_TEXT_MAX = 256 };
/* Why the parser's last event_parse(), of this value, refused: a sentence for who wrote the producer, one
 * line, terminated. */
void validate_explain(const struct event_parser *parser, enum event_reject reject, const void *value,
	size_t len, char text[VALIDATE_TEXT_MAX]);

#endif
