"""A run whose result is not plausible is kept but not published; what is ordinary is never held up."""
import datetime

import pytest

from harness import order, wait_until
from test_operate import DAY, move, pointer, pounds, refused, states


def day_rows(world, table="lambda.revenue_days"):
    return world.sql(f"SELECT day::text, currency, gross_e4, refunds_e4, orders FROM {table} WHERE run = 1 ORDER BY 1, 2")


def first_run(world, n=1000):
    world.speed()
    world.serving()
    world.produce(pounds("first", n))
    world.assert_exact()
    world.run_batch()


def quarantined(world, words, run=2):
    """The next run is: nothing that is answered has changed, and a second try ends the same way."""
    before = pointer(world)
    assert words in refused(world, "run")
    state, message, tables = world.sql("SELECT state, message, (SELECT count(*) FROM lambda.revenue_days d WHERE d.run = r.run) "
                                       "FROM lambda.runs r WHERE run = %s", run)[0]
    assert state == "quarantined" and words in message and tables > 0, (state, message, tables)
    assert pointer(world) == before


def released(world, run=2):
    world.assert_exact()
    move(world, "publish", str(run))
    wait_until(lambda: world.answer(DAY)["batch"]["run"] == run, 10, "the run is served")
    world.assert_exact()
    world.produce(pounds("after", 10))
    world.run_batch()
    world.assert_exact()
    assert states(world)[-1] == "published"


@pytest.mark.parametrize("factor, held", [(0.9, True), (1.2, True), (0.96, False), (1.04, False)])
def test_a_day_changes(world, factor, held):
    """What the published run said of a day is not what this one makes of the very same events."""
    first_run(world)
    world.sql("UPDATE lambda.revenue_days SET gross_e4 = gross_e4 * %s WHERE run = 1", factor)
    if held:
        quarantined(world, "2026-03-01 changes by more than 5 %: the published run said ")
        refused(world, "run", "--max-change", "4")
        world.run_batch("--max-change", "50")
    else:
        world.run_batch()
    world.assert_exact()


def test_released_by_hand(world):
    first_run(world)
    world.sql("UPDATE lambda.revenue_days SET gross_e4 = gross_e4 * 2 WHERE run = 1")
    quarantined(world, "the published run said 2000.00 GBP, this one makes 1000.00 of the same events")
    released(world)
    corrections = world.sql("SELECT run, before_e4, after_e4 FROM lambda.corrections")
    assert corrections == [(2, 20_000_000, 10_000_000)]


def test_small_days_only_count_together(world):
    """A day of 20 orders may change a lot, but not all of them."""
    world.serving()
    days = [f"2026-03-{day:02}T12:00:00Z" for day in range(1, 21)]
    world.produce([order(f"{day}/{i}", "1.00", day) for day in days for i in range(20)])
    world.run_batch("--seal-wait", "0s")
    world.sql("UPDATE lambda.revenue_days SET gross_e4 = gross_e4 / 2 WHERE run = 1 AND day = '2026-03-05'")
    world.run_batch("--seal-wait", "0s")
    world.sql("UPDATE lambda.revenue_days SET gross_e4 = gross_e4 / 2 WHERE run = 2")
    quarantined(world, "the sum of all days changes by more than 5 %", run=3)


def test_history_shrinks(world):
    first_run(world)
    world.sql("UPDATE lambda.runs SET records = records + 5000, rejected = rejected + 5000 WHERE run = 1")
    quarantined(world, "history shrinks: it has 1000 records, the published run had 6000")


def test_rejected_events_jump(world):
    """A producer went wrong over night. A few broken records, and as many as before, are nothing to stop for."""
    first_run(world)
    world.produce([b"broken"] * 90)
    world.run_batch()
    world.produce([b"broken"] * 200 + pounds("good", 300))
    quarantined(world, "200 more records are rejected, of 500 that are new", run=3)
    released(world, 3)


def test_unexplained(world):
    """Somebody has changed what speed had counted: what it answered is not what its rules give."""
    first_run(world)
    world.produce(pounds("second", 100))
    world.assert_exact()
    redis = world.stack.redis()
    key = next(k for k in redis.scan_iter(f"{world.name}:*:1:r:*"))
    field = next(f for f in redis.hkeys(key) if f.endswith(b"GBPg"))
    redis.hincrby(key, field, 70_000)
    quarantined(world, "the correction of 2026-03-01 by -7.00 GBP is unexplained")


def test_what_is_ordinary_is_not_held_up(world):
    """Late orders and refunds on days that are over, many times what was there; events sent again; a day of a few orders; growth."""
    world.env["LAMBDA_HORIZON_RECORDS"] = "100"
    world.speed()
    world.serving()
    yesterday = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)).strftime("%Y-%m-%dT12:00:00Z")
    first = [order(f"y{i}", "1.00", yesterday) for i in range(300)] + pounds("old", 300)
    nights = (first,
              [order(f"late{i}", "3.00", yesterday) for i in range(900)],                                   # four times the day
              [order(f"refund{i}", "1.00", yesterday, kind="order_refunded") for i in range(900)],          # and nothing is left of it
              first + first,                                                                                # sent again, beyond the horizon
              [b"broken"] * 50 + [order("small", "1000000.00", "2026-01-01T12:00:00Z")],
              [order("small2", "9000000.00", "2026-01-01T12:00:00Z")],
              [])
    for n, night in enumerate(nights):
        world.produce(night)
        world.wait_caught_up()
        world.run_batch()
        world.assert_exact()
        assert pointer(world) == (n + 1, n + 1, "run")


def test_a_dry_run_changes_nothing(world):
    first_run(world)
    world.produce(pounds("second", 100) + [order("yen", "500", "2026-03-02T12:00:00Z", currency="JPY")])
    world.assert_exact()

    def everything():
        redis = world.stack.redis()
        keys = {k: redis.hgetall(k) for k in redis.scan_iter(f"{world.name}:*:state")}
        return keys, world.sql("SELECT * FROM lambda.runs"), world.sql("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') ORDER BY 1")
    before = everything()
    done = world.batch("run", "--dry-run")
    assert done.returncode == 0, done.stdout
    assert "2026-03-01  GBP               1000.00 ->              1100.00  arrived +100.00" in done.stdout, done.stdout
    assert "2026-03-02  JPY                     0 ->                  500  arrived +500" in done.stdout
    assert "2 of 2 business days and currencies would change" in done.stdout
    assert everything() == before
    world.sql("UPDATE lambda.revenue_days SET gross_e4 = gross_e4 * 2 WHERE run = 1")
    out = refused(world, "run", "--dry-run")
    assert "2000.00 ->              1100.00  arrived +100.00, recomputed -1000.00" in out and "would be quarantined" in out, out
    assert everything() == before
    assert world.batch("rollback", "--dry-run").returncode == 64
    world.assert_exact()
