#include "common/base.h"
#include "serving/problem.h"

#include <stdarg.h>

#include "serving/http.h"

int problem_set(struct problem *problem, int status, const char *format, ...)
{
	va_list ap;

	problem->status = status;
	va_start(ap, format);
	vsnprintf(problem->detail, sizeof(problem->detail), format, ap);
	va_end(ap);
	return -1;
}

struct body *problem_body(const struct problem *problem)
{
	struct out out;

	out_init(&out, 4096);
	out_open(&out, NULL, '{');
	out_string(&out, "type", "about:blank");
	out_string(&out, "title", http_reason(problem->status));
	out_int(&out, "status", problem->status);
	out_string(&out, "detail", problem->detail);
	out_close(&out, '}');
	return body_of_out(&out);
}
