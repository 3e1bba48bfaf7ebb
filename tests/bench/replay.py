#!/usr/bin/python3
"""What a replay costs against a run over everything: BENCH_ORDERS (1000000) orders, a run, BENCH_SINCE (20000) orders more, then a replay
from there and a run in turn, BENCH_TIMES (3) times. Prints seconds and CPU seconds of each.

  make && /usr/bin/python3 tests/bench/replay.py
"""
import datetime
import os
import resource
import statistics
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
import harness  # noqa: E402


def timed(world, *args):
    begin, cpu = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = world.batch(*args, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
    if os.environ.get("BENCH_SHOW"):
        print(done.stdout, flush=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - begin, after.ru_utime + after.ru_stime - cpu.ru_utime - cpu.ru_stime


def main():
    orders, since_orders, times = (int(os.environ.get(name, default)) for name, default in
                                   (("BENCH_ORDERS", "1000000"), ("BENCH_SINCE", "20000"), ("BENCH_TIMES", "3")))
    stack = harness.Stack("bench")
    try:
        with tempfile.TemporaryDirectory() as directory:
            world = harness.World(stack, "replay", directory)
            world.orders("generate", "--seed", "1", "--count", str(orders), "--days", "90")
            timed(world, "run")
            time.sleep(1.1)
            since = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            world.orders("generate", "--seed", "2", "--count", str(since_orders), "--days", "1")
            results = {"replay": [], "run": []}
            for _ in range(times):
                results["replay"].append(timed(world, "replay", "--from", since, "--base", "1"))
                results["run"].append(timed(world, "run"))
            for what, rows in results.items():
                seconds, cpu = (statistics.median(column) for column in zip(*rows))
                print(f"median {what}: {seconds:.1f} s, CPU {cpu:.1f} s")
            world.close()
    finally:
        stack.down()


if __name__ == "__main__":
    main()
