"""Runs that read the archive: what they give is what a run from Kafka alone gives, and what neither has is told."""
import json
import os

from archives import all_records, archive, cat, files, last_run, manifest_of, manifests, produce, result, retention
from harness import oracle_answers, order, wait_until


def test_the_archive_outlives_retention(world, root):
    """What Kafka does not have any more is read from the archive; answers stay exact, and nothing is said to be missing."""
    produce(world, 2000, 1)
    archive(world, root, "--archive-file-size=20KiB")
    assert all(len(files(root, world, p)) > 2 for p in range(4))
    produce(world, 500, 2)
    expected = world.expected()
    world.run_batch()
    world.delete_below({p: manifests(root, world, p)[-1]["to"] - 5 for p in range(4)})
    done = world.batch("run")
    assert done.returncode == 65 and "accept-lost" in done.stdout, done.stdout
    world.run_batch(f"--archive={root}")
    assert result(world, 1) == result(world, last_run(world))
    world.speed()
    world.serving()
    world.assert_exact(expected=expected)
    wait_until(lambda: world.answer("/v1/revenue/today")["degraded"] == [], 30, lambda: world.answer("/v1/revenue/today"))
    produce(world, 100, 3)
    expected = oracle_answers(all_records(world, root))
    world.assert_exact(expected=expected)
    archive(world, root, "--archive-file-size=20KiB")
    world.run_batch(f"--archive={root}")
    world.assert_exact(expected=oracle_answers(all_records(world, root)))
    wait_until(lambda: world.answer("/v1/revenue/today")["degraded"] == [], 30, lambda: world.answer("/v1/revenue/today"))
    assert world.sql("SELECT count(*) FROM lambda.corrections") == [(0,)]


def test_a_hole_is_refused_or_accepted_and_told(world, root):
    world.produce([order(f"a{i}") for i in range(10)], partition=0)
    archive(world, root)
    world.produce([order(f"b{i}") for i in range(10)], partition=0)
    world.delete_below({0: 15})
    done = world.batch("run", f"--archive={root}")
    assert done.returncode == 65 and "0:10-15" in done.stdout, done.stdout
    done = archive(world, root, status=65)
    assert "0:10-15" in done.stdout
    archive(world, root)  # said once; what there was is archived
    assert [(m["from"], m["to"]) for m in manifests(root, world, 0)] == [(0, 10), (15, 20)]
    assert "10 to 15" in archive(world, root, "verify", status=65).stdout
    archive(world, root, "verify", "--accept-lost=0:10-15")
    status, out, log = cat(world, root, "0:5-17")
    assert status == 65 and "0:10-15" in log and [json.loads(line)["offset"] for line in out.splitlines()] == [5, 6, 7, 8, 9, 15, 16]
    for refused in ("0:10-14", "1:10-15", "0:11-15"):
        assert world.batch("run", f"--archive={root}", "--accept-lost", refused).returncode == 65
    assert world.batch("run", "--accept-lost", "0:10").returncode == 64

    world.speed()
    world.serving()
    world.run_batch(f"--archive={root}", "--accept-lost", "0:9-12", "--accept-lost=0:12-15", "--accept-lost=3:0-7")
    assert world.sql("SELECT lost FROM lambda.runs WHERE state = 'published'") == [("0:10-15",)]
    assert world.sql("SELECT lost FROM revenue.freshness") == [("0:10-15",)]
    day = "/v1/revenue/2026-03-01"
    answer = wait_until(lambda: (a := world.answer(day))["degraded"] == ["lost_events"] and a, 30, lambda: world.answer(day))
    assert answer["missing"] == [{"partition": 0, "from": 10, "to": 15}] and answer["revenue"][0]["orders"] == 15
    assert "dropped" in answer["caveat"] and answer["final"] is False
    assert world.answer(day + "?view=batch")["missing"][0] == {"partition": 0, "from": 10, "to": 15}


def test_what_speed_lost_is_covered_by_a_run_from_the_archive(world, root):
    speed = world.speed()
    world.serving()
    world.produce([order(f"a{i}") for i in range(10)], partition=0)
    world.assert_exact()
    speed.stop()
    world.produce([order(f"b{i}") for i in range(10)], partition=0)
    archive(world, root)
    expected = world.expected()
    world.delete_below({0: 15})
    world.speed()
    day = "/v1/revenue/2026-03-01"
    wait_until(lambda: world.answer(day)["degraded"] == ["lost_events"], 30, lambda: world.answer(day))
    world.run_batch(f"--archive={root}")
    assert world.assert_exact(expected=expected)["batch"]["run"] == 1
    wait_until(lambda: world.answer(day)["degraded"] == [], 30, lambda: world.answer(day))
    assert "missing" not in world.answer(day)


def test_files_that_are_gone_are_filled_from_kafka(world, root):
    """In the middle, at the end, without their manifest: what Kafka still has is archived again, and read from there until then."""
    world.produce([order(f"a{i}") for i in range(400)], partition=0)
    archive(world, root, "--archive-file-size=10KiB")
    there = files(root, world, 0)
    assert len(there) > 6
    before = cat(world, root, "0")[1]
    os.unlink(there[2])
    os.unlink(manifest_of(there[4]))
    os.unlink(there[-1])
    os.unlink(manifest_of(there[-1]))
    assert archive(world, root, "verify", status=65).stdout.count("is no part of the archive") == 2
    world.run_batch()
    world.run_batch(f"--archive={root}")
    assert result(world, 1) == result(world, 2)
    archive(world, root, "--archive-file-size=10KiB")
    archive(world, root, "verify")
    assert cat(world, root, "0")[1] == before
    world.delete_below({0: 400})
    world.run_batch(f"--archive={root}")
    assert result(world, 1)["revenue_minutes"] == result(world, 3)["revenue_minutes"]


def test_the_archive_is_checked_against_the_published_run(world, root):
    world.produce([order(f"a{i}") for i in range(20)], partition=0)
    archive(world, root)
    world.run_batch()
    for damage in ("overlay(tail placing '0000' from 6)", "replace(tail, '19 ', '18 ')"):
        world.sql(f"UPDATE lambda.cuts SET tail = {damage} WHERE partition = 0 AND run = 1")
        done = world.batch("run", f"--archive={root}", "--source=archive")
        assert done.returncode == 65 and "another log" in done.stdout, done.stdout


def test_the_archive_alone(world, stack, root):
    """Without Kafka a run ends where the archive ends; speed goes on from there."""
    world.speed()
    world.serving()
    produce(world, 400, 11)
    expected = world.expected()
    world.assert_exact(expected=expected)
    archive(world, root)
    world.run_batch()
    stack.stop("kafka")
    try:
        done = world.run_batch(f"--archive={root}", "--source=archive")
        assert "not sealed" in done.stdout
        assert result(world, 1) == result(world, 2)
        wait_until(lambda: world.answer("/v1/revenue/today")["batch"]["run"] == 2, 30, "run 2 is served")
        world.assert_exact(expected=expected)
        assert archive(world, root, "verify").returncode == cat(world, root)[0] == 0
    finally:
        stack.start("kafka")
    produce(world, 100, 12)
    expected = world.expected()
    world.assert_exact(expected=expected, seconds=60)

    # speed is ahead of the archive: it reads that again from Kafka, or else the run is refused
    stack.stop("kafka")
    try:
        done = world.batch("run", f"--archive={root}", "--source=archive")
        assert done.returncode == 69 and "speed has counted" in done.stdout, done.stdout
        world.assert_exact(expected=expected)
    finally:
        stack.start("kafka")
    world.wait_caught_up()
    world.run_batch(f"--archive={root}", "--source=archive")     # is served once speed, back in its group, has read that again
    wait_until(lambda: world.answer("/v1/revenue/today")["batch"]["run"] == last_run(world), 60, lambda: world.answer("/v1/revenue/today"))
    world.assert_exact(expected=expected, seconds=60)

    # a cut behind the published one would take orders back
    world.run_batch()
    done = world.batch("run", f"--archive={root}", "--source=archive")
    assert done.returncode == 65 and "take orders back" in done.stdout, done.stdout
    world.assert_exact(expected=expected)


def test_kafka_has_lost_what_lies_between_the_archive_and_speed(world, root):
    world.speed()
    world.serving()
    world.produce([order(f"a{i}") for i in range(10)], partition=0)
    archive(world, root)
    world.produce([order(f"b{i}") for i in range(10)], partition=0)
    expected = world.expected()
    world.assert_exact(expected=expected)
    world.delete_below({0: 15})
    done = world.batch("run", f"--archive={root}", "--source=archive")
    assert done.returncode == 65 and "would lose" in done.stdout, done.stdout
    world.assert_exact(expected=expected)


def test_source_archive_needs_an_archive(world, root):
    assert world.batch("run", "--source=archive", f"--archive={root}").returncode == 66
    assert "yet" in world.run_batch(f"--archive={root}").stdout
    assert world.batch("archive").returncode == 64
    assert world.batch("archive", f"--archive={root}/nowhere").returncode == 74
    archive(world, root, "verify", status=66)
    assert cat(world, root)[0] == 66
    archive(world, root)
    for which in ("x", "4", "0:5", "0:1-2 1:1-2", "-1", "99999999999"):
        assert cat(world, root, which)[0] == 64, which
    archive(world, root, "dog", status=64)


def test_an_archive_that_is_not_there_is_not_taken_for_an_empty_one(world, root):
    """Neither without its directory, nor as a mount point without its disk, though a truncated history is allowed."""
    world.produce([order(f"a{i}") for i in range(20)], partition=0)
    world.produce([order("b")], partition=1)
    archive(world, root)
    world.delete_below({0: 10})
    allowed = (f"--archive={root}", "--allow-truncated-history")
    world.run_batch(*allowed)
    assert world.sql("SELECT counted, truncated FROM lambda.runs") == [(21, False)]
    os.rename(root, root + "-away")
    for args in (allowed, (*allowed, "--dry-run"), (*allowed, "--source=archive"), ("--archive=/dev/null",)):
        done = world.batch("run", *args)
        assert done.returncode == 66 and "cannot read the directory" in done.stdout, done.stdout
    os.mkdir(root)
    for args in (allowed, (*allowed, "--dry-run")):
        done = world.batch("run", *args)
        assert done.returncode == 65 and "history shrinks" in done.stdout and "--accept-lost=0:0-10" in done.stdout, done.stdout
    world.run_batch(*allowed, "--accept-lost=0:0-10")                                   # then it is what is meant
    world.run_batch(*allowed)
    os.rmdir(root)
    os.rename(root + "-away", root)
    world.run_batch(*allowed)
    assert world.sql("SELECT counted, truncated, lost FROM lambda.runs WHERE state = 'published' ORDER BY run") == [
        (21, False, ""), (11, False, "0:0-10"), (11, True, ""), (21, False, "")]
    world.delete_below({0: 15})
    world.run_batch("--allow-truncated-history")                                        # without an archive, retention goes on every night
    world.delete_below({0: 18})
    world.run_batch("--allow-truncated-history")
    assert world.sql("SELECT counted, truncated FROM lambda.runs ORDER BY run DESC LIMIT 2") == [(3, True), (6, True)]


def test_a_partition_added_since(world, root):
    world.produce([order(f"a{i}") for i in range(10)], partition=0)
    archive(world, root)
    world.add_partitions(6)
    world.produce([order(f"b{i}") for i in range(10)], partition=5)
    world.run_batch(f"--archive={root}")
    archive(world, root)
    world.run_batch(f"--archive={root}", "--source=archive")
    assert world.sql("SELECT counted FROM lambda.runs ORDER BY run") == [(20,), (20,)]
    assert len(world.sql("SELECT 1 FROM lambda.cuts WHERE run = 2")) == 6


def test_a_partition_added_since_that_retention_has_reached(world, root):
    """Speed has counted it from its first offset; Kafka begins later by now. Nothing was wrong, so nothing is corrected."""
    world.speed("-X", "topic.metadata.refresh.interval.ms=1000")
    world.serving()
    world.produce([order(f"a{i}") for i in range(10)], partition=0)
    world.assert_exact()
    world.run_batch()
    world.add_partitions(6)
    world.produce([order(f"b{i}") for i in range(10)], partition=5)
    expected = world.expected()
    world.assert_exact(expected=expected)
    archive(world, root)
    world.delete_below({5: 6})
    assert "the cut is sealed" in world.run_batch(f"--archive={root}").stdout
    wait_until(lambda: world.answer("/v1/revenue/today")["batch"]["run"] == 2, 30, "run 2 is served")
    world.assert_exact(expected=expected)
    assert world.sql("SELECT day, cause, net_e4 FROM lambda.correction_causes") == []
    assert world.sql("SELECT first_offset, next_offset FROM lambda.cuts WHERE run = 2 AND partition = 5") == [(0, 10)]
