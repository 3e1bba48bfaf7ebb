"""The local stack: a crash and a foreign pid do not get in its way, and it stops nobody else's processes."""
import os
import signal
import subprocess
import time

import pytest

STACK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stack")
SERVERS = ("kafka", "redis", "postgres")


def run(directory, *args, status=0):
    done = subprocess.run([STACK, args[0], "--dir", str(directory), *args[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=120, check=False)
    assert done.returncode == status, (args, done.stdout)
    return done.stdout


def wait_dead(pid):
    """It is gone, or its parent has only to notice."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
                if stat.read().rsplit(")", 1)[1].split()[0] in "ZX":
                    return
        except (FileNotFoundError, ProcessLookupError):
            return
        assert time.monotonic() < deadline, pid
        time.sleep(0.02)


def pid_of(directory, server):
    return int((directory / f"{server}.pid").read_text())


@pytest.fixture
def up(tmp_path):
    run(tmp_path, "up", "--ports", "auto", "--no-migrate")
    yield tmp_path
    run(tmp_path, "down", "--wipe")


def test_a_crash_and_a_foreign_pid_do_not_get_in_the_way(up):
    env = (up / "env").read_text()
    pids = [pid_of(up, server) for server in SERVERS]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        wait_dead(pid)
    bystander = subprocess.Popen(["sleep", "600"])  # outlives all that follows
    try:
        (up / "redis.pid").write_text(f"{bystander.pid}\n")  # the pid of the dead Redis is somebody else's now
        run(up, "status", status=3)
        run(up, "up", "--ports", "auto", "--no-migrate")
        run(up, "status")
        assert (up / "env").read_text() == env  # same ports, same password
        run(up, "down")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
    run(up, "status", status=3)


def test_a_taken_port_is_named(up, tmp_path_factory):
    port = dict(line.split("=") for line in (up / "ports").read_text().split())["STACK_REDIS_PORT"]
    other = tmp_path_factory.mktemp("other")
    done = subprocess.run([STACK, "up", "--dir", str(other), "--no-migrate"], env=dict(os.environ, STACK_REDIS_PORT=port, STACK_KAFKA_PORT="39092",
                          STACK_KAFKA_CONTROLLER_PORT="39093", STACK_POSTGRES_PORT="35432"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120, check=False)
    assert done.returncode != 0 and port in done.stdout and "STACK_REDIS_PORT" in done.stdout
    run(other, "status", status=3)
