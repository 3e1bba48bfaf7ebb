# shellcheck shell=bash disable=SC2034 # what server.sh uses by name
# Apache Kafka: one broker that is its own controller (KRaft), in one JVM. See server.sh for the functions.

kafka_ports='STACK_KAFKA_PORT STACK_KAFKA_CONTROLLER_PORT'
kafka_stop_s=20

kafka_token()
{
	printf '%s\n' "-Dlambda.stack=$DIR/kafka"
}

kafka_version()
{
	sed -nE 's/.*<kafka.version>(.*)<.*/\1/p' "$STACK/pom.xml"
}

kafka_about()
{
	echo "kafka $(kafka_version)"
}

# Prints the first Java that is new enough.
kafka_find_java()
{
	local java version

	for java in "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
		[ -x "$java" ] || continue
		version=$("$java" -version 2>&1 | sed -nE 's/.*version "([0-9]+).*/\1/p')
		if [ "${version:-0}" -ge 17 ]; then
			echo "$java"
			return 0
		fi
	done
	die "Kafka needs Java 17 or newer, and there is none. hint: deploy/packages.sh stack"
}

# Prints the directory of the jars. They are fetched once for each state of the pom, into the checkout's build/,
# and put in place whole, whoever else does the same at that moment.
kafka_jars()
{
	local sum jars tmp

	sum=$(sha256sum < "$STACK/pom.xml")
	jars=$ROOT/build/kafka/${sum:0:12}
	if [ ! -d "$jars" ]; then
		command -v mvn > /dev/null || die "Maven is not installed. hint: deploy/packages.sh stack"
		say "fetching kafka $(kafka_version) with Maven, once" >&2
		mkdir -p "$ROOT/build/kafka"
		tmp=$(mktemp -d "$ROOT/build/kafka/fetch.XXXXXX")
		if ! mvn -B -q --strict-checksums -f "$STACK/pom.xml" \
			org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies \
			-DincludeScope=runtime -DoutputDirectory="$tmp/jars" > "$tmp/log" 2>&1 < /dev/null 9>&-; then
			tail -n 20 "$tmp/log" >&2
			rm -rf "$tmp"
			die "Maven could not fetch Kafka's jars"
		fi
		mv -T "$tmp/jars" "$jars" 2>/dev/null || [ -d "$jars" ]
		rm -rf "$tmp"
	fi
	echo "$jars"
}

# Runs one of Kafka's tools by its class, e.g. org.apache.kafka.tools.TopicCommand. For short lives: no full compiler.
kafka_tool()
{
	local java jars

	java=$(kafka_find_java)
	jars=$(kafka_jars)
	LC_ALL=C.UTF-8 "$java" -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto \
		-Dlog4j2.configurationFile="$STACK/tools-log4j2.properties" -cp "$jars/*" "$@" < /dev/null 9>&-
}

kafka_cluster_id()
{
	local id=-

	# 16 bytes in base64url; as an argument it must not look like an option
	while [[ $id == -* ]]; do
		id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n')
	done
	echo "$id"
}

# With STACK_KAFKA_PROXIED=PORT:ADVERTISED the broker also listens on PORT, and tells those who come by it that it is at
# ADVERTISED, where somebody's proxy is.
kafka_prepare()
{
	local proxied=${STACK_KAFKA_PROXIED:-} also='' advertised='' protocol='' retention_s=300

	if [ -n "$proxied" ]; then
		also=",PROXIED://127.0.0.1:${proxied%:*}"
		advertised=",PROXIED://127.0.0.1:${proxied#*:}"
		protocol=',PROXIED:PLAINTEXT'
	fi
	# a test sets a retention to see what is said of it, and deletes records itself
	[ -z "${STACK_FOR_TESTS:-}" ] || retention_s=86400
	mkdir -p "$DIR/kafka"
	cat > "$DIR/kafka/server.properties" <<-EOF
		# written by tests/stack at each start
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:$STACK_KAFKA_CONTROLLER_PORT
		controller.listener.names=CONTROLLER
		inter.broker.listener.name=PLAINTEXT
		listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT$protocol
		listeners=PLAINTEXT://127.0.0.1:$STACK_KAFKA_PORT,CONTROLLER://127.0.0.1:$STACK_KAFKA_CONTROLLER_PORT$also
		advertised.listeners=PLAINTEXT://127.0.0.1:$STACK_KAFKA_PORT$advertised
		# relative to the server's working directory: a path is free of this file's syntax
		log.dirs=data
		auto.create.topics.enable=false
		num.partitions=1
		default.replication.factor=1
		# one broker: its internal topics have one replica, and few partitions to create
		offsets.topic.replication.factor=1
		offsets.topic.num.partitions=4
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		transaction.state.log.num.partitions=4
		share.coordinator.state.topic.replication.factor=1
		share.coordinator.state.topic.min.isr=1
		share.coordinator.state.topic.num.partitions=1
		group.initial.rebalance.delay.ms=0
		num.network.threads=2
		num.io.threads=4
		log.cleaner.dedupe.buffer.size=16777216
		log.retention.check.interval.ms=${retention_s}000
		# a killed broker is let in again when its old session has ended: 4 s, where the default makes it 12
		broker.session.timeout.ms=3000
		broker.heartbeat.interval.ms=500
	EOF
	# a format that was interrupted is done again
	if [ ! -e "$DIR/kafka/formatted" ]; then
		rm -rf "$DIR/kafka/data"
		(cd "$DIR/kafka" && kafka_tool kafka.tools.StorageTool format --cluster-id "$(kafka_cluster_id)" \
			--config server.properties) > "$DIR/kafka.log" 2>&1 || {
			server_log_tail kafka
			rm -rf "$DIR/kafka/data"
			die "Kafka's storage could not be formatted"
		}
		touch "$DIR/kafka/formatted"
	fi
}

kafka_exec()
{
	local java jars

	java=$(kafka_find_java)
	jars=$(kafka_jars)
	cd "$DIR/kafka" || exit
	LC_ALL=C.UTF-8 exec setsid "$java" "$(kafka_token)" "-Xmx${STACK_KAFKA_HEAP:-512m}" -Xms128m -XX:+UseG1GC \
		-XX:MaxGCPauseMillis=20 -XX:+ExitOnOutOfMemoryError -Djava.awt.headless=true \
		-Dlog4j2.configurationFile="$STACK/log4j2.properties" -cp "$jars/*" kafka.Kafka server.properties
}

kafka_answers()
{
	grep -q 'Kafka Server started' "$DIR/kafka.log" 2>/dev/null
}

kafka_down()
{
	kill -TERM "$1"
}

kafka_settle()
{
	:
}

# A topic has a directory for each partition; looking there saves the two seconds of a JVM.
kafka_create_topic()
{
	local topic=$1 partitions=$2

	[ ! -d "$DIR/kafka/data/$topic-0" ] || return 0
	kafka_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$STACK_KAFKA_PORT" --create \
		--if-not-exists --topic "$topic" --partitions "$partitions" --replication-factor 1 \
		--config retention.ms=-1 > "$DIR/topic.log" 2>&1 || {
		cat "$DIR/topic.log" >&2
		die "topic $topic could not be created"
	}
	rm -f "$DIR/topic.log"
	say "topic $topic, $partitions partitions, kept for ever"
}
