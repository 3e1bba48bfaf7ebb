"""A Redis of its own with the functions of common/handover.lua, and their calls with plain arguments."""
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import time

import redis

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BASE = "test:{orders/0}"
FOLD, LOG = "k1;test", "cluster/orders"
NEVER_MS = 1 << 50


def fields(flat):
    """["a", "1", "b", "2"] -> {"a": "1", "b": "2"}"""
    return dict(zip(flat[::2], flat[1::2]))


class Server:
    """A Redis of its own on a free port."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="redis-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.process = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", self.directory],
                                        stdout=subprocess.DEVNULL)
        self.client = redis.Redis(port=port, decode_responses=True)
        self.client.response_callbacks.clear()  # replies as they are
        until = time.monotonic() + 20
        while True:
            try:
                self.client.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < until and self.process.poll() is None, "redis-server does not start"
                time.sleep(0.05)

    def load_functions(self):
        with open(os.path.join(ROOT, "common", "handover.lua"), encoding="utf-8") as lua:
            self.client.execute_command("FUNCTION LOAD", "REPLACE", lua.read())

    def stop(self):
        self.client.close()
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.directory)


class Functions:
    """The functions with plain arguments; every offset adds to values of its own, so that its count can be read back."""

    def __init__(self, client):
        self.redis = client

    def flush(self, expected, new, run="", fold=FOLD, lost="", tail=None):
        chunks = {"c": {"records": new - expected, "counted": new - expected}}
        for offset in range(expected, new):
            chunks.setdefault(f"r:{offset // 2}", {}).update({f"{offset % 60:02d}GBPg": 10 + offset, f"{offset % 60:02d}GBPo": 1})
            chunks.setdefault("p:7", {})[f"nGBP{offset}"] = 1
        tail = f"{new - 1} {new:016x}" if tail is None else tail
        return self.raw_flush(expected, new, run, fold, 1000 + new, 2000 + new, tail, lost, chunks)

    def raw_flush(self, expected, new, run, fold, latest_event, latest_record, tail, lost, chunks):
        args = [expected, new, run, fold, latest_event, latest_record, tail, lost, len(chunks)]
        for name, values in chunks.items():
            args += [name, len(values), *itertools.chain(*values.items())]
        reply = self.redis.execute_command("FCALL", "lambda_1_flush", 1, BASE, *args)
        assert reply[0] != "ok" or reply[1:] == ["@CODE@"]       # the sum of the code in a build
        return reply[:1] if reply[0] == "ok" else reply

    def seal(self, run):
        return self.redis.execute_command("FCALL", "lambda_1_seal", 1, BASE, run)

    def adopt(self, publication, run, cut, keep_ms=NEVER_MS, force=0, fold=FOLD, log=LOG):
        tail = f"{cut - 1} {cut:016x}" if cut else ""
        return self.redis.execute_command("FCALL", "lambda_1_adopt", 1, BASE, publication, run, cut, fold, 1000 + cut, 2000 + cut, log,
                                          tail, keep_ms, force)

    def read(self, kind="r", limit=1000, *pairs):
        return self.redis.execute_command("FCALL_RO", "lambda_1_read", 1, BASE, kind, limit, *pairs)

    def state(self):
        return fields(self.redis.execute_command("HGETALL", BASE + ":state"))

    def seen(self):
        """What the model calls the state: Redis(gens, seen), or None. Reads all values, in slices, and checks them."""
        head = self.read()
        if not head[0]:
            return None
        state = fields(head[0])
        gens = []
        for gen in state["gens"].split():
            run, start, end = map(int, gen.split(","))
            gens.append((run, start, end, self.counted(run, start, end)))
        return tuple(gens), int(state["seen"])

    def counted(self, run, start, end):
        since, chunks = 0, {}
        while True:
            gen = next(g for g in self.read("r", 1, run, since)[2:] if int(g[0]) == run)
            for name, version, values in gen[3:]:
                assert since < int(version) <= end
                chunks[name] = fields(values)
            since = int(gen[2])
            if gen[1] == "1":
                break
        assert since == end
        products = next(g for g in self.read("p:7", 1, run, 0)[2:] if int(g[0]) == run)
        products = fields(products[3][2]) if len(products) > 3 else {}
        offsets = []
        for name, values in chunks.items():
            for field, value in values.items():
                if name.startswith("r:") and field.endswith("o"):
                    offset = int(name[2:]) * 2 + (int(field[:2]) - int(name[2:]) * 2) % 60
                    assert int(values[field[:-1] + "g"]) == int(value) * (10 + offset)
                    assert products[f"nGBP{offset}"] == value
                    offsets += [offset] * int(value)
        assert int(chunks.get("c", {}).get("records", 0)) == len(offsets)
        assert all(start <= o < end for o in offsets)
        return tuple(sorted(offsets))

    def dump(self):
        keys = self.redis.execute_command("KEYS", "*")
        return {key: self.redis.execute_command("DUMP", key, NEVER_DECODE=True) for key in keys}

    def restore(self, dump):
        self.redis.execute_command("FLUSHALL")
        for key, value in dump.items():
            self.redis.execute_command("RESTORE", key, 0, value)
