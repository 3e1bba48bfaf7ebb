"""What a BI frontend sees: answers, caching, CORS, errors, and honest marks when a part is away."""
import json
import socket
import time

import pytest

from harness import order, wait_until

DAY = "/v1/revenue/2026-03-01"


@pytest.fixture
def served(world):
    """Confirmed and provisional orders of one day, served."""
    world.speed_process = world.speed()
    world.serving_process = world.serving("--cors-origins", "https://bi.example,https://other.example")
    world.produce([order("a", "100.00", quantity=2), order("b", "10.5", kind="order_refunded"), order("j", "1200", currency="JPY")])
    world.assert_exact()
    world.run_batch()
    world.produce([order("c", "7.001")])
    world.assert_exact()
    when_well(world, lambda answer: answer["batch"])
    return world


def when_well(world, condition=lambda answer: True, path=DAY):
    """The answer once nothing is away or silent, and the condition is met."""
    return wait_until(lambda: (answer := world.answer(path))["degraded"] == [] and condition(answer) and answer, 30, lambda: world.answer(path))


def test_an_answer_says_where_it_comes_from(served):
    answer = when_well(served, lambda answer: answer["speed"]["lag_events"] == 0)
    assert list(answer) == ["date", "time_zone", "final", "revenue", "as_of", "watermark", "batch", "speed", "corrections", "degraded", "caveat"]
    assert answer["revenue"] == [
        {"currency": "GBP", "net": "196.501", "gross": "207.001", "refunds": "10.50", "orders": 2, "refund_count": 1, "units": 2,
         "confirmed": {"net": "189.50"}, "provisional": {"net": "7.001"}},
        {"currency": "JPY", "net": "1200", "gross": "1200", "refunds": "0", "orders": 1, "refund_count": 0, "units": 1,
         "confirmed": {"net": "1200"}, "provisional": {"net": "0"}}]
    assert (answer["date"], answer["time_zone"], answer["final"]) == ("2026-03-01", "Europe/London", False)
    assert answer["batch"]["run"] == 1 and answer["batch"]["publication"] == 1
    assert set(answer["batch"]) == {"run", "publication", "cut_time", "published_at"}
    assert answer["speed"] == {"lag_events": 0, "lag_seconds": 0.0, "held_events": 0, "duplicates": 0, "late": 0, "rejected": 0}
    assert answer["corrections"] == []
    assert "provisional" in answer["caveat"]
    assert answer["watermark"] == "2026-03-01T12:00:00.000Z"

    assert [r["currency"] for r in served.answer(DAY + "?currency=JPY")["revenue"]] == ["JPY"]
    assert served.answer(DAY + "?currency=GBP&view=batch")["revenue"][0]["net"] == "189.50"
    assert served.answer(DAY + "?currency=GBP&view=speed")["revenue"][0]["net"] == "7.001"
    today = served.answer("/revenue/today")
    assert today["revenue"] == [] and today["date"] == served.answer("/v1/revenue/today")["date"]
    assert served.get("/revenue/2026-03-01")[0] == 404  # today's is the only alias


def test_before_the_first_run_all_is_provisional(world):
    world.speed()
    world.serving()
    world.produce([order("a")])
    world.assert_exact()
    answer = world.answer(DAY)
    assert answer["batch"] is None and answer["revenue"][0]["confirmed"] == {"net": "0.00"}
    assert answer["revenue"][0]["provisional"] == {"net": "10.00"} and "provisional" in answer["caveat"]


def test_final_once_the_day_is_over_and_confirmed(world):
    world.speed()
    world.serving()
    world.produce([order("a")], partition=0)
    world.assert_exact()
    world.run_batch()
    assert world.answer(DAY)["final"] is False  # event time has not left the day
    world.produce([order("b", time="2026-03-02T00:29:59Z")], partition=0)
    world.assert_exact()
    assert world.answer(DAY)["final"] is False  # nor its grace of 30 minutes
    world.produce([order("c", time="2026-03-02T00:30:00Z")], partition=0)
    world.assert_exact()
    wait_until(lambda: world.answer(DAY)["final"], 10, lambda: world.answer(DAY))
    world.produce([order("late")], partition=0)
    world.assert_exact()
    assert world.answer(DAY)["final"] is False and world.answer(DAY)["speed"]["late"] == 1
    world.run_batch()
    wait_until(lambda: world.answer(DAY)["final"], 10, lambda: world.answer(DAY))


def test_ranges_have_every_day_and_currency(served):
    answer = when_well(served, path="/v1/revenue?from=2026-02-28&to=2026-03-02&step=day")
    zero = {"net": "0.00", "gross": "0.00", "refunds": "0.00", "orders": 0, "refund_count": 0, "units": 0}
    points = {(p["date"], p["currency"]): p for p in answer["points"]}
    assert len(answer["points"]) == 6 == len(points)
    assert points["2026-02-28", "GBP"] == {"date": "2026-02-28", "currency": "GBP", **zero}
    assert points["2026-03-01", "GBP"]["net"] == "196.501"
    assert answer["batch"]["run"] == 1 and "watermark" in answer
    assert {p["currency"] for p in served.answer("/v1/revenue?from=2026-03-01&to=2026-03-01&step=day&currency=EUR")["points"]} == {"EUR"}


def test_caching(served):
    status, headers, body = served.get(DAY)
    assert status == 200 and headers["Cache-Control"] == "no-cache" and headers["Content-Type"] == "application/json"
    assert headers["ETag"].startswith('"') and int(headers["Content-Length"]) == len(body)

    def not_modified():
        etag = served.get(DAY)[1]["ETag"]
        status, headers, body = served.get(DAY, headers={"If-None-Match": f'"x", {etag}'})
        return status == 304 and body == b"" and headers["ETag"] == etag
    wait_until(not_modified, 10, "304 for what has not changed")
    assert served.get(DAY, headers={"If-None-Match": '"x"'})[0] == 200
    status, headers, body = served.get(DAY, method="HEAD")
    assert status == 200 and body == b"" and int(headers["Content-Length"]) > 100


def test_cors_allows_whom_the_list_names(served):
    assert served.get(DAY, headers={"Origin": "https://bi.example"})[1]["Access-Control-Allow-Origin"] == "https://bi.example"
    headers = served.get(DAY, headers={"Origin": "https://evil.example"})[1]
    assert "Access-Control-Allow-Origin" not in headers and "Origin" in headers["Vary"]
    status, headers, _ = served.get(DAY, method="OPTIONS", headers={"Origin": "https://other.example", "Access-Control-Request-Method": "GET"})
    assert status == 204 and "GET" in headers["Access-Control-Allow-Methods"] and headers["Access-Control-Allow-Origin"] == "https://other.example"


@pytest.mark.parametrize("path, status, word", [
    ("/v1/revenue/2026-13-01", 400, "2026-13-01"), ("/v1/revenue/2026-02-29", 400, "2026-02-29"), ("/v1/revenue/tomorrow", 400, "tomorrow"),
    (DAY + "?currency=XYZ", 400, "XYZ"), (DAY + "?view=both", 400, "both"), (DAY + "?curency=GBP", 400, "curency"),
    ("/v1/revenue?from=2026-03-02&to=2026-03-01&step=day", 400, "from"), ("/v1/revenue?from=2026-03-02", 400, "to"),
    ("/v1/revenue?from=1990-01-01&to=2026-03-01&step=day", 400, "days"), ("/v1/revenue?from=2026-03-01&to=2026-03-01&step=hour", 400, "hour"),
    ("/v1/products/top?date=2026-03-01&by=price", 400, "price"), ("/v1/products/top?date=2026-03-01&limit=0", 400, "limit"),
    ("/v1/products/top?date=2026-03-01&from=2026-03-01&to=2026-03-02", 400, "not together"), ("/v1/products/top?from=2026-03-01", 400, "to"),
    ("/v1/products/top?from=2026-03-02&to=2026-03-01", 400, "behind"),
    ("/v1/nothing", 404, "/v1/nothing"), (DAY + "?currency=%zz", 400, ""),
])
def test_wrong_questions_get_a_problem_that_says_what_is_wrong(served, path, status, word):
    got, headers, body = served.get(path)
    assert got == status and headers["Content-Type"] == "application/problem+json"
    problem = json.loads(body)
    assert problem["status"] == status and problem["title"] and word in problem["detail"]


def test_other_methods(served):
    status, headers, _ = served.get(DAY, method="DELETE")
    assert status == 405 and "GET" in headers["Allow"]
    for method, status in (("POST http://x" + DAY, b"405"), ("POST http://x/nothing", b"404"), ("BREW " + DAY, b"501"), ("TRACE *", b"400")):
        received, _ = raw(served, f"{method} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert received.startswith(b"HTTP/1.1 " + status), (method, received[:80])


def raw(world, data, wait=3.0):
    with socket.create_connection(("127.0.0.1", world.port), timeout=wait) as connection:
        connection.sendall(data)
        received = b""
        try:
            while True:
                more = connection.recv(65536)
                if not more:
                    return received, True
                received += more
        except socket.timeout:
            return received, False


def test_what_is_no_http_is_answered_or_cut_off(served):
    for data, status in ((b"GET / HTTP/9.9\r\n\r\n", b"505"), (b"hello\r\n\r\n", b"400"), (b"GET /livez HTTP/1.1\r\n\r\n", b"400"),
                         (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
                         (b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200000 + b"\r\n\r\n", b"431")):
        received, closed = raw(served, data)
        assert received.startswith(b"HTTP/1.1 " + status) and closed, (data[:40], received[:80])
    received, _ = raw(served, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert received.count(b"HTTP/1.1 200") == 2  # pipelined
    received, closed = raw(served, b"GET /livez HTTP/1.1\r\nHo", wait=10)  # a slow sender is cut off by the deadline
    assert closed and (received == b"" or received.startswith(b"HTTP/1.1 408"))
    when_well(served)


def test_health_and_metrics(served):
    assert served.get("/livez")[0] == 200 and served.get("/readyz")[0] == 200
    status, headers, body = served.get("/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain")
    lines = body.decode().splitlines()
    for line in lines:
        if not line.startswith("#"):
            float(line.rsplit(" ", 1)[1])
    assert any(line.startswith("# TYPE lambda_") for line in lines)


def test_redis_away_is_marked_and_mends_itself(served, stack):
    stack.stop("redis", kill=True)
    try:
        answer = wait_until(lambda: (a := served.answer(DAY))["degraded"] == ["speed_stale"] and a, 10, lambda: served.answer(DAY))
        assert answer["revenue"][0]["net"] == "196.501" and answer["caveat"]
    finally:
        stack.start("redis")
    when_well(served)
    served.assert_exact()


def test_postgres_away_is_marked_and_mends_itself(served, stack):
    stack.stop("postgres")
    try:
        wait_until(lambda: served.answer(DAY)["degraded"] == ["batch_unavailable"], 10, lambda: served.answer(DAY))
        served.produce([order("while away", "1.00")])  # speed goes on
        wait_until(lambda: served.answer(DAY)["revenue"][0]["net"] == "197.501", 10, lambda: served.answer(DAY))
    finally:
        stack.start("postgres")
    when_well(served)
    served.assert_exact()


def test_a_silent_speed_is_marked(served):
    served.speed_process.kill()
    answer = wait_until(lambda: "speed_silent" in (a := served.answer(DAY))["degraded"] and a, 15, lambda: served.answer(DAY))
    assert answer["speed"]["lag_events"] is None and answer["speed"]["lag_seconds"] is None and answer["revenue"][0]["net"] == "196.501"
    served.speed()
    when_well(served)


def test_sigterm_drains(served):
    connection = socket.create_connection(("127.0.0.1", served.port))
    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    begin = time.monotonic()
    served.serving_process.stop(seconds=6)
    assert time.monotonic() - begin < 6
    connection.close()


def test_speed_ends_on_sigterm_and_loses_nothing(served):
    served.produce([order(f"z{i}") for i in range(5000)])
    served.speed_process.stop(seconds=5)
    served.speed()
    served.assert_exact()
