#!/usr/bin/python3
"""make bench: how many events per second, and how soon an acknowledged order is in the answer. Prints a table; asserts nothing.

  batch      BENCH_ORDERS (1000000) orders in Kafka to a published run
  speed      the same orders from Kafka into Redis, by one lambda-speed that starts with nothing
  latency    from the acknowledgement of an order by Kafka to the first answer that holds it, at each of BENCH_RATES (100,10000)
             orders per second for BENCH_SECONDS (20); the client asks /v1/revenue/today again as soon as it was answered
"""
import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))
import harness  # noqa: E402


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def bench_batch(world, orders):
    world.orders("generate", "--seed", "1", "--count", str(orders), "--days", "90", "--duplicates", "0.01", "--refunds", "0.03")
    begin = time.monotonic()
    done = world.run_batch("--seal-wait", "0s")
    seconds = time.monotonic() - begin
    print(f"batch     {orders} orders from Kafka to a published run: {seconds:.1f} s, {orders / seconds:,.0f}/s")
    print("          " + done.stdout.strip().splitlines()[-1])


def bench_speed(world, orders):
    """In a world without a run: everything has to go through Redis."""
    world.orders("generate", "--seed", "1", "--count", str(orders), "--days", "90", "--duplicates", "0.01", "--refunds", "0.03")
    world.serving()
    begin = time.monotonic()
    world.speed()
    harness.wait_until(lambda: served_records(world) >= orders, 600, "speed has caught up")
    seconds = time.monotonic() - begin
    print(f"speed     {orders} orders from Kafka into Redis, start to caught up: {seconds:.1f} s, {orders / seconds:,.0f}/s")


def served_records(world):
    client = world.stack.redis()
    total = 0
    for partition in range(world.partitions):
        total += int(client.hget(f"{world.name}:{{{world.topic}/{partition}}}:0:c", "records") or 0)
    return total


class Watcher(threading.Thread):
    """Remembers when the number of orders in today's answer first reached each value."""

    def __init__(self, port, view="merged"):
        super().__init__(daemon=True)
        self.port, self.view, self.going = port, view, True
        self.steps = []  # (wall clock, orders)

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        last = -1
        while self.going:
            connection.request("GET", f"/v1/revenue/today?view={self.view}")
            answer = json.loads(connection.getresponse().read())
            orders = sum(r["orders"] + r["refund_count"] for r in answer["revenue"])
            if orders != last:
                self.steps.append((time.time(), orders))
                last = orders
            time.sleep(0.001)

    def begin(self):
        self.start()
        harness.wait_until(lambda: self.steps, 10, "a first answer")
        self.base = self.steps[-1][1]

    def end(self, acked):
        """When the answer has them all: ms from each acknowledgement to the first answer that holds it."""
        harness.wait_until(lambda: self.steps[-1][1] - self.base >= len(acked), 60,
                           lambda: f"{self.steps[-1]} of {len(acked)} after {self.base}")
        self.going = False
        self.join()
        delays, step = [], 0
        for n, acknowledged in enumerate(acked, 1):
            while self.steps[step][1] - self.base < n:
                step += 1
            delays.append(max(0.0, self.steps[step][0] - acknowledged) * 1000)
        return delays


def warm_up(world):
    """Until speed and serving have what is there, joining a group and all."""
    world.orders("generate", "--rate", "100", "--count", "50", "--seed", "1")
    harness.wait_until(lambda: sum(r["orders"] + r["refund_count"] for r in world.answer("/v1/revenue/today")["revenue"]) >= 50, 30,
                       "the first orders are served")


def live_orders(world, rate, seconds):
    """Makes orders; returns when Kafka acknowledged each."""
    acks = world.path(f"acks.{rate}")
    done = subprocess.run([f"{harness.PROGRAMS}/orders", "generate", "--rate", str(rate), "--count", str(rate * seconds), "--seed", str(rate),
                           "--ack-log", acks], env=world.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    with open(acks, encoding="ascii") as log:
        return sorted(int(re.split(r"[ \t]", line)[1]) / 1e6 for line in log)


def bench_latency(world, rate, seconds):
    watcher = Watcher(world.port)
    watcher.begin()
    delays = watcher.end(live_orders(world, rate, seconds))
    print(f"latency   {rate:,}/s for {seconds} s: p50 {statistics.median(delays):.0f} ms, p99 {percentile(delays, 0.99):.0f} ms, "
          f"max {max(delays):.0f} ms ({len(delays)} orders)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True)
    parser.add_argument("only", nargs="*", choices=["batch", "speed", "latency", []])
    args = parser.parse_args()
    harness.PROGRAMS = os.path.abspath(args.programs)

    orders = int(os.environ.get("BENCH_ORDERS", "1000000"))
    rates = [int(rate) for rate in os.environ.get("BENCH_RATES", "100,10000").split(",")]
    seconds = int(os.environ.get("BENCH_SECONDS", "20"))
    stack = harness.Stack("bench")
    try:
        for name in args.only or ["batch", "speed", "latency"]:
            with tempfile.TemporaryDirectory() as directory:
                world = harness.World(stack, f"bench-{name}", directory)
                try:
                    if name == "batch":
                        bench_batch(world, orders)
                    elif name == "speed":
                        bench_speed(world, orders)
                    else:
                        world.speed()
                        world.serving()
                        warm_up(world)
                        for rate in rates:
                            bench_latency(world, rate, seconds)
                finally:
                    world.close()
    finally:
        stack.down()


if __name__ == "__main__":
    main()
