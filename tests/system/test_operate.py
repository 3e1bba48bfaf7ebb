"""What an operator does by hand: back to an older run, forward again, and what that must never cost."""
import json
import socket
import threading
import time

import psycopg2

from harness import order, wait_until
from test_handover import Poller

DAY = "/v1/revenue/2026-03-01"


def pounds(prefix, n):
    return [order(f"{prefix}{i}", "1.00") for i in range(n)]


def pointer(world):
    return world.sql("SELECT p.publication, p.run, n.kind FROM lambda.published p JOIN lambda.publications n USING (publication)")[0]


def states(world):
    return [state for state, in world.sql("SELECT state FROM lambda.runs ORDER BY run")]


def move(world, *args):
    done = world.batch(*args)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def refused(world, *args, status=65):
    done = world.batch(*args)
    assert done.returncode == status, (args, done.returncode, done.stdout)
    return done.stdout


def two_runs(world, first=1000):
    """Runs 1 and 2 are published, orders before, between and behind them."""
    world.produce(pounds("first", first))
    world.assert_exact()
    world.run_batch()
    world.produce(pounds("second", 100))
    world.assert_exact()
    world.run_batch()
    world.produce(pounds("third", 10))
    wait_until(lambda: world.answer(DAY)["batch"]["run"] == 2, 10, "run 2 is served")
    world.assert_exact()


def test_rollback_under_load(world):
    """Orders of a pound each come all the time while the pointer goes back and forth: not one answer is low, or high."""
    speed = world.speed()
    world.serving()
    two_runs(world)
    wait_until(lambda: world.answer(DAY)["degraded"] == [], 30, lambda: world.answer(DAY))
    poller = Poller(world, DAY)
    poller.start()
    stop = threading.Event()

    def produce():
        n = 0
        while not stop.is_set():
            world.produce(pounds(f"more{n}-", 100))
            n += 1
    producing = threading.Thread(target=produce)
    producing.start()
    for args, run in ((["rollback"], 1), (["publish", "2"], 2), (["rollback", "1"], 1), (["publish", "2"], 2), (["rollback"], 1)):
        move(world, *args)
        wait_until(lambda: world.answer(DAY)["batch"]["run"] == run, 10, lambda: f"run {run} is served: {world.answer(DAY)['batch']}")
        before = len(poller.answers)
        wait_until(lambda: len(poller.answers) > before + 50, 30, "the poller goes on")
    stop.set()
    producing.join()
    world.assert_exact()
    orders, publication = 0, 0
    for answer in poller.finish():
        row, batch = answer["revenue"][0], answer["batch"]
        assert row["net"] == f"{row['orders']}.00" and row["orders"] >= orders, f"{orders} orders, then {answer}"
        assert batch["publication"] >= publication and answer["degraded"] == [], answer
        assert batch.get("rolled_back") == (2 if batch["run"] == 1 else None), answer
        assert ("run 2 was rolled back to run 1" in (answer["caveat"] or "")) == (batch["run"] == 1), answer
        orders, publication = row["orders"], batch["publication"]
    assert pointer(world) == (7, 1, "rollback")
    assert world.sql("SELECT kind FROM lambda.publications ORDER BY publication")[2:] == [
        ("rollback",), ("publish",), ("rollback",), ("publish",), ("rollback",)]
    speed.stop()


def test_rollback_over_a_skip(world):
    """Run 2 was made while speed was away, so that speed went on behind it: back at run 1 it must read again what lies between."""
    speed = world.speed()
    world.serving()
    world.produce(pounds("first", 1000))
    world.assert_exact()
    world.run_batch()
    speed.stop()
    world.produce(pounds("second", 500))
    world.run_batch("--seal-wait", "0s")
    world.speed()
    world.produce(pounds("third", 100))
    world.assert_exact()
    poller = Poller(world, DAY)
    poller.start()
    move(world, "rollback")
    world.assert_exact()
    wait_until(lambda: world.answer(DAY)["batch"]["run"] == 1, 10, "run 1 is served")
    world.assert_exact()
    for answer in poller.finish():
        row = answer["revenue"][0]
        assert row["net"] == f"{row['orders']}.00", answer
        assert row["orders"] == 1600 or answer["batch"]["run"] == 1 and "rebuilding" in answer["degraded"], answer


def test_rollback_when_redis_has_lost_all_and_speed_is_away(world):
    speed = world.speed()
    world.serving()
    two_runs(world)
    speed.stop()
    redis = world.stack.redis()
    for key in redis.scan_iter(f"{world.name}:*"):
        redis.delete(key)
    move(world, "rollback")
    world.speed()
    wait_until(lambda: world.answer(DAY)["batch"]["run"] == 1, 10, "run 1 is served")
    world.assert_exact()


def test_killed_between_commit_and_adopt(world):
    """Redis hangs, as far as the rollback can see, and then it is killed: speed hears of the publication by itself."""
    world.speed()
    world.serving()
    two_runs(world)
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        process = world.start("lambda-batch", "rollback", "--redis", f"redis://127.0.0.1:{hole.getsockname()[1]}")
        wait_until(lambda: pointer(world)[1] == 1, 20, "the pointer has moved")
        process.kill()
    wait_until(lambda: world.answer(DAY)["batch"]["run"] == 1, 10, "run 1 is served")
    world.assert_exact()
    world.produce(pounds("fourth", 10))
    world.assert_exact()


def test_two_rollbacks_at_once_are_one(world):
    for n in range(5):
        world.produce(pounds(f"part{n}-", 10))
        world.run_batch("--seal-wait", "0s")
    processes = [world.start("lambda-batch", "rollback") for _ in range(4)]
    ends = sorted(process.wait(60) for process in processes)
    moved = ends.count(0)
    assert set(ends) <= {0, 75} and moved >= 1, ends
    assert pointer(world)[:2] == (5 + moved, 5 - moved)     # those that came later went one further, those at once did nothing


def test_a_run_at_work_does_not_undo_a_rollback(world):
    world.speed()
    world.serving()
    two_runs(world)
    world.orders("generate", "--seed", "6", "--count", "20000", "--days", "3")
    run, held = world.run_that_copies("--seal-wait", "0s")
    assert states(world) == ["published", "published", "running"]
    move(world, "rollback")
    held.free()
    assert run.wait(120) == 75, run.text()
    assert states(world) == ["published", "published", "superseded"] and pointer(world) == (3, 1, "rollback")
    world.assert_exact()


def test_after_a_rollback_runs_wait_for_publish(world):
    world.speed()
    world.serving()
    two_runs(world)
    move(world, "rollback")
    for run in (3, 4):
        world.produce(pounds(f"night{run}-", 10))
        world.assert_exact()
        assert "run 2 of the same fold version was rolled back" in refused(world, "run")
        assert states(world)[run - 1] == "built" and pointer(world) == (3, 1, "rollback")
        world.assert_exact()
    assert world.sql("SELECT count(*) FROM lambda.cuts WHERE run = 4") == [(4,)]
    assert move(world, "publish", "4").count("publication 4") == 1
    assert states(world) == ["published", "published", "built", "published"] and pointer(world) == (4, 4, "publish")
    wait_until(lambda: world.answer(DAY)["batch"]["run"] == 4, 10, "run 4 is served")
    world.assert_exact()
    answer = world.answer(DAY)
    assert "rolled_back" not in answer["batch"] and answer["revenue"][0]["provisional"]["net"] == "0.00", answer
    assert "run 3 is older than the published run 4" in refused(world, "publish", "3")
    assert "never was published" in refused(world, "rollback", "3")
    world.produce(pounds("fifth", 10))
    world.run_batch()                                                   # the next one publishes itself again
    assert pointer(world) == (5, 5, "run")
    world.assert_exact()


def test_another_fold_version_does_not_wait(world):
    """What was rolled back for a mistake in the rules is mended by a run with other rules, at once."""
    world.serving()
    for n in range(2):
        world.produce(pounds(f"part{n}-", 10))
        world.run_batch("--seal-wait", "0s")
    move(world, "rollback")
    world.run_batch("--seal-wait", "0s", "--grace", "77s")
    assert pointer(world) == (4, 3, "run")


def test_what_is_refused(world):
    world.env["LAMBDA_SEAL_WAIT"] = "0s"
    assert "nothing is published" in refused(world, "rollback")
    assert "there is no run 1" in refused(world, "publish", "1")
    for wrong in ("0", "x", "1x", "", "01", "9999999999999999"):
        assert "no number of a run" in refused(world, "rollback", wrong, status=64)
    assert "which run" in refused(world, "publish", status=64)
    refused(world, "rollback", "1", "2", status=64)
    world.produce(pounds("a", 10))
    world.run_batch()
    assert "no older run" in refused(world, "rollback")
    assert "published already" in refused(world, "rollback", "1") and "published already" in refused(world, "publish", "1")
    world.run_batch()
    cases = (("failed", None, None, None, "'failed'"), ("pruned", None, None, None, "why it failed"), ("running", None, None, None, "'running'"),
             ("published", None, None, "other/log", "another log"), ("published", None, "Asia/Tokyo", None, "time zone"),
             ("published", "k999;x", None, None, "newer kernel"), ("built", None, None, None, ""))
    for run, (state, fold, zone, log, words) in enumerate(cases, 3):
        world.sql("INSERT INTO lambda.runs (state, build, fold_version, time_zone, log, base_publication, base_run, message, records, counted, "
                  "duplicate, rejected) SELECT %s, build, coalesce(%s, fold_version), coalesce(%s, time_zone), coalesce(%s, log), 1, 1, "
                  "'why it failed', 0, 0, 0, 0 FROM lambda.runs WHERE run = 1", state, fold, zone, log)
        assert words in refused(world, "publish", str(run)) and words in refused(world, "rollback", str(run)), run
    assert "run 9 corrects run 1, but run 2 is published" in refused(world, "publish", "9")
    assert "hint: lambda-batch publish 9" in refused(world, "rollback", "9")
    assert "there is no run 10" in refused(world, "rollback", "10")
    assert pointer(world) == (2, 2, "run")


def tables(world, run):
    return world.sql("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ %s", f"_r{run}$")[0][0]


def many_runs(world, n):
    world.env["LAMBDA_SEAL_WAIT"] = "0s"
    for i in range(n):
        world.produce(pounds(f"run{i}-", 10))
        world.run_batch()


def test_rows_that_were_changed_are_not_answered_with(world):
    """By hand, or by a bug in what wrote them: whoever publishes looks at the rows first."""
    world.speed()
    world.serving()
    two_runs(world)
    world.sql("UPDATE lambda.revenue_days SET orders = orders - 1 WHERE run = 1")
    assert "run 1 counted 1000 events, but its days hold 999" in refused(world, "rollback")
    assert pointer(world)[1] == 2
    world.assert_exact()
    world.sql("UPDATE lambda.revenue_days SET orders = orders + 1 WHERE run = 1")
    move(world, "rollback")


def test_prune_keeps_what_is_needed(world):
    world.serving()
    many_runs(world, 6)
    move(world, "rollback", "2")
    refused(world, "run")                                                               # run 7 waits
    move(world, "prune", "--keep", "2")
    assert states(world) == ["pruned", "published", "pruned", "pruned", "published", "published", "built"]
    assert [tables(world, run) > 0 for run in range(1, 8)] == [False, True, False, False, True, True, True]
    assert "'pruned'" in refused(world, "rollback", "1") and "'pruned'" in refused(world, "publish", "4")
    move(world, "publish", "7")
    move(world, "prune", "--keep", "1")
    assert states(world) == ["pruned"] * 6 + ["published"]
    wait_until(lambda: world.answer(DAY)["batch"]["run"] == 7, 10, "run 7 is served")
    assert world.answer(DAY)["revenue"][0]["orders"] == 60
    assert "no older run" in refused(world, "rollback")
    move(world, "prune")                                                                # again: nothing to do
    world.run_batch()
    assert world.sql("SELECT count(*) FROM lambda.corrections") == [(0,)]


def test_prune_while_a_reader_reads(world):
    """A report of BI holds its rows for long: nobody who comes later waits, and what it reads stays."""
    many_runs(world, 3)
    reader = psycopg2.connect(world.postgres)
    reader.set_session(isolation_level="REPEATABLE READ")
    with reader.cursor() as cursor:
        cursor.execute("SELECT count(*), sum(orders) FROM lambda.revenue_days")
        seen = cursor.fetchone()
        process = world.start("lambda-batch", "prune", "--keep", "1", "--connect-wait", "6s")
        while process.running():
            for orders in ("lambda.revenue_days WHERE run = 3", "revenue.daily"):
                assert world.sql(f"SET lock_timeout = '500ms'; SELECT orders FROM {orders}") == [(30,)]
        assert process.wait(1) == 75 and "a reader holds up pruning" in process.text(), process.text()
        cursor.execute("SELECT count(*), sum(orders) FROM lambda.revenue_days")
        assert cursor.fetchone() == seen
    reader.close()
    assert states(world) == ["pruned", "pruned", "published"]
    move(world, "prune", "--keep", "1")                                                 # goes on where it stood
    assert [tables(world, run) for run in (1, 2)] == [0, 0] and tables(world, 3) > 0
    world.run_batch()


def test_a_run_beside_a_prune(world):
    """What is being pruned is no business of a run that clears up: of two who drop a table one would fail."""
    many_runs(world, 2)
    world.sql("UPDATE lambda.runs SET state = 'pruned' WHERE run = 1; ALTER TABLE lambda.revenue_days DETACH PARTITION lambda.revenue_days_r1")
    with psycopg2.connect(world.postgres) as held, held.cursor() as cursor:
        cursor.execute("DROP TABLE lambda.revenue_days_r1")
        run = world.start("lambda-batch", "run")
        wait_until(lambda: not run.running() or world.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%drop_left%' "
                                                          "AND datname = current_database() AND pid <> pg_backend_pid()"), 30, run.text)
    held.close()
    assert run.wait(60) == 0, run.text()
    move(world, "prune", "--keep", "1")
    assert states(world) == ["pruned", "pruned", "published"] and [tables(world, run) > 0 for run in (1, 2, 3)] == [False, False, True]


def test_prune_is_killed_and_goes_on(world):
    many_runs(world, 8)
    for _ in range(6):
        process = world.start("lambda-batch", "prune", "--keep", "1")
        wait_until(lambda: not process.running() or "pruned" in states(world), 20, "it has begun")
        time.sleep(0.05)
        process.kill()
    world.wait_batch_gone()
    move(world, "prune", "--keep", "1")
    assert states(world) == ["pruned"] * 7 + ["published"]
    assert [tables(world, run) for run in range(1, 8)] == [0] * 7
    world.run_batch()


def test_status(world):
    assert "nothing is published yet" in move(world, "status")
    assert json.loads(world.batch("status", "--json").stdout) == {"published": None, "runs": []}
    world.env["LAMBDA_SEAL_WAIT"] = "0s"
    world.produce(pounds("a", 300))
    world.run_batch()
    world.sql("UPDATE lambda.revenue_days SET gross_e4 = gross_e4 * 2 WHERE run = 1")
    refused(world, "run")
    words = move(world, "status")
    assert "published: run 1 as publication 1 (run) since " in words and "2026-03-01 changes by more than 5 %" in words
    lines = [line.split() for line in words.splitlines()]
    assert lines[1][:2] == ["run", "state"] and [line[:2] for line in lines[2:3] + lines[4:]] == [["2", "quarantined"], ["1*", "published"]]
    status = json.loads(world.batch("status", "--json").stdout)
    assert status["published"] == 1 and [(r["run"], r["state"]) for r in status["runs"]] == [(2, "quarantined"), (1, "published")]
    first = status["runs"][1]
    assert first["records"] == first["counted"] == 300 and first["rows"] > 2 and first["publications"][0]["kind"] == "run", first
    assert first["duration_seconds"] > 0 and first["progress"] is None and first["at_work"] is None and not first["sealed"]
    assert "changes by more than 5 %" in status["runs"][0]["message"] and status["runs"][0]["corrections"] == 1


def test_status_of_a_run_at_work(world):
    def told():
        return json.loads(world.batch("status", "--json").stdout)["runs"][0]
    world.produce(pounds("a", 300))
    run, held = world.run_that_copies("--seal-wait", "0s")
    report = told()
    assert report["state"] == "running" and report["at_work"] is True, report
    assert report["progress"]["phase"] == "copying" and report["progress"]["total"] > 0, report
    run.kill()
    held.free()
    wait_until(lambda: told()["at_work"] is False, 20, lambda: told())
    assert "died" in move(world, "status")
