"""Kappa mode: sums and offsets in one Postgres transaction per flush. Whatever happens to workers and servers, the rows of a version
are the oracle's by speed's rules; another version is folded beside the live one and takes its place in one step."""
import collections
import json
import os
import subprocess
import threading
import time

import psycopg2
import pytest

import harness
import test_security
from harness import oracle, order, wait_until

WRONG = ("--duplicates", "0.05", "--duplicate-distance", "3000", "--out-of-order", "0.1", "--late", "0.03", "--refunds", "0.05",
         "--broken", "0.02", "--currencies", "GBP=5,EUR=3,JPY=1")
EVERYTHING = ("--days", "3", *WRONG)
SOON_DEAD = ("-X", "session.timeout.ms=6000")  # what Kafka allows
VALUES = {"kappa_minutes": "minute, currency, day, gross_e4, refunds_e4, orders, refund_count, units",
          "kappa_days": "day, currency, gross_e4, refunds_e4, orders, refund_count, units",
          "kappa_products": "day, currency, sku, net_e4, units",
          "kappa_names": "sku, name, time_ms",
          "kappa_customers": "customer_id, minute, currency, gross_e4, refunds_e4, orders, refund_count",
          "kappa_late": "day, currency, events, net_e4, worst_ms",
          "kappa_duplicates": "day, n",
          "kappa_counters": "name, n",
          "kappa_offsets": "start_offset, next_offset, latest_event_ms, latest_record_ms, tail"}


class Kappa:
    """The Kappa store of a world."""

    def __init__(self, world):
        self.world = world

    def worker(self, version="v1", *args):
        return self.world.speed("--store=postgres", f"--version={version}", *args)

    def serving(self, *args):
        """Without Redis: nothing answers at that address."""
        return self.world.serving("--view=kappa", "--redis", "redis://127.0.0.1:1/0", *args)

    def command(self, *args):
        done = subprocess.run([os.path.join(harness.PROGRAMS, "lambda-speed"), *args], env=self.world.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        return done.returncode, done.stdout

    def do(self, *args):
        status, text = self.command(*args)
        assert status == 0, text
        return text

    def rows(self, version="v1"):
        """Everything of a version but how the log was cut into flushes, as {table: [row]}."""
        return {table: sorted(self.world.sql(f"SELECT partition, {columns} FROM lambda.{table} JOIN lambda.kappa_versions USING (id) "
                                             "WHERE version = %s", version)) for table, columns in VALUES.items()}

    def nexts(self, version="v1"):
        return dict(self.world.sql("SELECT partition, next_offset FROM lambda.kappa_offsets JOIN lambda.kappa_versions USING (id) "
                                   "WHERE version = %s", version))

    def wait_caught_up(self, version="v1", seconds=90):
        ends = collections.Counter()
        for partition, offset, *_ in self.world.log_records():
            ends[partition] = max(ends[partition], offset + 1)

        def nexts():
            try:
                return {p: n for p, n in self.nexts(version).items() if n}
            except psycopg2.OperationalError:
                return None
        wait_until(lambda: nexts() == ends, seconds, lambda: f"the log ends at {dict(ends)}, {version} is at {nexts()}")

    def assert_exact(self, version="v1", **rules):
        """The rows are the oracle's by speed's rules."""
        answers = harness.oracle_answers(self.world.log_records(), rules="speed", **rules)
        rows = self.rows(version)
        counters = collections.Counter()
        for _, name, n in rows["kappa_counters"]:
            counters[name] += n
        wanted = {"records": answers.records, "counted": answers.counted, "duplicate": answers.duplicate, "late": answers.late}
        wanted.update({f"rejected:{reason}": n for reason, n in answers.rejected.items()})
        assert counters == {name: n for name, n in wanted.items() if n}
        assert sum(row[2] for row in rows["kappa_duplicates"]) == answers.duplicate
        minutes = collections.defaultdict(lambda: (0, 0, 0, 0, 0))
        for _, minute, currency, _, *values in rows["kappa_minutes"]:
            key = int(minute.timestamp() * 1000), currency
            minutes[key] = tuple(a + b for a, b in zip(minutes[key], values))
        assert minutes == {key: revenue(r) for key, r in answers.minutes.items()}
        days = collections.defaultdict(lambda: (0, 0, 0, 0, 0))
        for _, day, currency, *values in rows["kappa_days"]:
            days[str(day), currency] = tuple(a + b for a, b in zip(days[str(day), currency], values))
        assert days == {key: revenue(r) for key, r in answers.days.items() if revenue(r) != (0, 0, 0, 0, 0)}
        products = collections.defaultdict(lambda: (0, 0))
        for _, day, currency, sku, net, units in rows["kappa_products"]:
            before = products[str(day), currency, sku]
            products[str(day), currency, sku] = before[0] + net, before[1] + units
        assert products == {key: (p.net * 10000, p.units) for key, p in answers.products.items()}
        late = collections.Counter()
        for _, day, currency, events, _, _ in rows["kappa_late"]:
            late[str(day), currency] += events
        assert late == collections.Counter((entry.date, entry.currency) for entry in answers.late_events.values())
        since = (time.time() - 48 * 3600) * 1000  # what is older may be there or not
        customers = collections.defaultdict(lambda: (0, 0, 0, 0))
        for _, customer, minute, currency, *values in rows["kappa_customers"]:
            key = customer, int(minute.timestamp() * 1000), currency
            customers[key] = tuple(a + b for a, b in zip(customers[key], values))
        assert {key: values for key, values in customers.items() if key[1] >= since} == \
            {key: revenue(r)[:4] for key, r in answers.customers.items() if key[1] >= since}
        return answers

    def assert_served(self, answers, version="v1"):
        """?view=kappa answers with the oracle's days."""
        wanted = harness.expected_days(answers)
        first, last = min(wanted)[0], max(wanted)[0]
        seen = {}

        def same():
            seen["days"], seen["provenance"] = self.world.served_days(first, last, "kappa")
            return seen["days"] == wanted and seen["provenance"]["kappa"]["version"] == version
        wait_until(same, 20, lambda: harness.difference(wanted, seen["days"], seen["provenance"]))
        return seen["provenance"]


def revenue(r):
    return r.gross * 10000, r.refunds * 10000, r.orders, r.refund_count, r.units


@pytest.fixture
def kappa(world):
    return Kappa(world)


def test_every_route_from_postgres_alone(world, kappa):
    world.orders("generate", "--seed", "21", "--count", "20000", *EVERYTHING)
    kappa.worker()
    kappa.serving()
    kappa.wait_caught_up()
    answers = kappa.assert_exact()
    provenance = wait_until(lambda: (p := kappa.assert_served(answers))["degraded"] == [] and p, 30, lambda: kappa.assert_served(answers))
    assert provenance["batch"] is None and provenance["corrections"] == []
    assert provenance["kappa"]["promotion"] == 1
    assert sum(provenance["kappa"]["offsets"]) == len(world.log_records())
    assert provenance["speed"]["rejected"] == sum(answers.rejected.values())

    date = max(day for day, _ in harness.expected_days(answers))
    answer = world.answer(f"/v1/products/top?date={date}&currency=GBP&limit=3")
    best = sorted(((-p.net, sku, p.units) for (day, currency, sku), p in answers.products.items() if (day, currency) == (date, "GBP")))[:3]
    assert [(p["sku"], p["net"], p["units"]) for p in answer["products"]] == [(sku, oracle.amount(-net, "GBP"), u) for net, sku, u in best]
    late = collections.Counter(entry.currency for entry in answers.late_events.values() if entry.date == date)
    assert {row["currency"]: row["events"] for row in world.answer(f"/v1/late?date={date}")["late"]} == late
    customer = kappa.world.sql("SELECT customer_id FROM lambda.kappa_customers ORDER BY minute DESC LIMIT 1")[0][0]
    now = time.time() * 1000
    orders = sum(r.orders for (c, minute, _), r in answers.customers.items() if c == customer and now - minute < 23.5 * 3600e3)
    answer = world.answer(f"/v1/customers/{customer}/orders?window=24h")
    assert answer["complete"] and answer["orders"] >= orders and answer["kappa"]["version"] == "v1"
    assert world.get("/v1/revenue/today?view=merged")[0] == 404
    for path in ("/v1/segments", f"/v1/customers/{customer}"):
        status, _, body = world.get(path)
        assert status == 404 and b"batch runs only" in body
    assert world.answer("/revenue/today")["kappa"]["version"] == "v1"


def test_products_have_the_names_of_a_batch_run(world, kappa):
    """The latest by event time, then by place in the log: of all valid events, duplicates too, in whatever order they come."""
    world.orders("generate", "--seed", "29", "--count", "3000", *EVERYTHING)
    names = []
    for i in range(400):
        event = order(f"n{i}", sku=f"S{i % 7}", time=f"2026-03-01T12:00:{i * 37 % 40:02d}Z")
        event["lines"][0]["name"] = f"name {i} \u00e9 \"'{{\\"
        event["lines"].append(dict(event["lines"][0], name=f"{event['lines'][0]['name']} again"))
        names.append(event)
    world.produce(names)
    world.produce([dict(names[7], event_time="2026-03-01T12:00:59Z"), dict(names[8], lines=[dict(names[8]["lines"][0], name=None)]),
                   {**order("unnamed", sku="S9"), "lines": [{"sku": "S9", "quantity": 1, "unit_price": "1"}]}])
    kappa.worker()
    kappa.wait_caught_up()
    kappa.worker("v2", "--from=beginning")
    kappa.wait_caught_up("v2")
    assert kappa.rows("v1")["kappa_names"] == kappa.rows("v2")["kappa_names"]
    world.run_batch("--seal-wait=0s")
    known = dict(world.sql("SELECT sku, name FROM lambda.product_names"))
    assert dict(world.sql("SELECT DISTINCT ON (sku) sku, name FROM lambda.kappa_names WHERE id = 1 ORDER BY sku, time_ms DESC, partition DESC")) \
        == known
    kappa.serving()
    answer = wait_until(lambda: world.get("/v1/products/top?date=2026-03-01&limit=100")[0] == 200 and
                        world.answer("/v1/products/top?date=2026-03-01&limit=100"), 10, "products are served")
    assert {p["sku"]: p["name"] for p in answer["products"]} == {f"S{i}": known.get(f"S{i}") for i in (0, 1, 2, 3, 4, 5, 6, 9)}
    assert "S9" not in known and known["S0"].endswith("again")


def heard(versions):
    """The worker of each has just said something: it counts as at work for 10 s from then on."""
    return all(version["at_work"] and version["silent_seconds"] < 2 for version in versions)


def test_progress_is_told(world, kappa):
    """By the command, the API and the metrics; also without Redis."""
    world.orders("generate", "--seed", "34", "--count", "10000")
    worker = kappa.worker()
    kappa.wait_caught_up()
    kappa.serving()
    name = "v2.fixed-bug"
    second = kappa.worker(name, "--from=beginning", "--throttle=1000")
    wait_until(lambda: sum(kappa.nexts(name).values()) > 2000, 30, "it goes on")

    def status():
        versions = world.answer("/v1/status")["versions"]
        assert [v["version"] for v in versions] == ["v1", name]
        return versions

    def goes_on():
        versions = status()
        return versions if heard(versions) and 500 < versions[1]["per_second"] < 1500 else None
    live, new = wait_until(goes_on, 30, status)
    assert (live["state"], live["at_work"], live["reads"], live["offsets"], live["behind"], live["seconds_left"]) == ("live", True, "log", 10000, 0, 0)
    assert (new["state"], new["at_work"], new["reads"], new["partitions"], new["offsets"] + new["behind"]) == ("new", True, "log", 4, 10000)
    assert new["seconds_left"] == -(-new["behind"] // new["per_second"])
    assert "kappa" in world.answer("/v1/status")
    told = json.loads(kappa.do("status", "--json"))["versions"]
    assert [v.keys() for v in told] == [v.keys() for v in status()] and told[1]["fold_version"] == new["fold_version"]
    wait_until(lambda: " log " in kappa.do("status"), 10, lambda: kappa.do("status"))

    def metrics():
        return world.get("/metrics")[2].decode()
    label = f'version="{name}"'
    wait_until(lambda: f"lambda_kappa_left_seconds{{{label}}}" in metrics(), 15, metrics)
    assert 'lambda_kappa_state{version="v1",state="live"} 1' in metrics() and f'lambda_kappa_state{{{label},state="live"}} 0' in metrics()
    assert 'lambda_kappa_behind_offsets{version="v1"} 0' in metrics() and 'lambda_kappa_offsets{version="v1"} 10000' in metrics()
    worker.stop()
    second.stop()
    world.sql("UPDATE lambda.kappa_beats SET time_ms = time_ms - 60000")
    live, new = status()
    assert (new["at_work"], new["reads"], new["seconds_left"], new["per_second"]) == (False, None, None, 0) and new["silent_seconds"] > 59
    assert (live["behind"], live["seconds_left"]) == (0, None)


def test_beside_the_lambda_views(world, kappa):
    world.speed()
    world.serving()
    wait_until(lambda: world.get("/revenue/today?view=kappa")[0] == 404, 10, "there is no version yet")
    kappa.worker()
    world.orders("generate", "--seed", "22", "--count", "5000", "--refunds", "0.1", "--days", "2")
    world.assert_exact()
    world.run_batch()
    answers = world.expected()
    world.assert_exact(expected=answers)
    kappa.assert_served(answers)
    assert world.answer("/revenue/today").get("kappa") is None
    assert world.answer("/revenue/today?view=kappa")["batch"] is None


def test_kill_9_and_postgres_restarts_under_load(world, kappa, stack):
    worker = kappa.worker("v1", *SOON_DEAD)
    kappa.serving()
    generator = threading.Thread(target=world.orders, args=("generate", "--seed", "23", "--count", "30000", "--rate", "2500", *WRONG))
    generator.start()
    for turn in range(4):
        time.sleep(1.5)  # the load goes on: where it hits is left to chance
        if turn % 2:
            stack.restart("postgres", kill=True)
        else:
            worker.kill()
            worker = kappa.worker("v1", *SOON_DEAD)
    generator.join()
    kappa.wait_caught_up()
    kappa.assert_served(kappa.assert_exact())


def test_two_workers_and_one_dies(world, kappa):
    workers = [kappa.worker("v1", *SOON_DEAD), kappa.worker("v1", *SOON_DEAD)]
    world.orders("generate", "--seed", "24", "--count", "10000", *EVERYTHING)
    kappa.wait_caught_up()
    workers[0].kill()
    world.orders("generate", "--seed", "25", "--count", "10000", *EVERYTHING)
    workers.append(kappa.worker("v1", *SOON_DEAD))
    kappa.wait_caught_up()
    kappa.assert_exact()
    for worker in workers[1:]:
        worker.stop()


def test_the_same_log_twice_gives_the_same_rows(world, kappa):
    """v1 follows in many small flushes and dies in between, v2 replays in few."""
    worker = kappa.worker()
    for seed in range(3):
        world.orders("generate", "--seed", str(30 + seed), "--count", "5000", "--rate", "4000", *WRONG)
        worker.kill()
        worker = kappa.worker("v1", *SOON_DEAD)
    kappa.wait_caught_up()
    kappa.worker("v2", "--from=beginning", "--flush-every", "500ms")
    kappa.wait_caught_up("v2")
    assert kappa.rows("v1") == kappa.rows("v2")


def test_a_version_takes_the_place_of_another(world, kappa):
    """Beside the live one, throttled; promoted when it is there, in one step for readers; back again; pruned."""
    kappa.worker()
    kappa.serving()
    world.orders("generate", "--seed", "26", "--count", "12000", "--days", "2")
    kappa.wait_caught_up()
    answers = kappa.assert_exact()
    kappa.assert_served(answers)

    refused = kappa.worker("v2")
    assert refused.wait(20) == 64 and "--from=beginning" in refused.text()
    assert kappa.command("promote", "v2")[0] == 64
    assert kappa.command("rollback")[0] == 64
    started = time.monotonic()
    second = kappa.worker("v2", "--from=beginning", "--throttle=1500")
    wait_until(lambda: sum(kappa.nexts("v2").values()) > 1000, 30, "v2 begins")
    status, text = kappa.command("promote", "v2")
    assert status == 75 and "behind: it lacks" in text, text
    table = kappa.do("status")
    assert "v1" in table and "live" in table and "new" in table, table
    kappa.wait_caught_up("v2")
    pace = 12000 / (time.monotonic() - started)
    assert pace < 1600, f"{pace} events per second, not 1500"

    # a mark by which readers tell the two apart: this row is only v2's
    world.sql("UPDATE lambda.kappa_days d SET gross_e4 = gross_e4 + 10000, upto = o.next_offset + 1 FROM lambda.kappa_versions v, "
              "lambda.kappa_offsets o WHERE v.id = d.id AND o.id = d.id AND o.partition = d.partition AND v.version = 'v2'")
    marked = kappa.rows("v2")["kappa_days"]
    days = {(str(day), currency) for _, day, currency, *_ in marked}
    first, last = min(days)[0], max(days)[0]
    sums = {version: total(kappa.rows(version)["kappa_days"]) for version in ("v1", "v2")}
    assert sums["v1"] != sums["v2"]
    seen, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            answer = world.answer(f"/v1/revenue?from={first}&to={last}&step=day&view=kappa")
            gross = sum(oracle.Decimal(point["gross"]) for point in answer["points"])
            seen.append((answer["kappa"]["version"], answer["kappa"]["promotion"], int(gross * 10000)))
    reader = threading.Thread(target=read)
    reader.start()
    try:
        kappa.do("promote", "v2")
        wait_until(lambda: seen and seen[-1][0] == "v2", 10, "readers see v2")
        kappa.do("rollback")
        wait_until(lambda: seen[-1][:2] == ("v1", 3), 10, "readers see v1 again")
        kappa.do("promote", "v2")
        wait_until(lambda: seen[-1][:2] == ("v2", 4), 10, "readers see v2 again")
    finally:
        stop.set()
        reader.join()
    assert all(gross == sums[version] for version, _, gross in seen), collections.Counter(seen)
    promotions = [promotion for _, promotion, _ in seen]
    assert promotions == sorted(promotions) and set(promotions) == {1, 2, 3, 4}
    assert kappa.command("promote", "v2")[0] == 64
    assert [row for row in world.sql("SELECT version, kind FROM lambda.kappa_promotions ORDER BY promotion")] == \
        [("v1", "first"), ("v2", "promote"), ("v1", "rollback"), ("v2", "promote")]

    assert kappa.command("prune", "v2")[0] == 64            # live
    wait_until(lambda: heard(json.loads(kappa.do("status", "--json"))["versions"]), 30, lambda: kappa.do("status"))
    assert kappa.command("prune", "v1")[0] == 75            # worked on
    assert "gone" not in kappa.do("prune")                  # a rollback would go there
    first_worker = world.processes[0]
    first_worker.stop()
    wait_until(lambda: kappa.command("prune", "v1")[0] == 0, 20, "v1 can be pruned")
    assert all(world.sql(f"SELECT count(*) FROM lambda.{table} WHERE id NOT IN (SELECT id FROM lambda.kappa_versions)")[0][0] == 0
               for table in VALUES)
    assert kappa.command("rollback")[0] == 64
    assert second.running()


def total(rows):
    return sum(row[3] for row in rows)


def test_readers_see_no_less_when_a_version_is_promoted_under_load(world, kappa):
    kappa.worker()
    kappa.serving()
    wait_until(kappa.nexts, 30, "v1 is live")
    kappa.worker("v2", "--from=beginning")
    generator = threading.Thread(target=world.orders, args=("generate", "--seed", "27", "--count", "12000", "--rate", "1500"))
    generator.start()
    wait_until(lambda: sum(kappa.nexts("v2").values()) > 1000, 30, "v2 follows")
    coverage, names = [], ["v2", "v1"]
    until = time.monotonic() + 6
    while time.monotonic() < until:
        status, text = kappa.command("promote", names[0])
        assert status in (0, 75), text
        if status == 0:
            names.reverse()
        for _ in range(20):
            coverage.append(world.answer("/revenue/today?view=kappa")["kappa"]["offsets"])
    generator.join()
    for before, after in zip(coverage, coverage[1:]):
        assert all(a <= b for a, b in zip(before, after)), (before, after)
    assert world.sql("SELECT count(*) FROM lambda.kappa_promotions")[0][0] > 2
    for version in ("v1", "v2"):
        kappa.wait_caught_up(version)
        kappa.assert_exact(version)


def test_only_what_belongs_to_a_version_is_added_to_it(world, kappa):
    """Other rules, another log, a version that was pruned under a worker: it ends with a message."""
    world.produce([order(f"e{i}") for i in range(50)])
    worker = kappa.worker()
    kappa.wait_caught_up()
    worker.stop()
    other = kappa.worker("v1", "--grace", "1h")
    assert other.wait(20) == 65 and "other rules" in other.text()
    worker = kappa.worker()
    wait_until(lambda: "partition 3: v1" in worker.text(), 20, "it folds")
    world.sql("DELETE FROM lambda.kappa_live")
    world.sql("SELECT lambda.kappa_drop(id) FROM lambda.kappa_versions")
    world.produce([order(f"f{i}") for i in range(50)])
    assert worker.wait(20) == 65 and "pruned" in worker.text()


def test_a_log_that_was_replaced_is_refused(world, kappa):
    world.produce([order(f"e{i}") for i in range(40)])
    worker = kappa.worker()
    kappa.wait_caught_up()
    worker.stop()
    world.delete_topic()
    wait_until(lambda: not topic_is_there(world), 30, "the topic is gone")
    world.create_topic(world.partitions)
    world.produce([order(f"g{i}") for i in range(80)])
    worker = kappa.worker()
    assert worker.wait(30) == 65, worker.text()[-2000:]


def topic_is_there(world):
    admin = harness.confluent_kafka.admin.AdminClient({"bootstrap.servers": world.stack.env["LAMBDA_BROKERS"]})
    return world.topic in admin.list_topics(timeout=10).topics


def test_postgres_is_away(world, kappa, stack):
    """Old numbers say that they are old; nothing is left of them after --max-speed-age."""
    world.produce([order(f"e{i}", time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())) for i in range(20)])
    kappa.worker()
    kappa.serving("--max-speed-age", "15s")
    kappa.wait_caught_up()
    wait_until(lambda: world.answer("/revenue/today")["revenue"], 10, "it is served")
    stack.stop("postgres")
    try:
        old = wait_until(lambda: (a := json.loads(world.get("/revenue/today")[2])) and "speed_stale" in a.get("degraded", []) and a, 20,
                         "it says that it is old")
        assert "kappa view cannot be asked" in old["caveat"]
        wait_until(lambda: world.get("/revenue/today")[0] == 503, 40, "it is given up")
    finally:
        stack.start("postgres")
    wait_until(lambda: world.get("/revenue/today")[0] == 200 and not world.answer("/revenue/today")["degraded"], 20, "it is back")
    world.produce([order("late")])
    kappa.wait_caught_up()
    kappa.assert_exact()


def test_the_roles_suffice(world, kappa):
    """Worker, commands and serving as users that have their program's role only."""

    world.env["LAMBDA_POSTGRES"] = test_security.postgres_user(world, "lambda_speed")
    kappa.worker()
    world.orders("generate", "--seed", "28", "--count", "2000", *EVERYTHING)
    kappa.wait_caught_up()
    kappa.worker("v2", "--from=beginning")
    kappa.wait_caught_up("v2")
    kappa.do("status")
    kappa.do("promote", "v2")
    kappa.do("rollback")
    world.env["LAMBDA_POSTGRES"] = test_security.postgres_user(world, "lambda_serving")
    kappa.serving()
    kappa.assert_served(kappa.assert_exact())
