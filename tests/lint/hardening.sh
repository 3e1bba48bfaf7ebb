#!/usr/bin/env bash
# Are the programs in a directory built so that an error in memory ends them and is hard to make more of? Looks at the files, not at
# the flags. See HARDEN in the Makefile.
set -euo pipefail

status=0

# Is the text that a tool prints about a program as it should be?
has()
{
	local program=$1 what=$2 pattern=$3 text=$4

	if ! grep -qE -- "$pattern" <<< "$text"; then
		printf '%s: %s\n' "$program" "$what"
		status=1
	fi
}

for program in "$1"/lambda-{batch,speed,serving}; do
	segments=$(readelf -lW "$program")
	symbols=$(readelf --dyn-syms -W "$program")
	has "$program" "is not position independent" 'Type: +DYN' "$(readelf -hW "$program")"
	has "$program" "its tables of addresses stay writable (relro)" 'GNU_RELRO' "$segments"
	has "$program" "its symbols are not all resolved at the start (now)" 'FLAGS_1.* NOW' "$(readelf -dW "$program")"
	has "$program" "its stack is executable" 'GNU_STACK .* RW +0x' "$segments"
	has "$program" "its stack is not guarded (stack protector)" '__stack_chk_fail' "$symbols"
	has "$program" "calls of the C library are not checked (fortify)" '__(memcpy|snprintf|vsnprintf|read)_chk' "$symbols"
	if [ "$(uname -m)" = x86_64 ]; then
		# the note that would say so for the whole program is missing, because Debian's own start-up code has none
		has "$program" "jumps may go anywhere (cf-protection)" endbr64 "$(objdump -d --disassemble=main "$program")"
	fi
	# gcc notes its flags; no file of ours may lack this one
	if readelf --debug-dump=info "$program" | grep 'DW_AT_producer.*GNU C' | grep -v -- '-fstack-clash-protection' | grep -q .; then
		printf '%s: large frames may jump over the guard page (stack clash)\n' "$program"
		status=1
	fi
done
exit "$status"
