#!/usr/bin/python3
"""The nemesis: drives orders against a stack of its own, makes faults happen in an order that a seed decides, and after each of
them asks whether all answers are what the oracle says. See docs/faults.md.

  make faults SEED=7 ROUNDS=3            rounds of seeds 7, 8, 9
  make faults SEED=8                     the second of them again
  make faults FAULTS='--only redis'      only kinds whose names begin so; --list lists them
"""
import argparse
import collections
import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

# what the programs' logs say when a fault had its effect
SOMETIMES = {
    "flushes refused": r"flush refused reason=",
    "assignments of partitions": r"assigned partitions=\S+ n=[1-9]",
    "partitions started again at a cut": r"partition \d+(?: of the speed view)?: restarted",
    "partitions that skipped to a cut": r"partition \d+(?: of the speed view)?: skipped",
    "partitions that found another state": r"adopt says",
    "redis lost by speed": r"dropping what is pending",
    "functions lost": r"redis has lost its functions",
    "functions of others noticed": r"in the place of ours into redis",
    "speed without postgres": r"going on with the state in redis",
    "partitions that waited": r"partition \d+ waits:",
    "runs not sealed everywhere": r"not sealed in every partition",
    "runs without the speed view": r"goes on without the speed view",
    "runs superseded": r"nothing was published",
    "runs that found another at work": r"another run is at work",
    "runs that lost a connection": r"the connection to postgres was lost",
    "COMMITs of unknown outcome": r"looking whether it was published",
    "copies done once more": r"trying once more",
    "locks waited for": r"trying again$",
    "runs published": r"is published as publication",
    "batch views loaded by serving": r"publication \d+: run",
    "speed view not readable for serving": r"the speed view cannot be read",
}


class Nemesis:
    def __init__(self, servers, results, args):
        self.servers, self.results, self.args = servers, results, args
        self.place = self.rng = self.observer = None
        self.sample = random.Random()   # of what is asked; what is injected has nothing to do with it
        self.now = "start"
        self.n_serial = 0
        self.mounts, self.tablespaces = [], []
        self.violated = 0
        self.known = None

    # --- what kinds use

    def pause(self, least, most):
        time.sleep(self.rng.uniform(least, most))

    def wait(self, condition, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.02)
        return False

    def serial(self):
        self.n_serial += 1
        return self.n_serial

    def happened(self, what):
        self.results.sometimes[what] += 1

    def count(self, what, n):
        self.results.sometimes[what] += n

    def violation(self, text):
        self.violated += 1
        if self.known:
            self.results.known[self.now] = self.known
            print(f"KNOWN (seed {self.seed}, {self.now}): {text[:300]}", flush=True)
            return
        self.results.violations.append((self.seed, self.now, text))
        self.results.kinds[self.now.split(" (")[0]].violations += 1
        print(f"VIOLATION (seed {self.seed}, {self.now}): {text}", flush=True)

    def keys_of_partition(self, covered=True):
        """Of one by chance; covered=False: without those of generations that a run has covered."""
        client, base = self.place.redis_client(), f"{self.place.name}:{{{self.place.topic}/{self.rng.randrange(self.place.partitions)}}}"
        keys = sorted(key.decode() for key in client.keys(base + "*"))
        if not covered:
            runs = [entry.split(":")[0] for entry in (client.hget(base + ":state", "covered") or b"").decode().split()]
            keys = [key for key in keys if not any(key.startswith(f"{base}:{run}:") for run in runs)]
        return keys

    def made_order(self, event_id, kind="order_placed", currency="GBP", price="1.00"):
        return json.dumps({"event_id": event_id, "type": kind, "order_id": event_id, "customer_id": None,
                           "event_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "currency": currency,
                           "lines": [{"sku": "made", "quantity": 1, "unit_price": price}]})

    @contextlib.contextmanager
    def other_session(self):
        """A transaction of somebody else in the world's database; rolled back at the end."""
        connection = places.psycopg2.connect(self.place.postgres)
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def small_disk(self, name, size_bytes, owner=None):
        directory = f"/var/tmp/lambda-faults-{os.getpid()}-{name}-{self.serial()}"
        if not kinds.mount_small(directory, size_bytes):
            self.happened("small disks that could not be mounted")
        elif owner:
            shutil.chown(directory, owner, owner)
        self.mounts.append(directory)
        return directory

    # --- a fault

    def inject(self, kind):
        result = self.results.kinds[kind.kind]
        result.injected += 1
        result.within_s = kind.within_s
        beside = None
        if not kind.batch and self.rng.random() < 0.4:
            beside = threading.Timer(self.rng.uniform(0, 3), self.place.start_batch)
            beside.start()
        try:
            kind(self)
        except Exception as error:
            if "tests/stack/stack" in str(error):   # says nothing about the programs
                self.happened("servers of the test that did not start at once")
                print(f"  {self.now}: {error}"[:600], flush=True)
            else:
                traceback.print_exc()
                self.violation(f"{error!r}"[:3000])
        if beside:
            beside.join()
        self.heal()
        seconds = self.verify(kind.within_s)
        if seconds is not None:
            result.recovered.append(seconds)
        print(f"  {self.now}: exact again after {'never' if seconds is None else f'{seconds:.1f} s'}", flush=True)
        return seconds is not None

    def heal(self):
        self.servers.heal()
        with contextlib.suppress(Exception):
            self.place.redis_client().config_set("maxmemory", "0")
        self.place.heal(self.rng.randint(1, 2), self.rng.randint(1, 2))

    def verify(self, within_s):
        """Seconds until all answers were exact, None if they did not become so."""
        healed = time.monotonic()
        ends = self.place.feeder.pause()
        whole = time.monotonic()    # the log; what it takes Kafka to take orders again is not ours, but is told
        if self.place.feeder.failed or not self.place.truth.has(ends, 60):
            raise RuntimeError(f"the orders did not get into the log: {self.place.feeder.failed[:3]} {ends}")
        for batch in list(self.place.batches):
            batch.wait()
        for status, text in self.place.bad_batches():
            self.violation(f"a run ended with {status}: {text}")
        with self.place.truth.lock:
            expected = harness.expected_days(self.place.truth.exact)
            kappa_days = kappa.expected_days(self.place.truth)
        told = None
        while (told := self.differs(expected) or self.kappa_differs(kappa_days)) is not None:
            if time.monotonic() - whole > within_s + self.args.patience:
                self.violation(f"not exact, {within_s + self.args.patience} s after the heal: {told}")
                return None
            time.sleep(0.03)
        seconds = time.monotonic() - healed
        if time.monotonic() - whole > within_s:
            self.violation(f"exact only after {seconds:.1f} s, not within {within_s} s")
        for name, status, text in self.place.died():
            self.violation(f"{name} ended with {status}: {text}")
        self.observer.blind(False)
        self.observer.settle()
        return seconds

    def differs(self, expected):
        """None when all answers are exact, else what is not."""
        if not expected:
            return None
        days = sorted(date for date, _ in expected)
        try:
            served, provenance = self.place.served_days(days[0], days[-1])
            if served != expected:
                return harness.difference(expected, served, provenance)
            return self.late_differs("merged") or self.customers_differ("merged")
        except (OSError, AssertionError, ValueError) as error:
            return repr(error)

    def kappa_differs(self, expected):
        """The same of the Kappa view, by its rules."""
        try:
            return kappa.days_differ(self.place, expected) or self.late_differs("kappa") or self.customers_differ("kappa")
        except (OSError, AssertionError, ValueError) as error:
            return f"kappa: {error!r}"

    def late_differs(self, view):
        with self.place.truth.lock:
            exact = self.place.truth.exact
            expected = {date: late_of(exact, date) for date in {late.date for late in exact.late_events.values()}}
        for date, late in sorted(expected.items()):
            served = served_late(self.place.answer(f"/v1/late?date={date}&view={view}"))
            if served != late:
                return f"the late ledger of {date} ({view}) is {served}, not {late}"
        return None

    def customers_differ(self, view):
        """Some of them, others each time."""
        with self.place.truth.lock:
            known = sorted({who for who, _, _ in self.place.truth.exact.customers})
        for who in self.sample.sample(known, min(3, len(known))):
            got = ask_customer(self.place, who, f"?window=48h&view={view}")
            with self.place.truth.lock:
                wrong = customer_differs(self.place.truth.exact, who, got)
            if wrong:
                return wrong
        return None

    # --- a round

    def clean_batch(self):
        """With nothing wrong, a run succeeds and changes no answer."""
        batch = self.place.start_batch()
        status = batch.wait()
        if status != 0:
            self.violation(f"a run with nothing wrong ended with {status}: {batch.text()[-2000:]}")

    def round(self, seed, chosen):
        self.seed, self.rng, self.now = seed, random.Random(seed), "start"
        name = f"faults-{seed}-{os.getpid()}"
        directory = self.logs(f"seed-{seed}")
        print(f"round of seed {seed}: {len(chosen)} faults; logs in {directory}", flush=True)
        before = self.violated
        self.place = places.Place(self.servers, name, directory, seed, self.args.rate)
        self.observer = Observer(self.place, self.violation)
        try:
            self.place.heal(2, 1)
            self.observer.start()
            self.place.feeder.go()
            for i, kind in enumerate(chosen):
                self.now = kind.kind
                self.pause(0.5, 2.5)
                if not self.inject(kind):
                    break   # what follows would say nothing new
                if self.rng.random() < 0.4 or i == len(chosen) - 1:
                    self.now = f"{kind.kind} (the next run)"
                    if self.rng.random() < 0.5:
                        self.place.feeder.go()
                    self.clean_batch()
                    if self.verify(kinds.RECOVERY_S) is None:
                        break
                self.place.feeder.go()
            else:
                self.now = "kappa: the same log twice (at the end)"
                self.place.feeder.pause()
                kappa.same_rows(self)
        except Exception as error:
            traceback.print_exc()
            self.violation(f"the round broke off: {error!r}")
        finally:
            self.observer.stop()
            self.results.events += self.place.feeder.sent
            self.results.looks.update(self.observer.counts)
            self.place.close()
            self.unmount()
            self.read_logs(directory)
            if self.violated == before and not self.args.keep:
                shutil.rmtree(directory, ignore_errors=True)

    # --- scenarios

    def bare_world(self, name, partitions):
        directory = self.logs(f"scenarios-{self.seed}", name)
        self.worlds.append(harness.World(self.servers, f"{name}-{self.seed}-{os.getpid()}", directory, partitions=partitions))
        return self.worlds[-1]

    def scenario(self, seed, scenario):
        self.seed, self.rng, self.now, self.worlds = seed, random.Random(seed), scenario.kind, []
        result, before = self.results.kinds[scenario.kind], self.violated
        self.known = scenario.known
        result.injected += 1
        try:
            result.recovered.append(scenario(self))
        except Exception as error:
            traceback.print_exc()
            self.violation(f"{error!r}"[:3000])
        print(f"  {self.now}: {'as it must be' if self.violated == before else 'WRONG'}", flush=True)
        self.known = None
        for world in self.worlds:
            world.close()
            self.read_logs(world.directory)
            if self.violated == before and not self.args.keep:
                shutil.rmtree(world.directory, ignore_errors=True)

    @staticmethod
    def logs(*path):
        directory = os.path.join(ROOT, "build", "faults", *path)
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        return directory

    def unmount(self):
        if self.tablespaces:
            self.servers.heal()
            with self.place.admin_sql() as cursor:
                for space in self.tablespaces:
                    cursor.execute(f'DROP TABLESPACE "{space}"')
                cursor.execute("CHECKPOINT")    # or the next recovery would look for them
            self.tablespaces = []
        for directory in self.mounts:
            kinds.unmount(directory)
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        self.mounts = []

    def read_logs(self, directory):
        for name in os.listdir(directory):
            if name.endswith(".log"):
                with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as log:
                    text = log.read()
                for what, pattern in SOMETIMES.items():
                    self.results.sometimes[what] += len(re.findall(pattern, text, re.M))


def choose(seed, n, only):
    """The faults of a round: consecutive seeds go round all kinds, so that none is left out for long; each has some of most themes."""
    themes = collections.defaultdict(list)
    for name in sorted(name for name in kinds.KINDS if any(name.startswith(prefix) for prefix in only)):
        themes[name.split(":")[0]].append(name)
    rng, places_of = random.Random(0), {}
    for of_theme in themes.values():
        rng.shuffle(of_theme)
        first = rng.random()
        places_of.update({name: (i + first) / len(of_theme) for i, name in enumerate(of_theme)})
    names = sorted(places_of, key=places_of.get)
    picked = [names[(seed * n + i) % len(names)] for i in range(n)] if names else []  # only scenarios
    random.Random(seed).shuffle(picked)
    return [kinds.KINDS[name] for name in picked]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", default=os.path.join(ROOT, "build", "fault", "bin"))
    parser.add_argument("--seed", type=int, help="of the first round; by chance")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("-n", type=int, default=12, help="faults in a round")
    parser.add_argument("--rate", type=int, default=200, help="orders a second")
    parser.add_argument("--only", nargs="+", default=[""], metavar="PREFIX", help="only kinds whose names begin so")
    parser.add_argument("--patience", type=int, default=90, help="seconds after which what is not exact will never be")
    parser.add_argument("--no-scenarios", action="store_true", help="leave out those that end a world")
    parser.add_argument("--no-report", action="store_true", help="leave docs/faults.md as it is")
    parser.add_argument("--results", metavar="FILE", help="where the figures go, for report.py; build/faults/results-SEED.json")
    parser.add_argument("--keep", action="store_true", help="keep the logs of good rounds too")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


def main():
    args = arguments()
    if args.list:
        print("\n".join([*kinds.KINDS, *scenarios.SCENARIOS]))
        return 0
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}, rounds {args.rounds}", flush=True)
    path = args.results or os.path.join(ROOT, "build", "faults", f"results-{seed}.json")
    results = report.Results(SOMETIMES)
    servers = places.Servers()
    try:
        nemesis = Nemesis(servers, results, args)
        for i in range(args.rounds):
            if args.n:
                results.seeds.append(seed + i)
                nemesis.round(seed + i, [kinds.nothing] + choose(seed + i, args.n, args.only))
                results.save(path)
        for name, scenario in scenarios.SCENARIOS.items():
            if not args.no_scenarios and any(name.startswith(prefix) for prefix in args.only):
                nemesis.scenario(seed, scenario)
    finally:
        servers.down()
        results.save(path)
        if not args.no_report:
            report.write([path])
    print(f"{report.summary([path])}\n{path}", flush=True)
    return 1 if results.violations else 0


if __name__ == "__main__":
    # the programs are known to the harness when it is imported
    os.environ["LAMBDA_TEST_PROGRAMS"] = os.path.abspath(arguments().programs)
    import kinds
    import kappa
    import kinds_archive  # noqa: F401
    import kinds_batch  # noqa: F401
    import kinds_kappa  # noqa: F401
    import kinds_replay  # noqa: F401
    import kinds_servers  # noqa: F401
    import kinds_serving  # noqa: F401
    import kinds_speed  # noqa: F401
    import place as places
    import report
    import scenarios
    from observer import Observer
    from place import harness
    from test_customers import ask as ask_customer, differs as customer_differs
    from test_late import late_of, served_late
    sys.exit(main())
