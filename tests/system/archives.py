"""What tests of the archive share: made, read and compared with what it must be."""
import base64
import glob
import json
import os
import random
import re
import subprocess
import zlib

import confluent_kafka.admin

import harness
from harness import order

TABLES = ("revenue_minutes", "revenue_days", "product_days", "product_names", "late_days")
BEFORE_VALUE = re.compile(rb'{"offset":\d+,"timestamp":-?\d+,(?:"key":(?:null|"(?:[^"\\]|\\.)*")|"raw_key":"[^"]*")'
                          rb'(?:,"headers":\[{.*?}\])?,"value":')
COUNTS = "records, counted, duplicate, rejected, late, rejected_by::text"


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


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))


def retention(world, ms):
    return confluent_kafka.admin.ConfigResource("topic", world.topic, set_config={"retention.ms": ms})
