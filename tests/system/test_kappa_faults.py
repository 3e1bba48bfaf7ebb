"""Kappa mode, killed and stopped at named places (common/failpoint.h): the rows are those of a version that nobody disturbed."""
import os
import signal
import subprocess

import psycopg2
import pytest

import harness
from archives import archive
from harness import wait_until
from test_kappa import EVERYTHING, SOON_DEAD, VALUES, Kappa

FAULT = os.path.join(harness.ROOT, "build", "fault", "bin")
COUNT = 6000
# of a worker: the nth time that it comes there
PLACES = ("kappa.begun", "kappa.loaded:3", "recovery.sought:2", "archived.record:700", "archived.end:2", "flush.made:6", "flush.write:4",
          "flush.sent:3", "flush.sent:8", "kappa.committed:2", "kappa.committed:7", "flush.acknowledged:5")


class Faulty(Kappa):
    """Programs that end or stop at a place."""

    def start(self, version, *args, **env):
        programs, before = harness.PROGRAMS, dict(self.world.env)
        harness.PROGRAMS = FAULT
        self.world.env.update(env)
        try:
            return self.worker(version, *args, *SOON_DEAD)
        finally:
            harness.PROGRAMS, self.world.env = programs, before

    def killed(self, place, *args):
        """A command that is killed there."""
        done = subprocess.run([os.path.join(FAULT, "lambda-speed"), *args], env=dict(self.world.env, LAMBDA_FAILPOINT=place),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL, (place, done)

    def live(self):
        return self.world.sql("SELECT version, promotion FROM lambda.kappa_live JOIN lambda.kappa_versions USING (id)")[0]


@pytest.fixture(scope="session")
def fault_build():
    subprocess.run(["make", "-s", "MODE=fault", "build/fault/bin/lambda-speed"], cwd=harness.ROOT, check=True, timeout=300,
                   env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")})


@pytest.fixture
def kappa(world, fault_build):
    return Faulty(world)


def test_a_worker_killed_at_any_step(world, kappa, root):  # noqa: F811
    """Before the statement, while it is under way, after its COMMIT and before the reply was handled; and in the archive."""
    world.orders("generate", "--seed", "71", "--count", str(COUNT // 2), *EVERYTHING)
    archive(world, root, "--archive-file-size=200KiB")
    world.orders("generate", "--seed", "72", "--count", str(COUNT // 2), *EVERYTHING)
    kappa.worker()
    kappa.wait_caught_up()
    args = ("--from=beginning", f"--archive={root}", "--throttle=3000", "--pending-max=500")  # 12 flushes at least, however slow they are
    killed = {place.replace(".", "-").replace(":", "-"): place for place in PLACES}
    workers = [(place, kappa.start(version, *args, LAMBDA_FAILPOINT=place)) for version, place in killed.items()]
    for place, worker in workers:
        assert worker.wait(60) == -signal.SIGKILL, place
    for version in killed:
        kappa.start(version, *args)
    wanted = kappa.rows()
    for version in killed:
        kappa.wait_caught_up(version)
        assert kappa.rows(version) == wanted, version


def test_a_flush_whose_worker_died_commits_under_the_next_one(world, kappa):
    """Postgres is still busy with it when the next worker begins: that one waits, is refused and goes on behind it."""
    world.orders("generate", "--seed", "73", "--count", "3000", *EVERYTHING)
    kappa.worker()
    kappa.wait_caught_up()
    same = ("-X", "group.instance.id=one")  # who comes next need not wait until Kafka has given up the one before
    kappa.start("v2", "--from=beginning", *same, LAMBDA_STALLPOINT="kappa.loaded:4")
    wait_until(lambda: len(kappa.nexts("v2")) == 4, 20, "every partition has begun")
    holder = psycopg2.connect(world.postgres)
    with holder.cursor() as cursor:
        cursor.execute("SELECT FROM lambda.kappa_offsets JOIN lambda.kappa_versions USING (id) WHERE version = 'v2' FOR UPDATE OF kappa_offsets")
    world.processes[-1].kill()

    def busy():
        return {pid for pid, in world.sql("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")}

    def both_wait():
        """False: the dead one's flush has ended at its lock_timeout, before the next one's came."""
        dead = kappa.start("v2", *same, LAMBDA_FAILPOINT="flush.sent")
        assert dead.wait(30) == -signal.SIGKILL
        first = wait_until(busy, 10, "the dead one's flush waits")
        kappa.start("v2", *same)
        if len(wait_until(lambda: (now := busy()) and (len(now) == 2 or not first <= now) and now, 60, busy)) == 2:
            return True
        world.processes[-1].kill()
        wait_until(lambda: not busy(), 20, "nothing waits any more")
        return False
    assert any(both_wait() for _ in range(5))
    worker = world.processes[-1]
    holder.close()
    kappa.wait_caught_up("v2")
    assert kappa.rows("v2") == kappa.rows()
    assert "flush refused" in worker.text()


def test_a_worker_that_stood_still_adds_nothing(world, kappa):
    """It goes on in the middle of a flush when another one has long taken its place."""
    world.orders("generate", "--seed", "74", "--count", "3000", *EVERYTHING)
    kappa.worker()
    kappa.wait_caught_up()
    still = kappa.start("v2", "--from=beginning", "--throttle=3000", LAMBDA_STALLPOINT="flush.write:3")
    wait_until(lambda: stopped(still), 30, "it stands still")
    kappa.start("v2")
    kappa.wait_caught_up("v2")
    still.popen.send_signal(signal.SIGCONT)
    wait_until(lambda: "refused" in still.text() or "revoked" in still.text(), 30, lambda: still.text()[-2000:])
    world.orders("generate", "--seed", "75", "--count", "1000", *EVERYTHING)
    for version in ("v1", "v2"):
        kappa.wait_caught_up(version)
    assert kappa.rows("v2") == kappa.rows()


def stopped(worker):
    with open(f"/proc/{worker.popen.pid}/stat", encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "T"


def test_commands_killed_at_any_step(world, kappa):
    """What is live changes at the COMMIT and at nothing else; whoever was held goes on."""
    world.orders("generate", "--seed", "76", "--count", "2000", *EVERYTHING)
    for version in ("v1", "v2"):  # one after the other: whichever begins first is live
        kappa.worker(version, "--from=beginning")
        kappa.wait_caught_up(version)
    for place in ("kappa.locked", "kappa.held", "kappa.swapped"):
        kappa.killed(place, "promote", "v2")
        assert kappa.live() == ("v1", 1), place
    kappa.killed("kappa.promoted", "promote", "v2")
    assert kappa.live() == ("v2", 2)
    status, text = kappa.command("promote", "v2")
    assert status == 64 and "live already" in text
    for place in ("kappa.held", "kappa.swapped"):
        kappa.killed(place, "rollback")
        assert kappa.live() == ("v2", 2), place
    kappa.killed("kappa.promoted", "rollback")
    assert kappa.live() == ("v1", 3)
    assert world.sql("SELECT version, kind FROM lambda.kappa_promotions ORDER BY promotion") == \
        [("v1", "first"), ("v2", "promote"), ("v1", "rollback")]

    world.orders("generate", "--seed", "77", "--count", "1000", *EVERYTHING)
    for version in ("v1", "v2"):
        kappa.wait_caught_up(version)
        kappa.assert_exact(version)
    assert kappa.rows("v1") == kappa.rows("v2")
    world.processes[1].stop()
    world.sql("UPDATE lambda.kappa_beats SET time_ms = 0")
    rows = kappa.rows("v2")
    kappa.killed("kappa.dropped", "prune", "v2")
    assert kappa.rows("v2") == rows
    kappa.do("prune", "v2")
    assert all(table == [] for table in kappa.rows("v2").values()) and len(rows) == len(VALUES)
