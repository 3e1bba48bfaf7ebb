"""The odd logs that a run must read, and the ones that it must refuse."""
import decimal
import json
import time

import pytest

from harness import oracle_answers, order, wait_until


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
    world.assert_exact()
    assert world.expected().counted == 13
    world.run_batch()
    assert world.assert_exact()["batch"]["run"] == 1
    assert world.sql("SELECT first_offset, next_offset FROM lambda.cuts WHERE partition = 0") == [(0, 21)]  # 18 records, 3 markers

    producer.begin_transaction()
    producer.produce(world.topic, json.dumps(order("open")), "k", partition=0)
    producer.flush(30)
    world.produce([order("behind")], partition=0)
    world.run_batch()
    assert world.sql("SELECT next_offset FROM lambda.cuts WHERE partition = 0 AND run = 2") == [(21,)]
    producer.commit_transaction(30)
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
    world.orders("generate", "--seed", "7", "--count", "300000", "--days", "3")
    run = world.start("lambda-batch", "run", "--seal-wait", "0s")
    wait_until(lambda: world.sql("SELECT 1 FROM lambda.runs WHERE progress IS NOT NULL"), 20, "the run is at work")
    begin = time.monotonic()
    run.popen.terminate()
    assert run.wait(20) == 75 and time.monotonic() - begin < 10
    assert world.sql("SELECT state FROM lambda.runs") == [("failed",)]
