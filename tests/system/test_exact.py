"""The merged answer of every day equals the oracle's, whatever happens to the programs and the servers in between."""
import collections
import os

import pytest

import harness
from harness import order
from test_batch import served

RETAIL = os.path.join(harness.ROOT, "..", "shared", "data", "online_retail.csv.zst")
RETAIL_EVENTS = 25900


@pytest.mark.skipif(not os.path.exists(RETAIL), reason="../shared/data is not here")
def test_retail_orders_stay_exact_through_everything(world, stack):
    world.orders("import", RETAIL, "--count", str(RETAIL_EVENTS // 2))
    speed = world.speed()
    world.serving()
    world.assert_exact()                       # all provisional
    world.run_batch()
    served(world, 1)
    world.assert_exact()                       # all confirmed

    speed.kill()                               # in the middle: the second half comes while nobody reads
    world.orders("import", RETAIL, "--skip", str(RETAIL_EVENTS // 2))
    world.speed()
    expected = world.expected()
    world.assert_exact(expected=expected)      # half confirmed, half provisional
    world.run_batch()
    served(world, 2)
    world.assert_exact(expected=expected)

    stack.redis().flushall()
    world.assert_exact(expected=expected)
    for server in ("redis", "postgres", "kafka"):
        stack.restart(server, kill=True)
        world.assert_exact(expected=expected)
    days, provenance = world.served_days("2010-12-01", "2011-12-31")
    assert provenance["corrections"] == []

    total = expected.total("GBP")              # and the oracle agrees with what is known of the data
    assert (str(total.net.normalize()), str(total.gross.normalize())) == ("9747747.934", "10666684.544")
    assert total.orders + total.refund_count == RETAIL_EVENTS and total.units == 5176446
    net = sum(harness.oracle.Decimal(day["net"]) for day in days.values())
    assert str(net.normalize()) == "9747747.934"


def test_generated_orders_with_everything_wrong(world):
    wrong = ["--days", "5", "--currencies", "GBP,EUR,JPY,KWD", "--duplicates", "0.05", "--duplicate-distance", "500", "--refunds", "0.1",
             "--out-of-order", "0.1", "--late", "0.02", "--broken", "0.02"]
    world.speed()
    world.serving()
    world.orders("generate", "--seed", "11", "--count", "20000", *wrong)
    world.assert_exact()
    world.run_batch()
    world.orders("generate", "--seed", "12", "--count", "20000", *wrong)
    answers = world.expected()
    world.assert_exact(expected=answers)
    world.run_batch()
    world.assert_exact(expected=answers)

    run = dict(zip(("records", "counted", "duplicate", "rejected", "late"),
                   world.sql("SELECT records, counted, duplicate, rejected, late FROM lambda.runs WHERE run = 2")[0]))
    assert run["records"] == 40000 == run["counted"] + run["duplicate"] + run["rejected"]
    assert (run["counted"], run["duplicate"], run["rejected"]) == (answers.counted, answers.duplicate, sum(answers.rejected.values()))
    assert dict(world.sql("SELECT key, value::int FROM lambda.runs, jsonb_each_text(rejected_by) WHERE run = 2 AND value::int > 0")) == \
        {reason: n for reason, n in answers.rejected.items() if n}
    # every broken record is in the dead-letter topic, with where it came from
    dead = world.log_records(topic=f"{world.name}.dead", headers=True)
    seen = {}
    for partition, _, _, value, key, headers in dead:
        headers = dict(headers)
        assert headers["topic"] == world.topic.encode() and int(headers["partition"]) == partition
        assert key == f"{partition}/{int(headers['offset'])}".encode()
        seen[partition, int(headers["offset"])] = (value or b"", headers["reason"].decode())
    broken = {}
    for partition, offset, _, value in world.log_records():
        parsed = harness.oracle.parse(value)
        if isinstance(parsed, harness.oracle.Reject):
            broken[partition, offset] = (value or b"", parsed.reason)
    assert seen == broken


def test_products_merge_both_views(world):
    world.speed()
    world.serving()
    orders = [order(f"a{i}", amount=f"{i % 7 + 1}.25", sku=f"S{i % 5}", quantity=i % 3 + 1) for i in range(200)]
    world.produce(orders)
    world.assert_exact()
    world.run_batch()
    world.produce([order(f"b{i}", amount="3.10", sku=f"S{i % 6}", kind="order_refunded" if i % 4 == 0 else "order_placed") for i in range(100)])
    answers = world.expected()
    world.assert_exact(expected=answers)
    for by in ("net", "units"):
        expected = sorted(((sku, p.net, p.units) for (_, _, sku), p in answers.products.items()),
                          key=lambda p: (-(p[1] if by == "net" else p[2]), p[0]))
        answer = world.answer(f"/v1/products/top?date=2026-03-01&by={by}&limit=4")
        assert [(p["sku"], p["net"], p["units"]) for p in answer["products"]] == \
            [(sku, harness.oracle.amount(net, "GBP"), units) for sku, net, units in expected[:4]]
    names = {p["sku"]: p["name"] for p in world.answer("/v1/products/top?date=2026-03-01&limit=10")["products"]}
    assert names["S1"] == "product S1"


def test_products_of_several_days(world):
    """Days that only the batch has, only speed has, and both; any range of them, in one ranking per currency."""
    world.speed()
    world.serving()
    world.produce([order(f"a{i}", amount=f"{i % 7 + 1}.25", sku=f"S{i % 5}", time=f"2026-03-{i % 4 + 1:02}T12:00:00Z") for i in range(100)])
    world.assert_exact()
    world.run_batch()
    world.produce([order(f"b{i}", amount="3.10", sku=f"S{i % 6}", currency=("GBP", "JPY")[i % 9 == 0], time=f"2026-03-{i % 4 + 3:02}T12:00:00Z",
                         kind="order_refunded" if i % 4 == 0 else "order_placed") for i in range(100)])
    answers = world.expected()
    world.assert_exact(expected=answers)
    for first, last in ((1, 6), (1, 2), (3, 4), (2, 5), (5, 6), (7, 20), (4, 4)):
        sums = collections.defaultdict(lambda: [0, 0])
        for (date, currency, sku), p in answers.products.items():
            if f"2026-03-{first:02}" <= date <= f"2026-03-{last:02}":
                sums[currency, sku][0] += p.net
                sums[currency, sku][1] += p.units
        wanted = sorted(((currency, sku, harness.oracle.amount(net, currency), units) for (currency, sku), (net, units) in sums.items() if net or units),
                        key=lambda p: (p[0], -harness.oracle.Decimal(p[2]), p[1]))
        answer = world.answer(f"/v1/products/top?from=2026-03-{first:02}&to=2026-03-{last:02}")
        assert [(p["currency"], p["sku"], p["net"], p["units"]) for p in answer["products"]
                if p["units"] or p["net"].strip("0.")] == wanted, (first, last)
        assert first == last or (answer["from"], answer["to"]) == (f"2026-03-{first:02}", f"2026-03-{last:02}")


@pytest.mark.parametrize("zone", ["America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_business_days_of_odd_zones(make_world, zone):
    world = make_world(zone=zone)
    world.speed()
    world.serving()
    world.produce([order(f"e{i}", time=f"2026-{month:02}-{day:02}T{hour:02}:{minute:02}:00Z")
                   for i, (month, day, hour, minute) in enumerate((m, d, h, n) for m in (3, 4, 10, 11) for d in (1, 4, 5, 8, 25, 29)
                                                                  for h in range(0, 24, 3) for n in (14, 15, 29, 30, 44, 45))])
    answers = world.expected()
    world.assert_exact(expected=answers)
    world.run_batch()
    world.assert_exact(expected=answers)
    assert {str(day): str(net) for day, net in world.sql("SELECT day, net::numeric(12,2) FROM revenue.daily")} == \
        {date: values["net"] for (date, _), values in harness.expected_days(answers).items()}
