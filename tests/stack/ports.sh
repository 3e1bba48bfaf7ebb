# shellcheck shell=bash
# The ports of a stack: chosen at `up`, kept in $DIR/ports for all later commands.

PORT_VARIABLES="${postgres_ports:?} ${redis_ports:?} ${kafka_ports:?}"

load_ports()
{
	# shellcheck source=/dev/null
	[ -e "$DIR/ports" ] && . "$DIR/ports"
}

save_ports()
{
	local variable

	for variable in $PORT_VARIABLES; do
		echo "$variable=${!variable}"
	done > "$DIR/ports"
	echo "ports_mode=$1" >> "$DIR/ports"
}

# A free port below the range that the kernel hands out to clients.
pick_port()
{
	local port

	while :; do
		port=$((20000 + RANDOM % 12000))
		[[ " $1 " == *" $port "* ]] || port_taken "$port" || break
	done
	echo "$port"
}

choose_fixed_ports()
{
	: "${STACK_KAFKA_PORT:=19092}" "${STACK_KAFKA_CONTROLLER_PORT:=19093}" "${STACK_REDIS_PORT:=16379}" \
		"${STACK_POSTGRES_PORT:=15432}"
	local variable seen=' '

	for variable in $PORT_VARIABLES; do
		if ! [[ ${!variable} =~ ^[1-9][0-9]{0,4}$ ]] || [ "${!variable}" -gt 65535 ]; then
			die_usage "$variable is '${!variable}', not a port (1 to 65535)"
		fi
		[[ $seen != *" ${!variable} "* ]] || die_usage "$variable is ${!variable}, like another port of this stack"
		seen="$seen${!variable} "
	done
}

# Those of this directory's last `up --ports auto` if all are free, or new ones.
choose_auto_ports()
{
	local variable picked='' ports_mode=''

	if load_ports && [ "$ports_mode" = auto ]; then
		for variable in $PORT_VARIABLES; do
			port_taken "${!variable}" && break
		done || return 0
	fi
	for variable in $PORT_VARIABLES; do
		printf -v "$variable" '%s' "$(pick_port "$picked")"
		picked="$picked ${!variable}"
	done
}
