"""lambda-speed on real servers: whatever happens to it, the sums in Redis are the oracle's, to the last unit.

Starts a private stack, or uses the running one in SPEED_STACK. Standard library, kcat, the oracle.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tests", "oracle")]
import oracle  # noqa: E402
import resp  # noqa: E402

BIN = os.environ.get("LAMBDA_TEST_BIN", os.path.join(ROOT, "build", "bin"))
STACK = os.path.join(ROOT, "tests", "stack", "stack")
ZONE = "Europe/London"


class Stack:
    def __init__(self):
        self.own = "SPEED_STACK" not in os.environ
        self.directory = os.environ.get("SPEED_STACK") or tempfile.mkdtemp(prefix="speed-stack-")
        if self.own:
            self("up", "--ports", "auto")
        with open(os.path.join(self.directory, "env"), encoding="utf-8") as env:
            self.env = dict(line.strip().split("=", 1) for line in env if "=" in line)

    def __call__(self, *args):
        return subprocess.run([STACK, args[0], "--dir", self.directory, *args[1:]], check=True, capture_output=True, text=True,
                              timeout=180).stdout

    def redis(self):
        host, port = re.match(r"redis://([^:]+):(\d+)", self.env["LAMBDA_REDIS"]).groups()
        return resp.Client(host, int(port))

    def down(self):
        if self.own:
            self("down", "--wipe")


class World:
    """A topic and a name of their own."""

    def __init__(self, stack, name, partitions=3):
        self.stack, self.name, self.partitions, self.logs, self.running = stack, name, partitions, [], []
        self.env = {**os.environ, **stack.env, "LAMBDA_TOPIC": name, "LAMBDA_NAME": name, "LAMBDA_TIME_ZONE": ZONE}
        stack("tool", "topics", "--create", "--topic", name, "--partitions", str(partitions), "--config", "retention.ms=-1")
        self.directory = tempfile.mkdtemp(prefix="speed-")

    def start(self, *args):
        log = os.path.join(self.directory, f"speed.{len(self.logs)}.log")
        self.logs.append(log)
        with open(log, "wb") as out:
            process = subprocess.Popen([os.path.join(BIN, "lambda-speed"), *args], env=self.env, stderr=out, stdout=out)
        self.running.append(process)
        return process

    def log(self):
        text = ""
        for name in self.logs:
            with open(name, encoding="utf-8") as log:
                text += log.read()
        return text

    def orders(self, count, *args, seed=1):
        subprocess.run([os.path.join(ROOT, "build", "bin", "orders"), "generate", "--count", str(count), "--seed", str(seed), *args], env=self.env,
                       check=True, capture_output=True, timeout=120)

    def dump(self):
        command = ["kcat", "-C", "-b", self.stack.env["LAMBDA_BROKERS"], "-t", self.name, "-e", "-q", "-X",
                   "isolation.level=read_committed", "-f", "%p %o %T %S\\n%s\\n"]
        path = os.path.join(self.directory, "dump")
        with open(path, "wb") as out:
            subprocess.run(command, stdout=out, check=True, timeout=120)
        return path

    def expected(self, **rules):
        with open(self.dump(), "rb") as records:
            return oracle.Answers(ZONE, "speed", **rules).feed(oracle.read_dump(records))

    def states(self):
        redis = self.stack.redis()
        return {p: redis("FCALL_RO", "lambda_1_read", 1, f"{self.name}:{{{self.name}/{p}}}", "r", 100000, 0, 0)
                for p in range(self.partitions)}

    def sums(self):
        """minutes, products, counters of all generations of all partitions."""
        redis, minutes, products, counters = self.stack.redis(), {}, {}, {}
        for p in range(self.partitions):
            base = f"{self.name}:{{{self.name}/{p}}}"
            for gen in redis("FCALL_RO", "lambda_1_read", 1, base, "r", 100000, 0, 0)[2:]:
                days = {name for name in redis("ZRANGE", f"{base}:{gen[0]}:index", 0, -1) if name.startswith("p:")}
                assert gen[1] == "1"
                for name, _, values in gen[3:]:
                    for field, value in resp.fields(values).items():
                        if name == "c":
                            counters[field] = counters.get(field, 0) + int(value)
                        elif name.startswith("r:"):
                            key = ((int(name[2:]) * 60 + int(field[:2])) * 60000, field[2:5], field[5])
                            minutes[key] = minutes.get(key, 0) + int(value)
                        elif name.startswith("d:"):
                            key = ("d", int(name[2:]), field)
                            counters[key] = counters.get(key, 0) + int(value)
                for day in days:
                    for field, value in resp.fields(redis("HGETALL", f"{base}:{gen[0]}:{day}")).items():
                        if field != "#":
                            key = (int(day[2:]), field[1:4], field[4:], field[0])
                            products[key] = products.get(key, 0) + int(value)
        return minutes, products, counters

    def check(self, **rules):
        minutes, products, counters = self.sums()
        answers = self.expected(**rules)
        wanted = {"records": answers.records, "counted": answers.counted, "duplicate": answers.duplicate, "late": answers.late}
        wanted.update({f"rejected:{reason}": n for reason, n in answers.rejected.items()})
        assert {k: v for k, v in counters.items() if isinstance(k, str)} == {k: v for k, v in wanted.items() if v}
        for what in ("duplicate", "late"):
            assert sum(v for k, v in counters.items() if k[0] == "d" and k[2] == what) == wanted[what]
        wanted = {}
        for (minute, currency), r in answers.minutes.items():
            for what, value in (("g", r.gross * 10000), ("r", r.refunds * 10000), ("o", r.orders), ("c", r.refund_count), ("u", r.units)):
                if value or minutes.get((minute, currency, what)) == 0:
                    wanted[minute, currency, what] = int(value)
        assert minutes == wanted, difference(minutes, wanted)
        wanted = {}
        for (date, currency, sku), product in answers.products.items():
            day = oracle.datetime.date.fromisoformat(date).toordinal() - oracle.EPOCH
            for what, value in (("n", product.net * 10000), ("u", product.units)):
                if value or products.get((day, currency, sku, what)) == 0:
                    wanted[day, currency, sku, what] = int(value)
        assert products == wanted, difference(products, wanted)
        return answers

    def ends(self):
        """The log's end of each partition, transaction markers and all."""
        command = ["kcat", "-Q", "-b", self.stack.env["LAMBDA_BROKERS"]]
        for p in range(self.partitions):
            command += ["-t", f"{self.name}:{p}:-1"]
        until = time.monotonic() + 30
        while True:                                          # a broker that was stopped needs a moment to lead again
            found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
            ends = {int(p): int(o) for p, o in re.findall(r"\[(\d+)\] offset (\d+)", found)}
            if len(ends) == self.partitions:
                return ends
            assert time.monotonic() < until, "kafka does not tell the log's end"
            time.sleep(0.5)

    def wait_caught_up(self, seconds=60):
        ends, until = self.ends(), time.monotonic() + seconds
        while True:
            redis, got = self.stack.redis(), {}
            for p in range(self.partitions):
                state = resp.fields(redis("HGETALL", f"{self.name}:{{{self.name}/{p}}}:state"))
                got[p] = int(state["gens"].rsplit(",", 1)[1]) if "gens" in state else -1
            if got == ends:
                return
            assert time.monotonic() < until, f"at {got}, the log ends at {ends}:\n{self.log()[-5000:]}"
            time.sleep(0.05)

    def wait_log(self, pattern, seconds=30):
        until = time.monotonic() + seconds
        while not re.search(pattern, self.log()):
            assert time.monotonic() < until, f"no '{pattern}' in\n{self.log()[-5000:]}"
            time.sleep(0.05)

    def stop(self, process):
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, self.log()[-5000:]
        assert time.monotonic() - started < 5
        self.running.remove(process)

    def kill(self, process):
        process.kill()
        process.wait()
        self.running.remove(process)

    def close(self):
        for process in list(self.running):
            self.kill(process)
        shutil.rmtree(self.directory)


def difference(got, wanted):
    keys = sorted((k for k in set(got) | set(wanted) if got.get(k) != wanted.get(k)), key=str)
    return f"{len(keys)} of {len(wanted)} differ, e.g. {[(k, got.get(k), wanted.get(k)) for k in keys[:5]]}"


@pytest.fixture(scope="session")
def stack():
    stack = Stack()
    yield stack
    stack.down()


@pytest.fixture
def world(stack, request):
    world = World(stack, f"{request.node.name[5:].replace('_', '-')}-{os.getpid()}")
    yield world
    world.close()


EVERYTHING = ("--days", "3", "--duplicates", "0.05", "--duplicate-distance", "3000", "--out-of-order", "0.1", "--late", "0.03",
              "--refunds", "0.05", "--broken", "0.02", "--currencies", "GBP=5,EUR=3,JPY=1")


def test_sums(world):
    """Everything at once; then a restart, more orders, a clean end."""
    world.orders(20000, *EVERYTHING)
    speed = world.start()
    world.wait_caught_up()
    answers = world.check()
    assert answers.duplicate > 100 and answers.late > 100 and sum(answers.rejected.values()) > 100
    world.stop(speed)
    world.check()
    world.orders(10000, *EVERYTHING, seed=2)
    speed = world.start()
    world.wait_caught_up()
    world.check()
    world.orders(3000, *EVERYTHING, seed=1)                  # the first ones again: duplicates of before the restart
    world.wait_caught_up()
    world.check()
    world.stop(speed)
    assert "speed caught up" in world.log()


def test_dead_letters(world):
    world.orders(3000, "--days", "1", "--broken", "0.1")
    speed = world.start()
    world.wait_caught_up()
    rejected = sum(world.check().rejected.values())
    out = subprocess.run(["kcat", "-C", "-b", world.env["LAMBDA_BROKERS"], "-t", f"{world.name}.dead", "-e", "-q", "-f", "%p %k %h\\n"],
                         capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert len(out) == rejected
    with open(world.dump(), "rb") as records:
        reasons = {f"{r.partition}/{r.offset}": oracle.parse(r.value).reason for r in oracle.read_dump(records)
                   if isinstance(oracle.parse(r.value), oracle.Reject)}
    for line in out:
        partition, key, headers = line.split(" ", 2)
        headers = dict(h.split("=", 1) for h in headers.split(","))
        assert key == f"{partition}/{headers['offset']}" and headers["partition"] == partition
        assert headers["topic"] == world.name and headers["reason"] == reasons.pop(key)
    assert not reasons
    world.stop(speed)


def test_killed_again_and_again(world):
    world.orders(60000, *EVERYTHING)
    speed = world.start()
    for _ in range(4):
        time.sleep(1.2)
        world.kill(speed)
        speed = world.start()
    world.wait_caught_up()
    world.check()
    world.stop(speed)


def test_flushall_in_the_middle(world):
    world.orders(40000, *EVERYTHING)
    speed = world.start()
    world.wait_log(r"partition 2: restarted")
    redis = world.stack.redis()
    for _ in range(3):
        time.sleep(0.3)
        redis("FLUSHALL")
    redis("FUNCTION", "FLUSH")
    world.orders(5000, *EVERYTHING, seed=3)
    world.wait_caught_up()
    world.check()
    world.stop(speed)


def test_redis_restarts(world):
    world.orders(30000, *EVERYTHING)
    speed = world.start()
    time.sleep(2)
    world.stack("restart", "redis", "--kill")
    world.orders(5000, *EVERYTHING, seed=3)
    world.wait_caught_up()
    world.check()
    world.stop(speed)


def test_two_workers(world):
    """A second worker joins, the first is killed, a third comes, one leaves: all while orders arrive."""
    world.orders(30000, *EVERYTHING)
    first = world.start()
    time.sleep(1.5)
    second = world.start()
    world.orders(10000, *EVERYTHING, seed=2)
    world.wait_caught_up()
    world.kill(first)
    third = world.start()
    world.orders(10000, *EVERYTHING, seed=3)
    world.wait_caught_up()
    world.check()
    world.stop(second)
    world.orders(5000, *EVERYTHING, seed=4)
    world.wait_caught_up()
    world.check()
    world.stop(third)


def test_a_stopped_worker_comes_back(world):
    """A zombie: stopped past its session, its partitions taken over, then it goes on with what it had."""
    first = world.start()
    world.orders(5000, *EVERYTHING)
    world.wait_caught_up()
    live = subprocess.Popen([os.path.join(ROOT, "build", "bin", "orders"), "generate", "--rate", "2000", "--count", "40000"], env=world.env,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    first.send_signal(signal.SIGSTOP)
    second = world.start()
    world.wait_log(r"partition 2: same", 40)
    first.send_signal(signal.SIGCONT)
    assert live.wait(60) == 0
    world.wait_caught_up()
    world.check()
    world.stop(first)
    world.stop(second)
    world.check()


def test_retention_took_records(world):
    world.orders(6000, "--days", "1")
    speed = world.start()
    world.wait_caught_up()
    world.stop(speed)
    ends = world.ends()
    world.orders(6000, "--days", "1", seed=2)
    path = os.path.join(world.directory, "delete.json")
    with open(path, "w", encoding="utf-8") as out:
        out.write('{"version":1,"partitions":[{"topic":"%s","partition":1,"offset":%d}]}' % (world.name, ends[1] + 500))
    world.stack("tool", "delete-records", "--offset-json-file", path)
    speed = world.start()
    world.wait_caught_up()
    state = resp.fields(world.states()[1][0])
    assert state["lost"] == f"0:{ends[1]}-{ends[1] + 500}"
    assert resp.fields(world.states()[0][0])["lost"] == ""
    assert "retention took offsets" in world.log()
    counters = world.sums()[2]
    assert counters["records"] == sum(world.ends().values()) - 500
    world.stop(speed)


def test_a_server_hangs(world):
    """Redis, then Kafka stop answering: the worker goes on as far as it can, and ends in time on SIGTERM."""
    def pid(server):
        with open(os.path.join(world.stack.directory, f"{server}.pid"), encoding="utf-8") as file:
            return int(file.readline())
    world.orders(1000)
    speed = world.start()
    world.wait_caught_up()
    for server in ("redis", "kafka"):
        os.kill(pid(server), signal.SIGSTOP)
        try:
            time.sleep(1)
            world.stop(speed)
        finally:
            os.kill(pid(server), signal.SIGCONT)
        speed = world.start()
        world.orders(1000, seed=len(world.logs))
        world.wait_caught_up()
    world.check()
    os.kill(pid("redis"), signal.SIGSTOP)
    try:
        world.orders(1000, seed=10)
        world.wait_log("redis does not answer")
    finally:
        os.kill(pid("redis"), signal.SIGCONT)
    world.wait_caught_up()
    world.check()
    world.stop(speed)


def test_another_log(world):
    """The topic was created again: plain message, exit 65."""
    world.orders(2000, "--days", "1")
    speed = world.start()
    world.wait_caught_up()
    world.stop(speed)
    world.stack("tool", "topics", "--delete", "--topic", world.name)
    world.stack("tool", "topics", "--create", "--topic", world.name, "--partitions", str(world.partitions))
    world.orders(4000, "--days", "1", seed=9)
    speed = world.start()
    assert speed.wait(30) == 65
    world.running.remove(speed)
    assert "another log" in world.log() and "hint" in world.log()


def test_missing_servers_are_named(world):
    """Nothing is there at first: it says what, and goes on when it comes."""
    world.env["LAMBDA_TOPIC"] = world.name + "-later"
    speed = world.start()
    world.wait_log(r"no topic")
    world.stop(speed)
    world.env["LAMBDA_TOPIC"] = world.name
    env, world.env = world.env, {**world.env, "LAMBDA_REDIS": "redis://127.0.0.1:1/0", "LAMBDA_POSTGRES": "postgresql://127.0.0.1:1/x"}
    speed = world.start()
    world.wait_log(r"cannot connect to redis at 127.0.0.1:1")
    world.stop(speed)
    world.env = {**env, "LAMBDA_POSTGRES": "postgresql://user:secret@127.0.0.1:1/x"}
    world.orders(100)
    speed = world.start()
    world.wait_log(r"there is no usable state in redis")
    time.sleep(1)
    assert world.stack.redis()("EXISTS", f"{world.name}:{{{world.name}/0}}:state") == 0     # it does not guess
    world.stop(speed)
    world.env = env
    speed = world.start()
    world.wait_caught_up()
    world.stop(speed)
    world.env = {**env, "LAMBDA_POSTGRES": "postgresql://user:secret@127.0.0.1:1/x"}        # now the state is used as it is
    world.orders(100, seed=2)
    speed = world.start()
    world.wait_caught_up()
    world.check()
    world.stop(speed)
    world.env = {**env, "LAMBDA_BROKERS": "127.0.0.1:1"}
    speed = world.start()
    world.wait_log(r"no answer from Kafka")
    world.stop(speed)
    assert "secret" not in world.log()


def test_other_rules_start_again(world):
    world.orders(3000, *EVERYTHING)
    speed = world.start()
    world.wait_caught_up()
    world.stop(speed)
    speed = world.start("--grace", "1h")
    world.wait_log(r"has other rules")
    world.wait_caught_up()
    world.check(grace_ms=3600000)
    world.stop(speed)
    redis = world.stack.redis()
    redis("HSET", f"{world.name}:{{{world.name}/0}}:state", "fold", "k999;x")
    speed = world.start()
    assert speed.wait(30) == 65
    world.running.remove(speed)
    assert "newer program" in world.log()
