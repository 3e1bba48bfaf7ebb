#!/bin/sh
# Installs the Debian 12 packages that a part of this project needs, and only those that are missing.
#
#   deploy/packages.sh GROUP...          build, stack, test, lint, units, valgrind, runtime: see table() below
#   DEPS=no deploy/packages.sh GROUP...  installs nothing: names what is missing and exits 69
#
# Silent when all is there. Needs root, or a user with sudo, when something is missing. A Redis or PostgreSQL that is
# installed here is not started, and not enabled for the next boot: the local stack runs servers of its own. Servers
# that were there before are left alone.
# shellcheck disable=SC2086 # lists of packages are meant to be split
set -eu

PATH=$PATH:/usr/sbin:/sbin
LOCK_WAIT_S=600
POLICY=/usr/sbin/policy-rc.d
POLICY_MARK='# of deploy/packages.sh, there only while it installs'
CLUSTER_CONF=/etc/postgresql-common/createcluster.conf
CLUSTER_KEEP=$CLUSTER_CONF.before-deploy-packages

table()
{
	cat <<-'EOF'
		build    gcc libc6-dev make pkg-config
		build    librdkafka-dev libhiredis-dev libpq-dev libuv1-dev libzstd-dev libxxhash-dev tzdata
		stack    postgresql redis-server redis-tools
		stack    openjdk-17-jre-headless maven ca-certificates
		test     gcc libc6-dev make pkg-config libcmocka-dev
		test     python3 python3-venv python3-pytest python3-confluent-kafka python3-psycopg2 python3-redis kcat curl zstd jq tzdata
		lint     clang clang-format clang-tidy libclang-rt-14-dev cppcheck shellcheck docker-compose systemd
		units    systemd-container debootstrap
		valgrind valgrind
		runtime  librdkafka1 libhiredis0.14 libpq5 libuv1 libzstd1 libxxhash0 tzdata ca-certificates curl
	EOF
}

say()
{
	printf 'packages: %s\n' "$*"
}

die()
{
	status=$1
	shift
	printf 'packages: %s\n' "$*" >&2
	exit "$status"
}

groups_of_table()
{
	table | awk '{ print $1 }' | uniq | paste -s -d ' '
}

packages_of()
{
	for group in "$@"; do
		table | awk -v group="$group" '$1 == group { for (i = 2; i <= NF; i++) print $i; n++ } END { exit !n }' ||
			die 64 "there is no group '$group'; groups: $(groups_of_table)"
	done
}

# Prints those of the packages that are not installed.
missing_of()
{
	# dpkg-query fails when it does not know a package; what it does know is printed all the same
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^installed //p') || true
	for package in "$@"; do
		printf '%s\n' "$installed" | grep -qxF "$package" || echo "$package"
	done | sort -u
}

is_missing()
{
	printf '%s\n' "$missing" | grep -qxF "$1"
}

apt()
{
	DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get -q -y -o "DPkg::Lock::Timeout=$LOCK_WAIT_S" "$@" \
		< /dev/null > "$LOG" 2>&1
}

# The lists have a lock of their own, for which apt-get does not wait.
apt_update()
{
	waited_s=0
	until apt update; do
		if ! grep -q 'Could not get lock' "$LOG" || [ "$waited_s" -ge "$LOCK_WAIT_S" ]; then
			tail -n 20 "$LOG" >&2
			die 69 "'apt-get update' failed"
		fi
		sleep 2
		waited_s=$((waited_s + 2))
	done
}

# An old list may name packages that the mirror has replaced, so a failure is tried once more with a new one.
apt_install()
{
	if ! apt-cache show "$@" > /dev/null 2>&1; then
		apt_update
	elif apt install --no-install-recommends "$@"; then
		return
	else
		apt_update
	fi
	if ! apt install --no-install-recommends "$@"; then
		tail -n 30 "$LOG" >&2
		die 69 "'apt-get install' failed"
	fi
}

# A new redis-server is not to be started. A policy that the machine has already stays: then that decides.
policy_set()
{
	if [ ! -e "$POLICY" ]; then
		# shellcheck disable=SC2016
		printf '#!/bin/sh\n%s\ncase $1 in redis-server*) exit 101 ;; esac\nexit 0\n' "$POLICY_MARK" > "$POLICY.new"
		chmod 755 "$POLICY.new"
		mv -f "$POLICY.new" "$POLICY"
	fi
}

policy_reset()
{
	if [ -e "$POLICY" ] && grep -qxF "$POLICY_MARK" "$POLICY"; then
		rm -f "$POLICY"
	fi
}

# A new PostgreSQL is not to make a cluster of its own, which would also run from the next boot on.
cluster_set()
{
	apt_install postgresql-common
	if [ ! -e "$CLUSTER_KEEP" ]; then
		cp -p "$CLUSTER_CONF" "$CLUSTER_KEEP"
		echo 'create_main_cluster = false' >> "$CLUSTER_CONF"
	fi
}

cluster_reset()
{
	if [ -e "$CLUSTER_KEEP" ]; then
		mv -f "$CLUSTER_KEEP" "$CLUSTER_CONF"
	fi
}

# shellcheck disable=SC2317 # the trap calls it
clean_up()
{
	policy_reset
	cluster_reset
	rm -f "$LOG"
}

install_missing()
{
	LOG=$(mktemp)
	trap clean_up EXIT
	trap 'exit 130' HUP INT TERM
	# what a killed run left behind
	policy_reset
	cluster_reset
	if is_missing redis-server; then
		policy_set
	fi
	if is_missing postgresql; then
		cluster_set
	fi
	apt_install $missing
	if is_missing redis-server; then
		update-rc.d redis-server disable > /dev/null
	fi
}

main()
{
	[ $# -gt 0 ] || die 64 "usage: deploy/packages.sh GROUP...; groups: $(groups_of_table)"
	wanted=$(packages_of "$@")
	if ! command -v dpkg-query > /dev/null; then
		say "this is not Debian, so nothing was checked; Debian's names of what is needed:" $wanted >&2
		return
	fi
	missing=$(missing_of $wanted)
	[ -n "$missing" ] || return 0
	case ${DEPS:-yes} in
	no | 0 | false) die 69 "not installed, and DEPS=$DEPS:" $missing "
hint: as root: apt-get install --no-install-recommends" $missing ;;
	esac
	if [ "$(id -u)" != 0 ]; then
		command -v sudo > /dev/null || die 69 "not installed:" $missing "
hint: there is no sudo here; as root: apt-get install --no-install-recommends" $missing
		say "asking sudo for the rights to install packages"
		exec sudo -- sh "$0" "$@"
	fi
	# one at a time; what another one has installed meanwhile is not missing any more
	exec 9> /run/lock/lambda-packages
	flock -w "$LOCK_WAIT_S" 9 || die 69 "another deploy/packages.sh has been running for $LOCK_WAIT_S s"
	missing=$(missing_of $wanted)
	[ -n "$missing" ] || return 0
	say "installing, with what they depend on:" $missing
	install_missing 9>&-
	say "installed"
}

main "$@"
