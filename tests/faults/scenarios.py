"""Faults after which a world is not the same any more; each has one of its own. The right outcome is not an exact total but a plain
word: which offsets are missing, or that this is another log. A function is given the nemesis and returns when all was as it must be;
what was not is a violation."""
import json
import os
import subprocess
import time

from place import harness

SCENARIOS = {}
YESTERDAY = int(time.time()) - 86400  # of all orders; read once, for a midnight may come between two of them


def scenario(name, known=None):
    """known  what is not right yet, and is told in the report instead of being a violation"""
    def take(function):
        SCENARIOS[name] = function
        function.kind, function.known = name, known
        return function
    return take


def orders(prefix, n):
    return [harness.order(f"{prefix}-{i}", time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(YESTERDAY))) for i in range(n)]


def wait(n, condition, seconds, what):
    """Seconds that it took; a violation when it did not come."""
    begin = time.monotonic()
    if not n.wait(lambda: ask(condition), seconds):
        n.violation(f"not within {seconds} s: {what()}")
    return time.monotonic() - begin


def ask(condition):
    try:
        return condition()
    except (OSError, AssertionError, ValueError):
        return False


def day():
    return harness.oracle.Answers(harness.ZONE).date(YESTERDAY * 1000)


def count(world):
    return sum(row["orders"] for row in world.answer(f"/v1/revenue/{day()}")["revenue"])


@scenario("kafka: retention took what speed needed")
def retention(n):
    world = n.bare_world("retention", partitions=2)
    world.produce(orders("a", 40), partition=0)
    world.produce(orders("b", 40), partition=1)
    speed = world.speed()
    world.serving()
    wait(n, lambda: count(world) == 80, 30, lambda: world.answer(f"/v1/revenue/{day()}"))
    speed.stop()
    world.produce(orders("c", 60), partition=0)
    world.delete_below({0: 70})
    world.speed()
    seconds = wait(n, lambda: "lost_events" in world.answer(f"/v1/revenue/{day()}")["degraded"] and count(world) == 110, 30,
                   lambda: world.answer(f"/v1/revenue/{day()}"))
    answer = world.answer(f"/v1/revenue/{day()}")
    if answer.get("missing") != [{"partition": 0, "from": 40, "to": 70}]:
        n.violation(f"the answer does not name the lost offsets [40,70): {answer}")
    done = world.batch("run")
    if done.returncode != 65:
        n.violation(f"a run over a log that lost its beginning ended with {done.returncode}, not 65: {done.stdout[-500:]}")
    done = world.batch("run", "--allow-truncated-history")
    if done.returncode != 0:
        n.violation(f"--allow-truncated-history: {done.returncode}: {done.stdout[-500:]}")
    wait(n, lambda: world.answer(f"/v1/revenue/{day()}")["degraded"] == ["truncated_history"] and count(world) == 110 - 40, 30,
         lambda: world.answer(f"/v1/revenue/{day()}"))
    n.happened("ranges lost to retention")
    return seconds


def recreate(n, name, more, running):
    """The topic is created again with fewer or more records than before; speed rests or runs meanwhile."""
    world = n.bare_world(name, partitions=2)
    world.produce(orders("a", 50), partition=0)
    world.produce(orders("b", 50), partition=1)
    speed = world.speed()
    world.serving("--max-speed-age", "5s")
    wait(n, lambda: count(world) == 100, 30, lambda: world.answer(f"/v1/revenue/{day()}"))
    world.run_batch()
    if not running:
        speed.stop()
    world.delete_topic()
    time.sleep(1)
    wait(n, lambda: world.create_topic(2) or True, 30, lambda: "the topic can be created again")
    world.produce(orders("c", 120 if more else 20), partition=0)
    world.produce(orders("d", 120 if more else 20), partition=1)
    begin = time.monotonic()
    if not running:
        speed = world.speed()
    if not n.wait(lambda: not speed.running(), 30):
        answer = ask(lambda: world.answer(f"/v1/revenue/{day()}"))
        n.violation(f"speed goes on in a log that was created again ({name}): {speed.text()[-1500:]} {answer}")
    elif speed.wait(1) != 65:
        n.violation(f"speed ended with {speed.wait(1)}, not 65: {speed.text()[-1500:]}")
    seconds = time.monotonic() - begin
    if not n.wait(lambda: ask(lambda: count(world)) == 100, 10):  # what was added before it was noticed is gone again
        n.violation(f"the answers changed though the log is another one: {ask(lambda: world.answer(f'/v1/revenue/{day()}'))}")
    done = world.batch("run")
    if done.returncode != 65:
        n.violation(f"a run over a log that was created again ended with {done.returncode}, not 65: {done.stdout[-800:]}")
    if not ask(lambda: count(world) == 100):
        n.violation("the answers changed after the run that was refused")
    n.happened("topics created again")
    return seconds


@scenario("kafka: topic created again, shorter, speed at rest")
def recreated_shorter(n):
    return recreate(n, "again-shorter-rest", False, False)


@scenario("kafka: topic created again, longer, speed at rest")
def recreated_longer(n):
    return recreate(n, "again-longer-rest", True, False)


@scenario("kafka: topic created again, shorter, speed at work")
def recreated_shorter_running(n):
    return recreate(n, "again-shorter-work", False, True)


@scenario("kafka: topic created again, longer, speed at work")
def recreated_longer_running(n):
    return recreate(n, "again-longer-work", True, True)


@scenario("redis: keys of a covered generation deleted")
def covered_keys(n):
    world = n.bare_world("covered", partitions=2)
    world.produce(orders("a", 50), partition=0)
    world.speed()
    serving = world.serving()
    wait(n, lambda: count(world) == 50, 30, lambda: world.answer(f"/v1/revenue/{day()}"))
    world.run_batch()
    world.produce(orders("b", 50), partition=0)
    wait(n, lambda: count(world) == 100, 30, lambda: world.answer(f"/v1/revenue/{day()}"))
    client = world.stack.redis()
    chunk = n.rng.choice([key for key in client.keys(f"{world.name}:{{{world.topic}/0}}:0:*") if not key.endswith(b":index")])
    client.delete(chunk)
    serving.kill()
    world.serving()
    n.happened("keys of covered generations deleted")
    return wait(n, lambda: count(world) == 100, 30, lambda: f"{chunk} {world.answer(f'/v1/revenue/{day()}')}")


def night(n, name, until):
    """Orders of the nights in which London's clocks change, with speed killed and a run in between."""
    world = n.bare_world(name, partitions=3)
    args = ("generate", "--days", "3", "--until", until, "--duplicates", "0.03", "--refunds", "0.05", "--out-of-order", "0.2",
            "--late", "0.05", "--broken", "0.01", "--seed", str(n.seed))
    world.serving()
    generator = subprocess.Popen([os.path.join(harness.PROGRAMS, "orders"), *args, "--count", "6000"], env=world.env,
                                 stderr=subprocess.DEVNULL)
    speed = world.speed()
    n.pause(0.1, 0.6)
    speed.kill()
    world.speed()
    world.batch("run")
    generator.wait(60)
    begin = time.monotonic()
    try:
        world.assert_exact(30)
        world.run_batch()
        world.assert_exact(30)
    except AssertionError as error:
        n.violation(f"{error}"[:2000])
    n.happened("nights in which clocks change")
    return time.monotonic() - begin


@scenario("time: the night of 23 hours")
def night_short(n):
    return night(n, "night23", "2026-03-30T12:00:00Z")


@scenario("time: the night of 25 hours")
def night_long(n):
    return night(n, "night25", "2026-10-26T12:00:00Z")

