"""Late events: counted, listed, kept aside; or left out by speed and brought back by the next run."""
import random

import pytest
from harness import oracle_answers, order, expected_days, wait_until, oracle

DAY = "2026-03-01"


def at(hour, minute=0):
    return f"{DAY}T{hour:02d}:{minute:02d}:00Z"


def ledger(world, query=""):
    return world.answer(f"/v1/late?date={DAY}{query}")


def late_of(answers, date):
    """{currency: (events, net, worst seconds)} of the oracle's late ledger."""
    out = {}
    for late in answers.late_events.values():
        if late.date == date:
            events, net, worst = out.get(late.currency, (0, 0, 0))
            out[late.currency] = (events + 1, net + late.net, max(worst, late.lateness_ms / 1000))
    return {c: (n, oracle.amount(net, c), worst) for c, (n, net, worst) in out.items()}


def served_late(answer):
    return {row["currency"]: (row["events"], row["net"], row["worst_seconds"]) for row in answer["late"]}


def stamped(world, values, partition=0):
    """Produced with their event times as record timestamps, so that they move event time."""
    for value in values:
        world.produce([value], partition=partition, timestamp=oracle.parse_time(value["event_time"]))


def test_the_ledger(world):
    rng = random.Random(5)
    world.speed()
    world.serving()
    first = [order(f"a{i}", f"{i}.50", at(rng.randrange(8, 20), rng.randrange(60)), rng.choice(("order_placed", "order_refunded")),
                   rng.choice(("GBP", "EUR"))) for i in range(60)]
    stamped(world, first)
    expected = late_of(world.expected(), DAY)
    assert sum(n for n, _, _ in expected.values()) > 10
    wait_until(lambda: served_late(ledger(world)) == expected, 20, lambda: f"{ledger(world)} is not {expected}")
    assert ledger(world)["speed"]["late"] == sum(n for n, _, _ in expected.values())
    world.run_batch()
    wait_until(lambda: ledger(world)["batch"], 20, "the run is used")
    assert served_late(ledger(world)) == expected and served_late(ledger(world, "&view=batch")) == expected
    assert served_late(ledger(world, "&view=speed")) == {}
    stamped(world, [order(f"b{i}", "1.00", at(2, i)) for i in range(5)] + [order("a1", "9.00", at(1))])
    both = late_of(world.expected(), DAY)
    assert both["GBP"][0] == expected["GBP"][0] + 5
    wait_until(lambda: served_late(ledger(world)) == both, 20, lambda: f"{ledger(world)} is not {both}")
    assert list(served_late(ledger(world, "&currency=EUR"))) == ["EUR"]
    world.assert_exact()
    rows = world.sql("SELECT currency, events FROM revenue.late WHERE day = %s ORDER BY 1", DAY)
    assert rows == sorted((c, n) for c, (n, _, _) in expected.items())


def test_a_late_event_makes_a_day_not_final(world):
    world.speed()
    world.serving()
    path = "/v1/revenue/2026-02-28"
    stamped(world, [order("a", "1.00", "2026-02-28T12:00:00Z"), order("b", "1.00", at(12))])
    world.assert_exact()
    world.run_batch()
    wait_until(lambda: world.answer(path)["final"], 20, lambda: world.answer(path))
    stamped(world, [order("c", "1.00", "2026-02-28T13:00:00Z")])
    wait_until(lambda: not world.answer(path)["final"], 20, lambda: world.answer(path))
    assert world.answer(path)["revenue"][0]["net"] == "2.00"
    world.run_batch()
    wait_until(lambda: world.answer(path)["final"], 20, lambda: world.answer(path))


def test_the_topic(world):
    """Every late event stands on NAME.late, in its partition, keyed by where it stood, with how late it was."""
    speed = world.speed()
    world.serving()
    stamped(world, [order("a", "1.00", at(12)), order("b", "2.00", at(10)), order("c", "3.00", at(9), "order_refunded")], 1)
    world.assert_exact()
    records = world.log_records(f"{world.name}.late", headers=True)
    told = {(r[0], r[4], dict(r[5])["offset"], dict(r[5])["late_ms"]) for r in records}
    assert told == {(1, b"1/1", b"1", b"7200000"), (1, b"1/2", b"2", b"10800000")}
    assert {oracle.parse(r[3]).event_id for r in records} == {"b", "c"}
    speed.kill()
    world.speed()
    stamped(world, [order("d", "1.00", at(8))], 1)
    world.assert_exact()
    keys = [r[4] for r in world.log_records(f"{world.name}.late", headers=True)]
    assert set(keys) == {b"1/1", b"1/2", b"1/3"}


def test_excluded_until_the_next_run(world):
    settings = ("--late", "exclude")
    world.speed(*settings)
    world.serving(*settings)
    stamped(world, [order("a", "10.00", at(12)), order("b", "2.00", at(10)), order("c", "0.50", at(9), "order_refunded"),
                    order("b", "2.00", at(10))])
    without = expected_days(oracle_answers(world.log_records(), rules="speed", exclude_late=True))
    wait_until(lambda: world.served_days(DAY, DAY)[0] == without, 20, lambda: world.served_days(DAY, DAY))
    excluded = [{"date": DAY, "currency": "GBP", "net": "1.50", "events": 2}]
    answer = wait_until(lambda: (a := world.answer(f"/v1/revenue/{DAY}")).get("late_excluded") == excluded and a, 20,
                        lambda: world.answer(f"/v1/revenue/{DAY}"))
    assert "2 late orders are left out" in answer["caveat"] and not answer["final"]
    (row,) = ledger(world)["late"]
    assert (row["events"], row["excluded"], row["net"]) == (2, 2, "1.50")
    world.run_batch(*settings)
    world.assert_exact()
    answer = wait_until(lambda: (a := world.answer(f"/v1/revenue/{DAY}"))["corrections"] and a, 20, "the run is used")
    (correction,) = answer["corrections"]
    assert (correction["before"], correction["after"]) == ("10.00", "11.50")
    assert correction["causes"] == [{"cause": "late_excluded", "net": "1.50", "events": 2}]
    assert "late_excluded" not in answer
    (row,) = ledger(world)["late"]
    assert (row["events"], row["excluded"]) == (2, 0)


@pytest.mark.parametrize("policy", ("count", "exclude"))
def test_whatever_the_policy_batch_counts_them(world, policy):
    rng = random.Random(9)
    world.speed("--late", policy)
    world.serving("--late", policy)
    stamped(world, [order(f"a{rng.randrange(50)}", "1.25", at(rng.randrange(24), rng.randrange(60))) for _ in range(80)])
    world.wait_caught_up()
    world.run_batch("--late", policy)
    world.assert_exact()
    assert world.sql("SELECT count(*) FROM lambda.correction_causes WHERE cause IN ('unexplained', 'recomputed')") == [(0,)]
