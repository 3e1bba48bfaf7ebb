# shellcheck shell=bash
# One server's life: is it running, start it, wait until it answers, stop it. Knows nothing of any one server;
# for each NAME of $SERVERS another file here gives these functions:
#   NAME_prepare   make its directory and configuration; may be called again
#   NAME_exec      replace this shell by the server, in the foreground
#   NAME_token     print an argument of its command line that no other stack's server has
#   NAME_answers   true when it serves requests
#   NAME_about     print product and version
#   NAME_down      signals it to stop, in its own polite way: kill "$1"
#   NAME_settle    after it is gone by force: wait until nothing of it is left
# and these variables exist: NAME_ports (names of port variables), NAME_stop_s (how long a polite stop may take).

# shellcheck disable=SC2034
SERVERS='postgres redis kafka'
START_S=180

say()
{
	printf 'stack: %s\n' "$*"
}

die()
{
	printf 'stack: %s\n' "$*" >&2
	exit 1
}

# Sleeps so briefly that a wait for a condition ends soon after it holds.
nap()
{
	sleep 0.05
}

now_ms()
{
	local t=${EPOCHREALTIME/[.,]/}

	echo "$((t / 1000))"
}

# True while a process has TOKEN as one whole argument of its command line. A zombie has no command line.
process_has_token()
{
	local pid=$1 token=$2 arg

	while IFS= read -r -d '' arg; do
		[ "$arg" = "$token" ] && return 0
	done 2>/dev/null < "/proc/$pid/cmdline"
	return 1
}

# Prints the pid of the server of this stack, or fails. The pid file only saves the search: a pid may be another
# program's by now, and the file may be lost while the server runs. (Traps call this too: there a bare `return` would
# give the status of before the trap.)
server_pid()
{
	local name=$1 pid token found

	token=$("${name}_token")
	if read -r pid 2>/dev/null < "$DIR/$name.pid" && [[ $pid =~ ^[0-9]+$ ]] && process_has_token "$pid" "$token"; then
		echo "$pid"
		return 0
	fi
	found=$(grep -lzxF -f <(printf '%s\n' "$token") /proc/[0-9]*/cmdline 2>/dev/null) || [ -n "$found" ] || return 1
	for pid in $(printf '%s\n' "$found" | tr -dc '0-9\n' | sort -n); do
		if process_has_token "$pid" "$token"; then
			echo "$pid"
			return 0
		fi
	done
	return 1
}

# True when something listens on the TCP port, on any address (both of /proc's tables, state 0A).
port_taken()
{
	local hex tables=(/proc/net/tcp)

	[ -r /proc/net/tcp6 ] && tables+=(/proc/net/tcp6)
	printf -v hex '%04X' "$1"
	grep -qE "^ *[0-9]+: [0-9A-F]+:$hex [0-9A-F]+:[0-9A-F]+ 0A " "${tables[@]}"
}

# Refuses ports that somebody else listens on, before anything is started.
server_check_ports()
{
	local name=$1 ports="${1}_ports" variable

	for variable in ${!ports}; do
		port_taken "${!variable}" || continue
		die "port ${!variable} on this machine is taken, $name cannot have it." \
			"hint: set $variable to another port, or use --ports auto"
	done
}

server_log_tail()
{
	printf '%s\n' "--- the end of $DIR/$1.log:" >&2
	tail -n "${2:-25}" "$DIR/$1.log" >&2 || true
}

# Starts the server and returns at once.
server_launch()
{
	local name=$1

	if [ -e "$DIR/$name.log" ]; then
		mv -f "$DIR/$name.log" "$DIR/$name.log.1"
	fi
	# A session of its own: Ctrl-C in the terminal that called us is not meant for the servers. 9 is our lock.
	( "${name}_exec" ) < /dev/null > "$DIR/$name.log" 2>&1 9>&- &
	echo "$!" > "$DIR/$name.pid"
}

server_wait()
{
	local name=$1 pid limit

	read -r pid < "$DIR/$name.pid"
	limit=$(($(now_ms) + START_S * 1000))
	until "${name}_answers"; do
		if ! kill -0 "$pid" 2>/dev/null; then
			server_log_tail "$name"
			die "$name ended while starting"
		fi
		if [ "$(now_ms)" -gt "$limit" ]; then
			server_log_tail "$name"
			die "$name did not answer within $START_S s"
		fi
		nap
	done
	server_line "$name" "$pid"
}

server_line()
{
	local ports="${1}_ports"
	local first=${!ports%% *}

	say "$("${1}_about") on 127.0.0.1:${!first} (pid $2)"
}

# Waits until the process is no longer this server; fails after LIMIT_S.
server_wait_gone()
{
	local pid=$1 token=$2 limit

	limit=$(($(now_ms) + $3 * 1000))
	while process_has_token "$pid" "$token"; do
		[ "$(now_ms)" -lt "$limit" ] || return 1
		nap
	done
}

# A killed process has no command line any more while its sockets are still being closed. Whoever listens after that is
# somebody else, which the next start will say.
server_wait_ports()
{
	local ports="${1}_ports" variable limit

	limit=$(($(now_ms) + 5000))
	for variable in ${!ports}; do
		while [ -n "${!variable:-}" ] && port_taken "${!variable}" && [ "$(now_ms)" -lt "$limit" ]; do
			nap
		done
	done
}

# Asks the server to stop and returns at once; 'kill' as the second argument leaves it no choice.
server_signal()
{
	local name=$1 how=${2:-} pid

	pid=$(server_pid "$name") || return 0
	if [ "$how" = kill ]; then
		kill -KILL "$pid"
	else
		"${name}_down" "$pid"
	fi || die "cannot stop $name (pid $pid) of user $(stat -c %U "/proc/$pid" 2>/dev/null || echo '(gone)')"
}

# Waits for a signalled server's end, by force after its time.
server_reap()
{
	local name=$1 how=${2:-} pid token stop_s="${1}_stop_s"

	if pid=$(server_pid "$name"); then
		token=$("${name}_token")
		if ! server_wait_gone "$pid" "$token" "${!stop_s}"; then
			say "$name did not stop within ${!stop_s} s: killing it (pid $pid)"
			kill -KILL "$pid" 2>/dev/null || true
			server_wait_gone "$pid" "$token" 10 || die "$name (pid $pid) cannot be killed"
		fi
	fi
	"${name}_settle"
	server_wait_ports "$name"
	rm -f "$DIR/$name.pid"
	if [ "$how" = kill ]; then
		say "$name killed"
	else
		say "$name stopped"
	fi
}
