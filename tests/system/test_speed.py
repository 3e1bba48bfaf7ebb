"""The speed view in Redis by itself: whatever happens to the worker, its sums are the oracle's by speed's rules, to the last unit."""
import collections
import contextlib
import json
import os
import re
import signal
import time

import confluent_kafka
import confluent_kafka.admin
import pytest
import redis

import harness
from harness import oracle, order, wait_until

EVERYTHING = ("--days", "3", "--duplicates", "0.05", "--duplicate-distance", "3000", "--out-of-order", "0.1", "--late", "0.03",
              "--refunds", "0.05", "--broken", "0.02", "--currencies", "GBP=5,EUR=3,JPY=1")
SOON_DEAD = ("-X", "session.timeout.ms=6000")  # what Kafka allows


class View:
    """What Redis holds of a world, read apart from serving."""

    def __init__(self, world):
        self.world = world

    def redis(self):
        """A connection for each question: tests take Redis away."""
        return redis.Redis.from_url(self.world.stack.env["LAMBDA_REDIS"], decode_responses=True)

    def base(self, partition):
        return f"{self.world.name}:{{{self.world.topic}/{partition}}}"

    def state(self, partition):
        return self.redis().hgetall(self.base(partition) + ":state")

    def next(self, partition):
        gens = self.state(partition).get("gens")
        return int(gens.rsplit(",", 1)[1]) if gens else -1

    def sums(self):
        """minutes, products, counters, late events and orders by customer of all generations of all partitions."""
        client, minutes, products, counters = self.redis(), collections.Counter(), collections.Counter(), collections.Counter()
        late, customers = collections.Counter(), collections.Counter()
        for base in map(self.base, range(self.world.partitions)):
            for run, complete, _, *chunks in client.execute_command("FCALL_RO", "lambda_1_read", 1, base, "r", 100000, 0, 0)[2:]:
                assert complete == "1"
                for name, _, values in chunks:
                    for field, value in zip(values[::2], map(int, values[1::2])):
                        if name == "c":
                            counters[field] += value
                        elif name.startswith("r:"):
                            minutes[(int(name[2:]) * 60 + int(field[:2])) * 60000, field[2:5], field[5]] += value
                        elif field == "duplicate":
                            counters["of days", field] += value
                        elif field[0] == "^":
                            late[int(name[2:]), field[1:], "^"] = max(late[int(name[2:]), field[1:], "^"], value)
                        else:
                            late[int(name[2:]), field[1:], field[0]] += value
                for name in client.zrange(f"{base}:{run}:index", 0, -1):
                    if name.startswith("p:"):
                        for field, value in client.hgetall(f"{base}:{run}:{name}").items():
                            if field != "#":
                                products[int(name[2:]), field[1:4], field[4:], field[0]] += int(value)
                    elif name.startswith("o:"):
                        for field, value in client.hgetall(f"{base}:{run}:{name}").items():
                            for entry in value.split(";")[1:] if field[0] == "@" else ():
                                minute = (int(name[2:]) * 60 + int(entry[:2])) * 60000
                                for what, n in zip("ogcr", entry[5:].split(",")):
                                    customers[field[1:], minute, entry[2:5], what] += int(n)
        return minutes, products, counters, late, customers

    def assert_exact(self, **rules):
        answers = harness.oracle_answers(self.world.log_records(), rules="speed", **rules)
        minutes, products, counters, late, customers = self.sums()
        wanted = {"records": answers.records, "counted": answers.counted, "duplicate": answers.duplicate, "late": answers.late,
                  ("of days", "duplicate"): answers.duplicate}
        wanted.update({f"rejected:{reason}": n for reason, n in answers.rejected.items()})
        assert_same(counters, wanted)
        assert_same(minutes, {(*key, what): value for key, r in answers.minutes.items() for what, value in
                              (("g", r.gross * 10000), ("r", r.refunds * 10000), ("o", r.orders), ("c", r.refund_count), ("u", r.units))})
        assert_same(late, late_days(answers))
        since = (time.time() - 48 * 3600) * 1000   # what is older may be there or not
        assert_same({key: n for key, n in customers.items() if key[1] >= since},
                    {(*key, what): value for key, r in answers.customers.items() if key[1] >= since for what, value in
                     (("o", r.orders), ("g", r.gross * 10000), ("c", r.refund_count), ("r", r.refunds * 10000))})
        assert_same(products, {(day_number(date), currency, sku, what): value for (date, currency, sku), p in answers.products.items()
                               for what, value in (("n", p.net * 10000), ("u", p.units))})
        return answers

    def wait_caught_up(self, seconds=60):
        partitions = range(self.world.partitions)

        def log_ends():
            """By a client of its own: one that first asked in a moment without leaders keeps to that for minutes."""
            consumer = confluent_kafka.Consumer({"bootstrap.servers": self.world.stack.env["LAMBDA_BROKERS"], "group.id": "system-tests-ends"})
            with contextlib.closing(consumer), contextlib.suppress(confluent_kafka.KafkaException):
                return {p: consumer.get_watermark_offsets(confluent_kafka.TopicPartition(self.world.topic, p), 10)[1] for p in partitions}
        ends = wait_until(log_ends, 30, "kafka tells the log's end")

        def state():
            with contextlib.suppress(redis.RedisError):
                return {p: self.next(p) for p in partitions}
        wait_until(lambda: state() == ends, seconds, lambda: f"the log ends at {ends}, speed is at {state()}")


def day_number(date):
    return oracle.datetime.date.fromisoformat(date).toordinal() - oracle.EPOCH


def late_days(answers):
    out = collections.Counter()
    for late in answers.late_events.values():
        key = day_number(late.date), late.currency
        out[(*key, "e")] += 1
        out[(*key, "l")] += late.net * 10000
        out[(*key, "^")] = max(out[(*key, "^")], late.lateness_ms)
    return out


def assert_same(got, wanted):
    """Zeros need not be there."""
    differ = sorted((k for k in set(got) | set(wanted) if got.get(k, 0) != wanted.get(k, 0)), key=str)
    assert not differ, f"{len(differ)} of {len(wanted)} differ, e.g. {[(k, got.get(k), wanted.get(k)) for k in differ[:5]]}"


def wait_log(process, pattern, seconds=30):
    return wait_until(lambda: re.search(pattern, process.text()), seconds, lambda: f"no '{pattern}' in {process.text()[-3000:]}")


@contextlib.contextmanager
def hung(process_id):
    os.kill(process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process_id, signal.SIGCONT)


@pytest.fixture
def view(world):
    return View(world)


def generate(world, count, *args, seed=1):
    world.orders("generate", "--count", str(count), "--seed", str(seed), *(args or EVERYTHING))


def test_sums_over_restarts(world, view):
    generate(world, 20000)
    speed = world.speed()
    view.wait_caught_up()
    answers = view.assert_exact()
    assert answers.duplicate > 100 and answers.late > 100 and sum(answers.rejected.values()) > 100
    wait_log(speed, "speed caught up")
    speed.stop()
    view.assert_exact()
    generate(world, 10000, seed=2)
    speed = world.speed()
    view.wait_caught_up()
    view.assert_exact()
    generate(world, 3000)                      # the first ones again: duplicates of before the restart
    view.wait_caught_up()
    view.assert_exact()
    speed.stop()


def test_killed_again_and_again(world, view):
    generate(world, 60000)
    for _ in range(3):
        speed = world.speed(*SOON_DEAD)
        wait_log(speed, "partition 3: ")
        time.sleep(0.2)                        # somewhere in the middle
        speed.kill()
    speed = world.speed()
    view.wait_caught_up()
    view.assert_exact()


def test_redis_loses_what_it_had_in_the_middle(world, view, stack):
    generate(world, 40000)
    speed = world.speed()
    wait_log(speed, "partition 3: restarted")
    for _ in range(3):
        time.sleep(0.3)
        view.redis().flushall()
    view.redis().execute_command("FUNCTION FLUSH")
    generate(world, 5000, seed=2)
    stack.restart("redis", kill=True)
    generate(world, 5000, seed=3)
    view.wait_caught_up()
    view.assert_exact()
    speed.stop()


def test_other_functions_in_the_place_of_ours(world, view):
    """A program of another build has loaded its own, which forget every other chunk. What they wrote is given up."""
    with open(os.path.join(harness.ROOT, "common", "handover.lua"), encoding="utf-8") as f:
        text = f.read()
    wrong = "for i = #chunks, 1, -2 do if chunks[i].name ~= 'c' then table.remove(chunks, i) end end"
    head = "local function flush_write(base, g, args, chunks, nxt)"
    assert head in text
    generate(world, 5000)
    speed = world.speed()
    view.wait_caught_up()
    for seed in (2, 3):
        view.redis().execute_command("FUNCTION", "LOAD", "REPLACE", text.replace(head, f"{head}\n{wrong}"))
        generate(world, 2000, seed=seed)

        def exact():
            try:
                view.assert_exact()
                return True
            except AssertionError:      # until it has been noticed
                return False
        wait_until(exact, 30, "what was written is given up")
    assert speed.text().count("in the place of ours into redis") == 2
    speed.stop()


def test_a_stopped_worker_comes_back(world, view):
    """A zombie: stopped past its session, its partitions taken over, then it goes on with what it had."""
    first = world.speed(*SOON_DEAD)
    generate(world, 5000)
    view.wait_caught_up()
    live = world.start("orders", "generate", "--rate", "2000", "--count", "40000")
    wait_until(lambda: sum(view.next(p) for p in range(world.partitions)) > 5500, 20, "speed reads them")
    with hung(first.popen.pid):
        second = world.speed()
        wait_log(second, "partition 3: same", 40)
    assert live.wait(60) == 0
    view.wait_caught_up()
    view.assert_exact()
    first.stop()
    second.stop()
    view.assert_exact()


def test_retention_took_records(world, view, stack):
    generate(world, 6000, "--days", "1")
    speed = world.speed()
    view.wait_caught_up()
    speed.stop()
    end = view.next(1)
    generate(world, 6000, "--days", "1", seed=2)
    path = world.path("delete.json")
    with open(path, "w", encoding="ascii") as out:
        json.dump({"version": 1, "partitions": [{"topic": world.topic, "partition": 1, "offset": end + 500}]}, out)
    stack.run("tool", "delete-records", "--offset-json-file", path)
    speed = world.speed()
    view.wait_caught_up()
    assert view.state(1)["lost"] == f"0:{end}-{end + 500}"
    assert view.state(0)["lost"] == ""
    assert "retention took offsets" in speed.text()
    assert view.sums()[2]["records"] == sum(view.next(p) for p in range(world.partitions)) - 500
    speed.stop()


def test_a_server_hangs(world, view, stack):
    """Redis, then Kafka stop answering: the worker goes on as far as it can, and ends in time on SIGTERM."""
    def pid(server):
        with open(os.path.join(stack.directory, f"{server}.pid"), encoding="ascii") as file:
            return int(file.readline())
    generate(world, 1000)
    speed = world.speed()
    view.wait_caught_up()
    for seed, server in enumerate(("redis", "kafka"), 2):
        with hung(pid(server)):
            time.sleep(1)                      # it has noticed, or is about to
            speed.stop()
        speed = world.speed()
        generate(world, 1000, seed=seed)
        view.wait_caught_up()
    view.assert_exact()
    with hung(pid("redis")):
        generate(world, 1000, seed=10)
        wait_log(speed, "redis does not answer")
    view.wait_caught_up()
    view.assert_exact()
    speed.stop()


def test_without_postgres_it_does_not_guess(world, view):
    postgres = world.env["LAMBDA_POSTGRES"]
    world.env["LAMBDA_POSTGRES"] = "postgresql://user:secret@127.0.0.1:1/x"
    generate(world, 100)
    speed = world.speed()
    wait_log(speed, "there is no usable state in redis")
    assert not view.state(0)
    speed.stop()
    assert "secret" not in speed.text()
    world.env["LAMBDA_POSTGRES"] = postgres
    speed = world.speed()
    view.wait_caught_up()
    speed.stop()
    world.env["LAMBDA_POSTGRES"] = "postgresql://127.0.0.1:1/x"
    generate(world, 100, seed=2)               # now the state is used as it is
    speed = world.speed()
    view.wait_caught_up()
    view.assert_exact()
    speed.stop()


def test_other_rules_start_again(world, view):
    generate(world, 3000)
    speed = world.speed()
    view.wait_caught_up()
    speed.stop()
    speed = world.speed("--grace", "1h")
    wait_log(speed, "(?s)has other rules.*speed caught up")
    view.wait_caught_up()
    view.assert_exact(grace_ms=3600000)
    speed.stop()
    view.redis().hset(view.base(0) + ":state", "fold", "k999;x")
    speed = world.speed()
    assert speed.wait(30) == 65
    assert "newer program" in speed.text()


def test_a_run_of_another_topic_is_not_adopted(world, view):
    """Somebody runs the batch with a wrong --topic into this database: its cuts are of another log."""
    generate(world, 1000)
    speed = world.speed()
    view.wait_caught_up()
    other = world.topic + "-other"
    world.kafka_admin("create_topics", [confluent_kafka.admin.NewTopic(other, world.partitions, 1)])
    world.produce([order(f"other{i}") for i in range(100)], topic=other)
    before = [view.state(p)["gens"] for p in range(world.partitions)]
    world.run_batch("--topic", other, "--seal-wait", "0s")
    assert speed.wait(20) == 65
    assert other in speed.text() and "hint" in speed.text()
    assert [view.state(p)["gens"] for p in range(world.partitions)] == before


def assert_stopped_by_another_log(speed, view, before):
    """It was noticed before anything was read of it, or the partitions have been removed with what was."""
    assert speed.wait(40) == 65
    assert "hint" in speed.text()
    after = [view.next(p) for p in range(view.world.partitions)]
    assert after in (before, [-1] * len(before))


def test_the_topic_is_made_anew_under_a_running_worker(world, view):
    generate(world, 20000)
    speed = world.speed()
    view.wait_caught_up()
    before = [view.next(p) for p in range(world.partitions)]
    world.make_topic_anew()
    generate(world, 2000, seed=2)
    assert_stopped_by_another_log(speed, view, before)


def test_the_topic_is_made_anew_and_filled_past_the_position(world, view):
    """Kafka's client reads on as if nothing had happened; a record from before, read once more, tells."""
    generate(world, 2000)
    speed = world.speed()
    view.wait_caught_up()
    world.run_batch()
    generate(world, 1000, seed=3)
    view.wait_caught_up()
    before = [view.next(p) for p in range(world.partitions)]
    world.make_topic_anew()
    generate(world, 20000, seed=2)
    assert_stopped_by_another_log(speed, view, before)
    assert world.speed().wait(20) == 65  # not read from the published cut on either
    assert world.batch("run").returncode == 65


def test_the_topic_is_made_anew_and_one_partition_notices_first(world, view):
    """The path by which it comes back finds another log, while the others have read on in it."""
    generate(world, 2000)
    speed = world.speed()
    view.wait_caught_up()
    world.run_batch()
    generate(world, 1000, seed=3)
    view.wait_caught_up()
    with hung(speed.popen.pid):
        world.make_topic_anew()
        generate(world, 20000, seed=2)
        view.redis().execute_command("FCALL", "lambda_1_drop", 1, view.base(0))
        before = [view.next(p) for p in range(world.partitions)]
    assert_stopped_by_another_log(speed, view, before)


def test_a_topic_that_is_gone_is_waited_for(world, view):
    generate(world, 2000)
    speed = world.speed("-X", "topic.metadata.refresh.interval.ms=2000")
    view.wait_caught_up()
    world.delete_topic()
    view.redis().flushall()                    # so that it has to ask Kafka where to begin
    wait_log(speed, "Unknown topic or partition")
    world.create_topic(world.partitions)
    generate(world, 1000, seed=2)
    view.wait_caught_up()
    view.assert_exact()
    speed.stop()


def test_a_cut_ahead_keeps_the_horizon(make_world):
    """A run covers what a stopped worker has not read: it reads just that again, and still knows the ids from before."""
    world = make_world(partitions=1)
    view = View(world)
    speed = world.speed("--pending-max", "1000")
    many = ("--days", "3", "--duplicates", "0.2", "--duplicate-distance", "15000")
    generate(world, 5000, *many)
    view.wait_caught_up()
    with hung(speed.popen.pid):
        generate(world, 20000, *many, seed=2)
        world.run_batch("--seal-wait", "0s")
        assert view.state(0)["gens"].endswith("1,25000,25000")
        generate(world, 5000, *many)           # known from before the cut that was ahead
        generate(world, 5000, *many, seed=2)
    view.wait_caught_up()
    read_from = int(wait_log(speed, "partition 0: .* next=25000 read_from=([0-9]*)")[1])
    assert 5000 <= read_from < 25000           # it had read up to 5000 at least; a whole horizon would begin at 0
    wanted = harness.oracle_answers(world.log_records(), rules="speed", start={0: 25000})
    chunk = view.redis().hgetall(view.base(0) + ":1:c")
    assert (int(chunk["records"]), int(chunk.get("counted", 0)), int(chunk["duplicate"])) == (10000, wanted.counted, wanted.duplicate)
    assert wanted.duplicate >= 9000
    speed.stop()
