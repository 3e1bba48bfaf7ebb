#!/bin/sh
# systemd reads the units in deploy/systemd without a complaint, and the services are hardened: its own measure of what a
# service could reach, from 0 to 100, stays below LIMIT. DIR holds the programs, for units name those that are installed.
#
#   tests/lint/units.sh DIR
set -eu
LIMIT=15
programs=$(realpath "$1")
units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT
cp deploy/systemd/*.service deploy/systemd/*.timer "$units"
sed -i "s#/usr/local/bin/#$programs/#" "$units"/*.service
complaints=$(systemd-analyze verify --man=no "$units"/*.service "$units"/*.timer 2>&1) || complaints="$complaints (failed)"
if [ -n "$complaints" ]; then
	printf '%s\n' "$complaints"
	exit 1
fi
for unit in "$units"/*.service; do
	systemd-analyze security --offline=true --no-pager --threshold="$LIMIT" "$unit" > "$units/log" 2>&1 || {
		cat "$units/log"
		exit 1
	}
done
