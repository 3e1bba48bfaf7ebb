"""Out of order: every event lands in the minute in which it happened, and what is believed to be complete is told per partition."""
import json
import re

from harness import oracle, order, wait_until

DAY = "2026-03-01"


def ms(time):
    return oracle.parse_time(f"{DAY}T{time}Z")


def seconds(time):
    return ms(time) / 1000


def send(world, event_id, time, partition=0, arrived=None, amount="1.00", date=DAY):
    """An event of that time, whose record says that it arrived then, or at another time."""
    world.produce([order(event_id, amount, f"{date}T{time}Z")], partition=partition, timestamp=ms(arrived or time))


def metric(world, name, partition=None):
    """None: it is not there."""
    label = "" if partition is None else f'{{partition="{partition}"}}'
    found = re.search(f"^lambda_serving_{name}{re.escape(label)} (\\S+)$", world.get("/metrics")[2].decode(), re.M)
    return float(found[1]) if found else None


def wait_metric(world, value, *which):
    wait_until(lambda: metric(world, *which) == value, 20, lambda: f"{which} is {metric(world, *which)}, not {value}")


def minutes_in_redis(world, partition, time):
    """{minute: orders} of an hour, of generation 0."""
    values = world.stack.redis().hgetall(f"{world.name}:{{{world.topic}/{partition}}}:0:r:{ms(time) // 3600000}")
    return {int(field[:2]): int(value) for field, value in values.items() if field[5:] == b"o"}


def test_an_event_lands_in_its_own_minute(world):
    """One of 10:00 that arrives at 10:05, after one of 10:02, is of 10:00."""
    world.speed()
    world.serving()
    send(world, "first", "10:02:00", amount="2.00")
    send(world, "second", "10:05:00", amount="5.00")
    send(world, "early", "10:00:00", arrived="10:05:01", amount="10.00")
    send(world, "hour before", "09:59:59.999", arrived="10:05:02", amount="0.50")
    send(world, "day before", "23:59:59.999", arrived="10:05:03", amount="0.25", date="2026-02-28")
    world.assert_exact()
    assert world.answer(f"/v1/revenue/{DAY}")["revenue"][0]["net"] == "17.50"
    assert world.answer("/v1/revenue/2026-02-28")["revenue"][0]["net"] == "0.25"
    assert minutes_in_redis(world, 0, "10:00:00") == {0: 1, 2: 1, 5: 1}
    assert minutes_in_redis(world, 0, "09:00:00") == {59: 1}
    wait_metric(world, seconds("10:05:00"), "partition_latest_event_seconds", 0)   # those that came after it did not set it back
    wait_metric(world, seconds("09:35:00"), "partition_final_seconds", 0)          # --grace is half an hour
    world.run_batch()
    rows = world.sql("SELECT to_char(minute AT TIME ZONE 'UTC', 'HH24:MI'), net_e4 FROM "
                     "(SELECT minute, gross_e4 - refunds_e4 AS net_e4 FROM lambda.revenue_minutes) m ORDER BY minute")
    assert rows == [("23:59", 2500), ("09:59", 5000), ("10:00", 100000), ("10:02", 20000), ("10:05", 50000)]
    world.assert_exact()


def test_an_idle_partition_does_not_hold_the_watermark(make_world):
    world = make_world(partitions=2)
    world.speed()
    world.serving("--idle", "3s")
    send(world, "a", "09:00:00", partition=1)
    wait_metric(world, seconds("09:00:00"), "partition_latest_event_seconds", 1)
    n = 0

    def busy(watermark, idle, other=None):
        """Keeps partition 0 busy until both are so; partition 1 too, with events of the time `other`."""
        nonlocal n
        n += 1
        send(world, f"b{n}", "12:00:00")
        if other:
            send(world, f"c{n}", other, partition=1)
        return metric(world, "watermark_seconds") == watermark and metric(world, "partition_idle", 1) == idle
    wait_until(lambda: busy(seconds("09:00:00"), 0, "09:00:00"), 15, lambda: world.get("/metrics")[2])
    wait_until(lambda: busy(seconds("12:00:00"), 1), 15, lambda: world.get("/metrics")[2])
    assert world.answer(f"/v1/revenue/{DAY}")["watermark"] == f"{DAY}T12:00:00.000Z"
    # it wakes up: what it has is looked at again
    wait_until(lambda: busy(seconds("10:00:00"), 0, "10:00:00"), 15, lambda: world.get("/metrics")[2])
    world.assert_exact()


def test_an_event_of_the_future_does_not_move_event_time(world):
    """More than --max-skew (10 min) ahead of its record: counted where it says that it is, and nothing becomes late by it."""
    world.speed()
    world.serving()
    send(world, "now", "10:00:00")
    send(world, "within", "10:10:00", arrived="10:00:01")      # 9 min 59 s ahead
    send(world, "beyond", "23:00:00", arrived="10:00:02", amount="7.00")
    send(world, "after", "10:00:30")
    world.assert_exact()
    assert minutes_in_redis(world, 0, "23:00:00") == {0: 1}
    wait_metric(world, seconds("10:10:00"), "partition_latest_event_seconds", 0)
    assert metric(world, "late_events") == 0
    assert world.answer(f"/v1/late?date={DAY}")["late"] == []
    world.run_batch()
    assert world.sql("SELECT gross_e4 FROM lambda.revenue_minutes WHERE minute = %s", f"{DAY}T23:00:00Z") == [(70000,)]
    assert world.sql("SELECT late FROM lambda.runs") == [(0,)]
    world.assert_exact()


def test_metrics_per_partition(make_world):
    """Lag, late and duplicate events are told, and begin anew with the next cut."""
    world = make_world(partitions=2)
    speed = world.speed()
    world.serving()
    send(world, "a", "12:00:00")
    send(world, "a", "12:00:00")
    send(world, "late", "08:00:00", arrived="12:00:01")
    world.produce([b"broken"], partition=1)
    world.assert_exact()
    for name in ("late_events", "duplicate_events", "rejected_events"):
        wait_metric(world, 1, name)
    assert metric(world, "partition_latest_event_seconds", 1) is None   # none of its events is in the numbers
    for partition in (0, 1):
        wait_metric(world, 0, "partition_lag_events", partition)
        wait_metric(world, 0, "partition_held_events", partition)
    world.run_batch()
    wait_until(lambda: world.answer(f"/v1/revenue/{DAY}")["batch"], 20, "the run is used")
    for name in ("late_events", "duplicate_events", "rejected_events"):
        wait_metric(world, 0, name)
    speed.kill()
    wait_until(lambda: metric(world, "partition_lag_events", 0) is None, 20, "a silent speed has no lag")
    assert json.loads(world.get(f"/v1/revenue/{DAY}")[2])["speed"]["lag_events"] is None
