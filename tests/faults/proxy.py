"""A TCP proxy between the programs and a server, which can be cut, hang, be slow, or swallow what the server says."""
import asyncio
import threading

PASS, CUT, HANG, DEAF = "pass", "cut", "hang", "deaf"


class Proxies:
    """The thread that all proxies of a stack run in."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def add(self, port, target):
        proxy = Proxy(self, target)
        self.run(proxy.listen(port))
        return proxy

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


class Proxy:
    """mode  PASS: everything passes. CUT: connections break, new ones are closed at once. HANG: nothing passes, in either
             direction, until the mode changes. DEAF: what the client says passes, what the server says is lost
       delay_s  for each piece of data, in either direction"""

    def __init__(self, proxies, target):
        self.proxies, self.target = proxies, target
        self.mode, self.delay_s = PASS, 0.0
        self.moved = asyncio.Event()
        self.transports = set()
        self.server = None
        self.cut = 0        # connections that were broken

    async def listen(self, port):
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", port)

    def set(self, mode=PASS, delay_s=0.0):
        self.proxies.run(self.change(mode, delay_s))

    async def change(self, mode, delay_s):
        # what a deaf connection has lost cannot be mended: it ends
        if mode == CUT or self.mode == DEAF and mode != DEAF:
            for transport in list(self.transports):
                transport.abort()
                self.cut += 1
        self.mode, self.delay_s = mode, delay_s
        self.moved.set()
        self.moved = asyncio.Event()

    async def accept(self, reader, writer):
        if self.mode == CUT:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer.transport, back.transport)
        self.transports.update(pair)
        try:
            await asyncio.gather(self.pump(reader, back, False), self.pump(there, writer, True))
        except OSError:
            pass
        finally:
            self.transports.difference_update(pair)
            for transport in pair:
                transport.abort()

    async def pump(self, reader, writer, of_server):
        while data := await reader.read(65536):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            while self.mode == HANG:
                await self.moved.wait()
            if of_server and self.mode == DEAF:
                continue
            writer.write(data)
            await writer.drain()
        # one side has ended: so does the pair
        raise ConnectionResetError
