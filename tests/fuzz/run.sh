#!/bin/sh
# Runs the fuzzers of build/fuzz one after the other, on one core: those named, or all. FUZZ_SECONDS (60) is for all of them
# together. Prints executions, coverage and findings of each; exit 1 if there is a finding. What they learn stays in
# build/fuzz/corpus for the next run; findings are files under build/fuzz/findings.
set -eu
cd "$(dirname "$0")/../.."

PROGRAMS=build/fuzz/tests/fuzz

names()
{
	for source in tests/fuzz/fuzz_*.c; do
		name=${source##*/fuzz_}
		echo "${name%.c}"
	done
}

# The last "WORD: NUMBER" of libFuzzer's log.
number()
{
	sed -n "s/.*$1: *\([0-9][0-9]*\).*/\1/p" "$2" | tail -n 1 | grep . || echo -
}

advice()
{
	for finding in "$1"/*; do
		[ -e "$finding" ] || continue
		printf '  finding: %s\n' "$finding"
		printf '  replay:  %s/fuzz_%s %s\n' "$PROGRAMS" "$2" "$finding"
		printf '  keep:    cp %s tests/fuzz/regress/%s/WHAT-IT-IS   (make unit replays it from then on)\n' "$finding" "$2"
	done
}

fuzz()
{
	name=$1
	learnt=build/fuzz/corpus/$name
	findings=build/fuzz/findings/$name
	log=build/fuzz/$name.log
	rm -rf "$findings"
	mkdir -p "$learnt" "$findings" "tests/fuzz/regress/$name"
	result=ok
	"$PROGRAMS/fuzz_$name" -max_total_time="$2" -timeout=60 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 \
		-dict="tests/fuzz/dict/$name.dict" -artifact_prefix="$findings/" \
		"$learnt" "tests/fuzz/corpus/$name" "tests/fuzz/regress/$name" > /dev/null 2> "$log" || result=FOUND
	printf '%-10s %10s executions  %6s edges  %s\n' "$name" "$(number 'stat::number_of_executed_units' "$log")" \
		"$(number 'cov' "$log")" "$result"
	[ "$result" = ok ] && return 0
	grep -m 5 -E 'ERROR|runtime error|Assertion|SUMMARY' "$log" | sed 's/^/  /' || tail -n 5 "$log"
	advice "$findings" "$name"
	return 1
}

# shellcheck disable=SC2046 # one word each
[ $# -gt 0 ] || set -- $(names)
seconds=$((${FUZZ_SECONDS:-60} / $#))
status=0
for name in "$@"; do
	fuzz "$name" "$((seconds > 0 ? seconds : 1))" || status=1
done
exit "$status"
