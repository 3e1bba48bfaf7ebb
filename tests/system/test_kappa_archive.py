"""Kappa mode reads the archive first, then Kafka from where it ends: the rows are those of one replay of the whole log, wherever its
records lie, whatever happens on the way."""
import os
import random
import re

import pytest

from archives import all_records, archive, files, manifests
from harness import oracle_answers, order, wait_until
from test_kappa import EVERYTHING, SOON_DEAD, Kappa, total

SMALL = "--archive-file-size=100KiB"


@pytest.fixture
def kappa(world):
    return Kappa(world)


def ends(root, world):  # noqa: F811
    """Where the archive of each partition ends."""
    return {p: manifests(root, world, p)[-1]["to"] for p in range(world.partitions)}


def replay(kappa, root, version, *args):  # noqa: F811
    return kappa.worker(version, "--from=beginning", f"--archive={root}", *args)


def test_archive_and_kafka_give_the_same_rows_as_kafka_alone(world, kappa, root):  # noqa: F811
    """With an overlap; when retention took what was archived; with several workers; and once more after a restart."""
    world.orders("generate", "--seed", "61", "--count", "12000", *EVERYTHING)
    archive(world, root, SMALL)
    world.orders("generate", "--seed", "62", "--count", "3000", *EVERYTHING)
    first = kappa.worker()
    kappa.wait_caught_up()
    answers = kappa.assert_exact()
    second = replay(kappa, root, "v2")
    kappa.wait_caught_up("v2")
    read = set(re.findall(r"partition (\d+): the archive is read, going on with kafka", second.text()))     # again after a rebalance
    assert len(read) == world.partitions, second.text()[-3000:]
    assert kappa.rows("v2") == kappa.rows("v1")
    first.stop()

    below = ends(root, world)
    world.delete_below({p: to - 20 * p for p, to in below.items()})
    workers = [replay(kappa, root, "v3", "--throttle=2500", *SOON_DEAD) for _ in range(2)]
    wait_until(lambda: all(" n=2" in worker.text() for worker in workers), 30, "each has two partitions")
    kappa.wait_caught_up("v3")
    assert kappa.rows("v3") == kappa.rows("v1")
    kappa.serving()
    kappa.do("promote", "v3")
    wait_until(lambda: kappa.assert_served(answers, "v3")["degraded"] == [], 30, lambda: kappa.assert_served(answers, "v3"))
    second.stop()
    kappa.worker("v4", "--from=beginning")
    kappa.wait_caught_up("v4")
    assert total(kappa.rows("v4")["kappa_days"]) < total(kappa.rows("v3")["kappa_days"])  # what a replay without it lacks


def test_killed_in_the_archive_it_goes_on(world, kappa, root):  # noqa: F811
    """Kafka has nothing of that part any more: the last record and the horizon are read from the archive."""
    rng = random.Random(63)
    world.orders("generate", "--seed", "63", "--count", "8000", *EVERYTHING)
    kappa.worker()
    kappa.wait_caught_up()
    archive(world, root, SMALL)
    world.delete_below(ends(root, world))
    args = ("v2", "--throttle=1000", *SOON_DEAD)
    worker = replay(kappa, root, *args)
    for _ in range(3):
        at = sum(kappa.nexts("v2").values())
        wait_until(lambda: sum(kappa.nexts("v2").values()) > at + rng.randrange(500, 1500), 30, "it goes on")
        worker.kill()
        assert all(n < ends(root, world)[p] for p, n in kappa.nexts("v2").items())
        worker = replay(kappa, root, *args)
    wait_until(lambda: kappa.nexts("v2") == ends(root, world), 60, lambda: kappa.nexts("v2"))
    assert kappa.rows("v2") == kappa.rows("v1")

    # just behind the archive's end, with nothing in Kafka at all: duplicates of what only the archive has
    worker.kill()
    worker = replay(kappa, root, *args)
    known = [value for p, _, _, value in all_records(world, root) if p == 0 and value and b"broken" not in value][-50:]
    before = sum(row[2] for row in kappa.rows("v2")["kappa_duplicates"])
    world.produce(known, partition=0)
    for version in ("v1", "v2"):
        wait_until(lambda: kappa.nexts(version)[0] >= ends(root, world)[0] + 50, 30, lambda: kappa.nexts(version))  # noqa: B023
    assert kappa.rows("v2") == kappa.rows("v1")
    assert sum(row[2] for row in kappa.rows("v2")["kappa_duplicates"]) == before + 50


def test_more_is_archived_while_it_reads(world, kappa, root):  # noqa: F811
    """What Kafka has not any more: a worker that did not look again would find a hole."""
    world.orders("generate", "--seed", "64", "--count", "6000", *EVERYTHING)
    archive(world, root, SMALL)
    known = {path for p in range(4) for path in files(root, world, p)}
    world.orders("generate", "--seed", "65", "--count", "2000", *EVERYTHING)
    archive(world, root, SMALL)
    world.delete_below(ends(root, world))
    more = [path for p in range(4) for path in files(root, world, p) if path not in known]
    for path in more:
        os.rename(path, path + ".later")
    worker = replay(kappa, root, "v1", "--throttle=1000")
    wait_until(lambda: sum(kappa.nexts().values()) > 200, 30, "it reads")
    for path in more:
        os.rename(path + ".later", path)
    wait_until(lambda: " archive " in kappa.do("status"), 10, lambda: kappa.do("status"))
    wait_until(lambda: kappa.nexts() == ends(root, world), 60, lambda: worker.text()[-2000:])
    answers = oracle_answers(all_records(world, root), rules="speed")
    kappa.serving()
    kappa.assert_served(answers)

    # a live version that was away for longer than retention goes on from the archive as well
    worker.stop()
    world.orders("generate", "--seed", "66", "--count", "2000", *EVERYTHING)
    archive(world, root, SMALL)
    world.delete_below(ends(root, world))
    kappa.worker("v1", f"--archive={root}")
    wait_until(lambda: kappa.nexts() == ends(root, world), 30, lambda: kappa.nexts())
    kappa.assert_served(oracle_answers(all_records(world, root), rules="speed"))


def test_a_hole_is_refused_or_accepted_and_told(world, kappa, root):  # noqa: F811
    world.produce([order(f"a{i}") for i in range(10)], partition=0)
    archive(world, root)
    world.produce([order(f"b{i}") for i in range(10)], partition=0)
    world.delete_below({0: 15})
    worker = replay(kappa, root, "v1")
    assert worker.wait(30) == 65 and "0:10-15 are not in Kafka and not in the archive" in worker.text(), worker.text()[-2000:]
    assert kappa.nexts().get(0, 0) in (0, 10)
    worker = replay(kappa, root, "v1", "--accept-lost=0:10-14")
    assert worker.wait(30) == 65 and "--accept-lost=0:10-15" in worker.text()
    worker = replay(kappa, root, "v1", "--accept-lost=0:10-15")
    wait_until(lambda: kappa.nexts().get(0) == 20, 30, lambda: worker.text()[-2000:])
    assert world.sql("SELECT from_offset, to_offset FROM lambda.kappa_lost") == [(10, 15)]
    kappa.serving()
    wait_until(lambda: "lost_events" in world.answer("/revenue/today")["degraded"], 10, lambda: world.answer("/revenue/today"))
    worker.stop()

    # in the middle of the archive
    archive(world, root, status=65)
    world.delete_below({0: 20})
    worker = replay(kappa, root, "v2")
    assert worker.wait(30) == 65 and "0:10-15" in worker.text()
    replay(kappa, root, "v3", "--accept-lost=0:10-15")
    wait_until(lambda: kappa.nexts("v3").get(0) == 20, 30, lambda: worker.text()[-2000:])
    assert kappa.rows("v3") == kappa.rows("v1")


def test_what_is_no_archive_of_this_log_is_refused(world, kappa, make_world, root):  # noqa: F811
    world.produce([order(f"a{i}") for i in range(40)], partition=0)
    archive(world, root, "--archive-file-size=4KiB")
    missing = kappa.worker("v1", f"--archive={root}/missing")
    wait_until(lambda: "cannot read the directory" in missing.text(), 20, lambda: missing.text())
    missing.stop()
    worker = kappa.worker()
    kappa.wait_caught_up()
    worker.stop()

    # a damaged file: nothing of it is folded
    path = files(root, world, 0)[1]
    fine = open(path, "rb").read()
    with open(path, "r+b") as file:
        file.seek(len(fine) // 2)
        file.write(bytes([fine[len(fine) // 2] ^ 1]))
    worker = replay(kappa, root, "v2")
    assert worker.wait(30) == 65 and f"'{path}' is damaged" in worker.text(), worker.text()[-2000:]
    assert kappa.nexts("v2")[0] <= manifests(root, world, 0)[1]["from"]
    with open(path, "wb") as file:
        file.write(fine)
    worker = replay(kappa, root, "v2")
    kappa.wait_caught_up("v2")
    worker.stop()

    # the version's last record is another one than the archive's: at a file's end, in a file, in front of it
    world.delete_below({0: 40})
    for at in (40, manifests(root, world, 0)[0]["to"], 3):
        world.sql("UPDATE lambda.kappa_offsets o SET next_offset = %s, tail = %s FROM lambda.kappa_versions v WHERE v.id = o.id AND "
                  "v.version = 'v2' AND partition = 0", at, f"{at - 1} 0123456789abcdef")
        worker = replay(kappa, root, "v2")
        assert worker.wait(30) == 65 and "is of another log than the version" in worker.text(), (at, worker.text()[-2000:])

    other = make_world()
    other.produce([order("x")], partition=0)
    os.rename(f"{root}/{world.topic}", f"{root}/{other.topic}")
    worker = Kappa(other).worker("v1", f"--archive={root}")
    assert worker.wait(30) == 65 and "is of the log" in worker.text()
