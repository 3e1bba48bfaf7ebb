#!/usr/bin/python3
"""What a replay costs against a run over everything: BENCH_ORDERS (1000000) orders, a run, BENCH_SINCE (5 % of that) orders more, which have
arrived since. Then in turn, BENCH_TIMES (3) times: a replay from there by the ids that the run has kept, one that reads the log, and a run.
All of it from Kafka, then from an archive that ends where the run did. Prints medians: seconds, CPU seconds and memory of lambda-batch,
what the ratio to the run was, and the size of what is kept.

  make && /usr/bin/python3 tests/bench/replay.py
"""
import datetime
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
import harness  # noqa: E402


def timed(world, *args):
    """(seconds, CPU seconds, MiB)"""
    with tempfile.TemporaryFile("w+") as log:
        begin = time.monotonic()
        process = subprocess.Popen([os.path.join(harness.PROGRAMS, "lambda-batch"), *args], env=world.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        log.seek(0)
        text = log.read()
    assert status == 0, text[-3000:]
    if os.environ.get("BENCH_SHOW"):
        print(text, flush=True)
    assert ("--keep-ids=yes" in args) == bool(re.search("are known by their ids", text)), text
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def compare(world, what, since, times, *settings):
    kinds = {"replay by kept ids": ("replay", "--from", since, "--base", "1", "--keep-ids=yes"),
             "replay by reading the log": ("replay", "--from", since, "--base", "1", "--keep-ids=no"), "run": ("run",)}
    results = {kind: [] for kind in kinds}
    for _ in range(times):
        for kind, args in kinds.items():
            results[kind].append(timed(world, *args, *settings))
    for kind, rows in results.items():
        seconds, cpu, memory = (statistics.median(column) for column in zip(*rows))
        ratio = statistics.median(run[0] / row[0] for row, run in zip(rows, results["run"]))
        print(f"{what}: {kind}: {seconds:.2f} s, CPU {cpu:.2f} s, {memory:.0f} MiB; {ratio:.1f} times as quick as a run", flush=True)


def main():
    orders = int(os.environ.get("BENCH_ORDERS", "1000000"))
    since_orders, times = int(os.environ.get("BENCH_SINCE", orders // 20)), int(os.environ.get("BENCH_TIMES", "3"))
    stack = harness.Stack("bench")
    try:
        with tempfile.TemporaryDirectory() as directory:
            world = harness.World(stack, "replay", directory)
            archive = ("--archive", world.path("archive"))
            os.mkdir(archive[1])
            world.orders("generate", "--seed", "1", "--count", str(orders), "--days", "90")
            timed(world, "archive", *archive)
            print("the run that keeps them all: {:.2f} s, CPU {:.2f} s, {:.0f} MiB".format(*timed(world, "run")))
            kept, rows = world.sql("SELECT sum(octet_length(body)), (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE relname ~ '_r1$') FROM lambda.id_blocks")[0]
            print(f"ids: {kept / orders:.1f} bytes an order, {kept / 2**20:.0f} MiB; the run's rows: {rows / 2**20:.0f} MiB")
            time.sleep(1.1)
            since = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            world.orders("generate", "--seed", "2", "--count", str(since_orders), "--days", "1")
            compare(world, "Kafka", since, times)
            compare(world, "archive and Kafka", since, times, *archive)
            world.close()
    finally:
        stack.down()


if __name__ == "__main__":
    main()
