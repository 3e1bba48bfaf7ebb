"""Who may do what: tokens for the API, rights in Postgres and Redis, and secrets that stay out of logs."""
import datetime
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import urllib.parse

import psycopg2
import pytest
import redis

import harness
from harness import free_port, order, wait_until

DAY = "/v1/revenue/2026-03-01"
TOKEN, NEXT = "an-old-token-of-the-frontend", "the-next-token-of-the-frontend=="


def write_secret(world, name, text, mode=0o600):
    path = world.path(name)
    with open(path, "w", encoding="ascii") as out:
        out.write(text)
    os.chmod(path, mode)
    return path


def bearer(token, **more):
    return {"Authorization": f"Bearer {token}", **more}


def run(world, program, *args):
    return subprocess.run([os.path.join(harness.PROGRAMS, program), *args], env=world.env, timeout=20, check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


# --- tokens

def test_a_token_is_needed_for_all_but_the_probes(world):
    tokens = write_secret(world, "tokens", TOKEN + "\n")
    world.produce([order("a")])
    world.speed()
    serving = world.serving("--auth-token-file", tokens, "--cors-origins", "https://bi.example")
    for path in (DAY, "/v1", "/metrics", "/nothing", "/v1/products/top", "/livez/", "/%6civez", "/"):
        for headers in ({}, {"Authorization": TOKEN}, bearer(NEXT), bearer(TOKEN + "x"), bearer(TOKEN[:-1]), {"Authorization": f"Basic {TOKEN}"},
                        {"Cookie": TOKEN}):
            status, got, body = world.get(path, headers=headers)
            assert status == 401 and got["Content-Type"] == "application/problem+json" and got["WWW-Authenticate"].startswith("Bearer realm=")
            assert ("invalid_token" in got["WWW-Authenticate"]) == ("Authorization" in headers)
            assert json.loads(body)["status"] == 401 and got["Cache-Control"] == "no-store"
    for method in ("HEAD", "POST", "DELETE"):
        assert world.get(DAY, method=method)[0] == 401
    etag = world.get("/v1", headers=bearer(TOKEN))[1]["ETag"]
    assert world.get("/v1", headers={"If-None-Match": etag})[0] == 401
    assert world.get("/v1", headers=bearer(TOKEN, **{"If-None-Match": etag}))[0] == 304

    assert world.get("/livez")[0] == 200 and world.get("/readyz")[0] == 200
    for path, status in ((DAY, 200), ("/v1", 200), ("/metrics", 200), ("/nothing", 404), ("/readyz", 200)):
        assert world.get(path, headers=bearer(TOKEN))[0] == status
    assert b'code="401"' in world.get("/metrics", headers=bearer(TOKEN))[2]
    assert TOKEN not in serving.text() and NEXT not in serving.text()


def test_readiness_tells_strangers_no_reasons(world):
    tokens = write_secret(world, "tokens", TOKEN)
    world.env["LAMBDA_POSTGRES"] = f"postgresql://127.0.0.1:{free_port()}/nowhere"
    world.port = free_port()
    process = world.start("lambda-serving", "--listen", f"127.0.0.1:{world.port}", "--auth-token-file", tokens)
    wait_until(lambda: "cannot be asked" in process.text(), 10, process.text)
    status, _, body = world.get("/readyz")
    assert status == 503 and "token" in json.loads(body)["detail"]
    status, _, body = world.get("/readyz", headers=bearer(TOKEN))
    assert status == 503 and "token" not in json.loads(body)["detail"]
    process.stop()


def test_a_browser_asks_first_and_without_a_token(world):
    tokens = write_secret(world, "tokens", TOKEN)
    world.speed()
    world.serving("--auth-token-file", tokens, "--cors-origins", "https://bi.example")
    origin = {"Origin": "https://bi.example"}
    status, headers, _ = world.get(DAY, "OPTIONS", {**origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"})
    assert status == 204 and "authorization" in headers["Access-Control-Allow-Headers"].lower()
    assert headers["Access-Control-Allow-Origin"] == "https://bi.example"
    assert [world.get(path, "OPTIONS")[0] for path in (DAY, "/nothing")] == [401, 401]       # that is no browser that asks first
    status, headers, _ = world.get(DAY, headers=origin)
    assert status == 401 and headers["Access-Control-Allow-Origin"] == "https://bi.example"  # so that the page can read why
    status, headers, _ = world.get(DAY, headers={**origin, **bearer(TOKEN)})
    assert status == 200 and headers["Access-Control-Allow-Origin"] == "https://bi.example"
    with socket.create_connection(("127.0.0.1", world.port), timeout=10) as connection:
        connection.sendall(f"GET {DAY} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")


def test_tokens_are_changed_while_it_runs(world):
    tokens = write_secret(world, "tokens", TOKEN + "\n")
    world.speed()
    serving = world.serving("--auth-token-file", tokens)
    keep = http.client.HTTPConnection("127.0.0.1", world.port, timeout=10)  # a connection that lasts

    def status(token):
        keep.request("GET", "/v1", headers=bearer(token))
        response = keep.getresponse()
        response.read()
        return response.status
    assert (status(TOKEN), status(NEXT)) == (200, 401)
    for text, log, both in ((f"{TOKEN}\n{NEXT}\n", "read 2 tokens again", (200, 200)), ("oops\n", "entry 1", (200, 200)),
                            (f"{NEXT}\n", "read 1 tokens again", (401, 200))):
        write_secret(world, "tokens", text)
        serving.popen.send_signal(signal.SIGHUP)
        wait_until(lambda log=log: log in serving.text(), 10, serving.text)
        assert (status(TOKEN), status(NEXT)) == both
    keep.close()
    assert TOKEN not in serving.text() and NEXT not in serving.text() and "oops" not in serving.text()
    serving.stop()


@pytest.mark.parametrize("text, mode, word", [("", 0o600, "empty"), (TOKEN, 0o644, "chmod"), ("short", 0o600, "entry 1"), ("x" * 9000, 0o600, "too large")],
                         ids=["empty", "readable", "short", "large"])
def test_a_file_that_is_not_as_it_should_be_stops_the_start(world, text, mode, word):
    path = write_secret(world, "tokens", text, mode)
    done = run(world, "lambda-serving", "--listen", f"127.0.0.1:{free_port()}", "--auth-token-file", path)
    assert done.returncode == 64 and word in done.stdout and path in done.stdout and TOKEN not in done.stdout, done.stdout


def test_a_warning_where_others_can_reach_it(world):
    tokens = write_secret(world, "tokens", TOKEN)
    for listen, args, warned in (("0.0.0.0", [], True), ("", [], True), ("0.0.0.0", ["--auth-token-file", tokens], False), ("127.0.0.1", [], False),
                                 ("127.3.2.1", [], False)):
        process = world.start("lambda-serving", "--listen", f"{listen}:{free_port()}", *args)
        wait_until(lambda p=process: "listening on" in p.text(), 10, process.text)
        process.stop()
        assert ("--auth-token-file, or listen" in process.text()) == warned, process.text()


def test_stray_arguments_are_refused(world):
    for program in ("lambda-serving", "lambda-speed", "lambda-batch"):
        done = run(world, program, "127.0.0.1:8080")
        assert done.returncode == 64 and "127.0.0.1:8080" in done.stdout, done.stdout


# --- Postgres

ROLES = ("lambda_batch", "lambda_speed", "lambda_serving", "revenue_reader")


def postgres_user(world, role):
    """URI of a user that has the rights of a role and no more; its password stands in a file."""
    user, password = f"{role}_{os.urandom(4).hex()}", os.urandom(8).hex()
    with world.admin_sql() as cursor:
        cursor.execute(f"CREATE ROLE {user} LOGIN PASSWORD '{password}' IN ROLE {role}")
    passfile = write_secret(world, f"{user}.pgpass", f"*:*:*:{user}:{password}\n")
    at = urllib.parse.urlsplit(world.postgres)
    return f"postgresql://{user}@{at.hostname}:{at.port}{at.path}?passfile={passfile}"


def sql_as(uri, statement):
    connection = psycopg2.connect(uri)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def test_each_program_does_its_work_with_its_role_alone(world):
    batch, speed, serving, reader = (postgres_user(world, role) for role in ROLES)
    process = world.speed("--postgres", speed)
    world.serving("--postgres", serving)
    world.produce([order("a", "100.00"), order("b", "1.00", kind="order_refunded"), order("a", "100.00", sku="B2")], partition=0)
    world.run_batch("--postgres", batch)
    world.produce([order("c", "7.00")])
    world.assert_exact()
    process.stop()
    world.speed("--postgres", speed)  # reads what is published before it goes on
    sql_as(batch, "SELECT lambda.run_tables_create(999, '{revenue_days}')")  # what a killed run leaves
    world.run_batch("--postgres", batch)
    wait_until(lambda: world.answer(DAY)["batch"]["run"] == 2, 10, lambda: world.answer(DAY))
    world.assert_exact()
    assert world.sql("SELECT to_regclass('lambda.revenue_days_r999')") == [(None,)]
    wait_until(lambda: world.answer(DAY)["degraded"] == [], 30, lambda: world.answer(DAY))
    for path in ("/v1/products/top?date=2026-03-01", "/v1/late?date=2026-03-01", "/v1/customers/c1/orders?window=48h", DAY + "?view=batch"):
        assert world.answer(path)["degraded"] == []
    assert sql_as(reader, "SELECT orders FROM revenue.daily") == [(2,)]
    for view in ("hourly", "top_products", "freshness", "late"):
        sql_as(reader, f"SELECT * FROM revenue.{view}")
    done = world.batch("migrate", "--postgres", batch)
    assert done.returncode == 69 and "owner" in done.stdout, done.stdout


FORBIDDEN = {
    "lambda_batch": ("DELETE FROM lambda.runs", "UPDATE lambda.cuts SET next_offset = 0", "DELETE FROM lambda.publications", "DELETE FROM lambda.published",
                     "UPDATE lambda.corrections SET after_e4 = 0", "INSERT INTO lambda.revenue_days_r1 SELECT * FROM lambda.revenue_days",
                     "UPDATE lambda.revenue_days_r1 SET gross_e4 = 0", "TRUNCATE lambda.revenue_days", "DROP TABLE lambda.revenue_days_r1",
                     "INSERT INTO lambda.revenue_days SELECT * FROM lambda.revenue_days", "CREATE TABLE lambda.mine (a int)", "DROP VIEW revenue.daily",
                     "INSERT INTO lambda.migrations VALUES (999, 'x')", "SELECT lambda.grant_roles()", "SELECT * FROM revenue.daily",
                     "ALTER TABLE lambda.revenue_days DETACH PARTITION lambda.revenue_days_r1", "GRANT lambda_serving TO CURRENT_USER",
                     # the functions of the owner, for what is published and for what nobody may write to any more
                     "UPDATE lambda.runs SET state = 'running', replay_of = 1 WHERE run = 1; SELECT lambda.run_tables_complete(1, 1, '{revenue_days}')",
                     "UPDATE lambda.runs SET state = 'running' WHERE run = 1; SELECT lambda.run_tables_complete(1, NULL, '{revenue_days}')",
                     "SELECT lambda.run_tables_continue(1, 1, '{revenue_days}')", "SELECT lambda.run_tables_attach(1)",
                     "SELECT lambda.run_tables_create(77, '{revenue_days}'); SELECT lambda.run_tables_complete(77, NULL, '{revenue_days}')",
                     "SELECT lambda.run_tables_create(77, ARRAY(SELECT t.parent FROM lambda.run_tables() t)); SELECT lambda.run_tables_attach(77)",
                     "INSERT INTO lambda.runs (state, build, fold_version, time_zone, log, base_publication, base_run) VALUES ('running', '', '', '', '', 1, 1); "
                     "SELECT lambda.run_tables_create(max(run), ARRAY(SELECT t.parent FROM lambda.run_tables() t)) FROM lambda.runs; "
                     "SELECT lambda.run_tables_attach(max(run)) FROM lambda.runs"),
    "lambda_speed": ("UPDATE lambda.published SET run = 1", "DELETE FROM lambda.cuts", "INSERT INTO lambda.publications VALUES (9, 1, now(), 'run')",
                     "SELECT * FROM lambda.revenue_days", "SELECT * FROM lambda.customer_minutes", "SELECT * FROM revenue.daily",
                     "SELECT lambda.run_tables_create(9, '{revenue_days}')", "SELECT lambda.run_tables_drop_left()", "BEGIN; LOCK TABLE lambda.published IN SHARE ROW EXCLUSIVE MODE",
                     "SELECT * FROM lambda.runs FOR UPDATE"),
    "lambda_serving": ("UPDATE lambda.published SET run = 1", "DELETE FROM lambda.revenue_days", "INSERT INTO lambda.runs (state) VALUES ('running')",
                       "SELECT * FROM lambda.revenue_days_r1", "SELECT lambda.run_tables_create(9, '{revenue_days}')", "SELECT lambda.run_tables_attach(1)",
                       "CREATE TABLE lambda.mine (a int)", "SELECT * FROM lambda.runs FOR UPDATE"),
    "revenue_reader": ("SELECT * FROM lambda.runs", "SELECT * FROM lambda.customer_minutes", "DELETE FROM revenue.daily", "CREATE VIEW revenue.mine AS SELECT 1",
                       "SELECT lambda.run_tables_create(9, '{revenue_days}')"),
}


def test_no_role_does_the_work_of_another(world):
    world.produce([order("a")])
    world.run_batch()
    for role in ROLES:
        uri = postgres_user(world, role)
        for statement in FORBIDDEN[role]:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                sql_as(uri, statement)
                pytest.fail(f"{role} may do this: {statement}")
    assert sql_as(world.postgres, "SELECT run, orders FROM lambda.revenue_days") == [(1, 1)]


def test_roles_that_may_not_be_made_are_named_and_come_later(make_world):
    """The owner of the database is no administrator of the server."""
    world = make_world(migrate=False)
    owner = f"owner_{os.urandom(4).hex()}"
    with world.admin_sql() as cursor:
        for role in ROLES:
            cursor.execute(f"DROP ROLE IF EXISTS {role}")
        cursor.execute(f"CREATE ROLE {owner} LOGIN PASSWORD 'owner'")
        cursor.execute(f'ALTER DATABASE "{world.database}" OWNER TO {owner}')
    uri = world.postgres.replace(urllib.parse.urlsplit(world.postgres).netloc.split("@")[0], f"{owner}:owner")
    done = world.batch("migrate", "--postgres", uri)
    assert done.returncode == 0 and all(f"role {role} is not created" in done.stdout for role in ROLES), done.stdout
    assert "owner:owner" not in done.stdout
    world.produce([order("a")])
    world.run_batch("--postgres", uri)
    with world.admin_sql() as cursor:
        for role in ROLES:
            cursor.execute(f"CREATE ROLE {role} NOLOGIN")
    sql_as(uri, "SELECT lambda.grant_roles()")
    batch, speed, serving, reader = (postgres_user(world, role) for role in ROLES)
    world.run_batch("--postgres", batch)
    world.speed("--postgres", speed)
    world.serving("--postgres", serving)
    world.assert_exact()
    assert sql_as(reader, "SELECT orders FROM revenue.daily") == [(1,)]


# --- Redis

def redis_users(world):
    """Users as docs/security.md makes them, for this world's keys: {writer, reader: (name, file with the password)}."""
    users = {}
    admin = world.stack.redis()
    with open(os.path.join(harness.ROOT, "docs", "security.md"), encoding="utf-8") as page:
        lines = re.findall(r"^ACL SETUSER lambda-(writer|reader) (.*)$", page.read(), re.M)
    assert len(lines) == 2
    for kind, rules in lines:
        name, password = f"lambda-{kind}-{os.urandom(3).hex()}", f"p@ss:{os.urandom(8).hex()}/%+"
        rules = rules.replace(">PASSWORD", ">" + password).replace("lambda:{orders/", f"{world.name}:{{{world.topic}/")
        admin.execute_command("ACL", "SETUSER", name, *rules.split(" "))
        users[kind] = (name, password, write_secret(world, f"redis.{kind}", password + "\n"))
    return users


def redis_uri(world, user=""):
    return world.stack.env["LAMBDA_REDIS"].replace("redis://", f"redis://{user}@" if user else "redis://")


def test_redis_users_have_just_the_commands_that_are_needed(world):
    users = redis_users(world)
    admin = world.stack.redis()
    admin.execute_command("ACL", "LOG", "RESET")
    writer, reader = (["--redis", redis_uri(world, users[kind][0]), "--redis-password-file", users[kind][2]] for kind in ("writer", "reader"))
    speed = world.speed(*writer, "--rollback-keep", "1s")
    serving = world.serving(*reader)
    world.produce([order("a", "100.00"), order("b", kind="order_refunded"), order("a", "100.00", sku="B2")], partition=0)
    world.assert_exact()
    for _ in range(3):  # generations are sealed, adopted, and go away
        world.produce([order(f"c{os.urandom(3).hex()}", time=datetime.datetime.now(datetime.timezone.utc).isoformat())])
        world.assert_exact()
        assert "the cut is sealed" in world.run_batch(*writer, "--rollback-keep", "1s").stdout
    for path in ("/v1/products/top", "/v1/late", "/v1/customers/c1/orders?window=48h", DAY):
        assert world.answer(path)["degraded"] == []
    assert world.answer("/v1/customers/c1/orders?window=1h")["orders"] == 3
    admin.execute_command("FUNCTION", "FLUSH")  # speed may bring them back
    world.produce([order("d")])
    world.assert_exact()
    world.stack.redis().delete(f"{world.name}:{{{world.topic}/0}}:state")  # a partition starts again
    world.produce([order("e")], partition=0)
    world.assert_exact()
    refused = [entry for entry in admin.execute_command("ACL", "LOG") if b"lambda-" in entry[entry.index(b"username") + 1]]
    assert refused == []
    assert not any(secret in process.text() for secret in (users["writer"][1], users["reader"][1]) for process in (speed, serving))


def test_redis_users_may_do_no_more(world):
    users = redis_users(world)
    base = f"{world.name}:{{{world.topic}/0}}"
    world.speed()
    world.serving()
    world.produce([order("a")], partition=0)
    world.assert_exact()
    at = urllib.parse.urlsplit(world.stack.env["LAMBDA_REDIS"])
    forbidden = {
        "writer": (("GET", base), ("FLUSHALL",), ("KEYS", "*"), ("CONFIG", "GET", "*"), ("HSET", "other:{orders/0}:state", "a", "b"), ("FUNCTION", "FLUSH"),
                   ("EVAL", "return 1", "0"), ("ACL", "LIST"), ("SHUTDOWN",), ("SAVE",), ("REPLICAOF", "127.0.0.1", "1"),
                   ("FCALL", "lambda_1_drop", "1", "other:{orders/0}"), ("PUBLISH", "a", "b")),
        "reader": (("HSET", f"{base}:state", "a", "b"), ("DEL", f"{base}:state"), ("FCALL", "lambda_1_drop", "1", base), ("FUNCTION", "LOAD", "REPLACE", "x"),
                   ("HGETALL", "other:{orders/0}:state"), ("FCALL_RO", "lambda_1_read", "1", "other:{orders/0}", "r", "10", "0", "0"), ("FLUSHALL",),
                   ("FLUSHDB",), ("CONFIG", "GET", "*"), ("KEYS", "*"), ("EVAL_RO", "return 1", "0"), ("CLIENT", "LIST"), ("MONITOR",), ("INFO",)),
    }
    for kind, commands in forbidden.items():
        client = redis.Redis(host=at.hostname, port=at.port, username=users[kind][0], password=users[kind][1])
        for command in commands:
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command)
                pytest.fail(f"{kind} may do this: {command}")
    world.assert_exact()


def test_a_wrong_password_is_said_and_not_shown(world):
    users = redis_users(world)
    wrong = write_secret(world, "wrong", "not-the-password")
    done = world.batch("run", "--redis", redis_uri(world, users["writer"][0]), "--redis-password-file", wrong)
    assert done.returncode == 0 and "WRONGPASS" in done.stdout and "not-the-password" not in done.stdout, done.stdout  # batch goes on without Redis
    port = free_port()
    process = world.start("lambda-serving", "--listen", f"127.0.0.1:{port}", "--redis", redis_uri(world, users["reader"][0]), "--redis-password-file", wrong)
    wait_until(lambda: "WRONGPASS" in process.text(), 10, process.text)
    process.stop()
    assert "not-the-password" not in process.text()


@pytest.mark.parametrize("program, args, word", [
    ("lambda-speed", ["--redis-password-file", "{open}"], "chmod"), ("lambda-serving", ["--redis-password-file", "{empty}"], "empty"),
    ("lambda-batch", ["--redis-password-file", "{two}"], "one line"), ("lambda-speed", ["--redis-password-file", "/nonexistent"], "/nonexistent"),
    ("lambda-speed", ["--redis-password-file", "{good}", "--redis", "redis://u:other-pass@127.0.0.1"], "already"),
    ("lambda-speed", ["--kafka-config", "{open}"], "chmod"), ("lambda-batch", ["--kafka-config", "{two}"], "entry 1"),
    ("lambda-speed", ["--kafka-config", "{property}"], "no.such.property"),
], ids=str)
def test_files_of_secrets_are_checked(world, program, args, word):
    files = {"open": ("secret-1", 0o644), "empty": ("\n", 0o600), "two": ("secret-1\nsecret-2\n", 0o600), "good": ("secret-1\n", 0o640),
             "property": ("# ours\n\nno.such.property = secret-1\n", 0o600)}
    paths = {name: write_secret(world, name, *content) for name, content in files.items()}
    done = run(world, program, *(arg.format(**paths) for arg in args), *(["run"] if program == "lambda-batch" else []))
    assert done.returncode == 64 and word in done.stdout, done.stdout
    assert not any(secret in done.stdout for secret in ("secret-1", "secret-2", "other-pass"))


def test_properties_of_kafka_come_from_a_file(world):
    """A wrong way to speak to the broker, from the file; -X wins over it."""
    world.serving()
    config = write_secret(world, "kafka", "# how we speak to it\nsecurity.protocol=ssl\n sasl.password=secret-1\n")
    world.produce([order("a")])
    done = world.batch("run", "--kafka-config", config, "--connect-wait", "3s")
    assert done.returncode == 69 and "secret-1" not in done.stdout, done.stdout
    speed = world.speed("--kafka-config", config, "-X", "security.protocol=plaintext")
    world.run_batch("--kafka-config", config, "-Xsecurity.protocol=plaintext")
    world.assert_exact()
    assert "secret-1" not in speed.text()
