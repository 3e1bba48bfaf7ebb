/* C11 threads over POSIX ones, for MODE=tsan only. Debian's librdkafka locks by mtx_lock() and its like,
 * which glibc implements without calling anything that ThreadSanitizer looks at: to it, no two threads of
 * librdkafka would ever have waited for one another, and everything that Kafka's client hands to us would be
 * a race. These here win over glibc's because the program comes first, and call what ThreadSanitizer knows.
 * In glibc both kinds of locks have the same size; what one of these has made is only ever used by these. */
#include "common/base.h"

#include <errno.h>
#include <pthread.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a lock has room for the other kind");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a condition has room for the other kind");

static int c11_result(int error)
{
	return error == 0           ? thrd_success
	       : error == ETIMEDOUT ? thrd_timedout
	       : error == EBUSY     ? thrd_busy
	       : error == ENOMEM    ? thrd_nomem
				    : thrd_error;
}

int mtx_init(mtx_t *mutex, int type)
{
	pthread_mutexattr_t attributes;
	int error;

	pthread_mutexattr_init(&attributes);
	if (type & mtx_recursive)
		pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	error = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
	return c11_result(error);
}

int mtx_lock(mtx_t *mutex)
{
	return c11_result(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

int mtx_trylock(mtx_t *mutex)
{
	return c11_result(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

int mtx_unlock(mtx_t *mutex)
{
	return c11_result(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

void mtx_destroy(mtx_t *mutex)
{
	pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int cnd_init(cnd_t *condition)
{
	return c11_result(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

int cnd_signal(cnd_t *condition)
{
	return c11_result(pthread_cond_signal((pthread_cond_t *)condition));
}

int cnd_broadcast(cnd_t *condition)
{
	return c11_result(pthread_cond_broadcast((pthread_cond_t *)condition));
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
	return c11_result(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until)
{
	return c11_result(
		pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}

void cnd_destroy(cnd_t *condition)
{
	pthread_cond_destroy((pthread_cond_t *)condition);
}

struct c11_start {
	thrd_start_t run;
	void *arg;
};

static void *c11_run(void *arg)
{
	struct c11_start start = *(struct c11_start *)arg;
	intptr_t status;
	void *result;

	free(arg);
	status = start.run(start.arg);
	memcpy(&result, &status, sizeof(result));
	return result;
}

int thrd_create(thrd_t *thread, thrd_start_t run, void *arg)
{
	struct c11_start *start = malloc(sizeof(*start));
	int error;

	if (!start)
		return thrd_nomem;
	*start = (struct c11_start){ run, arg };
	error = pthread_create(thread, NULL, c11_run, start);
	if (error)
		free(start);
	return c11_result(error);
}

int thrd_join(thrd_t thread, int *ret_result)
{
	void *result = NULL;
	int error = pthread_join(thread, &result);

	if (!error && ret_result)
		*ret_result = (int)(intptr_t)result;
	return c11_result(error);
}

void call_once(once_flag *flag, void (*run)(void))
{
	pthread_once((pthread_once_t *)flag, run);
}

/* suppressions has what librdkafka does by itself left out. Its locks must not be left out with it, so they
 * too are taken here; ThreadSanitizer's own way in has this name. */
int __interceptor_pthread_rwlock_init(pthread_rwlock_t *lock, const pthread_rwlockattr_t *attributes);
int __interceptor_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __interceptor_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __interceptor_pthread_rwlock_unlock(pthread_rwlock_t *lock);

int pthread_rwlock_init(pthread_rwlock_t *restrict lock, const pthread_rwlockattr_t *restrict attributes)
{
	return __interceptor_pthread_rwlock_init(lock, attributes);
}

int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	return __interceptor_pthread_rwlock_rdlock(lock);
}

int pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	return __interceptor_pthread_rwlock_wrlock(lock);
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
	return __interceptor_pthread_rwlock_unlock(lock);
}
