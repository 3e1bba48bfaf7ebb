"""What a service manager and cron do with the programs: the protocol of sd_notify(3), the installed files, the nightly line."""
import os
import re
import signal
import socket
import subprocess

import pytest

from harness import PROGRAMS, ROOT, order, wait_until


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setblocking(False)
        self.told = []

    def has(self, state, times=1):
        try:
            while True:
                self.told.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return self.told.count(state) >= times


@pytest.mark.parametrize("program, abstract", [("speed", False), ("serving", True)])
def test_the_service_manager_is_told(world, program, abstract):
    manager = Manager(f"\0{world.name}" if abstract else world.path("notify"))
    world.env["NOTIFY_SOCKET"] = f"@{world.name}" if abstract else world.path("notify")
    world.env["WATCHDOG_USEC"] = "400000"
    process = getattr(world, program)()
    wait_until(lambda: manager.has("READY=1"), 10, lambda: f"only {manager.told}")
    wait_until(lambda: manager.has("WATCHDOG=1", 3), 10, lambda: f"only {manager.told}")
    assert not manager.has("STOPPING=1")
    process.popen.send_signal(signal.SIGSTOP)              # it hangs: silence
    wait_until(lambda: open(f"/proc/{process.popen.pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()[0] == "T", 5, "it is stopped")
    manager.has("WATCHDOG=1")
    seen = len(manager.told)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    manager.has("WATCHDOG=1")
    assert len(manager.told) == seen
    process.popen.send_signal(signal.SIGCONT)
    process.stop()
    assert manager.has("STOPPING=1") and manager.told.count("READY=1") == 1


@pytest.mark.parametrize("usec, pid", [("x", None), ("-5", None), ("9" * 30, None), ("400000", "1")])
def test_another_watchdog_is_not_answered(world, usec, pid):
    manager = Manager(world.path("notify"))
    world.env.update({"NOTIFY_SOCKET": world.path("notify"), "WATCHDOG_USEC": usec}, **({"WATCHDOG_PID": pid} if pid else {}))
    process = world.serving()
    assert manager.has("READY=1")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    assert not manager.has("WATCHDOG=1")
    process.stop()


def test_nobody_listens(world):
    world.env["NOTIFY_SOCKET"] = world.path("nobody")
    world.serving().stop()


def test_hangup_without_tokens_does_no_harm(world):
    process = world.serving()
    process.popen.send_signal(signal.SIGHUP)
    wait_until(lambda: "nothing to read again" in process.text(), 5, "it says so")
    process.stop()


def test_crons_line(world):
    """Runs as it stands, but for the paths: silent and a log when it goes well, one line when not."""
    (line,) = [line for line in open(os.path.join(ROOT, "deploy", "cron", "lambda-batch"), encoding="utf-8") if re.match(r"\d", line)]
    when, user, command = line.split()[:5], line.split()[5], line.split(None, 6)[6]
    assert when == ["0", "2", "*", "*", "*"] and user == "lambda" and "%" not in command     # cron makes % a new line
    log, env = world.path("batch.log"), world.path("lambda.env")
    command = command.replace("/var/log/lambda/batch.log", log).replace("/etc/lambda/lambda.env", env)
    with open(env, "w", encoding="utf-8") as f:
        f.writelines(f"{key}='{value}'\n" for key, value in world.env.items() if key.startswith("LAMBDA_"))

    def night():
        done = subprocess.run(["/bin/sh", "-c", command], env={"PATH": f"{PROGRAMS}:/usr/bin:/bin"}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        return done.stdout
    world.produce([order(f"e{i}") for i in range(20)])
    assert night() == ""
    assert "published" in open(log, encoding="utf-8").read()
    with open(env, "a", encoding="utf-8") as f:
        f.write("LAMBDA_TIME_ZONE=Atlantis\n")
    assert re.fullmatch(f"lambda-batch run ended with status 64; see {log}\n", night())


def test_install(tmp_path):
    subprocess.run(["make", "-s", "install", f"DESTDIR={tmp_path}", "PREFIX=/opt/lambda"], cwd=ROOT, check=True, timeout=300)
    units = tmp_path / "opt/lambda/lib/systemd/system"
    for program in ("batch", "speed", "serving"):
        path = re.search(r"^ExecStart=(\S+)", (units / f"lambda-{program}.service").read_text(), re.M).group(1)
        assert path == f"/opt/lambda/bin/lambda-{program}"
        assert subprocess.run([f"{tmp_path}{path}", "--version"], check=True, stdout=subprocess.PIPE).stdout
        doc = re.search(r"^Documentation=file:(\S+)", (units / f"lambda-{program}.service").read_text(), re.M).group(1)
        assert os.path.exists(f"{tmp_path}{doc}")
    assert (units / "lambda-batch.timer").exists()
    assert not list(tmp_path.rglob("orders"))
