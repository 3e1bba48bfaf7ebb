# shellcheck shell=bash
# Several servers at once: start those that do not run, stop those that do. One server's life is in server.sh.

any_running()
{
	local name

	for name in $SERVERS; do
		server_pid "$name" > /dev/null && return 0
	done
	return 1
}

# Stops what a failed `up` has started. A server may not have come to its own command line yet.
LAUNCHED=''
undo_launch()
{
	local status=$? name pid limit

	trap - EXIT
	[ -n "$LAUNCHED" ] || exit "$status"
	say "stopping what was started" >&2
	limit=$(($(now_ms) + 2000))
	for name in $LAUNCHED; do
		read -r pid < "$DIR/$name.pid"
		until server_pid "$name" > /dev/null || ! kill -0 "$pid" 2>/dev/null || [ "$(now_ms)" -gt "$limit" ]; do
			nap
		done
		server_signal "$name"
	done
	for name in $LAUNCHED; do
		server_reap "$name"
	done >&2
	exit "$status"
}

# Starts the named servers, those that run already excepted, and waits until they answer.
start_servers()
{
	local name pid missing=''

	for name in "$@"; do
		if pid=$(server_pid "$name"); then
			echo "$pid" > "$DIR/$name.pid"
		else
			missing="$missing $name"
			server_check_ports "$name"
		fi
	done
	[ -n "$missing" ] || return 0
	# the slow one first; initdb and Kafka's formatting take a second each
	trap undo_launch EXIT
	trap 'exit 130' INT TERM HUP
	if [[ $missing == *kafka* ]]; then
		kafka_prepare 9>&- &
		pid=$!
	fi
	for name in $missing; do
		[ "$name" = kafka ] || "${name}_prepare"
		[ "$name" != kafka ] || wait "$pid"
		"${name}_settle"
		LAUNCHED="$LAUNCHED $name"
		server_launch "$name"
	done
	for name in $missing; do
		server_wait "$name"
	done
	LAUNCHED=''
	trap - EXIT INT TERM HUP
}

stop_servers()
{
	local name running='' how=$1

	shift
	for name in "$@"; do
		if server_pid "$name" > /dev/null; then
			running="$running $name"
			server_signal "$name" "$how"
		else
			"${name}_settle"
			rm -f "$DIR/$name.pid"
		fi
	done
	for name in $running; do
		server_reap "$name" "$how"
	done
	[ -n "$running" ] || say "nothing to stop in $DIR"
}
