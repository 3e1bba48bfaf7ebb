"""The archive as others read it, with the very lines of docs/archive.md: jq, and DuckDB (duckdb.sh fetches it)."""
import decimal
import json
import os
import re
import subprocess

import pytest

from archives import archive, odd_records
from harness import ROOT

HERE = os.path.join(ROOT, "tests", "system")
# as DuckDB takes it; what it says is JSON, for the standard library reads that
ASK = """
import duckdb, json, sys
rows = duckdb.sql(sys.stdin.read()).fetchall()
json.dump(rows, sys.stdout, default=lambda v: {"bytes": v.hex()} if isinstance(v, bytes) else str(v))
"""


@pytest.fixture(scope="module")
def duckdb():
    """A function from SQL to rows."""
    done = subprocess.run([os.path.join(HERE, "duckdb.sh")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr

    def ask(statement):
        told = subprocess.run([done.stdout.strip(), "-c", ASK], input=statement, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=120, check=False)
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)
    return ask


def documented(language, root, world):
    """The first block of that language in docs/archive.md that reads the archive, for this one."""
    with open(os.path.join(ROOT, "docs", "archive.md"), encoding="utf-8") as page:
        blocks = re.findall(rf"```{language}\n(.*?)```", page.read(), re.S)
    block = next(block for block in blocks if "/srv/archive/orders/" in block)
    return block.replace("/srv/archive/orders", f"{root}/{world.topic}")


def oracle_net(world):
    net = {}
    for (_, currency), revenue in world.expected().days.items():
        net[currency] = net.get(currency, 0) + revenue.net
    return net


@pytest.fixture
def sales(world, root):
    """Orders, refunds, some twice; behind and before them all that a log may hold; in several files per partition."""
    odd_records(world)
    world.orders("generate", "--seed", "3", "--count", "5000", "--days", "10", "--refunds", "0.1", "--duplicates", "0.05",
                 "--currencies", "GBP,JPY,KWD")
    world.produce([{"event_id": 5, "lines": "no"}, {"event_id": "x", "lines": [{"unit_price": 1.5}]}, {"type": 7}], partition=0)
    odd_records(world)
    archive(world, root, "--archive-file-size=100KiB")
    return oracle_net(world)


def test_jq_sums_the_archive(world, root, sales):
    done = subprocess.run(["bash", "-o", "pipefail", "-c", documented("sh", root, world)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=120, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    told = {currency: decimal.Decimal(net) for currency, net in (line.split("\t") for line in done.stdout.splitlines())}
    assert told == sales and len(told) == 3


def test_duckdb_sums_the_archive(world, root, sales, duckdb):
    told = {currency: decimal.Decimal(net) for currency, net in duckdb(documented("sql", root, world))}
    assert told == sales and len(told) == 3


def test_duckdb_reads_every_line(world, root, duckdb):
    """Each record is a row with its place, time, key and value; a raw line gives its bytes."""
    odd_records(world)
    archive(world, root)
    table = re.search(r"read_json\(.*?}\)", documented("sql", root, world), re.S).group(0)
    rows = duckdb(f'SELECT "offset", "timestamp", "key", value, from_base64(raw) FROM {table} WHERE partition = 0 ORDER BY "offset"')
    kafka = [r for r in world.log_records(headers=True) if r[0] == 0]
    assert [row[0] for row in rows] == [r[1] for r in kafka]
    for (_, timestamp, key, value, raw), (_, offset, stamp, data, kafka_key, _) in zip(rows, kafka):
        assert timestamp == stamp
        if raw is not None:
            assert bytes.fromhex(raw["bytes"]) == data and value is None, offset
        else:
            assert (value and json.loads(value)) == (data and json.loads(data)), offset    # DuckDB leaves blanks out
        if key is not None:
            assert key == kafka_key.decode(), offset
    assert sum(row[4] is not None for row in rows) > 10 < sum(row[3] is not None for row in rows)
    glob = re.search(r"'(\S+\.zst)'", table).group(1)
    assert duckdb(f"SELECT count(*), count(raw) FROM '{glob}'") == [[len(rows), sum(row[4] is not None for row in rows)]]   # it guesses the columns
