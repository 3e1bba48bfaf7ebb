"""What the log comes to, told by the oracle while the log grows: exactly for the whole, and by speed's rules for any stretch
of a partition. Reads Kafka by itself, past the proxies."""
import bisect
import collections
import os
import sys
import threading
import time

import confluent_kafka

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "oracle"))
import oracle  # noqa: E402

HOUR_MS, MINUTE_MS = 3_600_000, 60_000

# late, day: of counted events and duplicates; values: what a counted one adds, as {(chunk, field): number}
Judged = collections.namedtuple("Judged", "values revenue")


class Judge(oracle.Answers):
    """Speed's rules for one partition: what each record adds to the chunks of docs/redis.md."""

    def __init__(self, zone):
        super().__init__(zone, rules="speed")
        self.event = None

    def tally(self, event, times):
        self.event = event

    def day(self, event):
        date = self.date(event.time_ms)
        return date, oracle.day_number(date)

    def judge(self, record):
        counted, duplicate = self.counted, self.duplicate
        self.add(record)
        values = {("c", "records"): 1}
        if self.counted > counted:
            values["c", "counted"] = 1
            return Judged(values, self.judge_counted(values, self.late_events.get((record.partition, record.offset))))
        event = oracle.parse(record.value)
        if self.duplicate > duplicate:
            values["c", "duplicate"] = 1
            values[f"d:{self.day(event)[1]}", "duplicate"] = 1
        else:
            values["c", "rejected:" + event.reason] = 1
        return Judged(values, None)

    def judge_counted(self, values, late):
        event = self.event
        date, day = self.day(event)
        if late:
            values["c", "late"] = values[f"d:{day}", "e" + late.currency] = 1
            values[f"d:{day}", "l" + late.currency] = int(late.net * 10000)
            values[f"d:{day}", "^" + late.currency] = late.lateness_ms
        placed = event.type == "order_placed"
        sign = 1 if placed else -1
        chunk, prefix = f"r:{event.time_ms // HOUR_MS}", f"{event.time_ms % HOUR_MS // MINUTE_MS:02}{event.currency}"
        total = int(event.total * 10000)
        for what, value in (("g" if placed else "r", total), ("o" if placed else "c", 1), ("u", sign * event.units)):
            values[chunk, prefix + what] = value
        if event.customer_id is not None:
            bucket = f"{event.time_ms % HOUR_MS // MINUTE_MS:02}{event.currency}", event.customer_id
            for what, value in (("g" if placed else "r", total), ("o" if placed else "c", 1)):
                values[f"o:{event.time_ms // HOUR_MS}", (*bucket, what)] = value
        for line in event.lines:
            for what, value in (("n", int(line.unit_price * line.quantity * 10000)), ("u", line.quantity)):
                key = f"p:{day}", what + event.currency + line.sku
                values[key] = values.get(key, 0) + sign * value
        return (date, event.currency), (total, 0, 1, 0) if placed else (0, total, 0, 1)


class PartitionLog:
    def __init__(self, zone):
        self.judge = Judge(zone)
        self.offsets, self.judged = [], []
        self.position = 0       # everything below is here

    def stretch(self, start, end):
        return self.judged[bisect.bisect_left(self.offsets, start):bisect.bisect_left(self.offsets, end)]


class Fold:
    """What a partition's log comes to from `start` on, as far as asked: {(chunk, field): number}."""

    def __init__(self, log, start):
        self.log, self.upto = log, start
        self.values = collections.Counter()

    def advance(self, end):
        for judged in self.log.stretch(self.upto, end):
            for key, value in judged.values.items():
                if key[1][0] == "^":      # a greatest value
                    self.values[key] = max(value, self.values[key])
                else:
                    self.values[key] += value
        self.upto = end
        return self.values


class Days:
    """(gross_e4, refunds_e4, orders, refund_count) per day and currency of all that lies below a vector of offsets."""

    def __init__(self, truth):
        self.truth, self.below = truth, {}
        self.sums = collections.defaultdict(lambda: (0, 0, 0, 0))

    def advance(self, below):
        for partition, end in below.items():
            log = self.truth.logs.get(partition)
            for judged in log.stretch(self.below.get(partition, 0), end) if log else ():
                if judged.revenue:
                    key, added = judged.revenue
                    self.sums[key] = tuple(a + b for a, b in zip(self.sums[key], added))
            self.below[partition] = max(end, self.below.get(partition, 0))
        return self

    def copy(self):
        other = Days(self.truth)
        other.below = dict(self.below)
        other.sums.update(self.sums)
        return other


    def minus(self, other):
        """{key: (gross_e4, ...)}, as far as anything is left."""
        left = {key: tuple(a - b for a, b in zip(sums, other.get(key, (0, 0, 0, 0)))) for key, sums in self.sums.items()}
        return {key: sums for key, sums in left.items() if sums[2] or sums[3]}


class Truth:
    """Use what is here under `lock`.

    twice: {event_id: [(partition, offset, Judged.revenue)]} of events that are put into two partitions on purpose; whoever does it
    enters the id first. Speed counts each of them, a run just one."""

    def __init__(self, brokers, topic, zone):
        self.brokers, self.topic, self.zone = brokers, topic, zone
        self.lock = threading.Lock()
        self.exact = oracle.Answers(zone)
        self.logs, self.twice = {}, {}
        self.wanted = 0
        self.stopping = False
        self.error = None
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self, partitions):
        self.wanted = partitions
        self.thread.start()

    def stop(self):
        self.stopping = True
        self.thread.join(20)

    def run(self):
        try:
            self.read()
        except Exception as error:  # the round must not go on without the truth
            self.error = error
            raise

    def read(self):
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.brokers, "group.id": "faults-truth", "enable.auto.commit": False,
                                             "enable.partition.eof": True, "isolation.level": "read_committed",
                                             "auto.offset.reset": "earliest", "reconnect.backoff.max.ms": 500, "log_level": 2})
        n = 0
        while not self.stopping:
            if n < self.wanted:
                with self.lock:
                    for partition in range(n, self.wanted):
                        self.logs[partition] = PartitionLog(self.zone)
                    n = self.wanted
                    consumer.assign([confluent_kafka.TopicPartition(self.topic, p, log.position) for p, log in self.logs.items()])
            messages = consumer.consume(2000, 0.1)
            with self.lock:
                for message in messages:
                    self.take(message)
        consumer.close()

    def take(self, message):
        log = self.logs.get(message.partition())
        error = message.error()
        if error is None and message.offset() >= log.position:
            record = oracle.Record(message.partition(), message.offset(), message.timestamp()[1], message.value())
            self.exact.add(record)
            judged = log.judge.judge(record)
            log.judged.append(judged)
            if judged.revenue and log.judge.event.event_id in self.twice:
                self.twice[log.judge.event.event_id].append((record.partition, record.offset, judged.revenue))
            log.offsets.append(message.offset())
            log.position = message.offset() + 1
        elif error is not None and error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
            log.position = max(log.position, message.offset())

    def surplus(self, below):
        """What the second ones below the vector come to, as Days.sums, and how many they are."""
        sums, n = collections.defaultdict(lambda: (0, 0, 0, 0)), 0
        for copies in self.twice.values():
            for _, _, (key, added) in [c for c in copies if c[1] < below.get(c[0], 0)][1:]:
                sums[key] = tuple(a + b for a, b in zip(sums[key], added))
                n += 1
        return sums, n

    def has(self, below, seconds=5):
        """Waits until everything below the vector is here."""
        deadline = time.monotonic() + seconds
        while any(p not in self.logs or self.logs[p].position < end for p, end in below.items()):
            if self.error:
                raise self.error
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True
