#!/usr/bin/python3
"""What orders by customer cost: one lambda-speed catches up on BENCH_ORDERS (1000000) live-like orders of the last two days, with
--customers=yes and =no in turn, BENCH_TIMES (3) times each. Prints seconds of each, CPU of speed and of Redis, Redis' memory.

  make && /usr/bin/python3 tests/bench/customers.py
"""
import os
import statistics
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
import harness  # noqa: E402


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def redis_pid(stack):
    with open(os.path.join(stack.directory, "redis.pid"), encoding="ascii") as file:
        return int(file.readline())


def counted(world):
    client = world.stack.redis()
    return sum(int(client.hget(f"{world.name}:{{{world.topic}/{p}}}:0:c", "records") or 0) for p in range(world.partitions))


def catch_up(world, orders, customers):
    redis = world.stack.redis()
    redis.flushall()
    world.env["LAMBDA_NAME"] = world.name = f"{world.topic}-{os.urandom(3).hex()}"     # no horizon, no group of before
    before, redis_cpu, begin = redis.info("memory")["used_memory"], cpu_seconds(redis_pid(world.stack)), time.monotonic()
    speed = world.speed("--customers", customers)
    harness.wait_until(lambda: counted(world) >= orders, 600, "speed has caught up")
    seconds = time.monotonic() - begin
    result = (seconds, cpu_seconds(speed.popen.pid), cpu_seconds(redis_pid(world.stack)) - redis_cpu,
              redis.info("memory")["used_memory"] - before)
    speed.kill()
    return result


def main():
    orders, times = int(os.environ.get("BENCH_ORDERS", "1000000")), int(os.environ.get("BENCH_TIMES", "3"))
    stack = harness.Stack("bench")
    try:
        with tempfile.TemporaryDirectory() as directory:
            world = harness.World(stack, "customers", directory)
            world.orders("generate", "--seed", "1", "--count", str(orders), "--days", "2")
            results = {"yes": [], "no": []}
            for _ in range(times):
                for customers in results:
                    results[customers].append(catch_up(world, orders, customers))
                    print("customers={}: {:.1f} s, CPU speed {:.1f} s, redis {:.1f} s, memory {:.0f} MiB".format(
                        customers, *results[customers][-1][:3], results[customers][-1][3] / (1 << 20)), flush=True)
            for customers, rows in results.items():
                seconds, speed, redis, memory = (statistics.median(column) for column in zip(*rows))
                print(f"median customers={customers}: {seconds:.1f} s, {orders / seconds:,.0f}/s, CPU per order speed {speed / orders * 1e6:.1f} us, "
                      f"redis {redis / orders * 1e6:.1f} us; memory {memory / orders:.0f} bytes per order")
            world.close()
    finally:
        stack.down()


if __name__ == "__main__":
    main()
