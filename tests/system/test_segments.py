"""Customers over all history and their segments: what the oracle says, in the database, its views and the API."""
import collections
import datetime
import random
import sys
import urllib.parse

import pytest

import harness
from harness import order

sys.path.insert(0, f"{harness.ROOT}/tests/oracle")
import oracle  # noqa: E402
import segments  # noqa: E402

NAMES = ["a/b", "ünï cödé", "%41", "x" * 64, "'; DROP TABLE lambda.runs; --", " ", "日本", "#", "Z", "a", "A", "é", "\"\\\n\t\x7f"]


def produce(world, seed, n, who):
    rng, events = random.Random(seed), collections.defaultdict(list)
    for i in range(n):
        time = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(minutes=rng.randrange(60 * 24 * 200))
        events[rng.randrange(world.partitions)].append(
            order(f"s{seed}-{i if rng.random() < 0.9 else rng.randrange(n)}", amount=f"{rng.choice((1, 5, 5, 20, 300))}.{rng.randint(0, 99):02}",
                  time=time.strftime("%Y-%m-%dT%H:%M:%SZ"), kind="order_placed" if rng.random() < 0.85 else "order_refunded",
                  currency=rng.choice(("GBP", "GBP", "JPY")), customer=rng.choice(who)))
    for partition, some in events.items():
        world.produce(some, partition=partition)


def rows(world):
    """As segments.customers()."""
    names = "customer_id, currency, gross_e4 - refunds_e4, gross_e4, refunds_e4, orders, refund_count, (extract(epoch FROM first_order) * 1000)::bigint, " \
            "(extract(epoch FROM last_order) * 1000)::bigint, recency, frequency, monetary, segment"
    return {row[:2]: segments.Customer(*(n / oracle.Decimal(10000) for n in row[2:5]), *row[5:]) for row in
            world.sql(f"SELECT {names} FROM lambda.customers WHERE run = (SELECT run FROM lambda.published)")}


def money(text):
    return oracle.Decimal(text)


def served_segments(world, query=""):
    answer = world.answer(f"/v1/segments{query}")
    return {(c["currency"], s["segment"]): (s["customers"], s["orders"], money(s["net"]), money(s["gross"]), money(s["refunds"]))
            for c in answer["currencies"] for s in c["segments"]}, answer


def summed(wanted):
    out = {(currency, name): [0] * 5 for currency in {c for _, c in wanted if wanted[_, c].orders} for name in segments.NAMES}
    for (_, currency), c in wanted.items():
        if c.orders:
            for i, value in enumerate((1, c.orders, c.net, c.gross, c.refunds)):
                out[currency, c.segment][i] += value
    return {key: tuple(value) for key, value in out.items()}


@pytest.mark.parametrize("settings", [[], ["--memory", "1MiB"]])
def test_as_the_oracle_says(world, settings):
    produce(world, 1, 600, NAMES + [f"c{i}" for i in range(40)] + [None])
    world.run_batch(*settings)
    wanted = segments.customers(world.expected())
    assert len({c.segment for c in wanted.values()} - {None}) >= 9
    assert rows(world) == wanted
    world.serving()
    got, answer = served_segments(world)
    assert got == summed(wanted) and answer["batch"]["run"] == 1
    for (who, currency), c in wanted.items():
        answer = world.answer(f"/v1/customers/{urllib.parse.quote(who, safe='')}?currency={currency}")
        (one,) = answer["currencies"]
        assert answer["customer_id"] == who and answer["batch"]["run"] == 1
        assert (one["currency"], one["segment"], one["recency"], one["frequency"], one["monetary"], one["orders"], one["refund_count"]) == (
            currency, c.segment, c.recency, c.frequency, c.monetary, c.orders, c.refund_count)
        assert (money(one["net"]), money(one["gross"]), money(one["refunds"])) == (c.net, c.gross, c.refunds)
        for name, ms in (("first_order", c.first), ("last_order", c.last)):
            assert one[name] == (ms and datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))
    before = rows(world)
    world.run_batch()                      # the same log: the same rows
    assert rows(world) == before


def test_many_customers_beyond_memory(world):
    """More customers than memory has room for: what is spilled comes back, and nothing twice."""
    world.orders("generate", "--seed", "5", "--count", "60000", "--days", "30", "--customers", "30000")
    world.run_batch("--memory", "1MiB")
    assert rows(world) == segments.customers(world.expected())
    assert "spilled" in open(world.path("lambda-batch.log"), encoding="utf-8").read()


def test_views(world):
    produce(world, 2, 200, NAMES)
    world.run_batch()
    wanted = segments.customers(world.expected())
    got = world.sql("SELECT customer_id, currency, segment, net, since_last_order >= interval '0' FROM revenue.customers")
    assert sorted(got, key=str) == sorted(((who, currency, c.segment, c.net, True if c.orders else None) for (who, currency), c in wanted.items()), key=str)
    counts = collections.Counter((currency, c.segment) for (_, currency), c in wanted.items() if c.orders)
    assert {(currency, segment): n for currency, segment, n in world.sql("SELECT currency, segment, customers FROM revenue.segments")} == counts


def test_bad_questions(world):
    world.serving()
    for path, status in (("/v1/customers/nobody", 404), ("/v1/segments", 200), ("/v1/segments?currency=XXX", 400), ("/v1/segments?date=2026-01-01", 400),
                         (f"/v1/customers/{'x' * 65}", 400), ("/v1/customers/", 400), ("/v1/customers/%00", 400), ("/v1/customers/a/b", 404)):
        assert world.get(path)[0] == status, path
    assert world.answer("/v1/segments")["currencies"] == []
    world.produce([order("e1", customer="c1"), order("e2", customer="c2", kind="order_refunded")])
    world.run_batch()
    harness.wait_until(lambda: world.get("/v1/customers/c1")[0] == 200, 10, "the run is served")
    assert world.get("/v1/customers/nobody")[0] == 404
    (only_refunds,) = world.answer("/v1/customers/c2")["currencies"]
    assert only_refunds["segment"] is None and only_refunds["recency"] is None and only_refunds["first_order"] is None
    assert world.answer("/v1/customers/c2?currency=EUR")["currencies"] == []


def test_not_kept(world):
    world.produce([order("e1", customer="c1")])
    world.run_batch("--customers", "no")
    assert world.sql("SELECT count(*) FROM lambda.customers") == [(0,)]
    world.serving("--customers", "no")
    for path in ("/v1/segments", "/v1/customers/c1"):
        status, _, body = world.get(path)
        assert status == 404 and b"--customers" in body
