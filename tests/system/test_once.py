"""Exactly once: whatever is sent or delivered again counts once, what was aborted never, and what an open transaction holds back is
told."""
import json
import time

from test_order import metric
from harness import order, wait_until

DAY = "/v1/revenue/2026-03-01"
HOUR_MS = 3600_000
START_MS = 1_772_366_400_000    # 2026-03-01T12:00:00Z


def net(world):
    revenue = world.answer(DAY)["revenue"]
    return revenue[0]["net"] if revenue else None


class Transactions:
    """A producer that writes into partition 0 in transactions."""

    def __init__(self, world, timeout_ms=60_000):
        self.world = world
        self.producer = world.producer(**{"transactional.id": world.name, "transaction.timeout.ms": timeout_ms})
        self.producer.init_transactions(30)

    def begin(self, *events):
        """The records are in the log, their end is not."""
        self.producer.begin_transaction()
        for event in events:
            self.producer.produce(self.world.topic, json.dumps(event), "k", partition=0)
        assert self.producer.flush(30) == 0

    def commit(self):
        self.producer.commit_transaction(30)

    def abort(self):
        self.producer.abort_transaction(30)


def test_the_same_event_again(world):
    """At once, after an hour of record time, across the cut, after a restart of speed, and all of it in one log for batch."""
    again = order("again", "3.00")
    speed = world.speed()
    world.serving()

    def send(hours, *events):
        world.produce(list(events), partition=0, timestamp=START_MS + hours * HOUR_MS)
        world.wait_caught_up()
    send(0, again, again)
    send(1, again, order("other", "1.00"))
    world.assert_exact()
    assert net(world) == "4.00" and world.answer(DAY)["speed"]["duplicates"] == 2
    world.run_batch()
    wait_until(lambda: world.answer(DAY)["batch"], 20, "the run is used")
    send(2, again)                                      # across the cut: the first one is in the batch view
    wait_until(lambda: world.answer(DAY)["speed"]["duplicates"] == 1, 10, lambda: world.answer(DAY))
    world.assert_exact()
    assert world.answer(DAY)["revenue"][0]["provisional"]["net"] == "0.00"
    speed.stop()
    send_while_away = [again, order("third", "2.00"), again]
    world.produce(send_while_away, partition=0, timestamp=START_MS + 3 * HOUR_MS)
    speed = world.speed()                               # a new owner: it reads its horizon from the log
    world.assert_exact()
    assert net(world) == "6.00"
    speed.kill()
    world.stack.redis().flushall()
    world.speed()
    send(23, again)                                     # the last one was less than --horizon ago
    world.assert_exact()
    world.run_batch()
    world.assert_exact()
    assert net(world) == "6.00"
    assert world.answer(DAY)["corrections"] == []       # speed said the same all the time
    assert world.sql("SELECT records, counted, duplicate FROM lambda.runs WHERE run = 2") == [(9, 3, 6)]


def test_delivered_again(world):
    """Speed dies with records that it has counted but not flushed, or flushed but not committed: Kafka delivers them again."""
    world.serving()
    live = world.start("orders", "generate", "--rate", "3000", "--count", "30000")
    for _ in range(4):
        speed = world.speed("-X", "session.timeout.ms=6000")
        wait_until(lambda: "folding" in speed.text() or "partition 3: " in speed.text(), 30, speed.text)
        reached = metric(world, "coverage_offset", 0) or 0
        wait_until(lambda: (metric(world, "coverage_offset", 0) or 0) > reached or not live.running(), 30, "speed counts")
        speed.kill()
    world.speed()
    assert live.wait(60) == 0
    world.assert_exact(seconds=60)


def test_aborted_transactions_never_count(world):
    world.speed()
    world.serving()
    transactions = Transactions(world)
    for n in range(5):
        transactions.begin(order(f"aborted{n}", "100.00"), order("twice", "1.00"))
        transactions.abort()
        transactions.begin(order(f"committed{n}", "1.00"))
        transactions.commit()
    world.assert_exact()
    assert net(world) == "5.00"
    world.run_batch()
    world.assert_exact()
    world.produce([order("twice", "1.00")], partition=0)        # what was aborted does not occupy its id
    world.assert_exact()
    assert net(world) == "6.00"


def test_an_open_transaction_is_told(world):
    """Not as lag, for nobody can do anything about it, but as what it is; and the caveat says so once it lasts."""
    world.speed()
    world.serving()
    world.produce([order("before", "1.00")], partition=0)
    world.assert_exact()
    wait_until(lambda: world.answer(DAY)["speed"]["held_events"] == 0, 10, lambda: world.answer(DAY))       # with the first heartbeat
    transactions = Transactions(world)
    for end, total in ((transactions.commit, "16.00"), (transactions.abort, "26.00")):
        transactions.begin(order(f"open {total}", "5.00"))
        world.produce([order(f"behind {total}", "10.00")], partition=0)
        world.produce([order(f"elsewhere {total}", "0.00")], partition=1)       # other partitions are not held back
        wait_until(lambda: world.answer(DAY)["speed"]["held_events"] == 2, 10, lambda: world.answer(DAY))
        answer = world.answer(DAY)
        assert answer["speed"]["lag_events"] == 0
        wait_until(lambda: "open transaction has held back 2 records" in (world.answer(DAY)["caveat"] or ""), 15, lambda: world.answer(DAY))
        assert metric(world, "partition_held_events", 0) == metric(world, "held_events") == 2
        assert metric(world, "partition_held_events", 1) == 0 and metric(world, "held_seconds") > 5
        end()
        wait_until(lambda: net(world) == total, 10, lambda: world.answer(DAY))
        wait_until(lambda: world.answer(DAY)["speed"]["held_events"] == 0, 10, lambda: world.answer(DAY))
        assert "transaction" not in (world.answer(DAY)["caveat"] or "")
        world.assert_exact()


def test_a_busy_log_holds_nothing_back(world):
    """Records that are on their way look like held ones for a moment: that is never told."""
    world.speed()
    world.serving()
    live = world.start("orders", "generate", "--rate", "5000", "--count", "40000")
    told = set()
    while live.running():
        told.add(world.answer(DAY)["speed"]["held_events"])
        time.sleep(0.05)
    assert live.wait(10) == 0
    world.assert_exact()
    assert told <= {0, None}


def test_batch_beside_a_hung_transaction(world):
    """A producer that began and is never heard of again: a run ends below it, the next one has what Kafka then lets go."""
    world.speed()
    world.serving()
    wait_until(lambda: (world.answer(DAY)["speed"] or {}).get("held_events") == 0, 20, lambda: world.answer(DAY))   # with the first heartbeat
    transactions = Transactions(world, timeout_ms=15_000)
    world.produce([order("before", "1.00")], partition=0)
    transactions.begin(order("hung", "100.00"))
    world.produce([order(f"behind{n}", "1.00") for n in range(9)], partition=0)
    begin = time.monotonic()
    world.run_batch()
    assert time.monotonic() - begin < 10                # it waits neither for the producer nor for speed
    assert world.sql("SELECT next_offset FROM lambda.cuts WHERE partition = 0 AND run = 1") == [(1,)]
    wait_until(lambda: world.answer(DAY)["speed"]["held_events"] == 10, 10, lambda: world.answer(DAY))
    assert net(world) == "1.00"
    wait_until(lambda: net(world) == "10.00", 60, lambda: world.answer(DAY))    # Kafka has aborted it, and looks every 10 s
    world.run_batch()
    world.assert_exact()
    assert net(world) == "10.00" and world.answer(DAY)["corrections"] == []
