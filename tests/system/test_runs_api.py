"""What the API tells of the runs themselves: their reports, corrections, what waits, figures for the metrics."""
import decimal
import json
import time

from harness import order, wait_until
from test_operate import DAY, move, pounds, refused


def problem(world, path, status):
    got, headers, body = world.get(path)
    assert got == status and headers["Content-Type"] == "application/problem+json", (path, got, body)
    return json.loads(body)["detail"]


def metrics(world):
    lines = world.get("/metrics")[2].decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def test_before_the_first_run(world):
    world.serving()
    assert world.answer("/v1/runs") == {"runs": []}
    status = world.answer("/v1/status")
    assert [status[k] for k in ("published", "running", "last", "waiting", "versions")] == [None, None, None, [], []]
    assert "there is no run 1" in problem(world, "/v1/runs/1", 404)
    assert world.answer("/v1/corrections?from=2026-03-01&to=2026-03-02") == {
        "from": "2026-03-01", "to": "2026-03-02", "time_zone": "Europe/London", "corrections": []}


def test_runs_and_status(world):
    world.env["LAMBDA_SEAL_WAIT"] = "0s"
    world.serving()
    for n in range(3):
        world.produce(pounds(f"part{n}-", 300) + [b"broken"])
        world.run_batch()
    world.sql("UPDATE lambda.revenue_days SET gross_e4 = gross_e4 * 2 WHERE run = 3")
    refused(world, "run")
    runs = world.answer("/v1/runs")["runs"]
    assert [(r["run"], r["state"], r["published"]) for r in runs] == [
        (4, "quarantined", False), (3, "published", True), (2, "published", False), (1, "published", False)]
    assert [r["run"] for r in world.answer("/v1/runs?limit=2")["runs"]] == [4, 3]
    assert [r["run"] for r in world.answer("/v1/runs?limit=2&before=3")["runs"]] == [2, 1]
    assert world.answer("/v1/runs?before=1") == {"runs": []}
    second = world.answer("/v1/runs/2")
    assert second == {**runs[2], "cuts": second["cuts"], "duration_seconds": second["duration_seconds"]}
    assert (second["records"], second["counted"], second["rejected"], second["base_run"]) == (602, 600, 2, 1)
    assert second["rejected_by"]["json"] == 2 and second["publications"][0]["publication"] == 2
    assert [c["partition"] for c in second["cuts"]] == [0, 1, 2, 3] and sum(c["next"] for c in second["cuts"]) == 602
    assert json.loads(world.batch("status", "--json").stdout)["runs"] == runs
    status = world.answer("/v1/status")
    assert status["published"]["run"] == 3 and status["last"]["run"] == 4 and status["running"] is None
    assert [(r["run"], r["state"]) for r in status["waiting"]] == [(4, "quarantined")]
    assert "2026-03-01 changes by more than 5 %" in status["waiting"][0]["message"]
    assert status["batch"]["run"] == 3 and "speed_unavailable" not in status["degraded"]
    move(world, "publish", "4")
    assert world.answer("/v1/status")["waiting"] == [] and world.answer("/v1/runs/4")["publications"][0]["kind"] == "publish"
    move(world, "rollback", "2")
    wait_until(lambda: world.answer(DAY)["batch"]["run"] == 2, 10, "run 2 is served")
    status = world.answer("/v1/status")
    assert status["batch"]["rolled_back"] == 4 and status["published"]["run"] == 2
    assert [p["kind"] for p in world.answer("/v1/runs/2")["publications"]] == ["run", "rollback"]


def test_what_is_published_is_told_however_old_it_is(world):
    """A hundred nights that failed: the status still has what is published, and the list its pages."""
    world.serving()
    world.produce(pounds("a", 10))
    world.run_batch()
    world.sql("INSERT INTO lambda.runs (state, build, fold_version, time_zone, log, base_publication, base_run, message) "
              "SELECT 'failed', build, fold_version, time_zone, log, 1, 1, 'no' FROM lambda.runs, generate_series(1, 110) WHERE run = 1")
    report = json.loads(world.batch("status", "--json").stdout)
    assert report["published"] == 1 and [r["run"] for r in report["runs"]] == [*range(111, 91, -1), 1]
    status = world.answer("/v1/status")
    assert status["published"]["run"] == 1 and status["last"]["run"] == 111
    world.sql("UPDATE lambda.runs SET state = 'running' WHERE run > 5")
    assert world.answer("/v1/status")["last"]["run"] == 5
    assert [r["run"] for r in world.answer("/v1/runs?limit=2")["runs"]] == [111, 110]
    assert [r["run"] for r in world.answer("/v1/runs?limit=2&before=110")["runs"]] == [109, 108]


def test_a_run_at_work_is_told(world):
    world.serving()
    world.produce(pounds("a", 300))
    run, held = world.run_that_copies("--seal-wait", "0s")
    report = world.answer("/v1/status")["running"]
    assert report["state"] == "running" and report["at_work"] is True, report
    assert report["progress"]["phase"] == "copying" and report["progress"]["total"] > 0, report
    held.free()
    assert run.wait(60) == 0, run.text()
    assert world.answer("/v1/status")["running"] is None


def test_corrections_of_many_runs(world):
    """Two runs correct two days in two currencies: causes add up to the difference, and it is what was answered that is corrected."""
    world.env["LAMBDA_HORIZON_RECORDS"] = "10"
    world.speed()
    world.serving()
    first = [order(f"a{i}", "2.00", "2026-03-01T10:00:00Z", order_id="k") for i in range(300)]
    yen = [order(f"y{i}", "50", "2026-03-02T10:00:00Z", currency="JPY", order_id="k") for i in range(300)]
    nights = ((first + first[:5] + yen + yen[:3], "610.00", "15150"), (first[:2] + yen[:7], "604.00", "15200"))    # 3 yen were known
    for run, (night, pounds_before, yen_before) in enumerate(nights, 1):
        world.produce(night)

        def answered():
            return [row["net"] for day in ("01", "02") for row in world.answer(f"/v1/revenue/2026-03-{day}")["revenue"]]
        wait_until(lambda: answered() == [pounds_before, yen_before], 20, lambda: f"speed has counted some twice: {answered()}")
        world.run_batch()
        wait_until(lambda: (world.answer("/v1/revenue/today")["batch"] or {}).get("run") == run, 10, "it is served")
    answer = world.answer("/v1/corrections?from=2026-03-01&to=2026-03-02")
    world.assert_exact()

    def correction(date, run, currency, start, end, difference, events):
        return {"date": date, "run": run, "currency": currency, "before": start, "after": end, "difference": difference,
                "causes": [{"cause": "duplicate_beyond_horizon", "net": difference, "events": events}]}
    assert answer["corrections"] == [
        correction("2026-03-01", 1, "GBP", "610.00", "600.00", "-10.00", 5), correction("2026-03-01", 2, "GBP", "604.00", "600.00", "-4.00", 2),
        correction("2026-03-02", 1, "JPY", "15150", "15000", "-150", 3), correction("2026-03-02", 2, "JPY", "15200", "15000", "-200", 4)]
    for c in answer["corrections"]:
        assert decimal.Decimal(c["after"]) - decimal.Decimal(c["before"]) == decimal.Decimal(c["difference"])
        assert sum(decimal.Decimal(x["net"]) for x in c["causes"]) == decimal.Decimal(c["difference"])
    one = world.answer("/v1/corrections?from=2026-03-02&to=2026-03-02&currency=JPY")["corrections"]
    assert one == answer["corrections"][2:]
    assert world.answer("/v1/corrections?from=2026-03-02&to=2026-03-02&currency=GBP")["corrections"] == []


def test_bad_input(world):
    world.serving()
    for path, words in (
            ("/v1/corrections", "from: is missing"), ("/v1/corrections?from=2026-01-01", "to: is missing"),
            ("/v1/corrections?from=2026-01-02&to=2026-01-01", "behind"), ("/v1/corrections?from=x&to=2026-01-01", "no date"),
            ("/v1/corrections?from=2001-01-01&to=2026-01-01", "at most"),
            ("/v1/corrections?from=2026-01-01&to=2026-01-01&run=1", "not a parameter"), ("/v1/runs?limit=x", "limit"),
            ("/v1/runs?before=-1", "no number of a run"), ("/v1/runs/x", "no number of a run"),
            ("/v1/runs/9999999999999999", "no number of a run"), ("/v1/status?x", "takes none")):
        assert words in problem(world, path, 400), path


def test_figures_reach_the_metrics(world):
    world.env["LAMBDA_SEAL_WAIT"] = "0s"
    world.serving()
    assert not any(name.startswith("lambda_batch_") for name in metrics(world))
    world.produce(pounds("a", 300) + [b"broken"] * 3 + pounds("a", 2))
    world.run_batch()
    started = time.time()
    wait_until(lambda: metrics(world).get("lambda_batch_run") == "1", 15, lambda: f"run 1 is in the metrics: {metrics(world)}")
    values = metrics(world)
    assert values['lambda_batch_state{state="published"}'] == "1"
    assert abs(float(values["lambda_batch_finished_seconds"]) - started) < 60 and float(values["lambda_batch_took_seconds"]) > 0
    assert [values[f"lambda_batch_{name}"] for name in ("records", "counted_events", "duplicate_events", "rejected_events", "waiting_runs",
                                                       "at_work")] == ["305", "300", "2", "3", "0", "0"]
    assert int(values["lambda_batch_rows"]) > 0
    world.sql("UPDATE lambda.revenue_days SET gross_e4 = gross_e4 * 2 WHERE run = 1")
    refused(world, "run")
    wait_until(lambda: metrics(world).get('lambda_batch_state{state="quarantined"}') == "1", 15, "the quarantine is in the metrics")
    assert metrics(world)["lambda_batch_waiting_runs"] == "1"


def test_a_statement_that_fails(world):
    """Postgres answers, but not to this."""
    world.run_batch("--seal-wait", "0s")
    world.serving()
    world.sql("ALTER TABLE lambda.runs RENAME TO runs_gone")
    assert "cannot be asked" in problem(world, "/v1/runs", 503)
    world.sql("ALTER TABLE lambda.runs_gone RENAME TO runs")
    wait_until(lambda: world.get("/v1/runs")[0] == 200, 10, "it mends itself")
