"""The functions in common/handover.lua: what the protocol's model does not have (test_walks.py has the rest): refusals, writes that
broke off, missing chunks, expiry by time, customers.

MODEL_SEED=n repeats a run.
"""
import collections
import os
import random
import re
import time

import pytest
import redis

import functions
from functions import BASE, FOLD, LOG, ROOT, fields


def test_expiry_by_time(f):
    f.adopt(0, 0, 0)
    f.flush(0, 4, lost="1-2")
    f.seal(1)
    f.flush(4, 6, lost="4-5")
    f.adopt(1, 1, 4, keep_ms=300)
    assert f.state()["gens"] == "0,0,4 1,4,6" and f.state()["covered"].startswith("0:")
    assert f.state()["lost"] == "0:1-2 1:4-5"
    first = f.state()["covered"]
    f.adopt(1, 1, 4, keep_ms=60000)
    assert f.state()["covered"] == first                     # since it was first seen covered
    f.adopt(2, 0, 0, keep_ms=60000)                          # rolled back: not covered any more
    assert f.state()["covered"] == "" and f.state()["gens"] == "0,0,4 1,4,6"
    f.adopt(3, 1, 4, keep_ms=300)
    time.sleep(0.35)
    assert f.adopt(3, 1, 4, keep_ms=300)[1] == "same"
    assert f.state()["gens"] == "1,4,6" and f.state()["covered"] == "" and f.state()["lost"] == "1:4-5"
    assert not [key for key in f.redis.execute_command("KEYS", "*") if ":0:" in key] and "cut:0" not in f.state()
    assert f.seen() == (((1, 4, 6, (4, 5)),), 3)


def test_nothing_expires_uncovered(f):
    f.adopt(0, 0, 0, keep_ms=0)
    f.flush(0, 2)
    f.seal(1)
    f.flush(2, 4)
    f.seal(2)
    before = f.seen()
    for _ in range(3):
        assert f.adopt(0, 0, 0, keep_ms=0)[1] == "same"
    assert f.seen() == before
    assert all(f.redis.execute_command("TTL", key) == -1 for key in f.redis.execute_command("KEYS", "*"))


GOOD = dict(expected=0, new=2, run="0", fold=FOLD, latest_event="5", latest_record="6", tail="1 0123456789abcdef", lost="",
            chunks={"c": {"records": 2}, "r:5": {"00GBPg": "9223372036854775807"}})


@pytest.mark.parametrize("wrong", [
    {"expected": "x"}, {"expected": "-1"}, {"expected": "00"}, {"expected": "1e3"}, {"new": 0}, {"new": ""}, {"new": 1 << 53},
    {"run": "one"}, {"fold": ""}, {"fold": "k" * 200}, {"latest_event": "now"}, {"latest_record": "1.5"},
    {"tail": "1"}, {"tail": "1 0123"}, {"tail": "x 0123456789abcdef"}, {"lost": "1"}, {"lost": "1-1"}, {"lost": "0-3"}, {"lost": "2-1"},
    {"chunks": {"x": {}}}, {"chunks": {"r:": {}}}, {"chunks": {"r:x": {}}}, {"chunks": {"state": {}}}, {"chunks": {"index": {}}},
    {"chunks": {"c": {"#": "1"}}}, {"chunks": {"c": {"": "1"}}}, {"chunks": {"c": {"records": "1.0"}}}, {"chunks": {"c": {"records": ""}}},
    {"chunks": {"c": {"records": "9223372036854775808"}}}, {"chunks": {"c": {"records": "-9223372036854775809"}}},
    {"chunks": {"c": {"records": "+1"}}}, {"chunks": {"c": {"records": "01"}}},
    {"chunks": {"c": {"records": "2"}, "r:5": {"00GBPg": "1e3"}}},
])
def test_bad_arguments_change_nothing(f, wrong):
    f.adopt(0, 0, 0)
    before = f.dump()
    with pytest.raises(redis.ResponseError, match="^ARGUMENT"):
        f.raw_flush(**{**GOOD, **wrong})
    assert f.dump() == before
    assert f.raw_flush(**GOOD) == ["ok"]


def test_more_bad_arguments(f):
    f.adopt(0, 0, 0)
    f.flush(0, 2)
    before = f.dump()
    r = f.redis
    good = [1, 1, 2, FOLD, "", "", LOG, "", 0, 0]
    bad = [("lambda_1_adopt", good[:i] + [value] + good[i + 1:]) for i, value in
           [(0, "x"), (1, "-1"), (2, 1 << 53), (3, ""), (4, "x"), (5, "x"), (6, "l" * 300), (7, "x"), (8, "-1"), (9, 2)]]
    bad += [("lambda_1_adopt", good[:-1]), ("lambda_1_adopt", good + [1]), ("lambda_1_seal", ["x"]), ("lambda_1_seal", []),
            ("lambda_1_drop", [1]), ("lambda_1_flush", []), ("lambda_1_flush", [2, 3, "", FOLD, "", "", "", "", 2, "c", 0]),
            ("lambda_1_flush", [2, 3, "", FOLD, "", "", "", "", 1, "c", 1, "records"]),
            ("lambda_1_flush", [2, 3, "", FOLD, "", "", "", "", 1, "c", 0, "more"]),
            ("lambda_1_flush", [2, 3, "", FOLD, "", "", "", "", 2, "c", 0, "c", 0])]
    for function, args in bad:
        with pytest.raises(redis.ResponseError, match="^ARGUMENT"):
            r.execute_command("FCALL", function, 1, BASE, *args)
    for args in (["x", 1], ["r", 0], ["r", "x"], ["p:", 1], ["r", 1, 0], ["r", 1, 1, 0, 0, 0], ["r", 1, 0, "x"]):
        with pytest.raises(redis.ResponseError, match="^ARGUMENT"):
            f.read(*args)
    with pytest.raises(redis.ResponseError, match="^ARGUMENT"):
        r.execute_command("FCALL", "lambda_1_drop", 1, "no-hash-tag")
    assert f.dump() == before


def test_refusals(f):
    assert f.flush(0, 1) == ["refused", "empty"]
    assert f.seal(1) == ["refused", "empty"]
    f.adopt(0, 0, 0)
    f.flush(0, 2)
    before = f.dump()
    assert f.flush(0, 2)[:2] == ["refused", "next"]
    assert f.flush(3, 4)[:2] == ["refused", "next"]
    assert f.flush(2, 3, run=1)[:2] == ["refused", "run"]
    refused = f.flush(2, 3, fold="k2;test")
    assert refused[:2] == ["refused", "fold"] and fields(refused[2:])["gens"] == "0,0,2"
    assert f.adopt(0, 0, 0, log="other/orders")[:2] == ["ok", "other_log"]
    assert f.dump() == before
    f.seal(5)
    assert f.seal(4) == ["refused", "superseded"]
    assert f.flush(2, 3) == ["ok"]                           # a seal in between changes nothing for speed
    assert f.adopt(3, 5, 2)[1] == "same" and f.adopt(2, 4, 2)[1] == "stale"


def test_seal_again_answers_for_the_cut(f):
    f.adopt(0, 0, 0)
    f.flush(0, 2)
    first = f.seal(1)
    assert first == ["ok", "2", FOLD, "1002", "2002", LOG, f"1 {2:016x}"]
    f.flush(2, 5)
    assert f.seal(1) == first
    f.seal(2)
    assert f.seal(1) == first


def test_overflow_breaks_off_and_heals(f):
    f.adopt(0, 0, 0)
    assert f.raw_flush(**GOOD) == ["ok"]
    with pytest.raises(redis.ResponseError, match="overflow"):
        f.raw_flush(**{**GOOD, "expected": 2, "new": 3, "tail": "2 0123456789abcdef", "chunks": {"r:5": {"00GBPo": 1, "00GBPg": 1}}})
    assert f.state()["writing"] == "2" and f.state()["gens"] == "0,0,2"
    assert f.flush(2, 3)[:2] == ["refused", "broken"]
    assert f.seal(1) == ["refused", "broken"]
    with pytest.raises(redis.ResponseError, match="^DAMAGED"):
        f.read("r", 10, 0, 0)
    assert "writing" in fields(f.read()[0])             # the state alone can be read
    assert f.adopt(0, 0, 0)[1] == "restarted"
    assert f.seen() == (((0, 0, 0, ()),), 0) and "writing" not in f.state()
    assert f.redis.execute_command("KEYS", "*") == [BASE + ":state"]
    assert f.flush(0, 3) == ["ok"] and f.seen() == (((0, 0, 3, (0, 1, 2)),), 0)


@pytest.mark.parametrize("lost", ["0:c", "0:r:1", "0:p:7", "0:index", "1:index", "1:r:2"])
def test_missing_key_is_noticed_and_heals(f, lost):
    f.adopt(0, 0, 0)
    f.flush(0, 4)
    f.seal(1)
    f.flush(4, 6)
    born = f.state()["born"]
    assert f.redis.execute_command("DEL", f"{BASE}:{lost}") == 1
    if lost != "0:p:7":
        with pytest.raises(redis.ResponseError, match="^DAMAGED"):
            f.read("r", 100, 0, 0)
    else:
        with pytest.raises(redis.ResponseError, match="^DAMAGED"):
            f.read("p:7", 100, 0, 0)
    if lost.startswith("1"):
        assert f.flush(6, 8)[:2] == (["refused", "broken"] if lost == "1:index" else ["ok"])
    assert f.adopt(0, 0, 0)[1] == "restarted"
    assert f.seen() == (((0, 0, 0, ()),), 0) and int(f.state()["born"]) > int(born)
    if not lost.endswith("index"):                           # chunks that no index names any more are left, and never read
        assert f.redis.execute_command("KEYS", "*") == [BASE + ":state"]


def test_foreign_chunk_is_noticed(f):
    f.adopt(0, 0, 0)
    f.flush(0, 4)
    f.redis.execute_command("HSET", f"{BASE}:0:r:1", "#", "0 2")
    with pytest.raises(redis.ResponseError, match="^DAMAGED"):
        f.read("r", 100, 0, 0)
    assert f.flush(4, 5) == ["ok"]                           # does not touch it
    assert f.raw_flush(5, 6, "", FOLD, "", "", "", "", {"r:1": {"02GBPg": 1}})[:2] == ["refused", "broken"]
    assert f.adopt(0, 0, 0)[1] == "restarted"


def test_leftovers_are_never_added_to(f):
    f.adopt(0, 0, 0)
    f.flush(0, 4)
    f.redis.execute_command("DEL", BASE + ":state")                          # evicted, or deleted by hand
    f.adopt(0, 0, 0)
    assert f.redis.execute_command("KEYS", "*") == [BASE + ":state"]
    f.redis.execute_command("HSET", f"{BASE}:0:r:0", "#", "0 4", "00GBPo", 5, "00GBPg", 50)
    f.flush(0, 4)
    assert f.seen() == (((0, 0, 4, (0, 1, 2, 3)),), 0)


def test_force_starts_again(f):
    f.adopt(0, 0, 0)
    f.flush(0, 4)
    f.seal(1)
    f.flush(4, 6)
    assert f.adopt(1, 1, 4)[1] == "same"
    assert f.adopt(1, 1, 4, force=1, fold="k2;test")[1] == "restarted"
    assert f.state()["gens"] == "1,4,4" and f.state()["fold"] == "k2;test" and f.state()["latest_event"] == "1004"


def test_read_from_a_version_on(f):
    f.adopt(0, 0, 0)
    f.flush(0, 2)
    f.flush(2, 4)
    f.seal(1)
    f.flush(4, 5)
    everything = f.read("r", 1000, 0, 0)
    assert [g[0] for g in everything[2:]] == ["0", "1"] and all(g[1] == "1" for g in everything[2:])
    assert f.read("r", 1000, 1, 5)[2:] == [["1", "1", "5"]]
    newer = f.read("r", 1000, 0, 2)[2:]
    assert [c[0] for c in newer[0][3:]] == ["c", "r:1"] and newer[1][0] == "1"   # a newer generation comes by itself
    first = f.read("r", 1, 0, 0)[2]
    assert first[:3] == ["0", "0", "2"] and [c[0] for c in first[3:]] == ["r:0"]
    assert f.read("r", 1, 0, 2)[2][:3] == ["0", "1", "4"]
    assert f.read("p:7", 1, 0, 4)[2][:3] == ["0", "1", "4"] and f.read("p:9", 1, 0, 0)[2] == ["0", "1", "4"]


def test_many_chunks(f):
    f.adopt(0, 0, 0)
    chunks = {f"r:{hour}": {"00GBPg": 1, "00GBPo": 1} for hour in range(20000)}
    assert f.raw_flush(0, 20000, "", FOLD, "", "", "19999 0123456789abcdef", "", chunks) == ["ok"]
    assert f.adopt(0, 0, 0)[1] == "same"
    gen = f.read("r", 1, 0, 0)[2]                            # one version is never split
    assert gen[1] == "1" and len(gen) == 3 + 20001
    assert f.adopt(0, 0, 0, force=1)[1] == "restarted"
    assert f.redis.execute_command("DBSIZE") == 1


def test_drop(f):
    f.adopt(0, 0, 0)
    f.flush(0, 4)
    f.seal(1)
    f.flush(4, 6)
    f.redis.execute_command("HSET", BASE + ":beat", "time", 1)
    assert f.redis.execute_command("FCALL", "lambda_1_drop", 1, BASE) == ["ok"]
    assert f.redis.execute_command("KEYS", "*") == []
    assert f.read("r", 1) == [[], []] and f.read("r", 1, 0, 0) == [[], []]


def test_full_redis_can_still_be_sealed_and_adopted():
    server = functions.Server()
    try:
        server.load_functions()
        f = functions.Functions(server.client)
        f.adopt(0, 0, 0)
        f.flush(0, 2)
        f.redis.execute_command("CONFIG", "SET", "maxmemory", 1)
        with pytest.raises(redis.ResponseError, match="OOM"):
            f.flush(2, 3)
        assert f.seal(1)[:2] == ["ok", "2"] and f.adopt(1, 1, 2, keep_ms=0)[1] == "same"
        f.redis.execute_command("CONFIG", "SET", "maxmemory", 0)
        assert f.flush(2, 3) == ["ok"] and f.seen() == (((1, 2, 3, (2,)),), 1)
    finally:
        server.stop()


def test_functions_are_those_of_the_docs(f):
    with open(os.path.join(ROOT, "docs", "redis.md"), encoding="utf-8") as page:
        documented = set(re.findall(r"^\| `(lambda_1_\w+)`", page.read(), re.M))
    library, = f.redis.execute_command("FUNCTION", "LIST")
    library = fields(library)
    functions = {fields(function)["name"]: fields(function)["flags"] for function in library["functions"]}
    assert library["library_name"] == "lambda_1" and set(functions) == documented
    assert [name for name, flags in sorted(functions.items()) if "no-writes" in flags] == ["lambda_1_customer", "lambda_1_read"]


def test_greatest_values(f):
    """A field that begins with ^ is raised, never added to; new chunks and old ones alike."""
    f.adopt(0, 0, 0)
    for offset, value in enumerate((7000, 5000, 9000, 9007199254740991)):
        assert f.raw_flush(offset, offset + 1, "", FOLD, "", "", "", "", {"d:3": {"^GBP": value, "eGBP": 1}, "c": {}}) == ["ok"]
    assert fields(f.redis.execute_command("HGETALL", BASE + ":0:d:3")) == {"^GBP": "9007199254740991", "eGBP": "4", "#": "0 4"}
    with pytest.raises(redis.exceptions.ResponseError, match="ARGUMENT delta"):
        f.raw_flush(4, 5, "", FOLD, "", "", "", "", {"d:3": {"^GBP": -1}})


def customer(f, name, first=0, last=49, run=0):
    """{(run, hour): {field: value}} of a customer."""
    reply = f.redis.execute_command("FCALL_RO", "lambda_1_customer", 1, BASE, name, first, last, run)
    return {(int(gen[0]), int(chunk[2:])): fields(values) for gen in reply[2:] for chunk, _, values in gen[3:]}


def test_customers(f):
    f.adopt(0, 0, 0)
    now = int(f.redis.time()[0]) // 3600
    flushes = [{f"o:{now}": {"@a": ";07GBP1,500,0,0", "@ab": ";07GBP1,3,0,0"}},
               {f"o:{now}": {"@a": ";07GBP2,70,1,9;59EUR1,1,0,0"}, f"o:{now - 1}": {"@a": ";00JPY0,0,1,0"}},
               {f"o:{now - 1}": {"@a": ";00JPY0,0,0,4"}, f"o:{now}": {"@@a": ";07GBP1,0,0,0"}}]
    for offset, chunks in enumerate(flushes):
        assert f.raw_flush(offset, offset + 1, "", FOLD, "", "", "", "", chunks) == ["ok"]
        f.seal(offset + 1)
    assert customer(f, "a", now - 1, now) == {
        (0, now): {"07GBPo": "1", "07GBPg": "500"},
        (1, now): {"07GBPo": "2", "07GBPg": "70", "07GBPc": "1", "07GBPr": "9", "59EURo": "1", "59EURg": "1"},
        (1, now - 1): {"00JPYc": "1"}, (2, now - 1): {"00JPYr": "4"}, (2, now): {}}
    assert customer(f, "a", now, now, 1)[1, now]["07GBPo"] == "2" and (0, now) not in customer(f, "a", now, now, 1)
    assert customer(f, "ab", now, now)[0, now] == {"07GBPo": "1", "07GBPg": "3"}
    assert customer(f, "@a", now, now)[2, now] == {"07GBPo": "1"}
    assert customer(f, "b", now, now)[0, now] == {}
    for args in (("", 0, 1, 0), ("a", 0, 51, 0), ("a", "x", 1, 0), ("a", 0, 1, "x")):
        with pytest.raises(redis.exceptions.ResponseError, match="^ARGUMENT"):
            customer(f, *args)
    for bad, what in (("a", "field"), ("@", "field"), ("#", "field"), ("@a", "delta")):
        with pytest.raises(redis.exceptions.ResponseError, match=f"ARGUMENT {what}"):
            f.raw_flush(3, 4, "", FOLD, "", "", "", "", {f"o:{now}": {bad: ";07GBP1,0,0"}})
    for bad in ("", ";", "07GBP1,1,1,1", ";7GBP1,1,1,1", ";07gbp1,1,1,1", ";07GBP1,1,1,-1", ";07GBP1,1,1,1;", ";07GBP1,,1,1", f";07GBP1,{10 ** 19},1,1"):
        with pytest.raises(redis.exceptions.ResponseError, match="ARGUMENT delta"):
            f.raw_flush(3, 4, "", FOLD, "", "", "", "", {f"o:{now}": {"@a": bad}})
    f.redis.hset(f"{BASE}:2:o:{now}", "@@a", "nonsense")
    with pytest.raises(redis.exceptions.ResponseError, match="^DAMAGED"):
        customer(f, "@a", now, now)
    f.redis.delete(f"{BASE}:1:o:{now}")
    with pytest.raises(redis.exceptions.ResponseError, match="^DAMAGED"):
        customer(f, "a", now, now)
    assert f.adopt(0, 0, 0)[1] == "restarted"


def test_a_customer_orders_again(f):
    """The entries of one minute become one, in any order and number; a sum beyond 10^15 stays two that are to be added."""
    rng = random.Random(7)
    f.adopt(0, 0, 0)
    now, wanted, n = int(f.redis.time()[0]) // 3600, collections.Counter(), 0
    for n in range(60):
        chunk = {}
        for name in rng.sample(["a", "b", ";07GBP1,2,3,4", "#"], 2):
            chunk["@" + name] = ""
            for minute in rng.sample(["07", "08", "59"], rng.randint(1, 3)):
                for currency in rng.sample(["GBP", "EUR"], rng.randint(1, 2)):
                    values = [rng.choice((0, 1, 3)), rng.choice((0, 5, 70, 10 ** 14, 10 ** 15, 4 * 10 ** 16 + 1)), rng.choice((0, 1)), rng.choice((0, 9))]
                    chunk["@" + name] += f";{minute}{currency}" + ",".join(map(str, values))
                    for what, value in zip("ogcr", values):
                        wanted[name, minute + currency + what] += value
        assert f.raw_flush(n, n + 1, "", FOLD, "", "", "", "", {f"o:{now}": chunk}) == ["ok"]
    for name in ("a", "b", ";07GBP1,2,3,4", "#"):
        got = collections.Counter()
        values = f.redis.execute_command("FCALL_RO", "lambda_1_customer", 1, BASE, name, now, now, 0)[2][3][2]
        for field, value in zip(values[::2], values[1::2]):
            got[name, field] += int(value)
        assert got == collections.Counter({key: value for key, value in wanted.items() if key[0] == name and value})


def test_entries_of_a_minute_become_one(f):
    f.adopt(0, 0, 0)
    now = int(f.redis.time()[0]) // 3600
    for n in range(3):
        assert f.raw_flush(n, n + 1, "", FOLD, "", "", "", "", {f"o:{now}": {"@a": ";00JPY0,0,1,4"}}) == ["ok"]
    assert f.redis.hget(f"{BASE}:0:o:{now}", "@a") == ";00JPY0,0,3,12"


def test_a_damaged_covered_generation_goes(f):
    """Nobody could read the partition while it is there; the next adopt removes it, and those before it."""
    f.adopt(0, 0, 0)
    f.flush(0, 2)
    f.seal(1)
    f.flush(2, 4)
    f.seal(2)
    f.flush(4, 6)
    f.adopt(2, 2, 4)
    assert f.redis.delete(f"{BASE}:1:r:1") == 1
    with pytest.raises(redis.exceptions.ResponseError, match="^DAMAGED"):
        f.read("r", 100, 0, 0)
    assert f.adopt(2, 2, 4)[1] == "same"
    assert f.seen() == (((2, 4, 6, (4, 5)),), 2) and f.state()["covered"] == ""
