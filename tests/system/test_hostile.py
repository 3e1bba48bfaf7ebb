"""Whoever can reach the port and means harm: each gets a correct status or a closed connection, the others do not notice, and memory
and open files stay bounded. (test_api.py and test_serving.py have the mishaps of honest clients, and readers that never read.)"""
import contextlib
import os
import random
import re
import resource
import select
import socket
import struct
import time

import pytest

import harness
from harness import free_port, order, wait_until

DAY = "/v1/revenue/2026-03-01"
HOST = b"Host: x\r\n"
BEHIND = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"  # never answered behind what was refused


@pytest.fixture
def served(world):
    world.speed()
    world.produce([order("a", "100.00")])
    world.serving_process = world.serving("--request-timeout", "2s")
    world.assert_exact()
    return world


def connect(world, **options):
    connection = socket.create_connection(("127.0.0.1", world.port), timeout=10)
    for option, value in options.items():
        connection.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
    return connection


def read_all(connection, seconds=10):
    """Everything up to the end of the connection, and whether it came (a reset is one too)."""
    received = b""
    connection.settimeout(seconds)
    try:
        while more := connection.recv(65536):
            received += more
    except socket.timeout:
        return received, False
    except ConnectionResetError:
        pass
    return received, True


def statuses(received):
    return [int(code) for code in re.findall(rb"(?:\A|})HTTP/1\.1 (\d\d\d) ", received)]


def status(received):
    return (statuses(received) or [0])[0]


def files(process):
    return len(os.listdir(f"/proc/{process.popen.pid}/fd"))


def anonymous_kib(process):
    with open(f"/proc/{process.popen.pid}/status", encoding="ascii") as text:
        return next(int(line.split()[1]) for line in text if line.startswith("RssAnon:"))


@contextlib.contextmanager
def others_unharmed(world, slowest=1.0):
    """Another client's requests, before and after: each is answered, and quickly. One that the machine was slow at is asked again."""
    def quick():
        begin = time.monotonic()
        assert world.answer(DAY)["revenue"][0]["net"] == "100.00"
        return time.monotonic() - begin < slowest

    def ask():
        wait_until(quick, 30, f"an answer within {slowest} s")
    ask()
    yield ask
    ask()
    assert world.serving_process.running()


REFUSED = [
    # two lengths, a length and an encoding: what smuggles requests past a proxy
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 44\r\n\r\n", 413),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 0x2c\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 18446744073709551660\r\n\r\n", 413),
    (b"POST /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 44\r\n\r\n", 405),
    (b"POST /livez HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 405),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"Content-Length : 44\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    # ends of lines
    (b"GET /livez HTTP/1.1\n" + HOST + b"\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: x\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\nHost: x\rX: y\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\r\nHost: x\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b" folded: yes\r\n\r\n", 400),
    (b"\r\n\r\n\r\n\r\nGET /livez HTTP/1.1\r\n", 400),
    # bytes
    (b"GET /livez\0 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", 400),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"X: \x1b[2J\r\n\r\n", 400),
    (b"GET /\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    # targets
    (b"GET /livez%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /livez% HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /livez#x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET livez HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET http:// HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET file:///etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    # methods and versions
    (b"get /livez HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    (b"X" * 300 + b" /livez HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    (b"(GET) /livez HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /livez\r\n", 400),
    (b"GET  /livez HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /livez HTTP/11\r\n" + HOST + b"\r\n", 400),
    # sizes
    (b"GET /livez?" + b"a" * 5000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    (b"A" * 100000, 414),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: y\r\n" % i for i in range(100)) + b"\r\n", 431),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"A" * 9000 + b": y\r\n\r\n", 431),
    (b"\r\n" * 5000, 400),
]

ANSWERED = [
    (b"GET http://elsewhere.example/livez HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    (b"GET HTTPS://elsewhere.example:80/livez?x=1 HTTP/1.1\r\n" + HOST + b"\r\n", 400),  # a parameter that is not known
    (b"GET http://elsewhere.example HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET /%6c%69vez HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    (b"GET /livez%00 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET /v1/../../etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    (b"GET /v1/revenue/%2e%2e HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /v1/revenue/2026-03-01?currency=%00 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /v1/customers/%ff%fe/orders HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /v1/customers/" + b"%41" * 1000 + b"/orders HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    (b"GET /v1/customers/a%27%3bDROP%20TABLE%20lambda.runs%3b--/orders HTTP/1.1\r\n" + HOST + b"\r\n", 200),
    (b"DELETE /livez HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    (b"GET /livez HTTP/1.1\r\nhOsT:x\r\nX: \xe4\xf6\r\n\r\n", 200),
    (b"\r\n\r\nGET /livez HTTP/1.1\r\n" + HOST + b"\r\n", 200),
]


def test_what_is_refused_is_refused_whole(served):
    """However the bytes arrive, and nothing behind them is taken for a request."""
    rng = random.Random(1)
    with others_unharmed(served):
        for data, expected in REFUSED:
            for pieces in (1, 4):
                cuts = sorted(rng.randrange(len(data)) for _ in range(pieces - 1))
                with connect(served) as connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    with contextlib.suppress(ConnectionError):  # it may have had enough
                        for begin, end in zip([0, *cuts], [*cuts, len(data)]):
                            connection.sendall(data[begin:end])
                        connection.sendall(BEHIND)
                    received, closed = read_all(connection)
                    assert (statuses(received), closed) == ([expected], True), (data[:80], received[:300])


def test_what_is_odd_but_right_is_answered(served):
    with others_unharmed(served):
        for data, expected in ANSWERED:
            with connect(served) as connection:
                connection.sendall(data + BEHIND.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                received, closed = read_all(connection)
                assert (statuses(received), closed) == ([expected, 200], True), (data[:80], received[:300])


def test_pipelining_is_in_order_and_ends_where_it_is_refused(served):
    days = [f"/v1/revenue/2026-03-{i % 28 + 1:02}" for i in range(2000)]
    before = anonymous_kib(served.serving_process)
    with others_unharmed(served) as ask, connect(served) as connection:
        data = b"".join(f"GET {day} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for day in days)
        connection.setblocking(False)
        received, sent = b"", 0
        deadline = time.monotonic() + 30
        while received.count(b"HTTP/1.1 200") < len(days):
            assert time.monotonic() < deadline, received[-300:]
            readable, writable, _ = select.select([connection], [connection] if sent < len(data) else [], [], 1)
            if readable:
                received += connection.recv(1 << 20)
            if writable:
                sent += connection.send(data[sent:sent + 65536])
        dates = [part.split(b'"date":"')[1][:10].decode() for part in received.split(b"HTTP/1.1 200")[1:]]
        assert dates == [day[-10:] for day in days]
        ask()
    with connect(served) as connection:
        connection.sendall(BEHIND * 3 + b"GET /livez HTTP/1.1\n\n" + BEHIND * 3)
        received, closed = read_all(connection)
        assert (statuses(received), closed) == ([200, 200, 200, 400], True)
    assert anonymous_kib(served.serving_process) < before + 16384


def test_slow_senders_are_cut_off(served):
    """A byte now and then does not win more time than a request has."""
    data = b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1000
    with others_unharmed(served) as ask:
        senders = [connect(served) for _ in range(300)]
        started, n_sent, closed = time.monotonic(), 0, set()
        while len(closed) < len(senders) and time.monotonic() - started < 15:
            for i, sender in enumerate(senders):
                if i in closed:
                    continue
                try:
                    sender.send(data[n_sent % len(data):][:1])
                    if select.select([sender], [], [], 0)[0]:
                        received = sender.recv(4096)
                        assert status(received) in (0, 408), received[:100]
                        closed.add(i)
                except ConnectionError:
                    closed.add(i)
            n_sent += 1
            ask()
        took = time.monotonic() - started
        assert len(closed) == len(senders) and took > 1.5, (len(closed), took)
        for sender in senders:
            sender.close()


def test_half_closed_connections(served):
    with others_unharmed(served):
        with connect(served) as connection:  # all is asked, and nothing more will be
            connection.sendall(BEHIND * 2)
            connection.shutdown(socket.SHUT_WR)
            received, closed = read_all(connection)
            assert closed and received.count(b"HTTP/1.1 200") == 2
        for data in (b"", b"GET /live", BEHIND[:-2]):
            with connect(served) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                assert read_all(connection) == (b"", True)
        before = files(served.serving_process)
        lazy = [connect(served) for _ in range(100)]  # refused, but they never close
        for connection in lazy:
            connection.sendall(b"nonsense\r\n\r\n")
        wait_until(lambda: files(served.serving_process) <= before, 10, lambda: f"{files(served.serving_process)} files, {before} before")
        for connection in lazy:
            connection.close()


def test_resets_at_any_time(served):
    before = files(served.serving_process)
    large = b"GET /v1/revenue?from=2016-03-05&to=2026-03-01&step=day&currency=GBP HTTP/1.1\r\nHost: x\r\n\r\n"
    memory = anonymous_kib(served.serving_process)
    with others_unharmed(served) as ask:
        for i in range(1000):
            connection = connect(served, SO_RCVBUF=4096)
            data, read = ((b"", 0), (b"GET /", 0), (BEHIND, 0), (BEHIND, 10), (BEHIND * 50, 0), (large, 0), (large, 5000), (large * 3, 100))[i % 8]
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
                if read:
                    connection.recv(read)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            if i % 100 == 0:
                ask()
    wait_until(lambda: files(served.serving_process) <= before, 10, lambda: f"{files(served.serving_process)} files, {before} before")
    assert anonymous_kib(served.serving_process) < memory + 65536


@contextlib.contextmanager
def open_files(n):
    """This process may have n open files; where the machine forbids it, as many as it allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < n:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))  # root may
    now = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    allowed = n if now == resource.RLIM_INFINITY else min(n, now)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, now))
    try:
        yield allowed
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, now) if now != resource.RLIM_INFINITY else soft, now))


def test_ten_thousand_idle_connections(served):
    before = anonymous_kib(served.serving_process)
    idle = []
    with open_files(10300) as allowed:
        n = min(10000, allowed - 300)
        if n < 10000:
            print(f"this machine allows {allowed} open files: {n} connections")
        try:
            with others_unharmed(served) as ask:
                for i in range(n):
                    idle.append(connect(served))
                    if i % 2:
                        idle[-1].sendall(b"GET /livez HTTP/1.1\r\nX: " + b"a" * 2000 if i % 10 == 1 else BEHIND)
                    if i % 1000 == 0:
                        ask()
                for _ in range(20):
                    ask()
                assert files(served.serving_process) > n * 3 // 5  # half a request is cut off after 2 s, so not all are there
                assert anonymous_kib(served.serving_process) - before < n * 16
                served.produce([order("b", "11.00")])
                wait_until(lambda: served.answer(DAY)["revenue"][0]["net"] == "111.00", 10, lambda: served.answer(DAY))
                served.produce([order("c", "11.00", kind="order_refunded")])
                wait_until(lambda: served.answer(DAY)["revenue"][0]["net"] == "100.00", 10, lambda: served.answer(DAY))
                for _ in range(200):  # more than --connections-max: who is idle for the longest makes room
                    idle.append(connect(served))
                ask()
        finally:
            for connection in idle:
                connection.close()
    wait_until(lambda: files(served.serving_process) < 100, 20, lambda: f"{files(served.serving_process)} files")
    served.serving_process.stop()


def test_few_files_from_the_start(world):
    """ulimit -n 64: fewer connections, and it says so."""
    world.speed()
    world.produce([order("a", "100.00")])
    world.port = free_port()
    program = os.path.join(harness.PROGRAMS, "lambda-serving")
    process = harness.Process("/bin/sh", ["-c", f'ulimit -n 64; exec "{program}" --listen 127.0.0.1:{world.port}'], world.env, world.path("serving.log"))
    world.processes.append(process)
    world.serving_process = process
    wait_until(lambda: "listening" in process.text(), 30, process.text)
    wait_until(lambda: world.get("/readyz")[0] == 200, 30, process.text)
    world.assert_exact()
    assert "only 64 files" in process.text()
    with others_unharmed(world) as ask:
        many = [connect(world) for _ in range(300)]
        ask()
        assert files(process) <= 64
        for connection in many:
            connection.close()
    process.stop()


def test_files_run_out(served):
    """The limit falls below what is open: nobody new gets in, who is there is answered, and all is well once there are files again."""
    process = served.serving_process
    kept = connect(served)
    kept.sendall(BEHIND)
    assert status(kept.recv(4096)) == 200
    limits = resource.prlimit(process.popen.pid, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{process.popen.pid}/fd")}
    none_free = min(n for n in range(max(used) + 2) if n not in used)  # the limit is of the number, not the count
    resource.prlimit(process.popen.pid, resource.RLIMIT_NOFILE, (none_free, limits[1]))
    try:
        turned_away = 0
        for _ in range(100):
            with contextlib.suppress(ConnectionError), connect(served) as connection:
                connection.sendall(BEHIND)
                received, closed = read_all(connection, 2)
                assert closed and received == b""
            turned_away += 1
        assert turned_away == 100
        kept.sendall(BEHIND)
        assert status(kept.recv(4096)) == 200
        assert served.stack.redis().execute_command("CLIENT", "KILL", "TYPE", "normal") > 0  # nor can it reach Redis anew for each try
    finally:
        resource.prlimit(process.popen.pid, resource.RLIMIT_NOFILE, limits)
    wait_until(lambda: served.answer(DAY)["degraded"] == [], 30, lambda: served.answer(DAY))
    kept.sendall(BEHIND)
    assert status(kept.recv(4096)) == 200
    kept.close()
    with others_unharmed(served):
        pass
    assert len(process.text().splitlines()) < 100  # it does not fill the disk
    process.stop()
