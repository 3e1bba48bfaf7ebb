# shellcheck shell=bash disable=SC2034 # what server.sh uses by name
# Redis: an append-only file, no eviction, nothing but loopback. See server.sh for the functions.

redis_ports=STACK_REDIS_PORT
redis_stop_s=10

redis_token()
{
	printf '%s\n' "$DIR/redis/redis.conf"
}

redis_about()
{
	redis-server --version | sed -E 's/.* v=([^ ]+).*/redis \1/'
}

redis_prepare()
{
	command -v redis-server > /dev/null || die "redis-server is not installed. hint: deploy/packages.sh stack"
	mkdir -p "$DIR/redis"
	cat > "$DIR/redis/redis.conf" <<-EOF
		# written by tests/stack at each start
		bind 127.0.0.1
		port $STACK_REDIS_PORT
		protected-mode yes
		dir "$DIR/redis"
		logfile ""
		# the stack knows its servers by their command lines
		set-proc-title no
		# state is dropped by nobody but its owner, and outlives a kill
		maxmemory-policy noeviction
		appendonly yes
		appendfsync $([ -n "${STACK_FOR_TESTS:-}" ] && echo no || echo everysec)
		save ""
	EOF
}

redis_exec()
{
	cd "$DIR/redis" || exit
	exec setsid redis-server "$DIR/redis/redis.conf"
}

redis_cli()
{
	redis-cli -h 127.0.0.1 -p "$STACK_REDIS_PORT" "$@" 2>&1
}

# A server that still loads its file answers with an error.
redis_answers()
{
	[ "$(redis_cli PING)" = PONG ]
}

redis_down()
{
	kill -TERM "$1"
}

redis_settle()
{
	:
}
