"""A producer that is faster than speed: the backlog stays in Kafka, speed's memory under its bound, the answers tell the lag, and a
second process takes its share."""
import contextlib
import os
import re
import sys
import threading
import time

import pytest
from harness import ROOT, SANITIZED, free_port, wait_until

sys.path.insert(0, os.path.join(ROOT, "tests", "faults"))
import proxy as proxies  # noqa: E402

DAY = "/v1/revenue/today"
MIB = 1 << 20
TOTAL = 320_000
PARTITIONS = 4
HORIZON, PENDING, FETCHED_KIB, FETCH_BYTES, FETCHED = 20000, 2000, 8192, 262144, 10000
SETTINGS = ("--horizon-records", str(HORIZON), "--pending-max", str(PENDING), "-X", f"queued.max.messages.kbytes={FETCHED_KIB}",
            "-X", f"queued.min.messages={FETCHED}", "-X", f"fetch.message.max.bytes={FETCH_BYTES}")


def places(records):
    """The horizon's places: a power of two."""
    return 1 << (records + 48000 - 1).bit_length()


def bound():
    """docs/speed.md, Memory. None of it depends on how much waits."""
    return (40 * MIB + PARTITIONS * (8 * MIB + 64 * places(HORIZON)) + 2 * (FETCHED_KIB * 1024 + PARTITIONS * FETCH_BYTES)
            + 1024 * (FETCHED + PENDING))


def resident(process):
    with open(f"/proc/{process.popen.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


class Sampler(threading.Thread):
    """The greatest resident size of some processes, and lag over time."""

    def __init__(self, world, *speeds):
        super().__init__(daemon=True)
        self.world, self.speeds, self.greatest, self.lags, self.going = world, list(speeds), 0, [], True

    def run(self):
        while self.going:
            for speed in self.speeds:
                with contextlib.suppress(StopIteration, FileNotFoundError):
                    self.greatest = max(self.greatest, resident(speed))
            self.lags.append((time.monotonic(), self.world.answer(DAY)["speed"]["lag_events"]))
            time.sleep(0.2)

    def finish(self):
        self.going = False
        self.join()


def owners(world):
    """Whose heartbeat each partition has."""
    redis = world.stack.redis()
    return [redis.hget(f"{world.name}:{{{world.topic}/{p}}}:beat", "worker") for p in range(PARTITIONS)]


def coverage(world):
    """{partition: offset up to which the answers have it}; the log has no markers, so these are records."""
    return {int(p): int(n) for p, n in re.findall(rb'^lambda_serving_coverage_offset{partition="(\d+)"} (\d+)$', world.get("/metrics")[2], re.M)}


def covered(world):
    return sum(coverage(world).values())


def every_partition_moves(world):
    before = coverage(world)
    wait_until(lambda: all(n > before[p] for p, n in coverage(world).items()), 60, lambda: f"{before}, now {coverage(world)}")


@pytest.fixture
def slow(world):
    """Redis as speed sees it: each piece of data takes 300 ms."""
    through = proxies.Proxies()
    port = free_port()
    redis = through.add(port, int(world.stack.env["LAMBDA_REDIS"].rsplit(":", 1)[1].split("/")[0]))
    direct = world.env["LAMBDA_REDIS"]
    world.serving()
    world.env["LAMBDA_REDIS"] = direct.replace(f":{redis.target}", f":{port}")
    redis.set(delay_s=0.3)
    yield redis
    redis.set(proxies.CUT)
    through.close()


@pytest.mark.skipif(SANITIZED, reason="a bound of memory")
def test_the_backlog_stays_in_kafka(world, slow):
    first = world.speed(*SETTINGS)
    wait_until(lambda: all(owners(world)), 30, "speed has the partitions")
    sampler = Sampler(world, first)
    sampler.start()
    begin = time.monotonic()
    live = world.start("orders", "generate", "--rate", "10000", "--count", str(TOTAL))
    assert live.wait(120) == 0
    assert time.monotonic() - begin > 30

    def lag():
        return world.answer(DAY)["speed"]["lag_events"]
    wait_until(lambda: (n := lag()) is not None and abs(n + covered(world) - TOTAL) < 5000, 30,     # two questions: not of one moment
               lambda: f"lag {lag()} and {covered(world)} counted are not {TOTAL}")
    answer = wait_until(lambda: (a := world.answer(DAY))["speed"]["lag_events"] is not None and a, 30, lambda: world.answer(DAY))
    backlog = answer["speed"]["lag_events"]
    assert backlog > TOTAL / 3, answer
    assert answer["speed"]["lag_seconds"] > 5 and f"behind: {backlog} orders wait" in answer["caveat"]
    assert sampler.greatest < bound(), f"{sampler.greatest / MIB:.1f} MiB, bound {bound() / MIB:.1f}"

    def rate():
        """Events per second that are counted: of 20,000 at least, once all partitions are on their way."""
        for _ in range(2):
            every_partition_moves(world)
        before, since = covered(world), time.monotonic()
        n = wait_until(lambda: (n := covered(world) - before) >= 20000 and n, 120, "20,000 events")
        return n / (time.monotonic() - since)
    alone = rate()
    second = world.speed(*SETTINGS)
    sampler.speeds.append(second)
    joined = time.monotonic()
    wait_until(lambda: sorted(map(owners(world).count, set(owners(world)))) == [2, 2], 20, lambda: owners(world))
    shared = time.monotonic() - joined
    together = rate()
    assert together > alone > 0
    wait_until(lambda: (n := lag()) is not None and n < backlog, 30, "the lag falls")
    slow.set(delay_s=0)
    world.wait_caught_up(60)
    sampler.finish()
    print(f"greatest {sampler.greatest / MIB:.1f} MiB, bound {bound() / MIB:.1f}; backlog {backlog}; shared after {shared:.1f} s; "
          f"alone {alone:.0f}/s, together {together:.0f}/s")
    assert sampler.greatest < bound(), f"{sampler.greatest / MIB:.1f} MiB, bound {bound() / MIB:.1f}"
    world.assert_exact(60)


@pytest.mark.skipif(SANITIZED, reason="a bound of memory")
def test_redis_hangs_while_orders_come(world, slow):
    """Speed takes what it may have pending, and no more: then it waits."""
    speed = world.speed(*SETTINGS)
    slow.set(delay_s=0)
    world.orders("generate", "--seed", "1", "--count", "1000")
    world.wait_caught_up()
    before = resident(speed)
    slow.set(proxies.HANG)
    world.orders("generate", "--seed", "2", "--count", "300000")
    wait_until(lambda: "redis does not answer" in speed.text(), 30, speed.text)
    assert before <= resident(speed) < bound()
    slow.set()
    world.assert_exact(60)
    assert resident(speed) < bound()
