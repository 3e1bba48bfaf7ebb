# shellcheck shell=bash disable=SC2034 # what server.sh uses by name
# PostgreSQL: a cluster of our own, one user and database `lambda`, a password. See server.sh for the functions.
#
# PostgreSQL refuses to run as root. Then it runs as user postgres, with its data in a directory under /var/tmp,
# because the checkout may lie where that user cannot go. $DIR/postgres.dir names the place, and the place names $DIR
# in its file `stack`: a copy of $DIR does not use the same cluster, and a deleted $DIR finds it again.

postgres_ports=STACK_POSTGRES_PORT
postgres_stop_s=30

# Runs a command as the user that owns the cluster, where that user can be.
postgres_as()
{
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all \
			env -C / HOME=/nonexistent LC_ALL=C.UTF-8 "$@"
	else
		env -C / LC_ALL=C.UTF-8 "$@"
	fi
}

# Prints the directory that holds the cluster; fails when there is none yet.
postgres_dir()
{
	local place

	if [ -d "$DIR/postgres" ]; then
		echo "$DIR/postgres"
	elif read -r place 2>/dev/null < "$DIR/postgres.dir" && [ -d "$place" ]; then
		echo "$place"
	else
		return 1
	fi
}

postgres_token()
{
	local place

	place=$(postgres_dir) || place=$DIR/postgres
	printf '%s\n' "$place/data"
}

# The directory of the server's programs: of the cluster's major version, or the newest.
postgres_bin()
{
	local version='*' place bin

	if place=$(postgres_dir) && [ -e "$place/data/PG_VERSION" ]; then
		version=$(< "$place/data/PG_VERSION")
	fi
	# shellcheck disable=SC2086
	bin=$(printf '%s\n' /usr/lib/postgresql/$version/bin | sort -V | tail -n 1)
	if [ -x "$bin/postgres" ]; then
		echo "$bin"
	elif [ "$version" = '*' ] && bin=$(command -v postgres); then
		dirname "$(realpath "$bin")"
	else
		return 1
	fi
}

postgres_about()
{
	"$(postgres_bin)/postgres" --version | sed -E 's/.* ([0-9.]+).*/postgres \1/'
}

# As root: finds again the cluster of this very $DIR when the record of it was deleted.
postgres_find_lost()
{
	local place

	[ "$(id -u)" = 0 ] && [ ! -e "$DIR/postgres.dir" ] || return 0
	for place in /var/tmp/lambda-stack-postgres.*; do
		if [ -O "$place/stack" ] && [ "$(< "$place/stack")" = "$DIR" ]; then
			echo "$place" > "$DIR/postgres.dir"
		fi
	done
}

postgres_make_dir()
{
	local place

	if [ "$(id -u)" != 0 ]; then
		mkdir -m 700 "$DIR/postgres"
		return 0
	fi
	getent passwd postgres > /dev/null || die "there is no user postgres to run PostgreSQL as (root may not)." \
		"hint: deploy/packages.sh stack"
	place=$(mktemp -d /var/tmp/lambda-stack-postgres.XXXXXX)
	echo "$DIR" > "$place/stack"
	mkdir -m 700 "$place/data"
	chown postgres:postgres "$place/data"
	chmod 711 "$place"
	echo "$place" > "$DIR/postgres.dir"
}

postgres_init()
{
	local data=$1 bin=$2 password

	password=$(od -An -N 16 -tx1 /dev/urandom | tr -d ' \n')
	(umask 077 && echo "$password" > "$DIR/postgres.password")
	# The password goes through a pipe, because the cluster's user cannot read $DIR; through a pipe of that user's,
	# because /dev/stdin is opened anew.
	# shellcheck disable=SC2016
	echo "$password" | postgres_as sh -c 'cat | "$@"' - "$bin/initdb" --pgdata="$data" --username=lambda \
		--pwfile=/dev/stdin --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions \
		> "$DIR/postgres.log" 2>&1 || {
		server_log_tail postgres
		die "initdb failed"
	}
}

postgres_prepare()
{
	local place data bin owner

	bin=$(postgres_bin) || die "PostgreSQL's server is not installed, or not in the version of the data in $DIR." \
		"hint: deploy/packages.sh stack, or up --fresh"
	if ! place=$(postgres_dir); then
		[ ! -e "$DIR/postgres.dir" ] || die "the database's directory '$(< "$DIR/postgres.dir")' is gone." \
			"hint: up --fresh starts with empty servers"
		postgres_make_dir
		place=$(postgres_dir)
	elif [ -e "$DIR/postgres.dir" ]; then
		owner=$(cat "$place/stack" 2>/dev/null || true)
		[ "$owner" = "$DIR" ] || [ ! -e "$owner" ] ||
			die "the database in $place belongs to the stack in '$owner': is $DIR a copy of it?" \
				"hint: up --fresh starts with empty servers"
		echo "$DIR" > "$place/stack"
	fi
	data=$place/data
	# a cluster that is there whole has our settings, they come last
	if [ ! -e "$data/lambda.conf" ]; then
		postgres_as find "$data" -mindepth 1 -delete 2>/dev/null || true
		postgres_init "$data" "$bin"
		echo "include 'lambda.conf'" | postgres_as tee -a "$data/postgresql.conf" > /dev/null
	fi
	postgres_as tee "$data/lambda.conf" > /dev/null <<-EOF
		# written by tests/stack at each start
		listen_addresses = '127.0.0.1'
		port = $STACK_POSTGRES_PORT
		unix_socket_directories = ''
		max_connections = 100
		shared_buffers = 128MB
		max_wal_size = 2GB
		fsync = $([ -n "${STACK_FOR_TESTS:-}" ] && echo off || echo on)
		timezone = 'UTC'
		log_line_prefix = '%m [%p] %q%a '
		log_checkpoints = off
	EOF
}

postgres_exec()
{
	local data bin

	data=$(postgres_token)
	bin=$(postgres_bin)
	cd /
	if [ "$(id -u)" = 0 ]; then
		exec setsid setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all \
			env -C / HOME=/nonexistent LC_ALL=C.UTF-8 "$bin/postgres" -D "$data"
	else
		exec setsid env LC_ALL=C.UTF-8 "$bin/postgres" -D "$data"
	fi
}

# Prints the URI of a database in our cluster.
postgres_uri()
{
	echo "postgresql://lambda:$(< "$DIR/postgres.password")@127.0.0.1:$STACK_POSTGRES_PORT/$1"
}

# A statement for the superuser, by a way that does not show the password in a process list.
postgres_sql()
{
	local database=$1

	shift
	PGPASSWORD=$(< "$DIR/postgres.password") PGCONNECT_TIMEOUT=5 psql -X -q -A -t -v ON_ERROR_STOP=1 \
		-h 127.0.0.1 -p "$STACK_POSTGRES_PORT" -U lambda -d "$database" "$@"
}

postgres_answers()
{
	port_taken "$STACK_POSTGRES_PORT" && postgres_sql postgres -c 'SELECT 1' > /dev/null 2>&1
}

postgres_create_database()
{
	[ "$(postgres_sql postgres -c "SELECT 1 FROM pg_database WHERE datname = 'lambda'")" = 1 ] ||
		postgres_sql postgres -c 'CREATE DATABASE lambda'
}

# SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for clients.
postgres_down()
{
	kill -INT "$1"
}

# Backends outlive a killed postmaster for a moment, and a new one refuses to start beside them. With them gone its
# lock file is stale, whatever program has that pid by now.
postgres_settle()
{
	local data pid limit left

	data=$(postgres_token)
	limit=$(($(now_ms) + 2000))
	while :; do
		left=''
		for pid in $(find /proc -maxdepth 2 -name cwd -lname "$data" -printf '%P\n' 2>/dev/null | cut -d/ -f1); do
			left="$left $pid"
		done
		[ -n "$left" ] || break
		if [ "$(now_ms)" -gt "$limit" ]; then
			# shellcheck disable=SC2086
			kill -KILL $left 2>/dev/null || true
		fi
		nap
	done
	rm -f "$data/postmaster.pid"
}

# Removes the cluster; it must not be running.
postgres_wipe()
{
	local place

	if place=$(postgres_dir); then
		if [ "$place" = "$DIR/postgres" ]; then
			rm -rf "$place"
		elif [[ $place == /var/tmp/lambda-stack-postgres.* ]] && [ "$(cat "$place/stack" 2>/dev/null)" = "$DIR" ]; then
			rm -rf "$place"
		fi
	fi
	rm -f "$DIR/postgres.dir" "$DIR/postgres.password"
}
