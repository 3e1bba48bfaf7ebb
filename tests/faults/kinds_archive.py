"""Kinds of faults (kinds.py) of the archive."""
import signal

from feeder import REPEATED_WITHIN
from kinds import expect, kind
from place import Batch
from test_kappa import Kappa

ARCHIVING = ("archive.prepared", "archive.synced", "archive.manifest_named", "archive.file_named", "archive.copied")


def archive_whole(n):
    """Archiving goes on where it was killed, and what there is then is in order."""
    expect(n, n.place.start_archive(), 0)
    expect(n, n.place.start_archive("verify"), 0)


@kind("archive: kill -9 at any step", batch=True)
def archive_killed(n):
    """At a certain place, and at any time; at last a run from what they left, now and then from that alone."""
    for _ in range(3):
        name = n.rng.choice(ARCHIVING)
        nth = n.rng.randint(1, 6) if name not in ("archive.prepared", "archive.copied") else 1
        if n.place.start_archive(LAMBDA_FAILPOINT=f"{name}:{nth}").wait() == -signal.SIGKILL:
            n.happened(f"archiving died at {name}")
        archiving = n.place.start_archive()
        n.pause(0, 0.4)
        if archiving.running():
            n.happened("archiving killed")
        archiving.kill()
        archiving.wait()
        n.pause(0, 1)
    archive_whole(n)
    expect(n, n.place.start_batch(*n.rng.choice(((), (), ("--source=archive",)))), 0)


def kappa_has(n, below):
    has = Kappa(n.place).nexts(n.place.kappa_live())
    return all(has.get(partition, 0) >= offset for partition, offset in below.items())


@kind("archive: retention takes what is archived", batch=True)
def archive_retention(n):
    """Kafka keeps what speed must know: what no run has covered, and the ids that may still come again."""
    below = n.place.feeder.pause()
    if not n.place.truth.has(below):
        raise RuntimeError("the orders did not get into the log")
    n.place.feeder.go()
    enough = n.place.feeder.sent + REPEATED_WITHIN
    archive_whole(n)
    n.clean_batch()
    n.wait(lambda: n.place.feeder.sent >= enough, 30)
    if not n.wait(lambda: kappa_has(n, below), 30):     # the live version may have been begun before there was an archive
        n.violation(f"{n.place.kappa_live()} does not come to {below}")
    n.place.delete_below(below)
    expect(n, Batch(n.place, ["run"], n.place.env), 65)     # Kafka alone has not all of it
    n.clean_batch()
    n.happened("records of the archive taken by retention")
