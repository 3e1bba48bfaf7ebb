"""The archive: what is copied from Kafka comes back the same to the bit, and a run from it gives what a run from Kafka gives."""
import base64
import glob
import json
import os
import random
import re
import subprocess
import time
import zlib

import confluent_kafka
import confluent_kafka.admin
import pytest

import harness
from harness import oracle_answers, order, small_disk, wait_until

TABLES = ("revenue_minutes", "revenue_days", "product_days", "product_names", "late_days")
BEFORE_VALUE = re.compile(rb'{"offset":\d+,"timestamp":-?\d+,(?:"key":(?:null|"(?:[^"\\]|\\.)*")|"raw_key":"[^"]*")'
                          rb'(?:,"headers":\[{.*?}\])?,"value":')
COUNTS = "records, counted, duplicate, rejected, late, rejected_by::text"


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "archive"
    place.mkdir()
    return str(place)


def archive(world, root, *args, status=0, env=None):
    before = dict(world.env)
    world.env.update(env or {})
    try:
        done = world.batch("archive", *args, f"--archive={root}")
    finally:
        world.env = before
    assert done.returncode == status, done.stdout[-3000:]
    return done


def cat(world, root, *args):
    """What 'archive cat' prints on standard output alone."""
    done = subprocess.run([os.path.join(harness.PROGRAMS, "lambda-batch"), "archive", "cat", *args, f"--archive={root}"], env=world.env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


def files(root, world, partition):
    return sorted(glob.glob(f"{root}/{world.topic}/partition={partition}/*.ndjson.zst"))


def manifest_of(path):
    directory, name = os.path.split(path)
    return os.path.join(directory, "_" + name.replace(".ndjson.zst", ".json"))


def manifests(root, world, partition):
    texts = []
    for path in sorted(glob.glob(f"{root}/{world.topic}/partition={partition}/_*.json")):
        with open(path, encoding="utf-8") as text:
            texts.append(json.load(text))
    return texts


def manifests_at(root, world):
    return glob.glob(f"{root}/{world.topic}/partition=*/_*.json")


def decoded(line, raw):
    """(key, headers, value) of a line as Kafka had them; raw: its bytes."""
    def text(of):
        if "raw_key" in of:
            return base64.b64decode(of["raw_key"], validate=True)
        return None if of["key"] is None else of["key"].encode()

    def value(of):
        return None if of["value"] is None else base64.b64decode(of["value"], validate=True)
    headers = [(text(h).decode(), value(h)) for h in line.get("headers", [])] or None
    if "raw" in line:
        return text(line), headers, base64.b64decode(line["raw"], validate=True)
    if line["value"] is None:
        return text(line), headers, None
    return text(line), headers, raw[BEFORE_VALUE.match(raw).end():-1]


def result(world, run):
    """All rows of a run, and its counts."""
    rows = {}
    for table in TABLES:
        columns = [c for (c,) in world.sql("SELECT column_name FROM information_schema.columns WHERE table_schema = 'lambda' "
                                           "AND table_name = %s AND column_name <> 'run' ORDER BY ordinal_position", table)]
        rows[table] = world.sql(f"SELECT {', '.join(columns)} FROM lambda.{table} WHERE run = {run} ORDER BY {', '.join(columns)}")
    rows["counts"] = world.sql(f"SELECT {COUNTS} FROM lambda.runs WHERE run = {run}")
    rows["cuts"] = world.sql("SELECT partition, first_offset, next_offset, latest_event_ms, latest_record_ms, tail FROM lambda.cuts "
                             f"WHERE run = {run} ORDER BY 1")
    return rows


def last_run(world):
    return world.sql("SELECT max(run) FROM lambda.runs")[0][0]


def odd_records(world):
    """Everything that a log may hold, in partition 0."""
    producer = world.producer()
    pretty = json.dumps(order("pretty"), indent=2).encode()
    values = [json.dumps(order("plain")).encode(), pretty, b" " + json.dumps(order("blanks")).encode() + b"\t ",
              pretty.replace(b"\n", b"\r"), b"null", b"", None, b"[1,2]", b"\"text\"", b"42", b"{\"a\":1}", b"{\"a\":1}}", b"{", b"\xff\xfe\x00",
              b"{\"a\":\"\xff\"}", b"{\"a\":\"\\ud800\"}", b"{\"a\":\"\\ud83d\\ude00\"}", "{\"a\":\"h\u00e4t \u2028\"}".encode(), b"{\"a\":\"\\u0000\"}",
              b"{\"a\":1,\"a\":2}", b"\n", b"{}\n", b"{}\r\n", b"[" * 300, b"{\"x\":" * 300 + b"1" + b"}" * 300, b"\xef\xbb\xbf{}",
              b"{\"value\":\"},{\\\"raw\\\":\\\"\"}", b"{\"big\":\"" + b"x" * 300000 + b"\"}", bytes(range(256)) * 40, b"1e999", b"{\"n\":1e999}"]
    keys = [b"k", None, b"", b"\xff\x00", "schl\u00fcssel \"\\\n\t\u2028\U0001f600".encode(), b"nul\x00", b"\x1f\x7f"]
    headers = [None, [], [("a", b"b")], [("a", None), ("a", b""), ("", b"\x00\xff"), ("h\u00e4\"\n", b"x" * 100)]]
    for i, value in enumerate(values):
        producer.produce(world.topic, value, keys[i % len(keys)], partition=0, timestamp=1_780_000_000_000 - i * 1000, headers=headers[i % 4])
    for i, key in enumerate(keys):
        producer.produce(world.topic, b"{}", key, partition=0, headers=headers[i % 4])
    assert producer.flush(30) == 0
    world.produce([order("none")], partition=0, timestamp=-1)
    return len(values) + len(keys) + 1


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


def generated(world, n, seed, partitions=4):
    """Orders, some twice, some late, some broken; the same id always in the same partition."""
    some = random.Random(seed)
    ids = []
    for i in range(n):
        event_id = some.choice(ids) if ids and some.random() < 0.1 else f"{seed}-{i}"
        ids.append(event_id)
        value = order(event_id, f"{some.randrange(100000) / 100:.2f}", f"2026-03-{some.randrange(1, 28):02d}T{some.randrange(24):02d}:00:00Z",
                      some.choice(("order_placed", "order_refunded")), some.choice(("GBP", "EUR")), sku=f"S{some.randrange(20)}")
        place = zlib.crc32(event_id.encode()) % partitions
        yield place, value if some.random() < 0.95 else (None, some.choice((b"{", b"[1]", b"{}", b"\xff\n", b"")))


def produce(world, n, seed):
    by_partition = {}
    for partition, value in generated(world, n, seed):
        by_partition.setdefault(partition, []).append(value)
    for partition, values in by_partition.items():
        world.produce(values, partition=partition)


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
    assert world.answer("/v1/revenue/today")["degraded"] == []
    assert world.sql("SELECT count(*) FROM lambda.corrections") == [(0,)]


def all_records(world, root):
    """Of the archive and of Kafka, each once, as the oracle takes them."""
    records = {}
    for partition in range(world.partitions):
        for path in files(root, world, partition):
            raws = subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout.split(b"\n")[:-1]
            for raw in raws:
                line = json.loads(raw)
                records[partition, line["offset"]] = (partition, line["offset"], line["timestamp"], decoded(line, raw)[2])
    for record in world.log_records():
        records[record[:2]] = record
    return [records[key] for key in sorted(records)]


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
    archive(world, root)
    transaction("c", 5, lambda: producer.abort_transaction(30))
    archive(world, root)  # nothing but aborted records and a marker
    transaction("d", 5, lambda: producer.commit_transaction(30))
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


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))


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
    world.run_batch(f"--archive={root}", "--source=archive")
    wait_until(lambda: world.answer("/v1/revenue/today")["batch"]["run"] == last_run(world), 30, "the run is served")
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


def test_a_warning_when_retention_is_too_short(world, root):
    world.produce([order("a")], partition=0)
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


def retention(world, ms):
    return confluent_kafka.admin.ConfigResource("topic", world.topic, set_config={"retention.ms": ms})


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
