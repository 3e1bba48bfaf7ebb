# shellcheck shell=bash
# Starting and stopping the demo's own programs; sourced by demo and stop. A program is known by its pid file and by the file that
# the process runs: a pid that now belongs to somebody else is left alone.

ROOT=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
DIR=$ROOT/build/stack
RUN=$DIR/programs
PROGRAMS="orders lambda-serving lambda-speed" # in the order in which they are stopped

program_pid()
{
	local pid exe

	[ -s "$RUN/$1.pid" ] || return 1
	pid=$(cat "$RUN/$1.pid")
	exe=$(readlink "/proc/$pid/exe" 2> /dev/null) || return 1
	[ "${exe% (deleted)}" = "$ROOT/build/bin/$1" ] || return 1 # "(deleted)": built again while it ran
	printf '%s\n' "$pid"
}

program_start()
{
	local name=$1

	shift
	mkdir -p "$RUN"
	setsid "$ROOT/build/bin/$name" "$@" < /dev/null > "$RUN/$name.log" 2>&1 &
	printf '%s\n' $! > "$RUN/$name.pid"
}

program_stop()
{
	local pid

	pid=$(program_pid "$1") || return 0
	kill -TERM "$pid"
	for _ in $(seq 100); do
		[ -e "/proc/$pid" ] || break
		sleep 0.1
	done
	if [ -e "/proc/$pid" ]; then
		printf '%s (pid %s) did not end within 10 s: killed\n' "$1" "$pid"
		kill -KILL "$pid"
	else
		printf 'stopped %s (pid %s)\n' "$1" "$pid"
	fi
	rm -f "$RUN/$1.pid"
}

programs_stop()
{
	local name

	for name in $PROGRAMS; do
		program_stop "$name"
	done
}
