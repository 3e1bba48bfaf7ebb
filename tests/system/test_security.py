"""Who may do what: tokens for the API, rights in Postgres and Redis, and secrets that stay out of logs."""
import http.client
import json
import os
import signal
import socket
import subprocess

import pytest

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
