"""Orders at a steady rate: what `orders generate --rate` makes up, duplicates, late ones, refunds and broken ones among them, put
into the log by a producer of our own, which knows where each record went. A duplicate goes where the first one went, also after
a partition was added: speed knows duplicates within a partition only (docs/architecture.md)."""
import hashlib
import json
import subprocess
import threading
import time
import zlib

import confluent_kafka


DUPLICATE_DISTANCE = 2000
# so many orders on, what lies before is not repeated any more; the tool looks 256 further for one that can be repeated
REPEATED_WITHIN = DUPLICATE_DISTANCE + 256


class Feeder:
    def __init__(self, program, env, brokers, topic, partitions, rate, seed):
        self.topic, self.partitions, self.rate = topic, partitions, rate
        self.acked, self.failed, self.sent = {}, [], 0
        self.homes = {}             # what was sent -> its partition
        self.running = threading.Event()
        self.stopping = False
        self.idle = threading.Event()
        self.producer = confluent_kafka.Producer({"bootstrap.servers": brokers, "linger.ms": 5, "acks": "all",
                                                  "message.timeout.ms": 240000, "reconnect.backoff.max.ms": 500, "log_level": 2})
        self.orders = subprocess.Popen([program, "generate", "--stdout", "--rate", str(rate), "--seed", str(seed), "--duplicates", "0.04",
                                        "--duplicate-distance", str(DUPLICATE_DISTANCE), "--late", "0.03", "--refunds", "0.05", "--out-of-order", "0.1",
                                        "--broken", "0.01"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            if not self.running.is_set():
                self.idle.set()
                self.producer.poll(0.02)
                continue
            self.idle.clear()
            line = self.orders.stdout.readline()    # the tool keeps the rate; while we pause it waits for us
            if not line:
                break
            self.send(line[:-1])
            self.producer.poll(0)
        self.idle.set()

    def home(self, value):
        """Of the partition: by order, and for a duplicate the first one's."""
        mark = hashlib.blake2b(value, digest_size=8).digest()
        if mark not in self.homes:
            try:
                key = json.loads(value)["order_id"]
            except (ValueError, KeyError, TypeError, RecursionError):
                key = repr(value)
            self.homes[mark] = zlib.crc32(str(key).encode("utf-8", "replace")) % self.partitions
        return self.homes[mark]

    def send(self, value, partition=None, timestamp_ms=0):
        """timestamp_ms: of the record; 0: now"""
        while True:
            try:
                self.producer.produce(self.topic, value, partition=self.home(value) if partition is None else partition, timestamp=timestamp_ms,
                                      on_delivery=self.delivered)
                self.sent += 1
                return
            except BufferError:
                self.producer.poll(0.1)
            except confluent_kafka.KafkaException as error:     # a new partition is not known at once
                if error.args[0].code() != confluent_kafka.KafkaError._UNKNOWN_PARTITION:
                    raise
                self.producer.list_topics(self.topic, 10)
                self.producer.poll(0.1)

    def delivered(self, error, message):
        if error:
            self.failed.append(str(error))
        else:
            self.acked[message.partition()] = max(self.acked.get(message.partition(), 0), message.offset() + 1)

    def go(self):
        self.running.set()

    def pause(self):
        """Returns when all that was sent is acknowledged; {partition: log's end}. Not idempotent, so after a lost answer a record may
        stand in the log twice: one more duplicate."""
        self.running.clear()
        if not self.idle.wait(30):
            raise RuntimeError("the feeder hangs")
        deadline = time.monotonic() + 60
        while len(self.producer):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(self.producer)} orders are not acknowledged after 60 s")
            time.sleep(0.02)
        return dict(self.acked)

    def stop(self):
        self.stopping = True
        self.orders.kill()
        self.orders.wait()
        self.thread.join(10)
        self.producer.flush(5)
