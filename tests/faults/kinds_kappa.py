"""Kinds of faults (kinds.py) of Kappa mode: workers of the live version, one that is begun beside it, promotions."""
import signal
import time

import proxy
from kinds import expect, kind
from kinds_archive import archive_whole
from kinds_servers import postgres_crash
from place import stands_still

FLUSHING = ("flush.made", "flush.write", "flush.sent", "kappa.committed", "flush.acknowledged")
RECOVERING = ("kappa.loaded", "recovery.sought")
ARCHIVED = ("archived.record", "archived.end")
PROMOTING = ("kappa.locked", "kappa.held", "kappa.swapped", "kappa.promoted")
PRUNING = ("kappa.locked", "kappa.dropped")
LACKS_S = 40        # a version that was begun beside the live one lacks nothing any more so long after
AWAKE_S = 11        # a version is worked on so long after its worker's last word, for prune


def live_workers(n):
    return n.place.kappas[n.place.kappa_live()]


# --- workers of the live version

def worker_dies_at(n, names):
    """One that joins; the others hand over partitions to it."""
    name = n.rng.choice(names)
    victim = n.place.start_kappa(n.place.kappa_live(), LAMBDA_FAILPOINT=f"{name}:{n.rng.choice((1, 1, 2, 5, 20))}")
    if n.rng.random() < 0.5:
        live_workers(n).pop(0).stop(10)
    if n.wait(lambda: not victim.running(), 15):
        n.happened(f"kappa worker died at {name}")
    else:
        victim.kill()


@kind("kappa: kill -9 in a flush")
def kappa_flush(n):
    worker_dies_at(n, FLUSHING)


@kind("kappa: kill -9 while it recovers")
def kappa_recovery(n):
    worker_dies_at(n, RECOVERING)


@kind("kappa: kill -9 at any time, three times")
def kappa_random(n):
    for _ in range(3):
        n.pause(0.2, 2.5)
        workers = live_workers(n)
        workers.pop(n.rng.randrange(len(workers))).kill()
        n.happened("kappa workers killed")
        n.place.start_kappa(n.place.kappa_live())


@kind("kappa: stopped beyond its session, goes on beside the new owner")
def kappa_zombie(n):
    live = n.place.kappa_live()
    if n.rng.random() < 0.7:    # with a flush that it is about to send, or has sent
        name = n.rng.choice(FLUSHING)
        zombie = n.place.start_kappa(live, LAMBDA_STALLPOINT=f"{name}:{n.rng.choice((1, 5, 20))}")
        if n.wait(lambda: stands_still(zombie.popen), 10):
            n.happened(f"kappa zombies stopped at {name}")
    else:
        zombie = live_workers(n)[0]
        n.place.start_kappa(live)
        n.pause(2, 3)
        zombie.popen.send_signal(signal.SIGSTOP)
    time.sleep(8.5)     # the session times out after 6
    zombie.popen.send_signal(signal.SIGCONT)
    n.pause(1, 2)
    n.happened("kappa zombies")


def postgres_ends_sessions(n):
    n.place.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name = 'lambda-speed'",
                n.place.database)


def postgres_restarts(n):
    postgres_crash(n)
    n.servers.start("postgres")


def postgres_is_not_heard(n):
    """What a flush says arrives, what is answered is lost: its outcome is not known."""
    n.servers.proxied["postgres"].set(proxy.DEAF)
    n.pause(0.2, 3)
    n.servers.proxied["postgres"].set()


@kind("kappa: postgres is lost in a flush, three times")
def kappa_postgres(n):
    for _ in range(3):
        n.pause(0.2, 1.5)
        fault = n.rng.choice((postgres_ends_sessions, postgres_restarts, postgres_is_not_heard))
        fault(n)
        n.happened(f"kappa: {fault.__name__.replace('_', ' ')}")


# --- another version

def begin_version(n, *args, **env):
    """Beside the live one; its name."""
    version = f"v{n.serial() + 1}"
    n.place.start_kappa(version, *args, **env)
    n.happened("versions begun beside the live one")
    return version


def ask_promote(n, version):
    """True when it is live."""
    asked = n.place.kappa_command("promote", version)
    asked.may_end = (0, 75)
    asked.refuses = ()
    status = asked.wait()
    if status == 75 and "lacks" in asked.text():
        n.happened("promotions refused: the version lacks something")
    return status == 0


def wait_begun(n, version):
    """Its worker has come to Postgres: until then there is no such version."""
    if not n.wait(lambda: n.place.sql("SELECT 1 FROM lambda.kappa_versions WHERE version = %s", version), 15):
        n.violation(f"{version} is not begun")


def promote(n, version):
    def is_live():
        return n.place.kappa_live() == version or ask_promote(n, version)
    wait_begun(n, version)
    if not n.wait(is_live, LACKS_S):
        n.violation(f"{version} is not promoted after {LACKS_S} s: {n.place.sql('SELECT * FROM lambda.kappa_offsets ORDER BY id, partition')}")
    n.happened("versions promoted")


def killed_command(n, *command):
    """It is killed at a certain step, or at any time; whatever it has done, it has done it wholly."""
    name = n.rng.choice((*(PRUNING if command[0] == "prune" else PROMOTING), None))
    if name:
        asked = n.place.kappa_command(*command, LAMBDA_FAILPOINT=name)
        asked.may_end = (0, 64, 75)
        if asked.wait() == -signal.SIGKILL:
            n.happened(f"kappa {command[0]} died at {name}")
        return
    asked = n.place.kappa_command(*command)
    asked.may_end = (0, 64, 75)     # it may be too late, or have been done before
    n.pause(0, 0.15)
    if asked.running():
        n.happened(f"kappa {command[0]} killed")
    asked.kill()
    asked.wait()


def prune_version(n, version):
    """Refused for as long as it is worked on."""
    n.place.end_kappa(version)
    killed_command(n, "prune", version)

    def is_gone():
        asked = n.place.kappa_command("prune", version)
        asked.may_end = (0, 75)
        return asked.wait() == 0
    if n.place.sql("SELECT 1 FROM lambda.kappa_versions WHERE version = %s", version) and not n.wait(is_gone, AWAKE_S + 5):
        n.violation(f"{version} cannot be pruned")
    n.happened("versions pruned")


@kind("kappa: another version is promoted, rolled back, pruned; kill -9 at any time")
def kappa_promote(n):
    first = n.place.kappa_live()
    version = begin_version(n, *n.rng.choice(((), (f"--throttle={max(500, n.place.feeder.sent // 4)}",))))
    wait_begun(n, version)
    behind = n.place.kappas[version][0].popen
    behind.send_signal(signal.SIGSTOP)
    ask_promote(n, version)     # what readers get then, they notice
    n.pause(0.5, 1)
    behind.send_signal(signal.SIGCONT)
    for _ in range(n.rng.randint(0, 2)):
        n.pause(0.2, 2)
        n.place.kappas[version].pop().kill()
        n.happened("kappa workers killed in a replay")
        n.place.start_kappa(version)
    for _ in range(3):
        killed_command(n, "promote", version)
        if n.rng.random() < 0.3:
            n.place.kappas[first].pop().kill()
            n.place.start_kappa(first)
            n.happened("kappa workers killed")
    promote(n, version)
    n.pause(0, 2)
    back = n.rng.random() < 0.5
    if back:
        if n.rng.random() < 0.5:
            killed_command(n, "rollback")
        if n.place.kappa_live() == version:
            expect(n, n.place.kappa_command("rollback"), 0)
        n.happened("versions rolled back")
        if n.place.kappa_live() != first:
            n.violation(f"a rollback from {version} to {first} has gone to {n.place.kappa_live()}")
        n.pause(0, 2)
    prune_version(n, version if back else first)


@kind("kappa: kill -9 in a replay from the archive", batch=True)
def kappa_archive(n):
    """At a certain place, and at any time; more is archived meanwhile."""
    first = n.place.kappa_live()
    archive_whole(n)
    name = n.rng.choice(ARCHIVED)
    version = begin_version(n, LAMBDA_FAILPOINT=f"{name}:{n.rng.randint(1, 2000 if name == ARCHIVED[0] else 20)}")
    archiving = n.place.start_archive()
    victim, = n.place.kappas[version]
    if n.wait(lambda: not victim.running(), 10):
        n.happened(f"kappa worker died at {name}")
    victim.kill()
    n.place.start_kappa(version)
    n.pause(0, 1)
    n.place.kappas[version].pop().kill()
    n.place.start_kappa(version)
    archiving.wait()
    promote(n, version)
    n.place.end_kappa(first)


@kind("kappa: a promotion is stopped on its way, then goes on")
def kappa_promote_stopped(n):
    """It may hold the live version: whose flushes wait, and are tried again."""
    first = n.place.kappa_live()
    version = begin_version(n)
    n.pause(3, 5)
    asked = n.place.kappa_command("promote", version, LAMBDA_STALLPOINT=n.rng.choice(PROMOTING))
    asked.may_end = (0, 69, 75)     # 69: somebody else's lock, or what it held was taken
    if asked.wait_stalled():
        n.happened("promotions stopped")
        n.pause(2, 12)
        asked.go_on()
    asked.wait()
    promote(n, version)
    n.place.end_kappa(first)


@kind("kappa: two promotions and a rollback at once")
def kappa_promote_twice(n):
    first = n.place.kappa_live()
    version = begin_version(n)
    promote(n, version)
    asked = [n.place.kappa_command(*command) for command in (("promote", first), ("rollback",), ("promote", version))]
    for command in asked:
        command.may_end = (0, 64, 75)   # 64: it is live already
    for command in asked:
        command.wait()
    n.happened("promotions at once")
    other = version if n.place.kappa_live() == first else first
    n.pause(0, 1)
    n.place.end_kappa(other)


@kind("kappa: pruned under a stopped worker")
def kappa_pruned(n):
    """It must not begin the version anew, nor add to what is not there."""
    version = begin_version(n)
    n.pause(2, 4)
    worker, = n.place.kappas.pop(version)
    worker.popen.send_signal(signal.SIGSTOP)

    def is_gone():
        asked = n.place.kappa_command("prune", version)
        asked.may_end = (0, 75)
        return asked.wait() == 0
    if not n.wait(is_gone, AWAKE_S + 8):
        n.violation(f"{version} cannot be pruned, though its worker is stopped")
    worker.told = True
    worker.popen.send_signal(signal.SIGCONT)
    if n.wait(lambda: not worker.running(), 20) and worker.popen.returncode == 65:
        n.happened("workers whose version was pruned")
    else:
        n.violation(f"a worker whose version was pruned goes on, or ended with {worker.popen.poll()}: {worker.text()[-1500:]}")
        worker.kill()
