#!/bin/sh
# Prints the Python that has DuckDB, for tests/system/test_archive_readers.py. Debian 12 has no DuckDB, so pip fetches it, pinned and
# checked, once for each state of duckdb.txt, into an environment of its own under the checkout's build/.
set -eu

here=$(dirname "$(realpath "$0")")
sum=$(sha256sum < "$here/duckdb.txt")
place=$(realpath "$here/../..")/build/duckdb
name=$(printf '%.12s' "$sum")

if [ ! -e "$place/$name/ready" ]; then
	mkdir -p "$place"
	exec 9> "$place/lock"
	flock 9
fi
if [ ! -e "$place/$name/ready" ]; then
	echo "duckdb: fetching $(grep -o '^duckdb==[^ ]*' "$here/duckdb.txt") with pip, once" >&2
	rm -rf "${place:?}/$name"
	if ! { /usr/bin/python3 -m venv "$place/$name" &&
		"$place/$name/bin/pip" --disable-pip-version-check install -q --require-hashes -r "$here/duckdb.txt"; } \
		> "$place/log" 2>&1 < /dev/null; then
		tail -n 20 "$place/log" >&2
		echo "duckdb: pip could not fetch it. hint: the network, or PIP_INDEX_URL for a mirror; deploy/packages.sh test" >&2
		exit 69
	fi
	: > "$place/$name/ready"
fi
echo "$place/$name/bin/python"
