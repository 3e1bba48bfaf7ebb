"""The odd logs that a run must read, and the ones that it must refuse."""
import decimal
import json
import time

import confluent_kafka
import pytest

from harness import Held, oracle_answers, order, wait_until

SLOWLY = ("-X", "fetch.message.max.bytes=1000", "-X", "queued.min.messages=1")  # reading: some thousand records per second


def log_ends_at(world, end, partition=0):
    """Its transactions have ended: a marker is written after commit or abort has returned."""
    reader = confluent_kafka.Consumer({"bootstrap.servers": world.stack.env["LAMBDA_BROKERS"], "group.id": "system-tests-reader",
                                       "isolation.level": "read_committed"})

    def is_at():
        return reader.get_watermark_offsets(confluent_kafka.TopicPartition(world.topic, partition), 30)[1]
    wait_until(lambda: is_at() == end, 30, lambda: f"the log ends at {is_at()}, not {end}")
    reader.close()


def test_markers_aborted_transactions_and_an_open_one(world):
    """Transaction markers take offsets, aborted records never count, an open transaction holds back what lies behind it."""
    world.speed()
    world.serving()
    producer = world.producer(**{"transactional.id": world.name})
    producer.init_transactions(30)

    def transaction(prefix, n, end):
        producer.begin_transaction()
        for i in range(n):
            producer.produce(world.topic, json.dumps(order(f"{prefix}{i}")), "k", partition=0)
        producer.flush(30)
        end()
    transaction("committed", 10, lambda: producer.commit_transaction(30))
    transaction("aborted", 5, lambda: producer.abort_transaction(30))
    transaction("again", 3, lambda: producer.commit_transaction(30))
    log_ends_at(world, 21)  # 18 records, 3 markers
    world.assert_exact()
    assert world.expected().counted == 13
    world.run_batch()
    served(world, 1)
    world.assert_exact()
    assert world.sql("SELECT first_offset, next_offset FROM lambda.cuts WHERE partition = 0") == [(0, 21)]

    producer.begin_transaction()
    producer.produce(world.topic, json.dumps(order("open")), "k", partition=0)
    producer.flush(30)
    world.produce([order("behind")], partition=0)
    world.run_batch()
    assert world.sql("SELECT next_offset FROM lambda.cuts WHERE partition = 0 AND run = 2") == [(21,)]
    producer.commit_transaction(30)
    log_ends_at(world, 24)
    world.assert_exact()
    assert world.expected().counted == 15


def test_an_empty_topic_then_an_empty_partition(world):
    world.speed()
    world.serving()
    world.run_batch()
    wait_until(lambda: world.answer("/v1/revenue/today")["batch"], 10, "the empty run is served")
    assert world.answer("/v1/revenue/today")["revenue"] == []
    world.produce([order("a"), order("b")], partition=2)
    world.assert_exact()
    world.run_batch()
    world.assert_exact()
    assert world.sql("SELECT partition, next_offset FROM lambda.cuts WHERE run = 2 ORDER BY 1") == [(0, 0), (1, 0), (2, 2), (3, 0)]


def test_a_partition_added_since_the_last_run(world):
    world.speed("-X", "topic.metadata.refresh.interval.ms=1000")  # how soon a client learns of a new partition
    world.serving()
    world.produce([order(f"a{i}") for i in range(100)])
    world.assert_exact()
    world.run_batch()
    world.add_partitions(6)
    world.produce([order(f"b{i}") for i in range(50)], partition=5)
    world.assert_exact()
    world.run_batch()
    world.assert_exact()
    assert len(world.sql("SELECT 1 FROM lambda.cuts WHERE run = 2")) == 6


def test_without_redis_and_without_speed(world, stack):
    world.produce([order(f"a{i}") for i in range(100)])
    stack.stop("redis")
    try:
        world.run_batch()
    finally:
        stack.start("redis")
    assert world.sql("SELECT sealed FROM lambda.runs") == [(False,)]
    world.serving()
    assert world.served_days("2026-03-01", "2026-03-01")[0][("2026-03-01", "GBP")]["orders"] == 100
    world.speed()
    world.produce([order(f"b{i}") for i in range(100)])
    world.assert_exact()


def test_speed_far_behind_is_overtaken_by_an_unsealed_cut(world):
    """Speed has counted a part, then stops; batch cuts at the log's end; speed comes back and goes on at the cut."""
    speed = world.speed()
    world.serving()
    world.produce([order(f"a{i}") for i in range(100)])
    world.assert_exact()
    speed.kill()
    world.produce([order(f"b{i}") for i in range(100)])
    world.run_batch("--seal-wait", "1s")
    world.assert_exact()
    world.speed()
    world.produce([order(f"c{i}") for i in range(100)])
    world.assert_exact()
    assert world.answer("/v1/revenue/2026-03-01")["revenue"][0]["provisional"]["net"] == "1000.00"


def test_a_log_that_lost_its_beginning(world):
    world.produce([order(f"a{i}") for i in range(10)], partition=0)
    world.produce([order(f"b{i}") for i in range(10)], partition=1)
    world.stack.run("tool", "delete-records", *delete_records_file(world, {0: 4}))
    done = world.batch("run")
    assert done.returncode == 65, done.stdout
    assert "allow-truncated-history" in done.stdout
    world.run_batch("--allow-truncated-history")
    world.serving()
    answer = world.answer("/v1/revenue/2026-03-01")
    assert answer["revenue"][0]["orders"] == 16 and "truncated_history" in answer["degraded"]


def delete_records_file(world, below):
    path = world.path("delete.json")
    with open(path, "w", encoding="ascii") as out:
        out.write(json.dumps({"version": 1, "partitions": [{"topic": world.topic, "partition": p, "offset": o} for p, o in below.items()]}))
    return "--offset-json-file", path


def test_duplicates_in_bounded_memory(world):
    """1 MiB holds a small part of the facts of this log; the rest goes to disk, and the result is the same."""
    world.orders("generate", "--seed", "8", "--count", "60000", "--days", "3", "--duplicates", "0.2", "--duplicate-distance", "50000")
    world.run_batch("--memory", "1MiB", "--spill-dir", world.directory)
    answers = oracle_answers(world.log_records())
    world.serving()
    world.assert_exact(expected=answers)
    assert world.sql("SELECT counted, duplicate FROM lambda.runs") == [(answers.counted, answers.duplicate)]
    rows = world.sql("SELECT day::text, currency, sku, net::text, units FROM revenue.top_products")
    assert {(day, currency, sku): (decimal.Decimal(net), units) for day, currency, sku, net, units in rows} == \
        {key: (p.net, p.units) for key, p in answers.products.items() if p.lines}


def test_the_same_log_gives_the_same_rows(world):
    world.orders("generate", "--seed", "9", "--count", "20000", "--days", "2", "--duplicates", "0.05", "--broken", "0.01")
    world.run_batch("--readers", "1")
    world.run_batch("--readers", "4", "--memory", "1MiB")
    for table in ("revenue_minutes", "revenue_days", "product_days", "product_names"):
        assert world.sql(f"SELECT count(*) FROM (SELECT to_jsonb(t) - 'run' FROM lambda.{table} t GROUP BY 1 HAVING count(*) <> 2) differ") == [(0,)]


def test_views_for_bi_are_read_by_the_reader_role_only_through_revenue(world):
    world.produce([order("a", "12.345")])
    world.run_batch()
    assert world.sql("SELECT net::text, orders FROM revenue.daily") == [("12.3450", 1)]
    assert world.sql("SELECT sum(net)::text FROM revenue.hourly") == [("12.3450",)]
    assert world.sql("SELECT run, records FROM revenue.freshness") == [(1, 1)]
    assert world.sql("SET ROLE revenue_reader; SELECT count(*) FROM revenue.top_products") == [(1,)]
    with pytest.raises(Exception, match="permission denied"):
        world.sql("SET ROLE revenue_reader; SELECT * FROM lambda.runs")


def test_migrations_are_repeatable_beside_running_programs(world):
    world.speed()
    world.serving()
    for _ in range(3):
        assert world.batch("migrate").returncode == 0
    world.produce([order("a")])
    world.assert_exact()


def test_sigterm_stops_a_run_cleanly(world):
    world.orders("generate", "--seed", "7", "--count", "100000", "--days", "3")
    run = world.start("lambda-batch", "run", "--seal-wait", "0s", *SLOWLY)
    wait_until(lambda: world.sql("SELECT 1 FROM lambda.runs WHERE progress IS NOT NULL"), 20, "the run is at work")
    begin = time.monotonic()
    run.popen.terminate()
    assert run.wait(20) == 75 and time.monotonic() - begin < 10
    assert world.sql("SELECT state FROM lambda.runs") == [("failed",)]


def served(world, run):
    """The answers come from that run by now. Exact they are before and after."""
    wait_until(lambda: (world.answer("/v1/revenue/today")["batch"] or {"run": 0})["run"] == run, 20, f"run {run} is served")


def slow_log(world):
    """A log that takes a run that reads SLOWLY many seconds, with what it must add up to."""
    world.orders("generate", "--seed", "11", "--count", "60000", "--days", "3", "--duplicates", "0.01", "--duplicate-distance", "200")
    return world.expected()


def waits_for_a_lock(world):
    return world.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'lambda-batch' AND wait_event_type = 'Lock' "
                     "AND datname = current_database()")


def at_phase(world, phase):
    return world.sql("SELECT 1 FROM lambda.runs WHERE state = 'running' AND progress->>'phase' = %s", phase)


@pytest.mark.parametrize("phase", ("reading", "copying"))
def test_postgres_restarts_in_the_middle_of_a_run(world, stack, phase):
    """The run goes on, or ends and says so; what is served stays exact, and so is the next run."""
    world.speed()
    world.serving()
    answers = slow_log(world)
    world.assert_exact(expected=answers, seconds=60)
    held = Held(world, "LOCK TABLE lambda.product_names") if phase == "copying" else None
    run = world.start("lambda-batch", "run", *(SLOWLY if phase == "reading" else ()))
    wait_until(lambda: at_phase(world, phase) and (not held or waits_for_a_lock(world)), 30, lambda: f"{phase}: {run.text()}")
    if held:
        held.free()
    stack.restart("postgres", kill=phase == "copying")
    assert run.wait(60) in (0, 69, 75), run.text()
    world.assert_exact(expected=answers)
    world.run_batch()
    assert world.sql("SELECT count(*) FROM lambda.runs WHERE state = 'running'") == [(0,)]
    served(world, world.sql("SELECT max(run) FROM lambda.runs")[0][0])
    world.assert_exact(expected=answers)


def test_the_session_of_the_lock_is_lost_while_waiting_for_speed(world):
    """Postgres forgets the run's session before its cut is written down: the run takes the lock again."""
    speed = world.speed()
    world.serving()
    world.produce([order(f"a{i}") for i in range(20)])
    world.assert_exact()
    wait_until(lambda: len(world.stack.redis().keys(f"{world.name}:{{*}}:beat")) == 4, 10, "the heart beats: a run waits for it")
    speed.kill()
    world.produce([order("b")])
    run = world.start("lambda-batch", "run", "--seal-wait", "3s")
    wait_until(lambda: "waiting for speed" in run.text(), 20, run.text)
    assert world.sql("SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
                     "WHERE l.locktype = 'advisory' AND d.datname = current_database()") == [(True,)]
    assert run.wait(60) == 0, run.text()
    assert world.sql("SELECT state, records, sealed FROM lambda.runs") == [("published", 21, False)]


def test_the_answer_to_commit_is_lost(world):
    """COMMIT waits for a standby that is not there, and its session is ended meanwhile: committed, but nobody was told."""
    world.speed()
    world.serving()
    world.produce([order(f"a{i}") for i in range(500)])
    world.assert_exact()
    held = Held(world, "LOCK TABLE lambda.published IN EXCLUSIVE MODE")
    run = world.start("lambda-batch", "run", "--log-level", "debug")
    wait_until(lambda: waits_for_a_lock(world), 30, lambda: run.text())
    with world.admin_sql() as cursor:
        def standby(name):
            cursor.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
            cursor.execute("SELECT pg_reload_conf()")
        standby("nobody")
        try:
            held.free()
            waiting = wait_until(lambda: world.sql("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query = 'COMMIT' "
                                                   "AND application_name = 'lambda-batch'"), 30, lambda: run.text())
            cursor.execute("SELECT pg_terminate_backend(%s)", waiting[0])
            wait_until(lambda: "looking whether it was published" in run.text(), 30, lambda: run.text())
        finally:
            standby("")
    assert run.wait(60) == 0, run.text()
    assert world.sql("SELECT publication, run FROM lambda.published") == [(1, 1)]
    assert world.sql("SELECT state FROM lambda.runs") == [("published",)]
    served(world, 1)
    world.assert_exact()


def test_a_pointer_that_somebody_holds_for_a_while(world):
    world.produce([order("a")])
    held = Held(world, "LOCK TABLE lambda.published IN EXCLUSIVE MODE")
    run = world.start("lambda-batch", "run", "--seal-wait", "0s")
    wait_until(lambda: "trying again" in run.text(), 30, lambda: run.text())
    held.free()
    assert run.wait(60) == 0, run.text()
    held = Held(world, "LOCK TABLE lambda.published IN EXCLUSIVE MODE")
    done = world.batch("run", "--seal-wait", "0s", "--connect-wait", "2s")
    assert done.returncode == 75 and "pg_locks" in done.stdout, done.stdout
    held.free()
    assert world.sql("SELECT run, state FROM lambda.runs ORDER BY run") == [(1, "published"), (2, "failed")]
    world.run_batch("--seal-wait", "0s")


@pytest.mark.parametrize("moment", ("sealed", "reading", "copying", "stored"))
def test_a_run_killed_between_seal_and_publish(world, stack, moment):
    """The generations go on from the published run, whichever of its steps the killed one had done."""
    world.speed()
    world.serving()
    world.produce([order(f"a{i}") for i in range(200)])
    world.assert_exact()
    world.run_batch()
    served(world, 1)
    answers = slow_log(world)
    world.assert_exact(expected=answers, seconds=60)
    locks = {"copying": "LOCK TABLE lambda.product_names", "stored": "LOCK TABLE lambda.published IN EXCLUSIVE MODE"}
    held = Held(world, locks[moment]) if moment in locks else None
    state = f"{world.name}:{{{world.topic}/0}}:state"
    reached = {"sealed": lambda: b"2," in (stack.redis().hget(state, "gens") or b""), "reading": lambda: at_phase(world, "reading"),
               "copying": lambda: waits_for_a_lock(world), "stored": lambda: waits_for_a_lock(world)}
    run = world.start("lambda-batch", "run", *(SLOWLY if moment in ("sealed", "reading") else ()))
    wait_until(reached[moment], 30, lambda: f"{moment}: {run.text()}")
    run.kill()
    if held:
        held.free()
    world.wait_batch_gone()
    assert world.assert_exact(expected=answers)["batch"]["run"] == 1
    world.produce([order(f"b{i}") for i in range(200)])
    answers = world.expected()
    assert world.assert_exact(expected=answers)["batch"]["run"] == 1
    world.run_batch()
    served(world, 3)
    wait_until(lambda: world.assert_exact(expected=answers)["degraded"] == [], 30, lambda: world.assert_exact(expected=answers))
    assert world.sql("SELECT state FROM lambda.runs ORDER BY run") == [("published",), ("failed",), ("published",)]
    assert world.sql("SELECT count(*) FROM lambda.corrections") == [(0,)]
    assert world.sql("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE '%%\\_r2'") == [(0,)]


def test_a_run_that_was_taken_for_dead_does_not_publish(world):
    """Its session with the lock was lost, and another run began: that one drops the tables of those before it."""
    world.produce([order("a")])
    held = Held(world, "LOCK TABLE lambda.published IN EXCLUSIVE MODE")
    run = world.start("lambda-batch", "run", "--seal-wait", "0s")
    wait_until(lambda: waits_for_a_lock(world), 30, lambda: run.text())
    world.sql("UPDATE lambda.runs SET state = 'failed', message = 'its process ended before it did'")
    held.free()
    assert run.wait(60) == 75, run.text()
    assert world.sql("SELECT count(*) FROM lambda.published") == [(0,)]
    world.run_batch("--seal-wait", "0s")


def test_a_base_of_a_newer_kernel_is_refused(world):
    world.produce([order("a")])
    world.run_batch("--seal-wait", "0s")
    world.sql("UPDATE lambda.runs SET fold_version = replace(fold_version, 'k1;', 'k2;')")
    done = world.batch("run", "--seal-wait", "0s")
    assert done.returncode == 65 and "newer" in done.stdout, done.stdout


def test_state_of_a_topic_that_was_made_anew_before_the_first_run(world):
    """Cluster and topic have the old names, but the speed view is of a log that is gone. Batch does not depend on it."""
    world.speed()
    world.serving()
    world.produce([order(f"a{i}") for i in range(20)], partition=0)
    world.assert_exact()
    for process in world.processes:
        process.kill()
    world.make_topic_anew()
    world.produce([order(f"b{i}") for i in range(5)], partition=0)
    done = world.run_batch("--connect-wait", "5s")
    assert "another log" in done.stdout, done.stdout
    world.speed()
    world.serving()
    world.produce([order(f"c{i}") for i in range(5)])
    world.assert_exact()


def test_a_log_that_ends_in_an_aborted_transaction(world):
    """No record stands at the end that the run must reach."""
    producer = world.producer(**{"transactional.id": world.name})
    producer.init_transactions(30)
    world.produce([order("a")], partition=0)
    for _ in range(2):
        producer.begin_transaction()
        for i in range(5):
            producer.produce(world.topic, json.dumps(order(f"aborted{i}")), "k", partition=0)
        producer.flush(30)
        producer.abort_transaction(30)
    log_ends_at(world, 13)
    for n in (1, 2):
        world.run_batch("--seal-wait", "0s", "--connect-wait", "5s")
        assert world.sql("SELECT next_offset FROM lambda.cuts WHERE partition = 0 AND run = %s", n) == [(13,)]
    world.serving()
    world.assert_exact()


def test_records_without_key_value_or_time(world):
    """A timestamp of -1 is the earliest of all; of two partitions the one with it counts."""
    world.produce([(None, None), (b"k", None), (None, b""), (b"", b"{}")], partition=0)
    world.produce([order("twin", "1.00")], partition=0, timestamp=1_780_000_000_000)
    world.produce([order("twin", "2.00"), order("none", "4.00")], partition=1, timestamp=-1)
    world.run_batch("--seal-wait", "0s", "--readers", "64")
    assert world.sql("SELECT records, counted, duplicate, rejected FROM lambda.runs") == [(7, 2, 1, 4)]
    world.serving()
    world.assert_exact()
    assert world.sql("SELECT net::text FROM revenue.daily") == [("6.0000",)]
