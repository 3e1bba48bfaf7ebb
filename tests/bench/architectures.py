#!/usr/bin/python3
"""make bench-architectures: Lambda, Kappa and the hybrid on one log, with one kernel, in one run. Prints tables; asserts nothing.

  1  BENCH_ORDERS (1000000) orders of 30 days are folded by Redis' worker, then by Kappa's; then the first batch run; then the archive
  2  live orders, BENCH_RATE (2000) a second for BENCH_SECONDS (60): both views are asked all the time
  3  BENCH_FAR (1000) of the first orders are sent once more, further back than the workers' horizon (a tenth of the orders)
  4  BENCH_TIMES (3) times in turn: a replay from the first run on, a run, a new version of Kappa until it is live

CPU is that of the programs and the stores, from /proc; what they take while nothing comes (measured for 10 s) is subtracted. Kafka's is
not counted: all read the same log.
"""
import argparse
import datetime
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import confluent_kafka

from bench import Watcher, live_orders, percentile, warm_up

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))
import harness  # noqa: E402
from harness import wait_until  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
ORDERS, RATE, SECONDS, FAR, TIMES = (int(os.environ.get(f"BENCH_{name}", default)) for name, default in
                                     (("ORDERS", 1000000), ("RATE", 2000), ("SECONDS", 60), ("FAR", 1000), ("TIMES", 3)))


def stat(pid):
    """(parent, own CPU s, CPU s of children that have ended)"""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    own, ended = (int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14]))
    return int(fields[1]), own / TICKS, ended / TICKS


class Meter:
    """CPU seconds of Redis, Postgres with all its processes, programs that run, and programs that have ended."""

    def __init__(self, world):
        self.world, self.programs, self.idle = world, {}, {}
        self.pids = {}
        for server in ("redis", "postgres"):
            with open(os.path.join(world.stack.directory, f"{server}.pid"), encoding="ascii") as file:
                self.pids[server] = int(file.readline())

    def add(self, name, process):
        self.programs[name] = process.popen.pid

    def postgres(self):
        total = 0.0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                parent, own, ended = stat(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(pid) == self.pids["postgres"]:
                total += own + ended
            elif parent == self.pids["postgres"]:
                total += own
        return total

    def read(self):
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        now = {"time": time.monotonic(), "redis": stat(self.pids["redis"])[1], "postgres": self.postgres(), "ended": ended.ru_utime + ended.ru_stime}
        return now | {name: stat(pid)[1] for name, pid in self.programs.items()}

    def since(self, before, idle=True):
        """What was used since then, without what is used when nothing happens."""
        now = self.read()
        used = {name: now[name] - before.get(name, 0) for name in now}
        if idle:
            used = {name: used[name] - self.idle.get(name, 0) * used["time"] * (name != "time") for name in used}
        return used

    def rest(self, seconds):
        before = self.read()
        time.sleep(seconds)
        used = self.since(before, idle=False)
        self.idle = {name: used[name] / used["time"] for name in used if name not in ("time", "ended")}


def log_end(world):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": world.stack.env["LAMBDA_BROKERS"], "group.id": "bench"})
    ends = [consumer.get_watermark_offsets(confluent_kafka.TopicPartition(world.topic, p), 10)[1] for p in range(world.partitions)]
    consumer.close()
    return sum(ends)


def redis_records(world):
    client = world.stack.redis()
    return sum(int(client.hget(f"{world.name}:{{{world.topic}/{p}}}:0:c", "records") or 0) for p in range(world.partitions))


def kappa_records(world, version):
    return world.sql("SELECT coalesce(sum(next_offset), 0)::bigint FROM lambda.kappa_offsets JOIN lambda.kappa_versions USING (id) WHERE version = %s",
                     version)[0][0]


def table_bytes(world, kappa):
    return int(world.sql("SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
                         "WHERE nspname = 'lambda' AND relkind = 'r' AND (relname LIKE 'kappa%%') = %s", kappa)[0][0])


def directory_bytes(path):
    return sum(os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(path) for name in names)


def kappa_worker(world, meter, version):
    worker = world.speed("--store=postgres", f"--version={version}", "--from=beginning")
    meter.add(version, worker)
    return worker


def first_fold(world, meter):
    """The same orders into an empty Redis, an empty Kappa version, a first run, an archive: time, CPU, bytes."""
    rows, end = {}, log_end(world)
    memory, before = world.stack.redis().info("memory")["used_memory"], meter.read()
    meter.add("speed", world.speed())
    wait_until(lambda: redis_records(world) >= end, 900, "speed has caught up")
    rows["speed"] = meter.since(before, idle=False), world.stack.redis().info("memory")["used_memory"] - memory
    before, size = meter.read(), table_bytes(world, True)
    kappa_worker(world, meter, "v1")
    wait_until(lambda: kappa_records(world, "v1") >= end, 900, "Kappa has caught up")
    rows["kappa"] = meter.since(before, idle=False), table_bytes(world, True) - size
    before, size = meter.read(), table_bytes(world, False)
    world.run_batch()
    rows["run"] = meter.since(before, idle=False), table_bytes(world, False) - size
    root = world.path("archive")
    os.mkdir(root)
    before = meter.read()
    done = world.batch("archive", f"--archive={root}", timeout=600)
    assert done.returncode == 0, done.stdout
    rows["archive"] = meter.since(before, idle=False), directory_bytes(root)
    return rows


def steady(world, meter):
    """(CPU, {view: ms from acknowledgement to answer})"""
    watchers = {view: Watcher(world.port, view) for view in ("merged", "kappa")}
    for watcher in watchers.values():
        watcher.begin()
    before = meter.read()
    acked = live_orders(world, RATE, SECONDS)
    delays = {view: watcher.end(acked) for view, watcher in watchers.items()}
    return meter.since(before, idle=False), delays


def send_again(world):
    """The first orders of each partition, to the byte, at the log's end."""
    records = world.log_records(headers=True)
    first = [r for r in records if r[1] < FAR // world.partitions]
    for partition in range(world.partitions):
        world.produce([(r[4], r[3]) for r in first if r[0] == partition], partition=partition)
    return len(first)


def wrong_orders(world, expected, view):
    """Orders and refunds that a view has too many or too few, over all days."""
    days = harness.expected_days(expected)
    first, last = min(days)[0], max(days)[0]
    served, _ = world.served_days(first, last, view)
    none = {"orders": 0, "refund_count": 0}
    return sum(abs(served.get(day, none)[m] - days.get(day, none)[m]) for day in set(served) | set(days) for m in none)


def promote(world, version):
    """How an operator does it: again, until it is not refused."""
    def promoted():
        done = subprocess.run([os.path.join(harness.PROGRAMS, "lambda-speed"), "promote", version], env=world.env,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        assert done.returncode in (0, 75), done.stdout
        return done.returncode == 0
    wait_until(promoted, 60, f"{version} is live")


def mend(world, meter, since, number):
    """{how: CPU}, of one turn."""
    used, end = {}, log_end(world)
    for how, args in (("hybrid", ("replay", "--from", since, "--base", "1")), ("lambda", ("run",))):
        before = meter.read()
        done = world.batch(*args, timeout=600)
        assert done.returncode == 0, done.stdout[-3000:]
        used[how] = meter.since(before)
    before = meter.read()
    worker = kappa_worker(world, meter, f"v{number}")
    wait_until(lambda: kappa_records(world, f"v{number}") >= end, 900, "the new version has caught up")
    promote(world, f"v{number}")
    used["kappa"] = meter.since(before)
    del meter.programs[f"v{number}"]
    worker.stop(10)
    return used


def cpu(used, *names):
    return sum(used.get(name, 0) for name in names)


def report_first(rows, orders):
    million = orders / 1e6
    print(f"\nper 1,000,000 orders of history (load {os.getloadavg()[0]:.1f}) | time | CPU of the program | CPU of the stores | kept")
    for what, program, kept in (("speed", "speed", "in Redis"), ("kappa", "v1", "in Postgres, a version"), ("run", "ended", "in Postgres, a run"),
                                ("archive", "ended", "in files")):
        used, size = rows[what]
        print(f"{what:8} | {used['time'] / million:5.1f} s | {used[program] / million:5.1f} s | {cpu(used, 'redis', 'postgres') / million:5.1f} s | "
              f"{size / million / (1 << 20):6.0f} MiB {kept}")


def report_steady(meter, used, delays):
    million = RATE * SECONDS / 1e6
    print(f"\nlive, {RATE:,} orders/s for {SECONDS} s (load {os.getloadavg()[0]:.1f}) | p50 | p99 | CPU per 1,000,000 orders: worker | store")
    for view, worker, store in (("merged", "speed", "redis"), ("kappa", "v1", "postgres")):
        print(f"{view:8} | {statistics.median(delays[view]):4.0f} ms | {percentile(delays[view], 0.99):5.0f} ms | "
              f"{used[worker] / million:5.1f} s | {(used[store] - meter.idle[store] * used['time']) / million:5.1f} s")
    print("CPU while nothing comes, of one core: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in meter.idle.items()))


def report_mend(turns, wrong):
    print(f"\nto mend a bug (load {os.getloadavg()[0]:.1f}) | time | CPU of the program | CPU of the stores | orders counted wrong: before | after")
    for how, name in (("lambda", "a night's run"), ("hybrid", "replay"), ("kappa", "a new version")):
        rows = [turn[how] for turn in turns]
        median = [statistics.median(column) for column in zip(*((row["time"], cpu(row, "ended", *(v for v in row if v.startswith("v") and v != "v1")),
                                                                cpu(row, "redis", "postgres")) for row in rows))]
        print(f"{name:14} | {median[0]:5.1f} s | {median[1]:5.1f} s | {median[2]:5.1f} s | {wrong[how][0]} | {wrong[how][1]}")
    print("each turn, s: " + "; ".join(" ".join(f"{how} {turn[how]['time']:.1f}" for how in turn) for turn in turns))


def measure(world):
    meter = Meter(world)
    world.env["LAMBDA_HORIZON_RECORDS"] = str(max(ORDERS // world.partitions // 10, 1000))
    world.orders("generate", "--seed", "11", "--count", str(ORDERS), "--days", "30", "--refunds", "0.03", "--duplicates", "0.01",
                 "--duplicate-distance", "100")
    report_first(first_fold(world, meter), ORDERS)
    time.sleep(1.1)
    since = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    world.serving()
    warm_up(world)
    meter.rest(10)
    report_steady(meter, *steady(world, meter))
    again = send_again(world)
    print(f"\n{again} orders were sent again")
    expected = harness.oracle_answers(world.log_records(), world.zone, products=False)
    end = log_end(world)
    wait_until(lambda: kappa_records(world, "v1") >= end, 60, "Kappa has all")
    world.wait_caught_up()
    wrong = {"lambda": [wrong_orders(world, expected, "merged")], "hybrid": [], "kappa": [wrong_orders(world, expected, "kappa")]}
    wrong["hybrid"] = list(wrong["lambda"])
    turns = []
    for number in range(TIMES):
        turns.append(mend(world, meter, since, number + 2))
    wrong["kappa"].append(wrong_orders(world, expected, "kappa"))
    wrong["lambda"].append(wrong_orders(world, expected, "merged"))
    done = world.batch("replay", "--from", since, "--base", "1", timeout=600)
    assert done.returncode == 0, done.stdout[-3000:]
    published = world.sql("SELECT max(publication) FROM lambda.publications")[0][0]
    wait_until(lambda: world.answer("/v1/revenue/today")["batch"]["publication"] == published, 60, "the replay is served")
    wrong["hybrid"].append(wrong_orders(world, expected, "merged"))
    report_mend(turns, wrong)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True)
    harness.PROGRAMS = os.path.abspath(parser.parse_args().programs)
    stack = harness.Stack("bench")
    try:
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the beginning")
        with tempfile.TemporaryDirectory() as directory:
            world = harness.World(stack, "architectures", directory)
            try:
                measure(world)
            finally:
                world.close()
        print(f"load {os.getloadavg()[0]:.1f} at the end")
    finally:
        stack.down()


if __name__ == "__main__":
    main()
