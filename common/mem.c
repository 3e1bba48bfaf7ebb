#include "common/base.h"
#include "common/mem.h"

#include <stdarg.h>

static void *mem_checked(void *p)
{
	if (!p) {
		fputs("out of memory\n", stderr);
		abort();
	}
	return p;
}

void *xmalloc(size_t size)
{
	return mem_checked(malloc(size ? size : 1));
}

void *xcalloc(size_t n, size_t size)
{
	return mem_checked(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
	return mem_checked(realloc(p, size ? size : 1));
}

void *xreallocarray(void *p, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return mem_checked(NULL);
	return xrealloc(p, total);
}

char *xstrdup(const char *s)
{
	return mem_checked(strdup(s));
}

char *xstrndup(const char *s, size_t len)
{
	return mem_checked(strndup(s, len));
}

char *xasprintf(const char *format, ...)
{
	va_list ap;
	char *text;
	int len;

	va_start(ap, format);
	len = vasprintf(&text, format, ap);
	va_end(ap);
	return mem_checked(len < 0 ? NULL : text);
}

void xfreep(void *p)
{
	void **slot = p;

	free(*slot);
	*slot = NULL;
}
