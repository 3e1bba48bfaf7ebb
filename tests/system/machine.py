"""A machine of its own for tests/system/units.py: a minimal Debian 12 with systemd as process 1, in a container of systemd-nspawn that
shares this machine's network. The tree is fetched once (debootstrap) into build/units/; a test's machine writes into an overlay."""
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile

from harness import ROOT, wait_until

PLACE = os.path.join(ROOT, "build", "units")
SUITE = "bookworm"
SYSTEM = ["systemd", "systemd-sysv", "dbus", "libnss-systemd", "procps"]


def packages():
    """What docs/deploy.md says that the programs need, and systemd."""
    with open(os.path.join(ROOT, "deploy", "packages.sh"), encoding="utf-8") as script:
        runtime = [line.split()[1:] for line in script if line.split()[:1] == ["runtime"]]
    return SYSTEM + sum(runtime, [])


def tree():
    """The directory of the tree, fetched when it is not there."""
    include = ",".join(packages())
    path = os.path.join(PLACE, hashlib.sha256(f"{SUITE} {include}".encode()).hexdigest()[:12])
    os.makedirs(PLACE, exist_ok=True)
    with open(os.path.join(PLACE, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            print("units: fetching a minimal Debian 12 with debootstrap, once", flush=True)
            new = tempfile.mkdtemp(dir=PLACE)
            os.chmod(new, 0o755)
            done = subprocess.run(["debootstrap", "--variant=minbase", f"--include={include}", SUITE, new], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=1200, check=False)
            if done.returncode:
                shutil.rmtree(new)
                raise AssertionError(f"debootstrap cannot fetch Debian: {done.stdout[-2000:]}")
            os.rename(new, path)
    return path


class Machine:
    def __init__(self, directory):
        """directory: for what this machine writes; on a disk, for the kernel stacks it upon the tree."""
        self.directory, self.root = directory, os.path.join(directory, "root")
        self.nspawn = self.leader = None
        for name in ("root", "upper", "work"):
            os.mkdir(os.path.join(directory, name))
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={tree()},upperdir={directory}/upper,workdir={directory}/work",
                        self.root], check=True)
        os.makedirs(self.path("/var/log/journal"), exist_ok=True)

    def path(self, inside):
        return self.root + inside

    def write(self, inside, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(inside)), exist_ok=True)
        with open(self.path(inside), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)

    def boot(self):
        """Until systemd has reached its target. Where it is not this machine's process 1, nobody can make a unit for the container."""
        alone = [] if os.path.isdir("/run/systemd/system") else ["--keep-unit"]
        log = open(os.path.join(self.directory, "nspawn.log"), "ab")
        self.nspawn = subprocess.Popen(["systemd-nspawn", "--quiet", "--register=no", *alone, "--boot", "--console=pipe", "--machine=units",
                                        "--directory", self.root], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        children = f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children"

        def running():
            assert self.nspawn.poll() is None, f"the container ended: {self.console()}"
            with open(children, encoding="ascii") as pids:
                self.leader = next(iter(pids.read().split()), None)
            return self.leader and self.run("systemctl", "is-system-running", status=None).stdout.strip() == "running"
        wait_until(running, 60, lambda: f"systemd is up: {self.console()}")

    def console(self):
        with open(os.path.join(self.directory, "nspawn.log"), encoding="utf-8", errors="replace") as log:
            return log.read()[-3000:]

    def run(self, *command, status=0, timeout=60):
        """A command in there, as root."""
        done = subprocess.run(["nsenter", "-t", self.leader, "-m", "-u", "-i", "-p", "-C", "-r", "-w", *command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
                              env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SYSTEMD_PAGER": ""})
        assert status is None or done.returncode == status, f"{' '.join(command)} ended with {done.returncode}: {done.stdout[-3000:]}"
        return done

    def systemctl(self, *args, **more):
        return self.run("systemctl", *args, **more).stdout

    def show(self, unit, *names):
        """Properties of a unit: {name: text}."""
        told = self.systemctl("show", unit, "-p", ",".join(names))
        return dict(line.split("=", 1) for line in told.splitlines())

    def kill(self, unit, name):
        """Sends a signal to the main process of a service; returns its pid in there."""
        pid = self.show(unit, "MainPID")["MainPID"]
        assert pid != "0", unit
        self.run("kill", f"-{name}", pid)
        return pid

    def journal(self, unit, *args):
        return self.run("journalctl", "--no-pager", "-q", "-u", unit, *args).stdout

    def off(self):
        """Orderly, within a minute."""
        self.run("systemctl", "poweroff", status=None)
        assert self.nspawn.wait(60) == 0, self.console()
        self.leader = None

    def close(self):
        if self.nspawn and self.nspawn.poll() is None:
            for name in (signal.SIGTERM, signal.SIGKILL):
                self.nspawn.send_signal(name)
                try:
                    self.nspawn.wait(20)
                    break
                except subprocess.TimeoutExpired:
                    pass
        subprocess.run(["umount", "-l", self.root], check=True)
