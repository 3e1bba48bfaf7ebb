"""The kinds of faults, which kinds_*.py add by their theme. Each is a function of the nemesis that makes the fault happen and returns when
nothing more is to come; what it leaves stopped or broken, the nemesis heals. A kind says `n.happened(what)` when it has seen that the
fault took effect."""
import os
import subprocess

import place as places

KINDS = {}
RECOVERY_S = 30


def kind(name, within_s=RECOVERY_S, batch=False):
    """within_s  all answers are exact again this long after the heal, at most
       batch     it runs batches itself; else the nemesis may run one beside it"""
    def take(function):
        KINDS[name] = function
        function.kind, function.within_s, function.batch = name, within_s, batch
        return function
    return take


def nothing(n):
    """The control: what is measured when nothing is wrong."""
    n.pause(3, 4)


nothing.kind, nothing.within_s, nothing.batch = "control: nothing", RECOVERY_S, False


# --- what kinds use

def clock_jump(n, start):
    path = n.place.path(f"clock.{n.serial()}")
    write_clock(path, "+0")
    process = start(**faked(path))
    n.pause(1, 2)
    for _ in range(3):
        write_clock(path, n.rng.choice(("+3600", "-3600", "+90000", "-40", "+7")))
        n.pause(1, 2)
        n.happened("clock jumps")
    write_clock(path, "+0")
    return process


def faked(path):
    return {"LD_PRELOAD": os.path.join(os.path.dirname(places.harness.PROGRAMS), "tests", "faults", "clock.so"), "FAULT_CLOCK": path}


def write_clock(path, offset):
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(offset + "\n")
    os.replace(path + ".new", path)


def expect(n, batch, status):
    batch.may_end = (status,)
    ended = batch.wait()
    if ended != status:
        n.violation(f"{' '.join(batch.popen.args[1:])} ended with {ended}, not {status}: {batch.text()[-800:]}")


def mount_small(directory, size_bytes):
    os.makedirs(directory, exist_ok=True)
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", directory], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


def unmount(directory):
    subprocess.run(["umount", "-l", directory], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
