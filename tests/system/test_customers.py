"""Orders of a customer in the last hours: exact across the cut, after a crash of speed and a loss of Redis."""
import datetime
import random
import time
import urllib.parse

import pytest
from harness import oracle, order, wait_until

NAMES = ["c1", "a/b", "ünï cödé", "%41", "x" * 64, "'; DROP TABLE lambda.runs; --", "@c1", "o00GBPc1", " ", "日本", "\"\\\n\t\x7f"]


def utc(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ms_of(text):
    return round(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def some_orders(rng, n, prefix):
    """Over the last 60 hours and a little of the future, some twice, some refunds, some without a customer."""
    now = int(time.time() * 1000)
    out = []
    for i in range(n):
        at = now - rng.choice((rng.randrange(3_600_000), rng.randrange(60 * 3_600_000), -rng.randrange(600_000)))
        out.append(order(f"{prefix}{i if rng.random() < 0.9 else rng.randrange(i + 1)}", f"{rng.randrange(1, 9999)}.{rng.randrange(100):02d}",
                         utc(at), rng.choice(("order_placed",) * 4 + ("order_refunded",)), rng.choice(("GBP", "GBP", "EUR", "JPY")),
                         customer=rng.choice(NAMES + [None])))
    return out


def expected(answers, customer, start, end):
    """What the oracle counts for him in [start, end) ms: {currency: (orders, refund_count, gross, refunds)}, first, last"""
    sums, minutes = {}, []
    for (who, minute, currency), r in answers.customers.items():
        if who != customer or not start <= minute < end or not (r.orders or r.refund_count):
            continue
        was = sums.get(currency, (0, 0, 0, 0))
        sums[currency] = tuple(a + b for a, b in zip(was, (r.orders, r.refund_count, r.gross, r.refunds)))
        if r.orders:
            minutes.append(minute)
    return sums, min(minutes, default=None), max(minutes, default=None)


def ask(world, customer, query=""):
    return world.answer(f"/v1/customers/{urllib.parse.quote(customer, safe='')}/orders{query}")


def differs(answers, customer, got):
    sums, first, last = expected(answers, customer, ms_of(got["from"]), ms_of(got["to"]))
    served = {a["currency"]: (a["orders"], a["refund_count"], a["gross"], a["refunds"], a["net"]) for a in got["amounts"]}
    wanted = {c: (o, n, oracle.amount(g, c), oracle.amount(r, c), oracle.amount(g - r, c)) for c, (o, n, g, r) in sums.items()}
    rest = {"customer_id": customer, "orders": sum(s[0] for s in sums.values()), "refund_count": sum(s[1] for s in sums.values()),
            "first": first, "last": last, "complete": True}
    is_so = {k: got[k] for k in rest}
    is_so.update({k: got[k] and ms_of(got[k]) for k in ("first", "last")})
    return "" if (served, is_so) == (wanted, rest) else f"{customer!r}: served {served} {is_so}, wanted {wanted} {rest}, {got}"


def assert_customers(world, seconds=30):
    answers = world.expected()
    world.wait_caught_up(seconds)
    for window in ("", "?window=1h", "?window=48h", "?window=90min"):
        for name in NAMES:
            last = {}

            def same():
                last["is"] = differs(answers, name, ask(world, name, window))
                return not last["is"]
            wait_until(same, seconds, lambda: last["is"])


def test_exact_across_the_cut_a_crash_and_a_lost_redis(world, stack):
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    speed = world.speed()
    world.serving()
    world.produce(some_orders(rng, 400, "a"))
    assert_customers(world)                                  # no run yet
    world.run_batch()
    assert_customers(world)                                  # all in the batch
    world.produce(some_orders(rng, 400, "b") + some_orders(rng, 200, "a"))
    assert_customers(world)                                  # both
    speed.kill()
    speed = world.speed()
    world.produce(some_orders(rng, 100, "c"))
    assert_customers(world, 60)                              # a crash
    stack.redis().flushall()
    assert_customers(world, 60)                              # a loss
    world.run_batch()
    world.produce(some_orders(rng, 100, "d"))
    assert_customers(world)


def test_parts_and_parameters(world, stack):
    now = int(time.time() * 1000)
    world.speed()
    world.serving()
    world.produce([order("a1", "5.00", utc(now - 7_200_000))])
    world.wait_caught_up()
    world.run_batch()
    wait_until(lambda: ask(world, "c1")["batch"], 20, "the run is used")
    world.produce([order("a2", "7.00", utc(now), currency="EUR"), order("a3", "1.00", utc(now), "order_refunded")])
    got = wait_until(lambda: ((a := ask(world, "c1"))["orders"], a["refund_count"], a["degraded"]) == (2, 1, []) and a, 30,
                     lambda: ask(world, "c1"))
    assert [(a["currency"], a["confirmed"], a["provisional"]) for a in got["amounts"]] == [
        ("EUR", {"orders": 0, "net": "0.00"}, {"orders": 1, "net": "7.00"}),
        ("GBP", {"orders": 1, "net": "5.00"}, {"orders": 0, "net": "-1.00"})]
    assert ms_of(got["to"]) - ms_of(got["from"]) == 86_400_000 and got["batch"]["run"] == 1
    assert ask(world, "c1", "?view=batch")["orders"] == 1 and ask(world, "c1", "?view=speed")["orders"] == 1
    assert [a["currency"] for a in ask(world, "c1", "?currency=GBP")["amounts"]] == ["GBP"]
    assert ask(world, "c1", "?window=1h")["orders"] == 1
    assert ask(world, "nobody")["amounts"] == []
    for path, status in (("/v1/customers/c1/orders?window=49h", 400), ("/v1/customers/c1/orders?window=59min", 400),
                         ("/v1/customers/c1/orders?window=24", 400), ("/v1/customers/c1/orders?date=2026-01-01", 400),
                         ("/v1/customers//orders", 400), (f"/v1/customers/{'x' * 65}/orders", 400), ("/v1/customers/%FF/orders", 400),
                         ("/v1/customers/%00/orders", 400), ("/v1/customers/a/b/orders", 404)):
        assert world.get(path)[0] == status, path
    stack.stop("redis")
    try:
        alone = wait_until(lambda: "speed_unavailable" in (a := ask(world, "c1"))["degraded"] and a, 30, lambda: ask(world, "c1"))
        assert alone["orders"] == 1 and not alone["complete"] and alone["speed"] is None
    finally:
        stack.start("redis")


@pytest.mark.parametrize("layer", ("both", "batch"))
def test_switched_off(world, layer):
    world.serving(*(["--customers", "no"] if layer == "both" else []))
    world.speed(*(["--customers", "no"] if layer == "both" else []))
    world.produce([order("a", time=utc(int(time.time() * 1000)))])
    world.wait_caught_up()
    world.run_batch("--customers", "no")
    if layer == "both":
        status, _, body = world.get("/v1/customers/c1/orders")
        assert status == 404 and b"--customers" in body
        assert world.sql("SELECT count(*) FROM lambda.customer_minutes") == [(0,)]
    else:
        wait_until(lambda: (a := ask(world, "c1"))["batch"] and a["complete"] is False, 20, lambda: ask(world, "c1"))
    world.assert_exact()


def test_old_chunks_are_dropped(world, stack):
    """An hour that no window reaches any more leaves Redis; newer ones stay."""
    world.speed()
    world.serving()
    world.produce([order("a", time=utc(int(time.time() * 1000)))], partition=0)
    base, redis = f"{world.name}:{{{world.topic}/0}}:0:", stack.redis()
    index = base + "index"
    (chunk,) = wait_until(lambda: [name for name in redis.zrange(index, 0, -1) if name.startswith(b"o:")], 30, "speed has it")
    old = b"o:%d" % (int(chunk[2:]) - 51)
    redis.rename(base + chunk.decode(), base + old.decode())
    redis.zadd(index, {old: redis.zscore(index, chunk)})
    redis.zrem(index, chunk)
    wait_until(lambda: redis.zscore(index, old) is None and not redis.exists(base + old.decode()), 10, "it is dropped")
    world.assert_exact()
