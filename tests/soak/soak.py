#!/usr/bin/python3
"""Does anything grow? One order, one flush, one batch run, an answer; a thousand times on a private stack, with the same lambda-speed and
lambda-serving all the time. Looks at their open files and their memory (RssAnon of /proc/PID/status), and runs lambda-batch from a
directory of its own, so that one built with LeakSanitizer can say what it leaks.

Writes a table; the exit status is 1 if something grew."""
import argparse
import os
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
import harness  # noqa: E402

DAY = "/v1/revenue/2026-03-01"
FILES_MORE, KIB_MORE = 2, 4096  # what may come and go; a leak of 4 bytes per order would not be seen, one of 4 KiB per cycle would


def files(process):
    return len(os.listdir(f"/proc/{process.popen.pid}/fd"))


def kib(process):
    with open(f"/proc/{process.popen.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon:"))


def cycle(world, n):
    world.produce([harness.order(f"o{n}", "1.00")], partition=n % world.partitions)

    def counted():
        revenue = world.answer(DAY)["revenue"]
        return revenue and revenue[0]["orders"] == n + 1
    harness.wait_until(counted, 60, lambda: world.answer(DAY))  # flushed, and read back
    done = world.batch("run", "--rollback-keep", "1s", "--readers", "1")
    assert done.returncode == 0, f"cycle {n}: lambda-batch ended with {done.returncode}\n{done.stdout[-6000:]}"
    harness.wait_until(lambda: world.answer(DAY)["batch"] and world.answer(DAY)["batch"]["run"] == n + 1, 60, lambda: world.answer(DAY))
    assert world.answer(DAY)["revenue"][0]["orders"] == n + 1
    for path in ("/v1/products/top?date=2026-03-01", "/v1/customers/c1/orders", "/metrics"):
        assert world.get(path)[0] == 200


def soak(world, cycles):
    speed, serving = world.speed("--rollback-keep", "1s"), world.serving()
    rows, started = [], time.monotonic()
    for n in range(cycles):
        cycle(world, n)
        if n + 1 in (1, cycles) or (n + 1) % max(1, cycles // 10) == 0:
            rows.append((n + 1, files(speed), kib(speed), files(serving), kib(serving), int(time.monotonic() - started)))
            print("| {} | {} | {} | {} | {} | {} |".format(*rows[-1]), flush=True)
    speed.stop()
    serving.stop()
    return rows


def grown(rows):
    """Between a fifth of the way, when all that is kept has been filled once, and the end."""
    begin, end = rows[len(rows) // 5], rows[-1]
    names = ("", "files of speed", "memory of speed", "files of serving", "memory of serving")
    limits = (0, FILES_MORE, KIB_MORE, FILES_MORE, KIB_MORE)
    return [f"{names[i]}: {begin[i]} after {begin[0]} cycles, {end[i]} after {end[0]}" for i in range(1, 5) if end[i] - begin[i] > limits[i]]


def choose_programs(directory, batch):
    """The harness runs what stands in one directory."""
    for name in ("lambda-batch", "lambda-speed", "lambda-serving"):
        place = batch if batch and name == "lambda-batch" else harness.PROGRAMS
        os.symlink(os.path.abspath(os.path.join(place, name)), os.path.join(directory, name))
    harness.PROGRAMS = directory


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--batch", help="directory of the lambda-batch to run (default: that of the others)")
    args = parser.parse_args()
    stack = harness.Stack("soak")
    try:
        with tempfile.TemporaryDirectory() as directory:
            choose_programs(directory, args.batch)
            world = harness.World(stack, "soak", directory)
            print("| cycles | speed: files | speed: KiB | serving: files | serving: KiB | s |\n| --- | --- | --- | --- | --- | --- |", flush=True)
            rows = soak(world, args.cycles)
            world.close()
    finally:
        stack.down()
    trouble = grown(rows)
    print("\n".join(trouble) if trouble else f"{args.cycles} cycles: nothing grew")
    return 1 if trouble else 0


if __name__ == "__main__":
    sys.exit(main())
