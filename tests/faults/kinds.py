"""The kinds of faults. Each is a function of the nemesis that makes the fault happen and returns when nothing more is to come; what
it leaves stopped or broken, the nemesis heals. A kind says `n.happened(what)` when it has seen that the fault took effect."""
import json
import os
import shutil
import signal
import subprocess
import time

import confluent_kafka

import place as places
import proxy

KINDS = {}
RECOVERY_S = 30


def kind(name, within_s=RECOVERY_S, batch=False):
    """within_s  all answers are exact again this long after the heal, at most
       batch     it runs batches itself; else the nemesis may run one beside it"""
    def take(function):
        KINDS[name] = function
        function.kind, function.within_s, function.batch = name, within_s, batch
        return function
    return take


def nothing(n):
    """The control: what is measured when nothing is wrong."""
    n.pause(3, 4)


nothing.kind, nothing.within_s, nothing.batch = "control: nothing", RECOVERY_S, False


# --- lambda-speed

def speed_dies_at(n, name):
    """A worker joins that dies there; the others hand over partitions to it."""
    nth = n.rng.choice((1, 1, 2, 5, 20))
    victim = n.place.start_speed(LAMBDA_FAILPOINT=f"{name}:{nth}")
    if n.rng.random() < 0.5:
        others = [s for s in n.place.speeds if s is not victim]
        others[0].stop(10)
        n.place.speeds.remove(others[0])
    if name.startswith("recovery"):
        n.place.redis_client().delete(*n.keys_of_partition())   # something to recover from
    if n.wait(lambda: not victim.running(), 15):
        n.happened(f"speed died at {name}")
    else:
        n.place.speeds.remove(victim)
        victim.kill()


@kind("speed: kill -9 in a flush")
def speed_flush(n):
    speed_dies_at(n, n.rng.choice(("flush.made", "flush.write", "flush.sent", "flush.acknowledged")))


@kind("speed: kill -9 while it recovers")
def speed_recovery(n):
    speed_dies_at(n, n.rng.choice(("recovery.read", "recovery.adopted", "recovery.sought")))


@kind("speed: kill -9 at any time, three times")
def speed_random(n):
    for _ in range(3):
        n.pause(0.2, 2.5)
        if n.place.speeds:
            n.place.speeds.pop(n.rng.randrange(len(n.place.speeds))).kill()
            n.happened("speed killed")
        n.place.start_speed()


@kind("speed: stopped beyond its session, goes on as a zombie")
def speed_zombie(n):
    zombie = n.place.speeds[0]
    n.place.start_speed()
    n.pause(2, 3)
    zombie.popen.send_signal(signal.SIGSTOP)
    time.sleep(8.5)     # the session times out after 6
    zombie.popen.send_signal(signal.SIGCONT)
    n.pause(1, 2)
    n.happened("zombies")


@kind("speed: rebalances with one to four processes")
def speed_rebalance(n):
    for _ in range(3):
        wanted = n.rng.randint(1, 4)
        while len(n.place.speeds) < wanted:
            n.place.start_speed()
        while len(n.place.speeds) > wanted:
            n.place.speeds.pop(n.rng.randrange(len(n.place.speeds))).stop(10)
        n.pause(1, 3)
    n.happened("rebalances by hand")


@kind("speed: a partition is added", within_s=45)   # new partitions are looked for every 30 s
def partition_added(n):
    n.place.add_partition()
    n.pause(1, 2)
    n.happened("partitions added")


@kind("speed: its wall clock jumps")
def speed_clock(n):
    clock_jump(n, n.place.start_speed, n.place.speeds)


def clock_jump(n, start, *_):
    path = n.place.path(f"clock.{n.serial()}")
    write_clock(path, "+0")
    process = start(**faked(path))
    n.pause(1, 2)
    for _ in range(3):
        write_clock(path, n.rng.choice(("+3600", "-3600", "+90000", "-40", "+7")))
        n.pause(1, 2)
        n.happened("clock jumps")
    write_clock(path, "+0")
    return process


def faked(path):
    return {"LD_PRELOAD": os.path.join(os.path.dirname(places.harness.PROGRAMS), "tests", "faults", "clock.so"), "FAULT_CLOCK": path}


def write_clock(path, offset):
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write(offset + "\n")
    os.replace(path + ".new", path)


# --- lambda-batch

def batch_dies_at(n, names):
    name = n.rng.choice(names)
    nth = n.rng.randint(1, 4) if name in ("seal.part", "copy.started", "copy.sent", "adopt.part") else 1
    batch = n.place.start_batch(LAMBDA_FAILPOINT=f"{name}:{nth}")
    if batch.wait() == -signal.SIGKILL:
        n.happened(f"batch died at {name}")


SEALING = ("run.inserted", "run.before_seal", "seal.part", "run.sealed")
COPYING = ("run.computed", "copy.started", "copy.sent", "run.stored")
PUBLISHING = ("publish.locked", "publish.before_commit", "run.published", "adopt.part", "run.adopted")
MOVING = ("publish.locked", "publish.before_commit", "move.published", "adopt.part", "move.adopted")


@kind("batch: kill -9 while it seals", batch=True)
def batch_seal(n):
    batch_dies_at(n, SEALING)


@kind("batch: kill -9 while it copies", batch=True)
def batch_copy(n):
    batch_dies_at(n, COPYING)


@kind("batch: kill -9 while it publishes", batch=True)
def batch_publish(n):
    batch_dies_at(n, PUBLISHING)


@kind("batch: kill -9 at any time", batch=True)
def batch_random(n):
    batch = n.place.start_batch()
    n.pause(0.01, 1.2)
    batch.kill()
    batch.wait()
    n.happened("batch killed")


@kind("batch: killed three nights in a row", batch=True)
def batch_nights(n):
    for names in (SEALING, COPYING, PUBLISHING):
        batch_dies_at(n, names)
        n.pause(0.2, 1)


@kind("batch: two at once, one of them stalled", batch=True)
def batch_two(n):
    stalled = n.place.start_batch(LAMBDA_STALLPOINT=n.rng.choice(SEALING + COPYING + PUBLISHING))
    if not stalled.wait_stalled():
        return
    second = n.place.start_batch()
    status = second.wait()
    if status != 75:
        n.violation(f"a second run beside a stalled one ended with {status}, not 75: {second.text()[-600:]}")
    n.happened("second runs refused")
    stalled.go_on()
    stalled.wait()


@kind("batch: stalled, loses its lock, another one overtakes", batch=True)
def batch_overtaken(n):
    stalled = n.place.start_batch(LAMBDA_STALLPOINT=n.rng.choice(SEALING + COPYING + ("publish.locked",)))
    if not stalled.wait_stalled():
        return
    n.place.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name = 'lambda-batch'",
                n.place.database)
    second = n.place.start_batch()
    status = second.wait()
    stalled.go_on()
    first = stalled.wait()
    if status == 0:
        n.happened("runs overtaken")
        if first == 0:
            n.violation(f"a run that was overtaken was published: {stalled.text()[-800:]}")


@kind("batch: its wall clock jumps", batch=True)
def batch_clock(n):
    path = n.place.path(f"clock.{n.serial()}")
    write_clock(path, n.rng.choice(("+3600", "-3600", "+90000")))
    n.place.start_batch(**faked(path)).wait()
    n.happened("runs at a wrong time")


@kind("batch: no room for its spill files", batch=True)
def batch_spill(n):
    directory = n.small_disk("spill", 64 << 10)
    batch = n.place.start_batch("--memory=1MiB", f"--spill-dir={directory}")
    if batch.wait() == 74:
        n.happened("spill directories full")


@kind("batch: rolled back, and published again", batch=True)
def batch_rollback(n):
    """While orders come. Until it is published again, runs are complete but wait."""
    while len(n.place.sql("SELECT 1 FROM lambda.runs WHERE state = 'published'")) < 2:
        n.clean_batch()
    _, newest = n.place.published()
    if n.rng.random() < 0.3:    # nothing has happened, or all
        n.place.start_move("rollback", LAMBDA_FAILPOINT=n.rng.choice(MOVING)).wait()
    if n.place.published()[1] == newest:
        expect(n, n.place.start_move("rollback"), 0)
    n.happened("rollbacks")
    if n.place.published()[1] >= newest:
        n.violation(f"after a rollback from run {newest} run {n.place.published()[1]} is published")
    n.pause(0, 3)
    if n.rng.random() < 0.4:
        n.place.redis_client().flushall()
        n.happened("FLUSHALL behind a rollback")
    waits = []
    if n.rng.random() < 0.6:
        expect(n, n.place.start_batch(), 65)
        waits = n.place.sql("SELECT max(run) FROM lambda.runs WHERE state = 'built'")[0]
        n.happened("runs that wait behind a rollback")
    n.pause(0, 3)
    expect(n, n.place.start_move("publish", str(n.rng.choice([newest, *waits]))), 0)


def expect(n, batch, status):
    batch.may_end = (status,)
    ended = batch.wait()
    if ended != status:
        n.violation(f"{' '.join(batch.popen.args[1:])} ended with {ended}, not {status}: {batch.text()[-800:]}")


# --- orders

@kind("orders: the same event in two partitions", batch=True)
def orders_twice(n):
    """Speed counts both, until a run says what was wrong, to the last digit: see Observer.look_at_corrections()."""
    first, second = n.rng.sample(range(n.place.partitions), 2)
    orders = [n.made_order(f"twice-{n.serial()}", kind=n.rng.choice(("order_placed", "order_placed", "order_refunded")),
                           currency=n.rng.choice(("GBP", "EUR")), price=f"{n.rng.randint(1, 99999) / 100:.2f}") for _ in range(n.rng.randint(1, 20))]
    n.place.feeder.pause()
    with n.place.truth.lock:
        n.place.truth.twice.update({json.loads(order)["event_id"]: [] for order in orders})
    for partition in (first, second):
        for order in orders:
            n.place.feeder.send(order, partition)
        n.place.feeder.pause()
        n.place.feeder.go()
        if partition == second or n.rng.random() < 0.5:     # the second ones behind the cut, or both before it
            n.clean_batch()
    n.count("events in two partitions", len(orders))


# --- lambda-serving

@kind("serving: kill -9 at any time")
def serving_random(n):
    n.place.served.kill()
    n.happened("serving killed")


@kind("serving: kill -9 when it is told of a new run", batch=True)
def serving_notified(n):
    n.place.served.kill()
    serving = n.place.start_serving(LAMBDA_FAILPOINT="view.loaded:2")
    n.pause(1, 2)
    n.place.start_batch().wait()
    if n.wait(lambda: not serving.running(), 5):
        n.happened("serving died at view.loaded")
    else:
        serving.kill()


@kind("serving: stopped for 5 s")
def serving_stopped(n):
    n.place.served.popen.send_signal(signal.SIGSTOP)
    time.sleep(5)
    n.place.served.popen.send_signal(signal.SIGCONT)
    n.happened("serving stopped")


@kind("serving: its wall clock jumps")
def serving_clock(n):
    n.place.served.kill()
    clock_jump(n, n.place.start_serving)
    n.place.served.kill()


# --- Redis

@kind("redis: kill -9, with AOF")
def redis_kill(n):
    n.servers.stop("redis", kill=True)
    n.pause(0, 2)
    n.servers.start("redis")
    n.happened("redis killed")


@kind("redis: kill -9, all is lost")
def redis_lost(n):
    n.servers.stop("redis", kill=True)
    shutil.rmtree(os.path.join(n.servers.directory, "redis", "appendonlydir"), ignore_errors=True)
    n.servers.start("redis")
    n.happened("redis lost everything")


@kind("redis: back on an older dump")
def redis_older(n):
    client = n.place.redis_client()
    files = os.path.join(n.servers.directory, "redis", "appendonlydir")
    older = n.place.path(f"dump.{n.serial()}")
    client.bgrewriteaof()
    n.wait(lambda: not client.info("persistence")["aof_rewrite_in_progress"] and not client.info("persistence")["aof_rewrite_scheduled"], 10)
    shutil.copytree(files, older)
    n.pause(2, 5)
    if n.rng.random() < 0.5:
        n.place.start_batch().wait()    # a dump of before the published cut
    n.servers.stop("redis", kill=True)
    shutil.rmtree(files)
    shutil.copytree(older, files)
    n.servers.start("redis")
    n.happened("redis came back older")


@kind("redis: FLUSHALL")
def redis_flushall(n):
    n.place.redis_client().flushall()
    n.happened("FLUSHALL")


@kind("redis: FLUSHALL during a batch", batch=True)
def redis_flushall_batch(n):
    batch = n.place.start_batch(LAMBDA_STALLPOINT=n.rng.choice(SEALING + COPYING + PUBLISHING))
    if batch.wait_stalled():
        n.place.redis_client().flushall()
        n.happened("FLUSHALL during a batch")
        n.pause(0, 3)
        batch.go_on()
    batch.wait()


@kind("redis: single keys deleted")
def redis_keys(n):
    for _ in range(3):
        keys = n.keys_of_partition(covered=False)
        if keys:
            n.place.redis_client().delete(*n.rng.sample(keys, min(len(keys), n.rng.choice((1, 1, 1, 2, 5)))))
            n.happened("keys deleted")
        n.pause(0.3, 1.5)


@kind("redis: out of memory")
def redis_full(n):
    client = n.place.redis_client()
    client.config_set("maxmemory", "1mb")
    n.pause(3, 6)
    n.count("redis refused for want of memory", client.info("stats").get("total_error_replies", 0))
    client.config_set("maxmemory", "0")
    n.happened("redis full")


@kind("redis: its functions removed")
def redis_library(n):
    client = n.place.redis_client()
    client.execute_command(*n.rng.choice((("FUNCTION", "FLUSH"), ("FUNCTION", "DELETE", "lambda_1"))))
    n.pause(1, 2)
    n.happened("functions removed")


def load_functions(n, name, code, wrong=""):
    """The library as another build would load it."""
    with open(os.path.join(places.ROOT, "common", "handover.lua"), encoding="utf-8") as f:
        text = f.read().replace("@CODE@", code).replace("lambda_1", name)
    if wrong:
        text = text.replace("local function flush_write(base, g, args, chunks, nxt)",
                            "local function flush_write(base, g, args, chunks, nxt)\n\t" + wrong)
    n.place.redis_client().execute_command("FUNCTION", "LOAD", "REPLACE", text)


@kind("redis: functions of another version")
def redis_version(n):
    """Beside ours, or where ours were."""
    load_functions(n, "lambda_2", "of-version-2")
    if n.rng.random() < 0.5:
        n.place.redis_client().execute_command("FUNCTION", "DELETE", "lambda_1")
        n.happened("functions removed")
    n.pause(1, 2)
    n.place.redis_client().execute_command("FUNCTION", "DELETE", "lambda_2")
    n.happened("functions of another version")


@kind("redis: its functions replaced by others of the same name")
def redis_replaced(n):
    """They leave out every other chunk. Noticed with the first flush; until then the observer would see what they wrote."""
    n.observer.blind(True)
    load_functions(n, "lambda_1", "of-another-build", "for i = #chunks, 1, -2 do if chunks[i].name ~= 'c' then table.remove(chunks, i) end end")
    n.pause(1, 3)
    n.happened("functions replaced")


@kind("redis: stopped for 5 s")
def redis_stopped(n):
    pid = n.servers.pid("redis")
    os.kill(pid, signal.SIGSTOP)
    time.sleep(5)
    os.kill(pid, signal.SIGCONT)
    n.happened("redis stopped")


@kind("redis: away for a whole batch", batch=True)
def redis_away(n):
    n.servers.stop("redis", kill=n.rng.random() < 0.5)
    batch = n.place.start_batch()
    status = batch.wait()
    if status != 0:
        n.violation(f"without redis a run ended with {status}: {batch.text()[-800:]}")
    n.servers.start("redis")
    n.happened("runs without redis")


# --- PostgreSQL

def postgres_crash(n):
    """Immediate shutdown: as if the power failed."""
    os.kill(n.servers.pid("postgres"), signal.SIGQUIT)
    n.servers.stop("postgres")


def postgres_crash_beside(n, place, happened):
    """Postgres crashes while a batch stands still at a place."""
    batch = n.place.start_batch(LAMBDA_STALLPOINT=place)
    if batch.wait_stalled():
        postgres_crash(n)
        if n.rng.random() < 0.5:
            batch.go_on()
            n.pause(0, 2)
        n.servers.start("postgres")
        n.happened(happened)
        batch.go_on()
    batch.wait()


@kind("postgres: immediate shutdown during COPY", batch=True)
def postgres_copy(n):
    place = f"{n.rng.choice(('copy.started', 'copy.sent'))}:{n.rng.randint(1, 4)}"
    postgres_crash_beside(n, place, "postgres crashed in COPY")


@kind("postgres: immediate shutdown before COMMIT", batch=True)
def postgres_commit(n):
    postgres_crash_beside(n, "publish.before_commit", "postgres crashed before COMMIT")


@kind("postgres: the answer to COMMIT is lost", batch=True)
def postgres_unknown(n):
    batch = n.place.start_batch(LAMBDA_STALLPOINT="publish.before_commit")
    if batch.wait_stalled():
        n.servers.proxied["postgres"].set(proxy.DEAF)
        batch.go_on()
        n.pause(0.5, 1.5)
        if n.rng.random() < 0.3:
            postgres_crash(n)
            n.servers.start("postgres")
        n.servers.proxied["postgres"].set()
        n.happened("answers to COMMIT lost")
    batch.wait()


@kind("postgres: kill -9 at any time")
def postgres_kill(n):
    n.servers.stop("postgres", kill=True)
    n.pause(0, 4)
    n.servers.start("postgres")
    n.happened("postgres killed")


@kind("postgres: the pointer's row is locked", batch=True)
def postgres_locked(n):
    with n.other_session() as cursor:
        cursor.execute("SELECT * FROM lambda.published FOR UPDATE")
        batch = n.place.start_batch()
        n.pause(3, 6)
        n.happened("pointer locked")
    batch.wait()


@kind("postgres: a slow BI query on the published tables", batch=True)
def postgres_slow(n):
    with n.other_session() as cursor:
        cursor.execute("SELECT count(*) FROM revenue.daily, pg_sleep(1)")
        batch = n.place.start_batch()
        status = batch.wait()
        if status != 0:
            n.violation(f"beside a reader a run ended with {status}: {batch.text()[-800:]}")
        n.happened("slow readers")


@kind("postgres: disk full", batch=True)
def postgres_full(n):
    directory = n.small_disk("postgres", 200 << 10, owner="postgres")
    space = f"full_{n.place.database}_{n.serial()}".replace("-", "_")
    n.tablespaces.append(space)
    with n.place.admin_sql() as cursor:
        cursor.execute(f"CREATE TABLESPACE \"{space}\" LOCATION '{directory}'")
        cursor.execute(f"ALTER DATABASE \"{n.place.database}\" SET default_tablespace = '{space}'")
        try:
            batch = n.place.start_batch()
            if batch.wait() == 69 and "No space left" in batch.text():
                n.happened("postgres full")
        finally:
            cursor.execute(f'ALTER DATABASE "{n.place.database}" RESET default_tablespace')
            # the heal: there is room again, also for a recovery
            subprocess.run(["mount", "-o", "remount,size=100m", directory], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


# --- Kafka

@kind("kafka: kill -9 and restart")
def kafka_kill(n):
    n.servers.restart("kafka", kill=True)
    n.happened("kafka killed")


@kind("kafka: away for 20 s")
def kafka_away(n):
    n.servers.stop("kafka", kill=n.rng.random() < 0.5)
    time.sleep(20)
    n.servers.start("kafka")
    n.happened("kafka away")


@kind("kafka: a hung transaction", batch=True)
def kafka_transaction(n):
    producer = confluent_kafka.Producer({"bootstrap.servers": n.servers.env["LAMBDA_BROKERS"], "transactional.id": f"hung-{n.serial()}",
                                         "transaction.timeout.ms": 60000})
    producer.init_transactions(20)
    producer.begin_transaction()
    for i in range(20):
        producer.produce(n.place.topic, n.made_order(f"hung-{n.serial()}"), partition=i % n.place.partitions)
    producer.flush(10)
    n.pause(2, 4)
    batch = n.place.start_batch()
    status = batch.wait()
    if status != 0:
        n.violation(f"beside an open transaction a run ended with {status}: {batch.text()[-800:]}")
    n.pause(0, 3)
    if n.rng.random() < 0.5:
        producer.commit_transaction(20)
    else:
        producer.abort_transaction(20)
    n.happened("hung transactions")


# --- the network

def network(name, server, mode, delay_s=0.0, seconds=(2, 6)):
    @kind(f"network: {name}")
    def fault(n):
        before = n.servers.proxied[server].cut
        n.servers.proxied[server].set(mode, delay_s)
        n.pause(*seconds)
        n.servers.proxied[server].set()
        n.count("connections cut", n.servers.proxied[server].cut - before)
        n.happened(name)
    return fault


for _server in ("redis", "postgres", "kafka"):
    network(f"{_server} cut off", _server, proxy.CUT)
    network(f"{_server} hangs", _server, proxy.HANG, seconds=(4, 8))
network("redis slow", "redis", proxy.PASS, 0.1)
network("kafka slow", "kafka", proxy.PASS, 0.1)
network("redis does not answer", "redis", proxy.DEAF, seconds=(1, 7))


def mount_small(directory, size_bytes):
    os.makedirs(directory, exist_ok=True)
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", directory], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


def unmount(directory):
    subprocess.run(["umount", "-l", directory], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
