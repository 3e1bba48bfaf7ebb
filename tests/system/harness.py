"""What the system tests stand on: one real stack for the session, and for each test a world of its own on it (topic, Redis
names, database), with the three programs, a client and the oracle. Nothing sleeps for luck: everything waits for a condition,
with a bound."""
import collections
import contextlib
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

import confluent_kafka
import confluent_kafka.admin
import psycopg2
import redis

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "oracle"))
import oracle  # noqa: E402

PROGRAMS = os.environ.get("LAMBDA_TEST_PROGRAMS", os.path.join(ROOT, "build", "bin"))
SANITIZED = any(f"{os.sep}{mode}{os.sep}" in PROGRAMS for mode in ("asan", "tsan"))     # their memory says nothing of ours
ZONE = "Europe/London"
MEMBERS = ("net", "gross", "refunds", "orders", "refund_count", "units")


def wait_until(condition, seconds, what):
    """Returns what condition() returns once that is true. The time of a machine that stood still does not count."""
    left = seconds
    while True:
        asked = time.monotonic()
        result = condition()
        if result:
            return result
        if left < 0:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.02)
        left -= min(time.monotonic() - asked, 10)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class NoTopic:
    partitions = ()


class Stack:
    """PostgreSQL, Redis and Kafka of the session, by tests/stack/stack."""

    def __init__(self, name, **variables):
        """A directory of its own, so that two runs of the tests do not meet. variables: see tests/stack/stack."""
        self.variables = variables
        place = os.path.join(ROOT, "build", name)
        os.makedirs(place, exist_ok=True)
        self.directory = tempfile.mkdtemp(prefix="stack-", dir=place)
        self.run("up", "--ports", "auto", "--no-migrate")
        with open(os.path.join(self.directory, "env"), encoding="utf-8") as env:
            self.env = dict(line.rstrip("\n").split("=", 1) for line in env if "=" in line)

    def run(self, *args):
        command = [os.path.join(ROOT, "tests", "stack", "stack"), args[0], "--dir", self.directory, *args[1:]]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=400,
                              env=dict(os.environ, **self.variables))
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}"
        return done.stdout

    def stop(self, server, kill=False):
        self.run("stop", server, *(["--kill"] if kill else []))

    def start(self, server):
        self.run("start", server)

    def restart(self, server, kill=False):
        self.stop(server, kill)
        self.start(server)

    def redis(self):
        return redis.Redis.from_url(self.env["LAMBDA_REDIS"])

    def down(self):
        self.run("down", "--wipe")


class Held:
    """A transaction of somebody else that holds a lock."""

    def __init__(self, world, statement):
        self.connection = psycopg2.connect(world.postgres)
        with self.connection.cursor() as cursor:
            cursor.execute(statement)

    def free(self):
        self.connection.close()


class Process:
    """A program in the background; its log goes to a file that is shown when a test fails."""

    def __init__(self, name, args, env, log_path):
        self.name, self.log_path = name, log_path
        self.log = open(log_path, "ab")
        self.popen = subprocess.Popen([os.path.join(PROGRAMS, name), *args], env=env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def running(self):
        return self.popen.poll() is None

    def text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def wait(self, seconds):
        return self.popen.wait(seconds)

    def kill(self):
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()
        self.log.close()

    def stop(self, seconds=5):
        """SIGTERM: must end with status 0 in time."""
        started = time.monotonic()
        self.popen.send_signal(signal.SIGTERM)
        try:
            status = self.popen.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end on SIGTERM within 30 s: {self.text()[-3000:]}") from None
        took = time.monotonic() - started
        self.log.close()
        assert status == 0, f"{self.name} ended with {status}: {self.text()[-3000:]}"
        assert took <= seconds, f"{self.name} took {took:.1f} s to end"


def sanitizers(log_path):
    """Settings for programs of MODE=asan and tsan: what they find goes to log_path.PID, also of a program that is killed later."""
    return {"ASAN_OPTIONS": f"detect_leaks=1:abort_on_error=0:log_path={log_path}",
            "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={log_path}",
            "TSAN_OPTIONS": f"suppressions={os.path.join(ROOT, 'tests', 'tsan', 'suppressions')}:log_path={log_path}"}


class World:
    """One test's topic, names and database on the session's stack."""

    def __init__(self, stack, name, directory, partitions=4, migrate=True, zone=ZONE):
        self.stack, self.name, self.directory, self.zone = stack, name, directory, zone
        self.partitions = partitions
        self.processes = []
        self.port = None
        self.database = f"world_{name}".lower()
        base = urllib.parse.urlsplit(stack.env["LAMBDA_POSTGRES"])
        self.postgres = base._replace(path="/" + self.database).geturl()
        with self.admin_sql() as cursor:
            cursor.execute(f'CREATE DATABASE "{self.database}"')
        self.topic = name
        if partitions:
            self.create_topic(partitions)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("LAMBDA_")}
        self.env.update(stack.env, LAMBDA_TOPIC=self.topic, LAMBDA_NAME=name, LAMBDA_POSTGRES=self.postgres, LAMBDA_TIME_ZONE=zone,
                        **sanitizers(os.path.join(directory, "sanitizer")))
        if migrate:
            assert self.batch("migrate").returncode == 0

    # --- servers

    @contextlib.contextmanager
    def admin_sql(self):
        connection = psycopg2.connect(self.stack.env["LAMBDA_POSTGRES"])
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def sql(self, statement, *params):
        """Rows of a statement in the world's database."""
        connection = psycopg2.connect(self.postgres)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, params or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def kafka_admin(self, method, *args):
        """Calls a method of the admin client and waits for all its results."""
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": self.stack.env["LAMBDA_BROKERS"]})
        for done in getattr(admin, method)(*args).values():
            done.result(30)

    def create_topic(self, partitions):
        self.kafka_admin("create_topics", [confluent_kafka.admin.NewTopic(self.topic, partitions, 1, config={"retention.ms": "-1"})])
        self.wait_partitions(partitions)

    def wait_partitions(self, total):
        """The broker takes a while to know what it has just created."""
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": self.stack.env["LAMBDA_BROKERS"]})
        wait_until(lambda: len(admin.list_topics(timeout=60).topics.get(self.topic, NoTopic).partitions) == total, 30,
                   f"the broker knows {total} partitions")

    def delete_topic(self):
        self.kafka_admin("delete_topics", [self.topic])

    def make_topic_anew(self):
        self.delete_topic()

        def created():
            try:
                self.create_topic(self.partitions)
                return True
            except confluent_kafka.KafkaException:  # Kafka deletes in the background
                return False
        wait_until(created, 30, "the topic is made anew")

    def add_partitions(self, total):
        self.kafka_admin("create_partitions", [confluent_kafka.admin.NewPartitions(self.topic, total)])
        self.wait_partitions(total)
        self.partitions = total

    def delete_below(self, below):
        """What retention does: {partition: first offset that Kafka keeps}."""
        path = self.path("delete-below.json")
        with open(path, "w", encoding="ascii") as out:
            json.dump({"version": 1, "partitions": [{"topic": self.topic, "partition": p, "offset": o} for p, o in below.items()]}, out)
        self.stack.run("tool", "delete-records", "--offset-json-file", path)

    def producer(self, **config):
        return confluent_kafka.Producer({"bootstrap.servers": self.stack.env["LAMBDA_BROKERS"], "linger.ms": 5, **config})

    def produce(self, values, partition=None, timestamp=None, topic=None):
        """Values are bytes, dicts (an event) or (key, bytes); keyed by order_id as everybody does."""
        producer = self.producer()
        failed = []
        for value in values:
            key = None
            if isinstance(value, tuple):
                key, value = value
            if isinstance(value, dict):
                key = value.get("order_id")
                value = json.dumps(value)
            args = {"partition": partition} if partition is not None else {}
            if timestamp is not None:
                args["timestamp"] = timestamp
            producer.produce(topic or self.topic, value, key, on_delivery=lambda e, m: e and failed.append(e), **args)
            producer.poll(0)
        assert producer.flush(60) == 0 and not failed, failed

    def log_records(self, topic=None, headers=False):
        """All committed records: (partition, offset, timestamp_ms, value[, key, headers])."""
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.stack.env["LAMBDA_BROKERS"], "group.id": "system-tests-reader",
                                             "enable.auto.commit": False, "enable.partition.eof": True, "isolation.level": "read_committed",
                                             "auto.offset.reset": "earliest"})
        topic = topic or self.topic
        partitions = consumer.list_topics(topic, 30).topics[topic].partitions
        consumer.assign([confluent_kafka.TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING) for p in partitions])
        left, records = set(partitions), []
        while left:
            for message in consumer.consume(10000, 1.0):
                error = message.error()
                if error is None:
                    record = (message.partition(), message.offset(), message.timestamp()[1], message.value())
                    records.append(record + (message.key(), message.headers()) if headers else record)
                elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
                else:
                    raise AssertionError(error)
        consumer.close()
        return records

    # --- programs

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self, name, *args):
        process = Process(name, args, self.env, self.path(f"{name}.{len(self.processes)}.log"))
        self.processes.append(process)
        return process

    def speed(self, *args):
        return self.start("lambda-speed", *args)

    def serving(self, *args):
        self.port = free_port()
        process = self.start("lambda-serving", "--listen", f"127.0.0.1:{self.port}", *args)

        def ready():
            assert process.running(), process.text()[-3000:]
            try:
                return self.get("/readyz")[0] == 200
            except OSError:
                return False
        wait_until(ready, 20, lambda: f"lambda-serving ready: {process.text()[-3000:]}")
        return process

    def batch(self, *args, timeout=120, preexec=None):
        """Runs lambda-batch to its end. preexec: what its process does before."""
        done = subprocess.run([os.path.join(PROGRAMS, "lambda-batch"), *args], env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, errors="replace", preexec_fn=preexec)
        with open(self.path("lambda-batch.log"), "a", encoding="utf-8") as log:
            log.write(f"$ lambda-batch {' '.join(args)}\n{done.stdout}status {done.returncode}\n")
        return done

    def run_batch(self, *args):
        done = self.batch("run", *args)
        assert done.returncode == 0, done.stdout[-3000:]
        return done

    def run_that_copies(self, *args):
        """(a run that has counted all and cannot write its rows, what it waits for): free() lets it go on."""
        held = Held(self, "LOCK TABLE lambda.product_names")
        run = self.start("lambda-batch", "run", *args)
        wait_until(lambda: self.sql("SELECT 1 FROM lambda.runs WHERE state = 'running' AND progress->>'phase' = 'copying'"), 60, run.text)
        return run, held

    def wait_batch_gone(self):
        """Postgres has noticed the end of every lambda-batch, of killed ones too: what they had locked is free."""
        sessions = "SELECT pid, state, query FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lambda-batch'"
        wait_until(lambda: not self.sql(sessions), 30, lambda: f"no session of lambda-batch is left: {self.sql(sessions)}")

    def orders(self, *args, stdin=None):
        done = subprocess.run([os.path.join(PROGRAMS, "orders"), *args], env=self.env, input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=300)
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
        return done

    # --- answers

    def get(self, path, method="GET", headers=None):
        """(status, headers, body) on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def answer(self, path):
        status, _, body = self.get(path)
        assert status == 200, (path, status, body)
        return json.loads(body)

    def served_days(self, first, last, view="merged"):
        """{(date, currency): {net, gross, ...}} of all days that have anything, and the answer's provenance."""
        answer = self.answer(f"/v1/revenue?from={first}&to={last}&step=day&view={view}")
        days = {}
        for point in answer.pop("points"):
            values = {m: point[m] for m in MEMBERS}
            if values["orders"] or values["refund_count"]:
                days[point["date"], point["currency"]] = values
        return days, answer

    def expected(self):
        return oracle_answers(self.log_records(), self.zone)

    def assert_exact(self, seconds=30, expected=None):
        """The merged answer of every day becomes the oracle's, within the time given."""
        expected = expected or self.expected()
        days = expected_days(expected)
        first, last = (min(days)[0], max(days)[0]) if days else ("2011-01-01", "2011-01-02")
        seen = {}

        def exact():
            served, provenance = self.served_days(first, last)
            seen.update(served=served, provenance=provenance)
            return served == days
        wait_until(exact, seconds, lambda: difference(days, seen["served"], seen["provenance"]))
        return seen["provenance"]

    def wait_caught_up(self, seconds=60):
        """Speed has everything that is in the log now, and knows that. (Its own end of the log is as old as its heartbeat.)"""
        ends = collections.Counter()
        for partition, offset, *_ in self.log_records():
            ends[partition] = max(ends[partition], offset + 1)

        def caught_up():
            speed = self.answer("/v1/revenue/today")["speed"]
            covered = re.findall(r'^lambda_serving_coverage_offset{partition="(\d+)"} (\d+)$', self.get("/metrics")[2].decode(), re.M)
            covered = {int(partition): int(offset) for partition, offset in covered}
            return speed and speed["lag_events"] == 0 and all(covered.get(p, 0) >= end for p, end in ends.items())
        wait_until(caught_up, seconds, lambda: f"the log ends at {dict(ends)}, speed is at {self.answer('/v1/revenue/today')}")

    def close(self):
        for process in self.processes:
            if process.running():
                process.kill()
        wait_until(self.drop_database, 60, f"{self.database} is dropped")

    def drop_database(self):
        with self.admin_sql() as cursor, contextlib.suppress(psycopg2.errors.ObjectInUse):  # FORCE waits for 5 s
            cursor.execute(f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')
            return True
        return False


@contextlib.contextmanager
def small_disk(directory, size):
    """(how to make it larger, what a program must do before it starts). Who may not mount gets files that may not become large."""
    def mount(options):
        return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], stderr=subprocess.DEVNULL, check=False).returncode == 0

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limited["to"], limited["to"]))
    limited = {}
    if not mount(f"size={size}"):
        yield lambda to: limited.update(to=to // 100), limit
        return
    try:
        yield lambda to: mount(f"remount,size={to}"), None
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def difference(expected, served, provenance):
    lines = [f"{key}: expected {expected.get(key)}, served {served.get(key)}" for key in sorted(set(expected) | set(served))
             if expected.get(key) != served.get(key)]
    return f"{len(lines)} days differ from the oracle\n" + "\n".join(lines[:6]) + f"\n{provenance}"


def oracle_answers(records, zone=ZONE, **rules):
    """The oracle's Answers for (partition, offset, timestamp, value) tuples, each partition in the order of its offsets."""
    return oracle.Answers(zone, **rules).feed(oracle.Record(*record[:4]) for record in records)


def expected_days(answers):
    """{(date, currency): {net, gross, ...}} as serving writes them."""
    days = {}
    for (date, currency), r in answers.days.items():
        if r.orders or r.refund_count:
            days[date, currency] = {"net": oracle.amount(r.net, currency), "gross": oracle.amount(r.gross, currency),
                                    "refunds": oracle.amount(r.refunds, currency), "orders": r.orders,
                                    "refund_count": r.refund_count, "units": r.units}
    return days


def order(event_id, amount="10.00", time="2026-03-01T12:00:00Z", kind="order_placed", currency="GBP", order_id=None, sku="A1",
          quantity=1, customer="c1"):
    """A valid event of one line."""
    return {"event_id": event_id, "type": kind, "order_id": order_id or event_id, "customer_id": customer, "event_time": time,
            "currency": currency, "lines": [{"sku": sku, "quantity": quantity, "unit_price": amount, "name": f"product {sku}"}]}
