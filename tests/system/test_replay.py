"""A replay goes on from an older run, and gives what a run over the whole log would: row by row."""
import collections
import datetime
import os
import random
import re
import signal
import time

import psycopg2
import pytest

from harness import Held, order, wait_until

DAY = "/v1/revenue/2026-03-01"
TABLES = ("revenue_minutes", "revenue_days", "product_days", "product_names", "late_days", "customer_minutes", "customers", "segments")


def rows(world, run):
    """{table: rows} of a run, without its number. Orders by customer are kept for a while: those that every run has."""
    kept = {"customer_minutes": "AND minute >= (SELECT max(customers_from) FROM lambda.runs)"}
    return {table: sorted((row[1:] for row in world.sql(f"SELECT * FROM lambda.{table} WHERE run = {run} {kept.get(table, '')}")), key=str)
            for table in TABLES}


def counts(world, run):
    return world.sql(f"SELECT records, counted, duplicate, rejected, late, rejected_by FROM lambda.runs WHERE run = {run}")[0]


def cuts(world, run):
    return world.sql(f"SELECT partition, first_offset, next_offset, latest_event_ms, latest_record_ms, tail FROM lambda.cuts WHERE run = {run} ORDER BY 1")


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def pause_for_a_second():
    """The next record's timestamp lies in another second than the last one's."""
    second = int(time.time())
    wait_until(lambda: int(time.time()) > second, 3, "a second has passed")


def events(rng, prefix, n, ids):
    """Of three days and the last two hours; some were there before, some are broken, some refunds."""
    out = []
    for i in range(n):
        event_id = rng.choice(ids) if ids and rng.random() < 0.1 else f"{prefix}{i}"
        ids.append(event_id)
        moment = datetime.datetime(2026, 3, rng.randint(1, 3), rng.randrange(24), rng.randrange(60), tzinfo=datetime.timezone.utc)
        if rng.random() < 0.3:
            moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=rng.randrange(120))
        event = order(event_id, amount=f"{rng.randint(1, 99)}.{rng.randint(0, 99):02}", time=moment.strftime("%Y-%m-%dT%H:%M:%SZ"), sku=f"S{rng.randrange(9)}",
                      kind="order_placed" if rng.random() < 0.85 else "order_refunded", currency=rng.choice(("GBP", "EUR")),
                      customer=rng.choice(("a", "b", "c", "d", "e", "f", None)))
        event["lines"][0]["name"] = f"name {prefix}{i}"
        out.append(event if rng.random() < 0.97 else ("k", b"{broken"))
    return out


def produce(world, rng, prefix, n, ids):
    parts = collections.defaultdict(list)
    for event in events(rng, prefix, n, ids):
        parts[rng.randrange(world.partitions)].append(event)
    for partition, some in parts.items():
        world.produce(some, partition=partition)
    return parts


def spoil(world, run):
    """What a bug may do to a run's result."""
    for table in ("revenue_minutes", "revenue_days"):
        world.sql(f"UPDATE lambda.{table} SET gross_e4 = gross_e4 + refunds_e4, refunds_e4 = 0 WHERE run = {run}")


def ids(world, run):
    """The newest block of ids by partition; None: not kept."""
    return [newest for newest, in world.sql(f"SELECT ids FROM lambda.cuts WHERE run = {run} ORDER BY partition")]


def n_blocks(world):
    return world.sql("SELECT count(*) FROM lambda.id_blocks")[0][0]


def replay(world, *settings):
    """Its log."""
    done = world.batch("replay", "--from", "2099-01-01T00:00", *settings)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def was_read(log):
    """How many records were read to be counted, and how many were known by their ids."""
    known = re.search(r"(\d+) records of them are known by their ids", log)
    return int(re.findall(r" reading: (\d+) records", log)[-1]), int(known[1]) if known else 0


@pytest.mark.parametrize("seed, settings", [(1, []), (2, ["--memory", "1MiB"]), (3, ["--keep-ids", "no"]), (4, ["--keep-ids", "no", "--memory", "1MiB"])])
def test_a_replay_is_what_a_run_is(world, seed, settings):
    rng, ids = random.Random(seed), []
    world.speed()
    world.serving()
    produce(world, rng, "a", 400, ids)
    world.run_batch()
    pause_for_a_second()
    since = now()
    produce(world, rng, "b", 300, ids)
    world.run_batch()
    spoil(world, 2)
    produce(world, rng, "c", 200, ids)
    done = world.batch("replay", "--from", since, *settings)
    assert done.returncode == 0 and "replay of run 1" in done.stdout, done.stdout[-3000:]
    assert world.sql("SELECT replay_of, state FROM lambda.runs WHERE run = 3") == [(1, "published")]
    assert world.sql("SELECT kind FROM lambda.publications ORDER BY publication") == [("run",), ("run",), ("replay",)]
    wait_until(lambda: (world.answer(DAY)["batch"] or {}).get("run") == 3, 10, lambda: world.answer(DAY))
    world.assert_exact()
    assert world.answer(DAY)["batch"]["replay_of"] == 1
    world.run_batch()
    assert rows(world, 3) == rows(world, 4) and rows(world, 3)["customer_minutes"]
    assert counts(world, 3) == counts(world, 4) and cuts(world, 3) == cuts(world, 4)
    assert world.sql("SELECT count(*) FROM lambda.corrections WHERE run = 4") == [(0,)]          # the night confirms it
    causes = {cause for cause, in world.sql("SELECT cause FROM lambda.correction_causes WHERE run = 3")}
    assert "recomputed" in causes and "unexplained" not in causes
    for before, after, net in world.sql("SELECT c.before_e4, c.after_e4, sum(x.net_e4) FROM lambda.corrections c JOIN lambda.correction_causes x "
                                        "USING (run, day, currency) WHERE run = 3 GROUP BY c.run, c.day, c.currency"):
        assert after - before == net
    assert world.batch("status").stdout.count("replay of 1") == 1


@pytest.mark.parametrize("keep", ["yes", "no"])
def test_from_before_the_first_order(world, keep):
    """The first night had nothing to count."""
    world.run_batch()
    produce(world, random.Random(10), "a", 100, [])
    world.run_batch()
    done = world.batch("replay", "--from", "1970-01-01T00:00:01Z", "--keep-ids", keep)
    assert done.returncode == 0 and "replay of run 1" in done.stdout, done.stdout
    world.run_batch()
    assert rows(world, 3) == rows(world, 4) and counts(world, 3) == counts(world, 4)


def test_a_partition_added_since(world):
    rng, ids = random.Random(5), []
    produce(world, rng, "a", 100, ids)
    world.run_batch()
    pause_for_a_second()
    since = now()
    world.add_partitions(6)
    produce(world, rng, "b", 100, ids)
    world.run_batch()
    assert world.batch("replay", "--from", since).returncode == 0
    world.run_batch()
    assert rows(world, 3) == rows(world, 4) and counts(world, 3) == counts(world, 4)


def test_dry_run_changes_nothing(world):
    world.produce([order("a1", "5.00")])
    world.run_batch()
    pause_for_a_second()
    since = now()
    world.produce([order("b1", "7.00")])
    world.run_batch()
    spoil(world, 2)
    world.sql("UPDATE lambda.revenue_days SET gross_e4 = 1 WHERE run = 2")
    done = world.batch("replay", "--from", since, "--dry-run")
    assert done.returncode == 0 and "2026-03-01" in done.stdout and "12" in done.stdout, done.stdout
    assert world.sql("SELECT max(run), (SELECT max(publication) FROM lambda.publications) FROM lambda.runs") == [(2, 2)]


def test_refused(world):
    def refused(status, *args):
        done = world.batch("replay", *args)
        assert done.returncode == status and "hint" in done.stdout + ("hint" if status == 64 else ""), (args, done.returncode, done.stdout)
        return done.stdout
    assert "nothing is published" in refused(65, "--from", now())
    world.produce([order("a1")])
    world.run_batch()
    for wrong in ("", "yesterday", "2026-03-01", "2026-13-01T00:00", "2026-03-01T25:00", "2026-03-01T00:00;x", "2026-03-01T00:00:00.5Z", "' OR 1"):
        assert "--from" in refused(64, "--from", wrong)
    assert "no run that is kept" in refused(65, "--from", "2020-01-01T00:00")
    assert "no base" in refused(65, "--from", "2099-01-01T00:00Z", "--base", "7")
    assert "no run that is kept" in refused(65, "--from", "2099-01-01T00:00Z", "--horizon", "2h")       # other settings
    assert world.sql("SELECT count(*) FROM lambda.runs WHERE state = 'running'") == [(0,)]
    assert world.batch("replay", "--from", "2099-01-01T00:00+02:00", "--base", "1").returncode == 0
    assert world.batch("rollback", "--dry-run").returncode == 64


def test_what_a_replay_cannot_take_back(world):
    """The same event, in another partition, behind the cut but with the older record timestamp: it is the one that counts."""
    world.produce([order("a1", "5.00")], partition=0, timestamp=int(time.time() * 1000) + 1_800_000)   # a clock that is ahead
    world.run_batch()
    world.produce([order("a1", "5.00"), order("b1", "1.00")], partition=1, timestamp=int(time.time() * 1000))
    done = world.batch("replay", "--from", "2099-01-01T00:00")
    assert done.returncode == 65 and "cannot take that back" in done.stdout, done.stdout
    world.run_batch()


def test_the_log_below_is_another(world):
    world.produce([order(f"a{i}") for i in range(20)])
    world.run_batch()
    world.sql("UPDATE lambda.runs SET records = records + 1, counted = counted + 1 WHERE run = 1")
    done = world.batch("replay", "--from", "2099-01-01T00:00")
    assert done.returncode == 65 and "cannot go on from it" in done.stdout, done.stdout


def test_its_base_is_not_pruned_meanwhile(world):
    world.produce([order("a1", "5.00")])
    world.run_batch()
    pause_for_a_second()
    since = now()
    world.produce([order("b1", "7.00")])
    world.run_batch()
    with psycopg2.connect(world.postgres) as held, held.cursor() as cursor:
        cursor.execute("LOCK TABLE lambda.customers IN ACCESS EXCLUSIVE MODE")      # the replay waits for it, when all is read
        replay = world.start("lambda-batch", "replay", "--from", since)
        wait_until(lambda: world.sql("SELECT 1 FROM lambda.runs WHERE replay_of = 1"), 20, "it is at work")
        done = world.batch("prune", "--keep", "1", "--connect-wait", "1s")
        assert done.returncode == 0, done.stdout
    held.close()
    assert replay.wait(30) == 0, replay.text()
    assert world.sql("SELECT state FROM lambda.runs ORDER BY run") == [("published",)] * 3
    world.run_batch()
    assert rows(world, 3) == rows(world, 4) and counts(world, 3) == counts(world, 4)
    assert world.batch("prune", "--keep", "1").returncode == 0
    assert world.sql("SELECT state FROM lambda.runs ORDER BY run") == [("pruned",)] * 3 + [("published",)]


def test_its_base_is_pruned_just_then(world):
    """The replay has found its base, and is about to say so: it waits for whoever prunes, and then for nothing more."""
    world.produce([order("a1", "5.00")])
    world.run_batch()
    pause_for_a_second()
    since = now()
    world.produce([order("b1", "7.00")])
    world.run_batch()
    for state, status, words in (("published", 0, "is published as publication 3"), ("pruned", 75, "run 1 was pruned meanwhile")):
        with psycopg2.connect(world.postgres) as held, held.cursor() as cursor:
            cursor.execute("SELECT state FROM lambda.runs WHERE run = 1 FOR UPDATE")       # as prune does
            replay = world.start("lambda-batch", "replay", "--from", since, "--base", "1")
            wait_until(lambda: world.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%INTO lambda.runs%%'"), 20,
                       replay.text)
            cursor.execute("UPDATE lambda.runs SET state = %s WHERE run = 1", (state,))
        held.close()
        assert replay.wait(30) == status and words in replay.text(), replay.text()
    assert world.sql("SELECT replay_of FROM lambda.runs WHERE run > 2") == [(1,)]


def test_its_base_is_pruned_while_nothing_is_published(world):
    """--dry-run leaves no row that prune would see: what it read of a run is of use if that is there still."""
    world.produce([order("a1", "5.00")])
    world.run_batch()
    pause_for_a_second()
    since = now()
    world.produce([order("b1", "7.00")])
    world.run_batch()
    with psycopg2.connect(world.postgres) as held, held.cursor() as cursor:
        cursor.execute("LOCK TABLE lambda.revenue_days_r1")
        replay = world.start("lambda-batch", "replay", "--from", since, "--base", "1", "--dry-run")
        wait_until(lambda: world.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%revenue_days%%'"), 20,
                   replay.text)
        cursor.execute("UPDATE lambda.runs SET state = 'pruned' WHERE run = 1; DELETE FROM lambda.revenue_days WHERE run = 1")
    held.close()
    assert replay.wait(30) == 75 and "run 1 was pruned meanwhile" in replay.text(), replay.text()


def test_from_the_archive(world):
    """Retention has taken what lies below the older run's cut; the archive has it."""
    rng, ids = random.Random(9), []
    archive = ("--archive", world.path("archive"))
    os.mkdir(archive[1])
    produce(world, rng, "a", 200, ids)
    world.run_batch()
    pause_for_a_second()
    since = now()
    produce(world, rng, "b", 100, ids)
    assert world.batch("archive", *archive).returncode == 0
    produce(world, rng, "c", 100, ids)
    world.delete_below(dict(world.sql("SELECT partition, next_offset FROM lambda.cuts WHERE run = 1")))
    assert world.batch("replay", "--from", since, "--keep-ids", "no").returncode == 65                   # without the archive
    assert world.batch("replay", "--from", since, *archive).returncode == 0
    world.run_batch(*archive)
    older, newer = (run for run, in world.sql("SELECT run FROM lambda.runs WHERE state = 'published' AND run > 1 ORDER BY run"))
    assert rows(world, older) == rows(world, newer) and counts(world, older) == counts(world, newer)


def missing(world, run):
    """What a run says it goes without: first offset of partition 0, truncated, lost."""
    return world.sql(f"SELECT c.first_offset, r.truncated, r.lost FROM lambda.runs r JOIN lambda.cuts c USING (run) WHERE c.partition = 0 AND run = {run}")[0]


TRUNCATED = "--allow-truncated-history"


def test_the_log_below_begins_later(world):
    """By its ids the older run stands for what it covers, wherever the log begins by now."""
    world.produce([order(f"a{i}") for i in range(20)], partition=0)
    world.run_batch()
    pause_for_a_second()
    world.produce([order(f"b{i}") for i in range(20)] + [order("a3")], partition=0)
    world.run_batch()
    world.delete_below({0: 20})
    for run, settings in ((3, []), (4, [TRUNCATED])):
        assert was_read(replay(world, "--base", "1", *settings)) == (21, 20)
        assert missing(world, run) == (0, False, "")
        assert rows(world, run) == rows(world, 2) and counts(world, run) == counts(world, 2) and cuts(world, run) == cuts(world, 2)
    world.delete_below({0: 10 + 20})                                                # now [20, 30) is in neither
    for settings in ([], [TRUNCATED], [TRUNCATED, "--accept-lost=0:0-20"]):
        done = world.batch("replay", "--from", "2099-01-01T00:00", "--base", "1", *settings)
        assert done.returncode == 65 and "offsets 0:20-30 are not in Kafka" in done.stdout and "lambda-batch run" in done.stdout, done.stdout
    assert was_read(replay(world, "--base", "1", "--accept-lost=0:20-30"))[1] == 20
    run = world.sql("SELECT max(run) FROM lambda.runs")[0][0]
    assert missing(world, run) == (0, False, "0:20-30") and counts(world, run)[:3] == (31, 30, 1)
    assert was_read(replay(world, "--base", str(run))) == (0, 31) and missing(world, run + 1) == (0, False, "0:20-30")


def test_what_the_older_run_has_missed(world):
    """The archive is back that was not there; its rows still go without those orders, and a replay by its ids says so."""
    archive = ("--archive", world.path("archive"))
    os.mkdir(archive[1])
    world.produce([order(f"a{i}") for i in range(20)], partition=0)
    assert world.batch("archive", *archive).returncode == 0
    world.delete_below({0: 10})
    world.run_batch(TRUNCATED)
    world.run_batch("--accept-lost=0:0-10")
    for base, said in ((1, (10, True, "")), (2, (10, False, "0:0-10"))):
        assert missing(world, base) == said
        assert was_read(replay(world, "--base", str(base), *archive)) == (0, 10)
        run = world.sql("SELECT max(run) FROM lambda.runs")[0][0]
        assert missing(world, run) == said and rows(world, run) == rows(world, base) and counts(world, run) == counts(world, base)
        done = world.batch("replay", "--from", "2099-01-01T00:00", "--base", str(base), "--keep-ids", "no", *archive)
        assert done.returncode == 65 and "cannot go on from it" in done.stdout, done.stdout
    world.sql("DELETE FROM lambda.id_blocks")                                       # and by reading the log after all
    done = world.batch("replay", "--from", "2099-01-01T00:00", "--base", "1", *archive)
    assert done.returncode == 0 and "reading the log from its beginning instead" in done.stdout, done.stdout
    run = world.sql("SELECT max(run) FROM lambda.runs")[0][0]
    assert missing(world, run) == (10, True, "") and rows(world, run) == rows(world, 1)


def test_what_the_older_run_has_missed_and_the_published_one_has_not(world):
    """It is not taken back unasked, whichever way the base was found."""
    archive = ("--archive", world.path("archive"))
    os.mkdir(archive[1])
    world.produce([order(f"a{i}") for i in range(20)], partition=0)
    assert world.batch("archive", *archive).returncode == 0
    world.delete_below({0: 10})
    world.run_batch(TRUNCATED)
    world.run_batch("--accept-lost=0:0-10")
    pause_for_a_second()
    since = now()
    world.produce([order("b")], partition=0)
    world.run_batch(*archive)
    assert missing(world, 3) == (0, False, "") and counts(world, 3)[0] == 21
    for base in ("1", "2"):
        done = world.batch("replay", "--from", since, "--base", base, *archive)
        assert done.returncode == 65 and f"run {base} goes without offsets 0:0-10, and the published run 3 does not" in done.stdout, done.stdout
    assert "run 2 goes without" in world.batch("replay", "--from", since, *archive).stdout
    for base, setting, said in (("1", TRUNCATED, (10, True, "")), ("2", "--accept-lost=0:0-10", (10, False, "0:0-10"))):
        assert was_read(replay(world, "--base", base, setting, *archive)) == (1, 10)
        run = world.sql("SELECT max(run) FROM lambda.runs")[0][0]
        assert missing(world, run) == said and counts(world, run)[0] == 11
        world.run_batch(*archive)                                                   # has them again


def test_neither_ids_nor_the_log(world):
    """What the ids stood for is gone from the log by the time that they are damaged."""
    world.produce([order(f"a{i}") for i in range(20)], partition=0)
    world.run_batch()
    world.produce([order("b")], partition=0)
    world.delete_below({0: 10})
    assert was_read(replay(world, "--base", "1")) == (1, 20)
    world.sql("DELETE FROM lambda.id_blocks")
    done = world.batch("replay", "--from", "2099-01-01T00:00", "--base", "1")
    assert done.returncode == 65 and "the log cannot be read instead, for offsets 0:0-10 are gone" in done.stdout, done.stdout
    assert "reading:" not in done.stdout.split("offsets 0:0-10")[1], done.stdout


def test_a_stopped_run_waits_for_no_prune(world):
    world.produce([order("a")])
    held = Held(world, "SELECT pg_advisory_lock(1818324322, 3)")
    run = world.start("lambda-batch", "run")
    wait_until(lambda: "waiting for its end" in run.text(), 20, run.text)
    run.popen.send_signal(signal.SIGTERM)
    assert run.wait(20) == 75 and "stopped" in run.text(), run.text()
    held.free()


def test_the_log_below_is_not_read(world):
    """The ids that a run keeps are blocks, of which the next run shares those that are complete; by them, a replay is what a run is."""
    world.orders("generate", "--seed", "3", "--count", "300000", "--days", "9")     # more than one block a partition
    world.run_batch()
    assert n_blocks(world) == 8 and all(ids(world, 1))
    world.orders("generate", "--seed", "3", "--count", "2000", "--days", "9")       # some are there already
    world.orders("generate", "--seed", "4", "--count", "2000", "--days", "1")
    world.produce([("k", b"{broken")])
    log = replay(world, "--base", "1")
    assert was_read(log) == (4001, 300000), log
    assert n_blocks(world) == 12
    assert was_read(world.run_batch().stdout) == (304001, 0)
    assert rows(world, 2) == rows(world, 3) and counts(world, 2) == counts(world, 3) and cuts(world, 2) == cuts(world, 3)
    assert ids(world, 2) == ids(world, 3) and n_blocks(world) == 12
    assert world.sql("SELECT duplicate > 0, rejected FROM lambda.runs WHERE run = 3") == [(True, 1)]
    assert was_read(replay(world, "--base", "2")) == (0, 304001)                    # a replay can be gone on from too
    assert rows(world, 4) == rows(world, 3) and counts(world, 4) == counts(world, 3) and cuts(world, 4) == cuts(world, 3)


def test_both_ways_explain_the_same(world):
    """Corrections need what speed's rules give, whose horizon reaches below the older run's cut."""
    rng, seen = random.Random(11), []
    horizon = ("--horizon-records", "60")
    for prefix in "ab":
        parts = produce(world, rng, prefix, 300, seen)
        world.run_batch(*horizon)
    for partition, some in parts.items():
        world.produce(some[-20:], partition=partition)                              # within the horizon, which knows them from below the cut
    produce(world, rng, "c", 220, seen)
    spoil(world, 2)
    printed = [replay(world, *horizon, "--base", base, "--dry-run", "--keep-ids", keep) for base in "12" for keep in ("yes", "no")]
    tables = [[line for line in log.splitlines() if " lambda-batch: " not in line] for log in printed]
    assert "beyond" in str(tables[2]) and tables[0] == tables[1] and tables[2] == tables[3], printed
    assert [was_read(log) for log in printed] == [(600, 300), (900, 0), (300, 600), (900, 0)]


DAMAGES = {"gone": "DELETE FROM lambda.id_blocks WHERE hash = %s",
           "damaged": "UPDATE lambda.id_blocks SET body = set_byte(body, 50, get_byte(body, 50) # 1) WHERE hash = %s"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_kept_ids_that_are_damaged(world, damage):
    """It is noticed, the log is read instead, and with that they are mended."""
    rng, seen = random.Random(12), []
    produce(world, rng, "a", 300, seen)
    world.run_batch()
    produce(world, rng, "b", 100, seen)
    world.sql(DAMAGES[damage], ids(world, 1)[2])
    log = replay(world, "--base", "1")
    assert f"of the kept ids is {damage}; reading the log from its beginning instead" in log and was_read(log) == (400, 0), log
    assert was_read(replay(world, "--base", "2")) == (0, 400)
    world.run_batch()
    assert rows(world, 2) == rows(world, 4) and counts(world, 2) == counts(world, 4) and cuts(world, 2) == cuts(world, 4)


def test_a_signal_damages_no_ids(world):
    """SIGTERM while Postgres cannot be reached for them."""
    world.produce([order("a")])
    world.run_batch()
    held = Held(world, "LOCK TABLE lambda.revenue_days")
    at_work = world.start("lambda-batch", "replay", "--from", "2099-01-01T00:00")
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'lambda-batch'"
    wait_until(lambda: world.sql(waits), 20, at_work.text)
    with world.admin_sql() as cursor:
        cursor.execute(f'ALTER DATABASE "{world.database}" ALLOW_CONNECTIONS false')
        held.free()
        try:
            wait_until(lambda: "trying again" in at_work.text(), 20, at_work.text)
            at_work.popen.terminate()
            assert at_work.wait(20) == 75 and "instead" not in at_work.text(), at_work.text()
        finally:
            cursor.execute(f'ALTER DATABASE "{world.database}" ALLOW_CONNECTIONS true')


def test_a_sweep_takes_nothing_that_a_run_finds(world):
    """A prune that began before the run is about to delete the blocks of one that was killed; they are those of the run too."""
    world.produce([order(f"a{i}") for i in range(20)])
    world.run_batch()
    world.sql("UPDATE lambda.cuts SET ids = NULL")                                  # nothing names them
    held = Held(world, "SELECT pg_advisory_lock(1818324322, 3); DELETE FROM lambda.id_blocks")
    run = world.start("lambda-batch", "run")
    wait_until(lambda: "waiting for its end" in run.text(), 20, run.text)
    held.connection.commit()
    held.free()
    assert run.wait(20) == 0, run.text()
    assert was_read(replay(world, "--base", "2")) == (0, 20)
    world.produce([order("b")])
    held = Held(world, "LOCK TABLE lambda.id_blocks IN SHARE MODE")                 # a run looks for its blocks, and cannot write
    run = world.start("lambda-batch", "run")
    wait_until(lambda: world.sql("SELECT 1 FROM pg_locks WHERE locktype = 'relation' AND NOT granted"), 20, run.text)
    assert "left to the next prune" in world.batch("prune").stdout
    held.free()
    assert run.wait(20) == 0, run.text()


def test_a_connection_breaks_while_the_other_works(world):
    """The result is stored on two: the next try does not wait for what is left of the first."""
    world.produce([order("a")])
    world.run_batch()
    held = Held(world, "LOCK TABLE lambda.product_days_r1, lambda.revenue_minutes_r1")
    at_work = world.start("lambda-batch", "replay", "--from", "2099-01-01T00:00")
    waits = "SELECT pid FROM pg_locks WHERE NOT granted AND relation IN ('lambda.product_days_r1'::regclass, 'lambda.revenue_minutes_r1'::regclass)"
    first = wait_until(lambda: len(pids := world.sql(waits)) == 2 and set(pids), 20, at_work.text)
    world.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'lambda.revenue_minutes_r1'::regclass")
    wait_until(lambda: len(pids := world.sql(waits)) == 2 and first.isdisjoint(pids), 15, at_work.text)
    held.free()
    assert at_work.wait(20) == 0 and "trying once more" in at_work.text(), at_work.text()


def test_ids_are_not_kept(world):
    world.produce([order(f"a{i}") for i in range(20)])
    world.run_batch("--keep-ids", "no")
    assert ids(world, 1) == [None] * 4 and n_blocks(world) == 0
    log = replay(world)
    assert "has not kept its ids" in log and was_read(log) == (20, 0)
    assert n_blocks(world) > 0 and was_read(replay(world, "--base", "2")) == (0, 20)
    assert "by --keep-ids=no" in replay(world, "--base", "2", "--keep-ids", "no")
    world.sql("ALTER TABLE lambda.id_blocks RENAME TO elsewhere")                   # what cannot be written stops no run
    world.produce([order("b")])
    log = world.run_batch().stdout
    assert "going on without keeping the ids" in log and "is published" in log and None in ids(world, 5)


def test_another_log_below(world):
    """The log below the cut is not read, but where it ends it must be what the older run has seen."""
    world.produce([order("a")], partition=1)
    world.run_batch()
    world.produce([order("b")], partition=1)
    world.run_batch()
    world.sql("UPDATE lambda.cuts SET tail = overlay(tail PLACING 'abcd' FROM 4) WHERE run = 1 AND partition = 1")
    done = world.batch("replay", "--from", "2099-01-01T00:00", "--base", "1")
    assert done.returncode == 65 and "another log" in done.stdout, done.stdout


def test_a_killed_run_leaves_nothing(world):
    """Blocks that nothing names are swept by the next prune, but not under a run at work; so are those of pruned runs."""
    world.produce([order(f"a{i}") for i in range(20)])
    world.run_batch()
    world.produce([order(f"b{i}") for i in range(20)])
    kept = n_blocks(world)
    run, held = world.run_that_copies()
    both = n_blocks(world)
    assert both > kept and world.batch("prune").returncode == 0 and n_blocks(world) == both
    run.kill()
    held.free()                                                                     # Postgres notices that it is gone
    wait_until(lambda: world.batch("prune").returncode == 0 and n_blocks(world) == kept, 20, "its blocks are swept")
    assert was_read(replay(world)) == (20, 20)
    assert world.batch("prune", "--keep", "1").returncode == 0
    chained = world.sql("WITH RECURSIVE c AS (SELECT b.* FROM lambda.id_blocks b JOIN lambda.cuts c ON c.ids = b.hash AND c.run = 3 "
                        "UNION SELECT b.* FROM c JOIN lambda.id_blocks b ON b.hash = c.older) SELECT count(*) FROM c")
    assert chained == [(n_blocks(world),)] and was_read(replay(world, "--base", "3")) == (0, 40)
