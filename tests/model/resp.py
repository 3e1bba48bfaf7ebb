"""A Redis for a test: a private server on a free port, and a client that speaks the protocol. Standard library only."""
import os
import shutil
import socket
import subprocess
import tempfile
import time

LUA = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "common", "handover.lua")


class ReplyError(Exception):
    pass


class Client:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=30)
        self.file = self.socket.makefile("rb")

    def send(self, *args):
        parts = [b"*%d\r\n" % len(args)]
        for arg in args:
            data = arg if isinstance(arg, bytes) else str(arg).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self.socket.sendall(b"".join(parts))

    def raw(self, *args):
        """The reply with texts as bytes; an error reply is raised."""
        self.send(*args)
        return self.reply()

    def __call__(self, *args):
        return text(self.raw(*args))

    def reply(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise ReplyError(rest.decode())
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if int(rest) < 0:
                return None
            return self.file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            replies = []
            for _ in range(int(rest)):
                try:
                    replies.append(self.reply())
                except ReplyError as error:
                    replies.append(error)
            return replies
        raise AssertionError(line)

    def load_functions(self):
        with open(LUA, encoding="utf-8") as lua:
            return self("FUNCTION", "LOAD", "REPLACE", lua.read())


def text(reply):
    if isinstance(reply, list):
        return [text(r) for r in reply]
    return reply.decode() if isinstance(reply, bytes) else reply


def fields(flat):
    """["a", "1", "b", "2"] -> {"a": "1", "b": "2"}"""
    return dict(zip(flat[::2], flat[1::2]))


class Server:
    def __init__(self, *options):
        self.directory = tempfile.mkdtemp(prefix="redis-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.directory, *options],
            stdout=subprocess.DEVNULL)
        self.client = None
        until = time.monotonic() + 20
        while self.client is None:
            try:
                self.client = Client("127.0.0.1", self.port)
                self.client("PING")
            except (OSError, ReplyError):
                self.client = None
                assert time.monotonic() < until and self.process.poll() is None, "redis-server does not start"
                time.sleep(0.05)

    def stop(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory)
