/* Tells a service manager how the program is, by the protocol of sd_notify(3): one datagram to the socket
 * that $NOTIFY_SOCKET names. Where nobody listens nothing happens. Any thread. */
#ifndef COMMON_NOTIFY_H
#define COMMON_NOTIFY_H

/* "READY=1", "STOPPING=1", "WATCHDOG=1", ... A manager that cannot be reached is ignored: it finds out
 * itself. */
void notify(const char *state);

/* Milliseconds after which to say WATCHDOG=1 again: half of what the manager waits. 0: it does not wait. */
int64_t notify_watchdog_ms(void);

#endif
