"""Archiving: what is copied from Kafka comes back the same to the bit, whatever ends it; and what is damaged is found."""
import glob
import json
import os
import random
import subprocess
import time

import confluent_kafka.admin

from archives import archive, cat, decoded, files, flip, manifest_of, manifests, manifests_at, odd_records, produce, result, retention
from harness import order, small_disk, wait_until
from test_batch import log_ends_at


def test_every_record_comes_back_to_the_bit(world, root):
    n = odd_records(world)
    archive(world, root)
    status, out, log = cat(world, root, "0")
    assert status == 0, log
    kafka = [r for r in world.log_records(headers=True) if r[0] == 0]
    assert len(kafka) == n == out.count(b"\n")
    for raw, (_, offset, timestamp, value, key, headers) in zip(out.split(b"\n"), kafka):
        line = json.loads(raw)
        assert (line["offset"], line["timestamp"]) == (offset, timestamp)
        assert decoded(line, raw) == (key, headers or None, value), raw[:300]
    (path,) = files(root, world, 0)
    assert subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout == out
    (m,) = manifests(root, world, 0)
    assert (m["from"], m["to"], m["count"], m["bytes"]) == (0, n, n, os.path.getsize(path))
    assert m["log"].endswith("/" + world.topic) and m["tail"].startswith(f"{n - 1} ")
    archive(world, root, "verify")

    world.run_batch()
    world.run_batch(f"--archive={root}")
    assert result(world, 1) == result(world, 2)


def test_any_number_of_headers(world, root):
    """One producer's odd record does not stop archiving for good."""
    producer = world.producer()
    counts = (0, 1, 15, 16, 17, 999, 1000, 1001, 20000)
    for n in counts:
        producer.produce(world.topic, b"{}", b"k", partition=0, headers=[(f"h{i}", b"v%d" % i) for i in range(n)] or None)
    assert producer.flush(30) == 0
    archive(world, root)
    kafka = [r[5] for r in world.log_records(headers=True)]
    lines = cat(world, root, "0")[1].splitlines()
    assert [decoded(json.loads(line), line)[1] for line in lines] == kafka and [len(h or ()) for h in kafka] == list(counts)
    world.run_batch(f"--archive={root}", "--source=archive")


def test_transactions_leave_gaps_that_are_no_holes(world, root):
    producer = world.producer(**{"transactional.id": world.name})
    producer.init_transactions(30)

    def transaction(prefix, n, end):
        producer.begin_transaction()
        for i in range(n):
            producer.produce(world.topic, json.dumps(order(f"{prefix}{i}")), "k", partition=0)
        producer.flush(30)
        end()
    transaction("a", 10, lambda: producer.commit_transaction(30))
    transaction("b", 5, lambda: producer.abort_transaction(30))
    log_ends_at(world, 17)
    archive(world, root)
    transaction("c", 5, lambda: producer.abort_transaction(30))
    log_ends_at(world, 23)
    archive(world, root)  # nothing but aborted records and a marker
    transaction("d", 5, lambda: producer.commit_transaction(30))
    log_ends_at(world, 29)
    producer.begin_transaction()
    producer.produce(world.topic, json.dumps(order("open")), "k", partition=0)
    producer.flush(30)
    archive(world, root)
    assert [(m["from"], m["to"], m["count"]) for m in manifests(root, world, 0)] == [(0, 17, 10), (17, 23, 0), (23, 29, 5)]
    assert manifests(root, world, 0)[1]["tail"] == manifests(root, world, 0)[0]["tail"] == manifests(root, world, 0)[2]["tail_before"]
    archive(world, root, "verify")
    world.delete_below({0: 29})
    world.run_batch(f"--archive={root}")
    assert world.sql("SELECT records, counted FROM lambda.runs") == [(15, 15)]
    assert world.sql("SELECT first_offset, next_offset FROM lambda.cuts WHERE partition = 0") == [(0, 29)]
    producer.abort_transaction(30)


def test_damage_is_found(world, root):
    """Any byte that changed, any that is missing or too many, in files and manifests: no run, no answer, but a word."""
    world.produce([order(f"a{i}") for i in range(200)], partition=0)
    archive(world, root)
    (path,) = files(root, world, 0)
    size = os.path.getsize(path)
    some = random.Random(5)
    places = [(path, at) for at in (0, 4, 6, size // 2, size - 2, *some.sample(range(size), 5))]
    places += [(manifest_of(path), at) for at in some.sample(range(os.path.getsize(manifest_of(path))), 8)]
    for place, at in places:
        flip(place, at)
        done = archive(world, root, "verify", status=65)
        assert os.path.basename(place) in done.stdout, (place, at, done.stdout)
        done = world.batch("run", f"--archive={root}")
        assert done.returncode == 65 and "damaged" in done.stdout, (place, at, done.stdout)
        assert cat(world, root)[0] == 65
        flip(place, at)
    with open(path, "rb") as f:
        whole = f.read()
    for text in (whole[:-1], whole[:size // 2], b"", whole + b"x"):
        with open(path, "wb") as f:
            f.write(text)
        assert world.batch("run", f"--archive={root}").returncode == 65
        archive(world, root, "verify", status=65)
    with open(path, "wb") as f:
        f.write(whole)
    assert world.sql("SELECT count(*) FROM lambda.published") == [(0,)]
    archive(world, root, "verify")
    world.run_batch(f"--archive={root}")


def test_files_that_overlap(world, root):
    """Two archives of the same log, put together: each record counts once."""
    produce(world, 600, 7)
    other = root + "-other"
    os.mkdir(other)
    archive(world, root, "--archive-file-size=8KiB")
    archive(world, other, "--archive-file-size=11KiB")
    for p in range(4):
        for path in files(other, world, p)[1:]:
            for name in (path, manifest_of(path)):
                os.rename(name, name.replace(other, root))
    archive(world, root, "verify")
    world.run_batch()
    world.run_batch(f"--archive={root}")
    world.run_batch(f"--archive={root}", "--source=archive")
    assert result(world, 1) == result(world, 2) == result(world, 3)
    offsets = [json.loads(line)["offset"] for line in cat(world, root, "1")[1].splitlines()]
    assert offsets == list(range(len(offsets)))


def test_the_archive_of_another_log(world, make_world, root):
    world.produce([order(f"a{i}") for i in range(20)], partition=0)
    archive(world, root)
    other = make_world()
    other.produce([order("x")], partition=0)
    os.rename(f"{root}/{world.topic}", f"{root}/{other.topic}")
    done = archive(other, root, status=65)
    assert "hint" in done.stdout and world.topic in done.stdout
    assert other.batch("run", f"--archive={root}").returncode == 65
    os.rename(f"{root}/{other.topic}", f"{root}/{world.topic}")

    world.run_batch("--seal-wait=0s")
    world.make_topic_anew()
    world.produce([order(f"b{i}") for i in range(30)], partition=0)
    assert "another log" in archive(world, root, status=65).stdout  # the same names, other records
    world.sql("DELETE FROM lambda.published; DELETE FROM lambda.publications")
    done = world.batch("run", f"--archive={root}", "--seal-wait=0s")
    assert done.returncode == 65 and "another log" in done.stdout, done.stdout
    os.rename(root, root + "-old")
    os.mkdir(root)
    world.run_batch("--seal-wait=0s")
    archive(world, root)
    for name in (files(root, world, 0)[0], manifest_of(files(root, world, 0)[0])):
        os.rename(name.replace(root, root + "-old"), name)
    done = world.batch("run", f"--archive={root}", "--source=archive")  # shorter than what was published
    assert done.returncode == 65 and "take orders back" in done.stdout, done.stdout


def test_a_lost_note_is_not_replaced_by_another_logs(world, make_world, root):
    world.produce([order(f"a{i}") for i in range(20)], partition=0)
    archive(world, root)
    other = make_world()
    other.produce([order("x")], partition=0)
    os.unlink(f"{root}/{world.topic}/_archive.json")
    os.rename(f"{root}/{world.topic}", f"{root}/{other.topic}")
    assert world.topic in archive(other, root, status=65).stdout
    assert not os.path.exists(f"{root}/{other.topic}/_archive.json")
    os.rename(f"{root}/{other.topic}", f"{root}/{world.topic}")
    archive(world, root)
    world.run_batch(f"--archive={root}", "--source=archive")
    assert world.sql("SELECT counted FROM lambda.runs") == [(20,)]


def test_a_warning_when_retention_is_too_short(world, root):
    world.produce([order("a")], partition=0, timestamp=int((time.time() + 3000) * 1000))  # Kafka itself does not drop it below
    world.kafka_admin("incremental_alter_configs" if hasattr(confluent_kafka.admin.AdminClient, "incremental_alter_configs") else "alter_configs",
                      [retention(world, "60000")])
    assert "never complete" not in archive(world, root).stdout  # the first one
    assert "Kafka keeps" not in world.run_batch(f"--archive={root}").stdout
    world.kafka_admin("alter_configs", [retention(world, "1000")])
    time.sleep(1.5)
    assert "Kafka keeps" in archive(world, root).stdout
    time.sleep(1.5)
    assert "Kafka keeps" in world.run_batch(f"--archive={root}").stdout
    assert "Kafka keeps" not in world.run_batch().stdout


def test_killed_at_any_time(world, root):
    """Whatever moment it is killed at, archiving goes on, and the archive is the log once."""
    produce(world, 3000, 21)
    some = random.Random(22)
    for kill in range(1000):
        enough = len(manifests_at(root, world)) + some.choice((0, some.randrange(100)))
        process = world.start("lambda-batch", "archive", f"--archive={root}", "--archive-file-size=1KiB")
        wait_until(lambda: len(manifests_at(root, world)) >= enough or not process.running(), 30, process.text)
        time.sleep(some.random() * 0.05)
        if not process.running():
            assert process.wait(0) == 0
            break
        process.kill()
    assert kill > 2
    archive(world, root)
    archive(world, root, "verify")
    assert not glob.glob(f"{root}/{world.topic}/*/.*")
    offsets = [json.loads(line)["offset"] for line in cat(world, root, "2")[1].splitlines()]
    assert offsets == list(range(len(offsets)))
    world.run_batch()
    world.run_batch(f"--archive={root}", "--source=archive")
    assert result(world, 1) == result(world, 2)


def test_no_room(world, root):
    """However much room there is: exit 74, files that are whole, and with more room the next one goes on."""
    produce(world, 600, 41)
    world.run_batch()
    sizes = range(16 << 10, 1 << 20, 20 << 10)
    with small_disk(root, sizes[0]) as (resize, limit):
        for size in sizes:
            resize(size)
            done = world.batch("archive", f"--archive={root}", "--archive-file-size=4KiB", preexec=limit)
            if done.returncode == 0:
                break
            assert done.returncode == 74 and "cannot write" in done.stdout, done.stdout
            status, out, log = cat(world, root, "1")
            assert (status, [json.loads(line)["offset"] for line in out.splitlines()]) in (
                (66, []), (0, list(range(out.count(b"\n"))))), log
        assert size > sizes[2]
        archive(world, root, "verify")
        world.run_batch(f"--archive={root}", "--source=archive")
        assert result(world, 1) == result(world, 2)


def test_files_are_readable_by_others(world, root):
    """As docs/archive.md has it."""
    odd_records(world)
    world.produce([order(f"a{i}", "1.25", quantity=3) for i in range(50)], partition=0)
    archive(world, root)
    (path,) = files(root, world, 0)
    read = subprocess.run(f"zstd -dc '{path}' | jq -c 'if has(\"raw\") then [.offset, .raw] else [.offset, .value.event_id] end'",
                          shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    assert not read.stderr, read.stderr
    got = [json.loads(line) for line in read.stdout.splitlines()]
    kafka = [r for r in world.log_records() if r[0] == 0]
    assert [offset for offset, _ in got] == [r[1] for r in kafka]
    for (offset, told), (_, _, _, value) in zip(got[-50:], kafka[-50:]):
        assert told == json.loads(value)["event_id"], offset
    summed = subprocess.run(f"zstdcat '{path}' | jq -r 'select(.value) | .value.event_id // empty' | grep -c '^a'", shell=True,
                            stdout=subprocess.PIPE, check=True)
    assert int(summed.stdout) == 50


def test_stopped_by_a_signal_keeps_what_was_read(world, root):
    world.produce([order(f"a{i}") for i in range(20000)], partition=0)
    process = world.start("lambda-batch", "archive", f"--archive={root}", "-X", "fetch.message.max.bytes=1000", "-X", "queued.min.messages=1")
    place = f"{root}/{world.topic}/partition=0"
    wait_until(lambda: glob.glob(f"{place}/.*.tmp"), 30, process.text)
    time.sleep(0.3)
    process.popen.terminate()
    assert process.wait(10) in (0, 75), process.text()
    archive(world, root, "verify")
    assert manifests(root, world, 0)[0]["count"] > 0
    archive(world, root)
    archive(world, root, "verify")
    assert sum(m["count"] for m in manifests(root, world, 0)) == 20000


def test_two_at_once(world, root):
    archive(world, root)
    with open(f"{root}/{world.topic}/_lock", "rb") as lock:
        import fcntl
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another" in archive(world, root, status=75).stdout
