/* What every .c file includes first: feature macros, small helpers, and the functions that nobody may use. */
#ifndef COMMON_BASE_H
#define COMMON_BASE_H

#define _GNU_SOURCE

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef NDEBUG
#error "assertions are part of every build"
#endif

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
/* Releases a variable when its scope ends: SCOPED(thing_freep) struct thing *t = ...; the function takes &t.
 */
#define SCOPED(release) __attribute__((cleanup(release)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#undef sprintf /* macros of some C libraries, which clang does not poison */
#undef vsprintf
/* Each has a bounded or checked replacement; sizes and numbers from outside are never trusted. */
#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets atoi atol atoll strncpy

#endif
