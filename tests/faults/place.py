"""A round's world: its topic, names and database on the session's stack, the programs behind proxies, the orders, the truth."""
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import psycopg2  # noqa: F401
import redis

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
import harness  # noqa: E402
import proxy  # noqa: E402
from feeder import Feeder  # noqa: E402
from truth import Truth  # noqa: E402

# what a run may end with while the world misbehaves (docs/batch.md): refused, server away, spill directory, not published
BATCH_MAY_END = (0, 69, 74, 75)
# and what a replay may end with 65 for (docs/replay.md)
REPLAY_REFUSES = ("no run that is kept ends before", "cannot take that back", "goes further than the published one", "was rolled back",
                  "a replay has nothing to go on from")
SPEED_ARGS = ("-X", "session.timeout.ms=6000")


def fixed_port():
    """A free port below those that the stack chooses from, and those that the kernel hands out to clients: a server can come back to it."""
    while True:
        port = random.randrange(10000, 20000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def stands_still(popen):
    """It has been stopped, by itself or somebody else."""
    try:
        with open(f"/proc/{popen.pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "T"
    except OSError:
        return False


class Servers(harness.Stack):
    """The stack, with a proxy before each server."""

    def __init__(self):
        self.proxies = proxy.Proxies()
        # the broker tells its clients where it is: for those that come through the proxy, the proxy
        self.kafka_port = self.behind_port = fixed_port()
        while self.behind_port == self.kafka_port:
            self.behind_port = fixed_port()
        os.environ["STACK_KAFKA_PROXIED"] = f"{self.behind_port}:{self.kafka_port}"
        super().__init__("faults")
        self.proxied = {"kafka": self.proxies.add(self.kafka_port, self.behind_port)}
        self.ports = {"kafka": self.kafka_port}
        with open(os.path.join(self.directory, "ports"), encoding="utf-8") as f:
            fixed = dict(line.strip().split("=", 1) for line in f if "=" in line)
        for name in ("redis", "postgres"):
            self.ports[name] = fixed_port()
            self.proxied[name] = self.proxies.add(self.ports[name], int(fixed[f"STACK_{name.upper()}_PORT"].strip("'\"")))
        self.direct = {name: int(fixed[f"STACK_{name.upper()}_PORT"].strip("'\"")) for name in ("kafka", "redis", "postgres")}

    def pid(self, server):
        with open(os.path.join(self.directory, f"{server}.pid"), encoding="utf-8") as f:
            return int(f.read())

    def heal(self):
        for one in self.proxied.values():
            one.set()
        for server in ("postgres", "redis", "kafka"):
            try:
                os.kill(self.pid(server), signal.SIGCONT)
            except (OSError, ValueError):
                pass
        self.run("start", "postgres", "redis", "kafka")

    def down(self):
        super().down()
        self.proxies.close()


class Batch:
    """A run, or another command of lambda-batch, or one of lambda-speed, in the background."""

    def __init__(self, place, args, env, program="lambda-batch"):
        self.place = place
        self.log_path = place.path(f"batch.{place.n_batches}.log")
        place.n_batches += 1
        self.may_end, self.refuses = BATCH_MAY_END, ()
        self.expected_kill = any(k in env for k in ("LAMBDA_FAILPOINT",))
        self.log = open(self.log_path, "ab")
        self.popen = subprocess.Popen([os.path.join(harness.PROGRAMS, program), *args], env=env, stdin=subprocess.DEVNULL,
                                      stdout=self.log, stderr=self.log)
        place.batches.append(self)

    def running(self):
        return self.popen.poll() is None

    def wait_stalled(self, seconds=20):
        """False when it ended before it came there."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.running():
            if stands_still(self.popen):
                return True
            time.sleep(0.01)
        return False

    def go_on(self):
        if self.running():
            self.popen.send_signal(signal.SIGCONT)

    def kill(self):
        self.expected_kill = True
        if self.running():
            self.popen.send_signal(signal.SIGKILL)

    def wait(self, seconds=100):
        self.popen.wait(seconds)
        return self.popen.returncode

    def text(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def ended_well(self):
        status = self.popen.returncode
        return status in self.may_end or status == -signal.SIGKILL and self.expected_kill or \
            status == 65 and any(why in self.text() for why in self.refuses)


class Place(harness.World):
    def __init__(self, servers, name, directory, seed, rate, partitions=4):
        self.n_batches, self.n_programs = 0, 0
        self.batches, self.speeds, self.served = [], [], None
        self.kappas = {}        # version -> its workers
        self.archive = None     # its directory, once there is one
        self.truth = self.feeder = None
        super().__init__(servers, name, directory, partitions=partitions)
        self.port = fixed_port()
        direct = self.env
        self.env = dict(direct, LAMBDA_BROKERS=f"127.0.0.1:{servers.ports['kafka']}",
                        LAMBDA_REDIS=f"redis://127.0.0.1:{servers.ports['redis']}/0",
                        LAMBDA_POSTGRES=self.postgres.replace(f":{servers.direct['postgres']}/", f":{servers.ports['postgres']}/"))
        self.truth = Truth(servers.env["LAMBDA_BROKERS"], self.topic, self.zone)
        self.truth.start(partitions)
        self.feeder = Feeder(os.path.join(harness.PROGRAMS, "orders"), direct, servers.env["LAMBDA_BROKERS"], self.topic, partitions, rate, seed)

    # --- programs

    def start_program(self, name, args, **env):
        process = harness.Process(name, args, dict(self.env, **env), self.path(f"{name}.{self.n_programs}.log"))
        self.n_programs += 1
        self.processes.append(process)
        return process

    def start_speed(self, **env):
        self.speeds.append(self.start_program("lambda-speed", SPEED_ARGS, **env))
        return self.speeds[-1]

    def start_serving(self, **env):
        self.served = self.start_program("lambda-serving", ("--listen", f"127.0.0.1:{self.port}"), **env)
        return self.served

    def start_batch(self, *args, command=("run",), **env):
        """Once there is an archive, runs read it first."""
        archive = [f"--archive={self.archive}"] if self.archive else []
        return Batch(self, [*args, *archive, *command], dict(self.env, **env))

    def start_archive(self, *args, **env):
        """In small files, so that there are many."""
        self.archive = self.path("archive")
        os.makedirs(self.archive, exist_ok=True)
        return Batch(self, [f"--archive={self.archive}", "--archive-file-size=16KiB", "archive", *args], dict(self.env, **env))

    def start_replay(self, since, *args, **env):
        """since: an argument of --from"""
        replay = self.start_batch(*args, command=("replay", "--from", since), **env)
        replay.refuses = REPLAY_REFUSES
        return replay

    def start_move(self, *command, **env):
        """rollback [RUN], publish RUN or prune"""
        return Batch(self, command, dict(self.env, **env))

    def start_kappa(self, version, *args, **env):
        """Once there is an archive, it is read first."""
        archive = [f"--archive={self.archive}"] if self.archive else []
        worker = self.start_program("lambda-speed", (*SPEED_ARGS, "--store=postgres", f"--version={version}", "--from=beginning", *archive, *args), **env)
        self.kappas.setdefault(version, []).append(worker)
        return worker

    def kappa_command(self, *command, **env):
        """promote VERSION, rollback, prune [VERSION] or status"""
        return Batch(self, command, dict(self.env, **env), "lambda-speed")

    def kappa_live(self):
        """The version that answers, or None."""
        return (self.sql("SELECT version FROM lambda.kappa_live JOIN lambda.kappa_versions USING (id)") or [(None,)])[0][0]

    def published(self):
        """(publication, run), or None."""
        return (self.sql("SELECT publication, run FROM lambda.published") or [None])[0]

    def heal(self, n_speeds, n_kappas):
        """Whatever was stopped goes on, whatever died is started again."""
        kappas = [worker for workers in self.kappas.values() for worker in workers]
        for process in self.speeds + kappas + [self.served] + [b for b in self.batches if b.running()]:
            if process and process.popen.poll() is None:
                process.popen.send_signal(signal.SIGCONT)
        self.speeds = [s for s in self.speeds if s.running()]
        while len(self.speeds) > n_speeds:
            self.speeds.pop(0).stop(10)
        while len(self.speeds) < n_speeds:
            self.start_speed()
        if not self.served or not self.served.running():
            self.start_serving()
        self.heal_kappas(n_kappas)

    def heal_kappas(self, n_workers):
        """The live version has so many; one that is begun beside it keeps those that it has, and at least one."""
        live = self.kappa_live() or "v1"
        self.kappas.setdefault(live, [])
        for version, workers in self.kappas.items():
            workers[:] = [worker for worker in workers if worker.running()]
            while version == live and len(workers) > n_workers:
                workers.pop(0).stop(10)
            while len(workers) < (n_workers if version == live else 1):
                self.start_kappa(version)

    def end_kappa(self, version):
        for worker in self.kappas.pop(version, []):
            if worker.running():
                worker.popen.send_signal(signal.SIGCONT)
                worker.stop(10)

    def died(self):
        """Programs that ended by themselves though nobody wanted it: (name, status, end of the log)."""
        bad = []
        for process in self.processes:
            status = process.popen.poll()
            if status is not None and status not in (0, -signal.SIGKILL) and not getattr(process, "told", False):
                process.told = True
                bad.append((process.name, status, process.text()[-1500:]))
        return bad

    def bad_batches(self):
        """Runs that ended as none may: (status, end of the log)."""
        bad = []
        for batch in [b for b in self.batches if not b.running()]:
            if not batch.ended_well():
                bad.append((batch.popen.returncode, f"{' '.join(batch.popen.args[1:])}: {batch.text()[-1500:]}"))
            batch.log.close()
            self.batches.remove(batch)
        return bad

    def redis_client(self):
        """Past the proxy."""
        return redis.Redis(host="127.0.0.1", port=self.stack.direct["redis"], socket_timeout=10)

    # --- answers

    def ask(self, path):
        """(status, what the body says)."""
        status, _, body = self.get(path)
        return status, json.loads(body)

    def coverage(self):
        """{partition: offset} of what serving shows, or None while it cannot be asked."""
        status, _, body = self.get("/metrics")
        if status != 200:
            return None
        found = {}
        for line in body.decode().splitlines():
            if line.startswith("lambda_serving_coverage_offset{"):
                found[int(line.split('"')[1])] = int(line.rsplit(" ", 1)[1])
        return found

    def add_partition(self):
        self.add_partitions(self.partitions + 1)
        self.truth.wanted = self.feeder.partitions = self.partitions

    def close(self):
        if self.feeder:
            self.feeder.stop()
        if self.truth:
            self.truth.stop()
        for batch in self.batches:
            batch.kill()
            batch.popen.wait()
        super().close()
