#!/usr/bin/env bash
# All static checks: format, warnings as errors with gcc and clang, hardening of what they make, clang-tidy, cppcheck, include layering, shellcheck,
# compose.yaml, systemd units.
# Prints one line per check; exit 1 if any found something.
# shellcheck disable=SC2317 # the functions are called through check()
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

status=0
mapfile -t c_files < <(git ls-files '*.c')
mapfile -t ch_files < <(git ls-files '*.c' '*.h')
mapfile -t sh_files < <(git grep -lE '^#!(/usr/bin/env bash|/bin/(ba)?sh)' -- ':!*.md'; git ls-files '*.sh')
mapfile -t sh_files < <(printf '%s\n' "${sh_files[@]}" | sort -u)

check()
{
	local name=$1 begin=$SECONDS log
	shift
	log=$(mktemp)
	if "$@" > "$log" 2>&1; then
		printf 'ok      %-28s %3d s\n' "$name" $((SECONDS - begin))
	else
		printf 'FAILED  %-28s %3d s\n' "$name" $((SECONDS - begin))
		cat "$log"
		status=1
	fi
	rm -f "$log"
}

tidy()
{
	make -s build/release/gen/embedded.h
	local flags
	read -ra flags < <(make -s print-cppflags)
	printf '%s\n' "${c_files[@]}" |
		xargs -P "$(nproc)" -I{} clang-tidy --quiet --warnings-as-errors='*' {} -- -std=c11 "${flags[@]}" 2> /dev/null
}

cpp_check()
{
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppress=missingIncludeSystem --suppress=unknownMacro -j "$(nproc)" -I. -Ibuild/release/gen "${c_files[@]}"
}

compile_with()
{
	make -s -j"$(nproc)" CC="$1" WERROR=1 B="build/lint-$1" BIN="build/lint-$1/bin" all unit-programs
}

check "format (clang-format)" clang-format --dry-run -Werror "${ch_files[@]}"
check "include layering" /usr/bin/python3 tests/lint/layers.py
check "tests named in docs" /usr/bin/python3 tests/lint/named_tests.py
check "shellcheck" shellcheck -x -P SCRIPTDIR "${sh_files[@]}"
check "compose.yaml" docker-compose -f compose.yaml config -q
check "gcc -Werror" compile_with gcc
check "clang -Werror" compile_with clang
check "hardening (gcc)" tests/lint/hardening.sh build/lint-gcc/bin
check "hardening (clang)" tests/lint/hardening.sh build/lint-clang/bin
check "systemd units" tests/lint/units.sh build/lint-gcc/bin
check "cppcheck" cpp_check
check "clang-tidy" tidy
exit "$status"
