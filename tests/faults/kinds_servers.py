"""Kinds of faults (kinds.py) of Redis, PostgreSQL, Kafka and the network between them and the programs."""
import os
import shutil
import signal
import subprocess
import time

import confluent_kafka

import place as places
import proxy
from kinds import kind
from kinds_batch import COPYING, PUBLISHING, SEALING


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
