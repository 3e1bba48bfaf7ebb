"""The units of deploy/systemd under a real systemd, installed and started as docs/deploy.md says. Not a part of 'make check':
'make units-check' runs it, as root, and fetches a Debian for it."""
import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time

import psycopg2
import pytest

import machine as machines
from harness import ROOT, free_port, order, wait_until

SERVICES = ("lambda-speed", "lambda-kappa@v1", "lambda-serving")
DAY = "/v1/revenue/2026-03-01"


class Deployed:
    """A machine with the programs and units on it, of a world."""

    def __init__(self, world, machine):
        self.world, self.machine, self.orders = world, machine, 0
        world.port = free_port()
        subprocess.run(["make", "-s", "install", f"DESTDIR={machine.root}", "PREFIX=/usr/local"], cwd=ROOT, check=True, timeout=300)
        self.settings(LAMBDA_LISTEN=f"127.0.0.1:{world.port}")

    def settings(self, **more):
        """/etc/lambda/lambda.env."""
        self.world.env.update(more)
        self.machine.write("/etc/lambda/lambda.env", "".join(f"{k}={v}\n" for k, v in self.world.env.items() if k.startswith("LAMBDA_")), 0o600)

    def boot(self):
        """For the first time."""
        self.machine.boot()
        self.machine.run(*"systemd-run -q --wait --pipe -p EnvironmentFile=/etc/lambda/lambda.env lambda-batch migrate".split())

    def produce(self, n=20):
        self.world.produce([order(f"e{self.orders + i}") for i in range(n)])
        self.orders += n

    def exact(self):
        """Both views have every order."""
        self.world.assert_exact()
        wait_until(lambda: self.world.answer(DAY + "?view=kappa")["revenue"][0]["orders"] == self.orders, 30,
                   lambda: self.world.answer(DAY + "?view=kappa"))

    def edit(self, unit, text):
        """What 'systemctl edit' does."""
        self.machine.write(f"/etc/systemd/system/{unit}.d/override.conf", text)
        self.machine.systemctl("daemon-reload")

    def revert(self, unit):
        shutil.rmtree(self.machine.path(f"/etc/systemd/system/{unit}.d"))
        self.machine.systemctl("daemon-reload")

    def restarted(self, unit, pid, seconds):
        """Another process is at work since pid was."""
        def other():
            now = self.machine.show(unit, "MainPID", "ActiveState")
            return now["ActiveState"] == "active" and now["MainPID"] not in ("0", pid)
        wait_until(other, seconds, lambda: self.machine.systemctl("status", unit, status=None))


@pytest.fixture
def deployed(make_world):
    assert os.geteuid() == 0, "root is needed to start a container"
    world = make_world(migrate=False)
    directory = tempfile.mkdtemp(dir=os.path.join(ROOT, "build"), prefix="units-")
    machine = machines.Machine(directory)
    try:
        yield Deployed(world, machine)
    finally:
        world.stack.run("up", "--no-migrate")       # what a test has stopped
        if machine.leader:
            print(machine.systemctl("--failed", "--no-legend", status=None))
            print(machine.run("journalctl", "--no-pager", "-q", "-b", status=None).stdout[-8000:])
        machine.close()
        shutil.rmtree(directory)


def published(world):
    return world.sql("SELECT count(*) FROM lambda.publications")[0][0]


@contextlib.contextmanager
def run_lock(world):
    """Another run is at work, as lambda-batch sees it (sql/lock_run.sql)."""
    connection = psycopg2.connect(world.postgres)
    try:
        connection.cursor().execute("SELECT pg_advisory_lock(1818324322, 2)")
        yield
    finally:
        connection.close()


def test_a_day_of_a_machine(deployed):
    """Installed, started, hung, killed, reloaded, stopped, switched off, and on again the next night: exact all the time."""
    m, world = deployed.machine, deployed.world
    deployed.boot()
    deployed.produce()

    # docs/deploy.md: a service that was started is ready; the first connection is taken
    m.run("lambda-batch", "--version")
    m.systemctl("enable", "--now", *SERVICES, "lambda-batch.timer")
    world.get("/v1/revenue/today")
    for _ in range(3):
        m.systemctl("restart", "lambda-serving")
        world.get("/v1/revenue/today")
    wait_until(lambda: world.get("/readyz")[0] == 200, 20, "serving is ready")
    deployed.exact()
    for unit in SERVICES:
        assert m.show(unit, "NRestarts", "Result") == {"NRestarts": "0", "Result": "success"}
        assert "info lambda-" in m.journal(unit)
        assert m.run("ps", "-o", "user=", "-p", m.show(unit, "MainPID")["MainPID"]).stdout.strip() not in ("root", "")
    assert "02:00:00" in m.show("lambda-batch.timer", "TimersCalendar")["TimersCalendar"]
    assert m.show("lambda-batch", "ExecMainStartTimestampMonotonic")["ExecMainStartTimestampMonotonic"] == "0"

    # a run by hand
    m.systemctl("start", "lambda-batch")
    assert published(world) == 1 and "published" in m.journal("lambda-batch")
    deployed.produce()
    deployed.exact()

    # kill -9
    for unit in SERVICES:
        pid = m.kill(unit, "KILL")
        deployed.produce()
        deployed.restarted(unit, pid, 15)
    deployed.exact()

    # a process that hangs: the watchdog; serving's as it is, speed's 2 minutes shortened
    for unit in SERVICES[:2]:
        deployed.edit(f"{unit}.service", "[Service]\nWatchdogSec=4s\n")
        m.systemctl("restart", unit)
    wait_until(lambda: world.get("/readyz")[0] == 200, 20, "serving is ready")
    pids = {unit: m.kill(unit, "STOP") for unit in SERVICES}
    deployed.produce()
    for unit, pid in pids.items():
        deployed.restarted(unit, pid, 60)
        assert "watchdog" in m.journal(unit).lower()
    deployed.exact()

    # reload and stop
    pid = m.show("lambda-serving", "MainPID")
    m.systemctl("reload", "lambda-serving")
    assert m.show("lambda-serving", "MainPID") == pid
    for unit in SERVICES:
        began = time.monotonic()
        m.systemctl("stop", unit)
        assert time.monotonic() - began < 8 and m.show(unit, "Result", "ActiveState") == {"Result": "success", "ActiveState": "inactive"}
        m.systemctl("start", unit)

    # off for two days, and on again: everything starts, the run that was missed too
    m.off()
    os.utime(m.path("/var/lib/systemd/timers/stamp-lambda-batch.timer"), (time.time() - 2 * 86400,) * 2)
    deployed.produce()
    runs = published(world)
    m.boot()
    for unit in SERVICES:
        before = m.journal(unit, "-b", "-1")
        assert "Deactivated successfully" in before and "timed out" not in before, before[-2000:]
    wait_until(lambda: published(world) == runs + 1, 60,
               lambda: m.systemctl("status", "lambda-batch", status=None))
    wait_until(lambda: world.get("/readyz")[0] == 200, 20, "serving is ready")
    deployed.exact()
    m.off()


def test_how_runs_end(deployed):
    """Archive and spill files find room in the hardened service; 65 is final, what time mends is tried again, four times."""
    m, world = deployed.machine, deployed.world
    deployed.settings(LAMBDA_ARCHIVE="/var/lib/lambda/archive", LAMBDA_MEMORY="1MiB", LAMBDA_CONNECT_WAIT="1s")
    deployed.boot()
    soon = "[Service]\nRestartSec=1s\n"
    deployed.edit("lambda-batch.service", soon + "ExecStartPre=/usr/local/bin/lambda-batch archive\n")
    world.orders("generate", "--seed", "1", "--count", "200000", "--days", "10")
    m.systemctl("start", "lambda-batch")
    assert published(world) == 1
    assert int(re.search(r"\((\d+) MiB spilled", m.journal("lambda-batch")).group(1)) > 0
    m.systemctl("start", "lambda-batch")                    # a user of the moment again: what there is belongs to it
    assert published(world) == 2
    assert len(m.run("sh", "-c", "ls /var/lib/lambda/archive/*/partition=0/*.zst").stdout.split()) == 1

    # 75: another run is at work, so this one comes later
    with run_lock(world):
        m.systemctl("start", "lambda-batch", status=1)
        assert m.show("lambda-batch", "ExecMainStatus")["ExecMainStatus"] == "75"
        assert published(world) == 2
    wait_until(lambda: published(world) == 3, 30, lambda: m.systemctl("status", "lambda-batch", status=None))

    # 65: the log has lost its beginning, and nobody has archived it
    del world.env["LAMBDA_ARCHIVE"]
    deployed.settings()
    deployed.edit("lambda-batch.service", soon)
    world.delete_below({0: 10})
    m.systemctl("reset-failed", "lambda-batch", status=None)
    m.systemctl("start", "lambda-batch", status=1)
    assert m.show("lambda-batch", "Result", "ExecMainStatus", "ActiveState", "NRestarts") == {
        "Result": "exit-code", "ExecMainStatus": "65", "ActiveState": "failed", "NRestarts": "0"}
    deployed.settings(LAMBDA_ARCHIVE="/var/lib/lambda/archive")

    # Kappa reads the archive that batch writes, at the same time
    m.systemctl("reset-failed", "lambda-batch", status=None)
    deployed.edit("lambda-batch.service", soon + "ExecStartPre=/usr/local/bin/lambda-batch archive\n")
    world.produce([order("after")], partition=0)
    m.systemctl("start", "lambda-batch", *SERVICES)
    wait_until(lambda: world.sql("SELECT count(*), sum(next_offset) FROM lambda.kappa_offsets") == [(4, 200001)], 60,
               lambda: m.journal("lambda-kappa@v1")[-3000:])
    assert world.sql("SELECT min(start_offset) FROM lambda.kappa_offsets") == [(0,)]
    deployed.edit("lambda-batch.service", soon)
    runs = published(world)

    # 69: Postgres is away, and comes back
    m.systemctl("reset-failed", "lambda-batch", status=None)
    world.stack.stop("postgres")
    m.systemctl("start", "lambda-batch", status=1)
    assert m.show("lambda-batch", "Result", "ExecMainStatus") == {"Result": "exit-code", "ExecMainStatus": "69"}
    world.stack.start("postgres")
    wait_until(lambda: published(world) == runs + 1, 30, lambda: m.systemctl("status", "lambda-batch", status=None))

    # and stays away: five starts
    m.systemctl("reset-failed", "lambda-batch", status=None)
    world.stack.stop("postgres")
    before = m.journal("lambda-batch").count("status=69")
    m.systemctl("start", "lambda-batch", status=1)
    wait_until(lambda: m.show("lambda-batch", "ActiveState")["ActiveState"] == "failed", 60, lambda: m.systemctl("status", "lambda-batch", status=None))
    assert m.journal("lambda-batch").count("status=69") - before == 5 and "Start request repeated too quickly" in m.journal("lambda-batch")
    world.stack.start("postgres")


def test_settings_and_secrets(deployed):
    """A wrong setting is not tried again; a file of tokens that only root can read reaches the service as a credential."""
    m, world = deployed.machine, deployed.world
    deployed.boot()
    deployed.settings(LAMBDA_TIME_ZONE="Atlantis")
    for unit in SERVICES:
        m.systemctl("start", unit, status=1)
        wait_until(lambda: m.show(unit, "ActiveState")["ActiveState"] == "failed", 10, lambda: m.systemctl("status", unit, status=None))
        assert m.show(unit, "ExecMainStatus", "NRestarts") == {"ExecMainStatus": "64", "NRestarts": "0"}
    deployed.settings(LAMBDA_TIME_ZONE=world.zone)
    m.write("/etc/lambda/tokens", "a-token-of-32-characters-at-least-0123456789\n", 0o600)
    deployed.edit("lambda-serving.service", "[Service]\nLoadCredential=tokens:/etc/lambda/tokens\nEnvironment=LAMBDA_AUTH_TOKEN_FILE=%d/tokens\n")
    m.systemctl("start", "lambda-serving")
    assert world.get("/v1/revenue/today")[0] == 401
    assert world.get("/v1/revenue/today", headers={"Authorization": "Bearer a-token-of-32-characters-at-least-0123456789"})[0] in (200, 503)
    m.off()
