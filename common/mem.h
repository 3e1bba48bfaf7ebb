/* Memory that is always there: out of memory aborts, for these are programs, not a library. Whatever the
 * outside can size is bounded before it gets here. Results are never NULL; free() releases them. Any thread.
 */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
/* n elements of `size` bytes; a product that overflows aborts. */
void *xreallocarray(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t len);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For SCOPED(): frees *(void **)p. */
void xfreep(void *p);

#endif
