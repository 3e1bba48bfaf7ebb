"""lambda-serving among servers that hang, lie or are of another release, and clients that are many, slow or silent."""
import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import time

import psycopg2
import pytest

import harness
from harness import free_port, order, wait_until

DAY = "/v1/revenue/2026-03-01"
SCHEMA = len(os.listdir(os.path.join(harness.ROOT, "sql", "migrations")))
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lambda-serving %'"


@pytest.fixture
def served(world):
    """One confirmed and one provisional order, served."""
    world.speed_process = world.speed()
    world.produce([order("a", "100.00")], partition=0)
    world.run_batch()
    world.serving_process = world.serving("--request-timeout", "2s")
    world.produce([order("b", "7.00")], partition=0)
    world.assert_exact()
    return world


def net(world):
    return world.answer(DAY)["revenue"][0]["net"]


def cpu_seconds(process):
    """What it has used until now: a busy machine does not make that more."""
    with open(f"/proc/{process.popen.pid}/stat", encoding="ascii") as stat:
        user, system = stat.read().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def metric(world, name):
    lines = world.get("/metrics")[2].decode().splitlines()
    return float(next(line.split()[-1] for line in lines if line.startswith(f"lambda_serving_{name} ")))


@contextlib.contextmanager
def stopped(pids):
    """The processes hang: they keep their connections and do nothing."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def wait_well(world):
    wait_until(lambda: world.answer(DAY)["degraded"] == [], 30, lambda: world.answer(DAY))
    world.assert_exact()


def test_a_newer_schema_is_refused_at_each_connecting(served):
    """A later release migrated the database while we ran: what was loaded stays, marked, and it is said in words."""
    served.sql("INSERT INTO lambda.migrations (version, name) VALUES (999, '999_later')")
    served.sql(f"SELECT pg_terminate_backend(pid) FROM ({BACKENDS}) AS b")
    wait_until(lambda: served.answer(DAY)["degraded"] == ["batch_unavailable"], 10, lambda: served.answer(DAY))
    log = served.serving_process.text()
    said = [line for line in log.splitlines() if "version 999" in line]
    assert len(said) == 1 and f" {SCHEMA};" in said[0] and "hint" in said[0], log
    assert net(served) == "107.00"
    status, _, body = served.get("/readyz")
    assert status == 200 and "version 999" in json.loads(body)["detail"]
    assert served.get("/v1/products/top?date=2026-03-01")[0] == 503

    late = served.start("lambda-serving", "--listen", f"127.0.0.1:{free_port()}")  # one that begins now has nothing to answer with
    wait_until(lambda: "version 999" in late.text(), 10, late.text)
    late.stop()

    served.sql("DELETE FROM lambda.migrations WHERE version = 999")
    wait_well(served)
    assert json.loads(served.get("/readyz")[2]) == {"status": "ready"}


def test_an_older_schema_is_refused(served):
    served.serving_process.stop()
    (name,), = served.sql("DELETE FROM lambda.migrations WHERE version = %s RETURNING name", SCHEMA)
    served.port = free_port()
    process = served.start("lambda-serving", "--listen", f"127.0.0.1:{served.port}")
    wait_until(lambda: "lambda-batch migrate" in process.text(), 10, process.text)
    status, _, body = served.get("/readyz")
    assert status == 503 and "lambda-batch migrate" in json.loads(body)["detail"]
    served.sql("INSERT INTO lambda.migrations (version, name) VALUES (%s, %s)", SCHEMA, name)
    wait_until(lambda: served.get("/readyz")[0] == 200, 10, process.text)
    wait_well(served)


def test_another_trouble_after_an_outage_is_said(served, stack):
    """Redis was away, and comes back without the functions: that is another thing to repair."""
    served.speed_process.kill()
    stack.stop("redis")
    try:
        wait_until(lambda: "cannot be asked" in served.serving_process.text(), 10, served.serving_process.text)
    finally:
        stack.start("redis")
    client = stack.redis()
    client.execute_command("FUNCTION FLUSH")
    wait_until(lambda: "the speed view cannot be read" in served.serving_process.text(), 10, served.serving_process.text)
    served.speed_process = served.speed()
    wait_well(served)
    assert "the speed view can be read again" in served.serving_process.text()


def test_another_time_zone_is_said(served):
    for published in (True, False):
        port = free_port()
        process = served.start("lambda-serving", "--listen", f"127.0.0.1:{port}", "--time-zone", "Asia/Tokyo")
        wait_until(lambda: "Europe/London" in process.text(), 10, process.text)
        said = [line for line in process.text().splitlines() if "Europe/London" in line]
        assert any("Asia/Tokyo" in line and "hint" in line for line in said), said
        if published:  # its days are not ours: no answer rather than a wrong one
            def refused():
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                connection.request("GET", DAY)
                response = connection.getresponse()
                detail = json.loads(response.read())["detail"]
                connection.close()
                assert response.status == 503, detail
                return "Europe/London" in detail
            wait_until(refused, 10, "the answer says why")
        process.stop()
        served.sql("TRUNCATE lambda.published")


def test_a_redis_that_hangs(served, stack):
    pid = stack.redis().info("server")["process_id"]
    with stopped([pid]):
        begin = time.monotonic()
        assert served.get("/v1/products/top?date=2026-03-01")[0] in (200, 503)
        assert time.monotonic() - begin < 4  # the request's deadline is 2 s
        wait_until(lambda: served.answer(DAY)["degraded"] == ["speed_stale"], 10, lambda: served.answer(DAY))
        took = []
        for _ in range(5):
            begin = time.monotonic()
            assert net(served) == "107.00"
            took.append(time.monotonic() - begin)
        assert statistics.median(took) < 1, took  # whoever waits for Redis does so for 2 s, each time
    wait_well(served)


def test_a_postgres_that_hangs(served):
    with stopped([pid for pid, in served.sql(BACKENDS)]):
        begin = time.monotonic()
        assert served.get("/v1/products/top?date=2026-03-01")[0] == 503
        assert time.monotonic() - begin < 4
        wait_until(lambda: served.answer(DAY)["degraded"] == ["batch_unavailable"], 10, lambda: served.answer(DAY))
        served.produce([order("c", "1.00")])
        wait_until(lambda: net(served) == "108.00", 10, lambda: served.answer(DAY))
    wait_well(served)


def top(world, query=""):
    answer = world.answer(f"/v1/products/top?date=2026-03-01{query}")
    return sum(product["units"] for product in answer["products"]), answer["degraded"]


def test_products_do_not_go_back_in_a_short_fault(served, stack):
    wait_until(lambda: top(served) == (2, []), 10, lambda: top(served))
    for n in range(3, 7):                                    # the newest answer is kept, not an older one
        served.produce([order(f"x{n}", "1.00")], partition=0)
        wait_until(lambda: top(served) == (n, []), 10, lambda: top(served))
    stack.stop("redis")
    try:
        wait_until(lambda: top(served)[1] == ["speed_stale"], 10, lambda: top(served))
        for _ in range(30):                                  # several loads, each of which finds no Redis
            assert top(served)[0] == 6
            time.sleep(0.1)
        assert top(served, "&by=units") == (6, ["speed_stale"]) and top(served, "&view=batch")[0] == 1
    finally:
        stack.start("redis")
    wait_until(lambda: top(served) == (6, []), 30, lambda: top(served))


def test_names_of_many_products(world):
    """All of them provisional: their names come from the run before."""
    world.speed()
    world.serving()
    world.produce([order(f"a{i}", "1.00", sku=f"S{i}", time="2026-02-01T12:00:00Z") for i in range(1500)])
    world.run_batch()
    wait_until(lambda: world.answer(DAY)["batch"], 10, "run 1 is served")
    world.produce([order(f"b{i}", "1.00", sku=f"S{i}") for i in range(1500)])
    world.assert_exact()
    products = world.answer("/v1/products/top?date=2026-03-01&limit=1000")["products"]
    assert len(products) == 1000 and [p for p in products if p["name"] != f"product {p['sku']}"] == []


def test_a_sum_of_products_that_does_not_fit(world):
    world.speed()
    world.serving()
    world.produce([order("a", "1.00"), order("b", "1.00", time="2026-03-02T12:00:00Z")])
    world.run_batch()
    wait_until(lambda: world.answer(DAY)["batch"], 10, "run 1 is served")
    world.sql("UPDATE lambda.product_days SET net_e4 = 9223372036854775807")
    status, _, body = world.get("/v1/products/top?from=2026-03-01&to=2026-03-02")
    assert status == 500 and "64 bits" in json.loads(body)["detail"]
    assert world.get("/v1/products/top?date=2026-03-01")[0] == 200


def test_a_slow_statement_ends_alone(served):
    """Not the connection that it came by, and not in Postgres later than here."""
    mine = "SELECT pid, state FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'lambda-serving products'"
    top(served)
    before = served.sql(mine)
    with contextlib.closing(psycopg2.connect(served.postgres)) as connection:
        connection.cursor().execute("LOCK TABLE lambda.product_days IN ACCESS EXCLUSIVE MODE")
        assert served.get("/v1/products/top?date=2026-02-01")[0] == 503
        wait_until(lambda: served.sql(mine) == [(before[0][0], "active")] or served.sql(mine) == before, 5, "it waits, or has ended")
        wait_until(lambda: served.sql(mine) == before, 10, lambda: served.sql(mine))
        connection.rollback()
    wait_until(lambda: served.get("/v1/products/top?date=2026-02-01")[0] == 200, 10, "it is asked again")
    assert served.sql(mine) == before


def test_servers_by_name_and_postgres_over_tls(served, stack):
    """Names are resolved without blocking (localhost may be ::1 first, where nobody listens); TLS is libpq's."""
    (place,), = served.sql("SHOW data_directory")
    owner = os.stat(place)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", f"{place}/server.key", "-out", f"{place}/server.crt"], check=True, stderr=subprocess.DEVNULL)
    for name in ("server.key", "server.crt"):
        os.chmod(f"{place}/{name}", 0o600)
        os.chown(f"{place}/{name}", owner.st_uid, owner.st_gid)
    authority = served.path("root.crt")
    with open(f"{place}/server.crt", encoding="ascii") as certificate, open(authority, "w", encoding="ascii") as out:
        out.write(certificate.read())
    served.sql("ALTER SYSTEM SET ssl = on")
    try:
        served.sql("SELECT pg_reload_conf()")
        wait_until(lambda: served.sql("SHOW ssl") == [("on",)], 10, "TLS is on")
        served.serving_process.stop()
        served.serving("--redis", stack.env["LAMBDA_REDIS"].replace("127.0.0.1", "localhost"),
                       "--postgres", f"{served.postgres.replace('127.0.0.1', 'localhost')}?sslmode=verify-full&sslrootcert={authority}")
        wait_well(served)
        assert served.answer("/v1/products/top?date=2026-03-01")["products"][0]["net"] == "107.00"
        assert served.sql(f"SELECT DISTINCT ssl FROM pg_stat_ssl WHERE pid IN ({BACKENDS})") == [(True,)]
        served.run_batch()  # told over TLS too
        wait_until(lambda: served.answer(DAY)["batch"]["run"] == 2, 5, lambda: served.answer(DAY))
    finally:
        served.sql("ALTER SYSTEM RESET ssl")
        served.sql("SELECT pg_reload_conf()")


def test_servers_that_speak_something_else(served, stack):
    """Redis' port is Postgres', and the other way round: an address was mixed up."""
    postgres, redis = stack.env["LAMBDA_POSTGRES"], stack.env["LAMBDA_REDIS"]
    postgres_port, redis_port = (urlport(uri) for uri in (postgres, redis))
    port = free_port()
    process = served.start("lambda-serving", "--listen", f"127.0.0.1:{port}", "--redis", redis.replace(redis_port, postgres_port),
                           "--postgres", served.postgres.replace(postgres_port, redis_port))
    wait_until(lambda: "redis at" in process.text() and "postgres at" in process.text(), 15, process.text)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/readyz")
    assert connection.getresponse().status == 503
    connection.close()
    assert len(process.text().splitlines()) < 40  # it does not fill the disk
    process.stop()


def urlport(uri):
    return str(harness.urllib.parse.urlsplit(uri).port)


def test_lost_events_and_a_truncated_history_are_shown(world):
    speed = world.speed()
    world.serving()
    world.produce([order(f"a{i}") for i in range(10)], partition=0)
    world.assert_exact()
    speed.stop()
    world.produce([order(f"b{i}") for i in range(10)], partition=0)
    below = world.path("delete.json")
    with open(below, "w", encoding="ascii") as out:
        json.dump({"version": 1, "partitions": [{"topic": world.topic, "partition": 0, "offset": 15}]}, out)
    world.stack.run("tool", "delete-records", "--offset-json-file", below)
    world.speed()
    wait_until(lambda: "lost_events" in world.answer(DAY)["degraded"], 30, lambda: world.answer(DAY))
    wait_until(lambda: world.answer(DAY)["revenue"][0]["orders"] == 15, 30, lambda: world.answer(DAY))
    answer = wait_until(lambda: (a := world.answer(DAY))["degraded"] == ["lost_events"] and a, 30, lambda: world.answer(DAY))
    assert answer["missing"] == [{"partition": 0, "from": 10, "to": 15}] and "dropped" in answer["caveat"]
    assert answer["final"] is False
    assert world.answer("/v1/products/top?date=2026-03-01")["products"][0]["units"] == 15

    world.run_batch("--allow-truncated-history")
    wait_until(lambda: world.answer(DAY)["degraded"] == ["truncated_history"], 30, lambda: world.answer(DAY))
    answer = world.answer(DAY)
    assert answer["revenue"][0]["orders"] == 5 and "oldest" in answer["caveat"] and "missing" not in answer


def test_two_processes_share_a_port(served):
    first, port = served.serving_process, served.port
    second = served.start("lambda-serving", "--listen", f"127.0.0.1:{port}")
    wait_until(lambda: "publication 1" in second.text() and "listening" in second.text(), 10, second.text)

    def started():
        lines = served.get("/metrics")[2].decode().splitlines()
        return next(line for line in lines if line.startswith("process_start_time_seconds "))
    seen = set()
    wait_until(lambda: seen.add(started()) or len(seen) == 2, 10, "both answer")
    first.stop()
    wait_well(served)
    second.stop()


def test_a_port_that_another_program_uses(world):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run([f"{harness.PROGRAMS}/lambda-serving", "--listen", f"127.0.0.1:{port}"], env=world.env, timeout=20, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 71 and str(port) in done.stdout and "hint" in done.stdout


def test_a_thousand_idle_connections(served):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    idle = []
    try:
        for _ in range(1000):
            idle.append(socket.create_connection(("127.0.0.1", served.port), timeout=10))
        idle[0].sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle[0].recv(1000).startswith(b"HTTP/1.1 200")
        took, before = [], cpu_seconds(served.serving_process)
        for _ in range(200):
            begin = time.monotonic()
            served.answer(DAY)
            took.append(time.monotonic() - begin)
        used = cpu_seconds(served.serving_process) - before
        assert statistics.median(took) < 0.05 and used < 1, (statistics.median(took), used)
        assert metric(served, "connections") >= 1000
        served.produce([order("c", "1.00")])
        wait_until(lambda: net(served) == "108.00", 10, lambda: served.answer(DAY))
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: metric(served, "connections") < 10, 10, "they are gone")
    served.serving_process.stop()


def test_readers_that_never_read(served):
    """Each asks for large answers, all different, and takes none: they are cut off, and what they hold is bounded."""
    readers = []
    for i in range(100):
        reader = socket.socket()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", served.port))
        request = f"GET /v1/revenue?from=2016-03-{i % 28 + 1:02}&to=2026-03-{i // 28 + 1:02}&step=day&currency=GBP HTTP/1.1\r\nHost: x\r\n\r\n"
        reader.sendall(request.encode() * 20)
        readers.append(reader)
    most = 0
    for _ in range(50):
        before = cpu_seconds(served.serving_process)
        assert net(served) == "107.00"
        assert cpu_seconds(served.serving_process) - before < 0.5  # not behind a thousand large ones
        most = max(most, metric(served, "answer_bytes"))
    assert 10 << 20 < most < 160 << 20
    wait_until(lambda: metric(served, "connections") < 10, 20, lambda: f"{metric(served, 'connections')} connections are left")
    wait_until(lambda: metric(served, "answer_bytes") < 4 << 20, 5, lambda: f"{metric(served, 'answer_bytes')} bytes are left")
    for reader in readers:
        reader.close()
    wait_well(served)


def test_a_reader_that_never_reads_does_not_hold_up_the_end(served):
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", served.port))
        reader.sendall(b"GET /v1/revenue?from=2016-03-05&to=2026-03-01&step=day&currency=GBP HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        wait_until(lambda: metric(served, "connections") >= 2, 5, "it is connected")
        served.serving_process.stop(seconds=6)
