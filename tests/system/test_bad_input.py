"""Wrong settings, missing servers and foreign logs: a plain message that says what to do, and nothing is lost."""
import subprocess
import time

import pytest

import harness
from harness import free_port, order, wait_until

PROGRAMS = ("lambda-batch", "lambda-speed", "lambda-serving")


def run(world, name, *args, **env):
    return subprocess.run([f"{harness.PROGRAMS}/{name}", *args], env=dict(world.env, **env), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", PROGRAMS)
def test_wrong_settings_name_the_setting_the_value_and_what_is_allowed(world, name):
    cases = [
        (["--time-zone", "Mars/Olympus"], {}, ("time-zone", "Mars/Olympus")),
        (["--grace", "30"], {}, ("--grace", "30", "min")),
        (["--horizon", "-1h"], {}, ("--horizon", "-1h")),
        (["--horizon-records", "0"], {}, ("--horizon-records", "0", "1 to")),
        (["--log-level", "loud"], {}, ("--log-level", "loud", "info")),
        ([], {"LAMBDA_MAX_SKEW": "soon"}, ("LAMBDA_MAX_SKEW", "soon")),
        (["--no-such-flag"], {}, ("--no-such-flag",)),
        (["--topic"], {}, ("--topic", "missing")),
        (["--name", "a b"], {}, ("--name", "a b")),
        (["--redis", "http://x"], {}, ("redis",)),
    ]
    for args, env, words in cases:
        done = run(world, name, *(["run"] if name == "lambda-batch" else []), *args, **env)
        assert done.returncode == 64, (args, env, done)
        assert all(word in done.stderr for word in words), (words, done.stderr)
        assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_and_version(world, name):
    done = run(world, name, "--help")
    assert done.returncode == 0 and "LAMBDA_TOPIC" in done.stdout and "--topic" in done.stdout and not done.stderr
    done = run(world, name, "--version")
    assert done.returncode == 0 and done.stdout.startswith(name)


def test_batch_commands(world):
    assert run(world, "lambda-batch").returncode == 64
    done = run(world, "lambda-batch", "runn")
    assert done.returncode == 64 and "runn" in done.stderr
    done = run(world, "lambda-batch", "run", "-X", "no.such.property=1")
    assert done.returncode == 64 and "no.such.property" in done.stderr


def test_batch_gives_up_on_servers_that_are_away(world):
    away = free_port()
    for args, word in ((["--brokers", f"127.0.0.1:{away}"], "Kafka"), (["--postgres", f"postgresql://u:secret@127.0.0.1:{away}/x"], "Postgres")):
        begin = time.monotonic()
        done = run(world, "lambda-batch", "run", "--connect-wait", "2s", *args)
        assert done.returncode == 69 and word.lower() in done.stderr.lower(), done.stderr
        assert "secret" not in done.stderr + done.stdout
        assert time.monotonic() - begin < 20


def test_programs_wait_for_servers_that_come_later(world, stack):
    world.produce([order("a")])
    for server, word in (("kafka", "Kafka"), ("redis", "Redis"), ("postgres", "Postgres")):
        stack.stop(server)
        speed = world.speed()
        serving = world.start("lambda-serving", "--listen", f"127.0.0.1:{free_port()}") if server != "kafka" else None
        try:
            for process in filter(None, (speed, serving)):
                wait_until(lambda: word.lower() in process.text().lower(), 20, lambda: f"{process.name} names {word}: {process.text()}")
                assert process.running()
        finally:
            stack.start(server)
        if serving:
            serving.stop()
        world.serving()
        world.assert_exact()
        speed.stop()
        world.processes[-1].stop()


def test_a_missing_topic_is_said_and_waited_for(make_world):
    world = make_world(partitions=0)
    done = run(world, "lambda-batch", "run")
    assert done.returncode == 65 and world.topic in done.stderr and "hint" in done.stderr
    speed = world.speed()
    wait_until(lambda: world.topic in speed.text() and "hint" in speed.text(), 20, lambda: speed.text())
    world.create_topic(2)
    world.produce([order("a")])
    world.serving()
    world.assert_exact()


def test_a_database_without_schema_is_said(make_world):
    world = make_world(migrate=False)
    done = run(world, "lambda-batch", "run")
    assert done.returncode == 69 and "lambda-batch migrate" in done.stderr, done.stderr
    speed = world.speed()
    wait_until(lambda: "lambda-batch migrate" in speed.text(), 20, lambda: speed.text())
    serving = world.start("lambda-serving", "--listen", f"127.0.0.1:{free_port()}")
    wait_until(lambda: "lambda-batch migrate" in serving.text(), 20, lambda: serving.text())
    assert world.batch("migrate").returncode == 0
    world.serving()
    world.produce([order("a")])
    world.assert_exact()


def test_a_redis_that_may_drop_state_is_refused(world, stack):
    client = stack.redis()
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        speed = world.speed()
        wait_until(lambda: "noeviction" in speed.text(), 20, lambda: speed.text())
    finally:
        client.config_set("maxmemory-policy", "noeviction")
    if not speed.running():
        speed = world.speed()
    world.produce([order("a")])
    world.serving()
    world.assert_exact()


def test_another_log_than_before_is_refused(world):
    world.speed()
    world.serving()
    world.produce([order(f"a{i}") for i in range(20)])
    world.assert_exact()
    world.run_batch()
    for process in world.processes:
        process.kill()
    world.make_topic_anew()
    world.produce([order(f"b{i}") for i in range(40)])
    done = run(world, "lambda-batch", "run")
    assert done.returncode == 65 and "another log" in done.stderr, done.stderr
    speed = world.speed()
    assert speed.wait(30) == 65
    assert "another log" in speed.text()


def test_secrets_never_reach_a_log(world):
    password = world.stack.env["LAMBDA_POSTGRES"].split(":")[2].split("@")[0]
    world.speed("--log-level", "debug")
    world.serving("--log-level", "debug")
    world.produce([order("a")])
    world.assert_exact()
    done = run(world, "lambda-batch", "run", "--log-level", "debug")
    assert done.returncode == 0
    for text in (done.stderr + done.stdout, *(process.text() for process in world.processes)):
        assert password not in text


def records_in_redis(world):
    client = world.stack.redis()
    return sum(int(client.hget(f"{world.name}:{{{world.topic}/{p}}}:0:c", "records") or 0) for p in range(world.partitions))


def test_a_newer_schema_is_refused(world):
    """The database was migrated by a later release than this one."""
    world.sql("INSERT INTO lambda.migrations (version, name) VALUES (999, '999_later')")
    for args in (["run"], ["migrate"]):
        done = run(world, "lambda-batch", *args)
        assert done.returncode == 65 and "version 999" in done.stderr and "hint" in done.stderr, done.stderr
    world.produce([order("a")])
    speed = world.speed()                      # it cannot ask where to begin, so it waits
    wait_until(lambda: "version 999" in speed.text() and "hint" in speed.text(), 20, speed.text)
    assert speed.running() and "next=" not in speed.text()
    world.sql("DELETE FROM lambda.migrations WHERE version = 999")
    wait_until(lambda: records_in_redis(world) == 1, 20, speed.text)
    world.sql("INSERT INTO lambda.migrations (version, name) VALUES (999, '999_later')")
    world.stack.restart("postgres")            # a worker that runs goes on with what it knows
    wait_until(lambda: speed.text().count("version 999") > 1, 30, speed.text)
    world.produce([order("b")])
    wait_until(lambda: records_in_redis(world) == 2, 20, speed.text)


def test_redis_that_lost_the_functions(world, stack):
    world.speed()
    world.serving()
    world.produce([order("a")])
    world.assert_exact()
    stack.redis().execute_command("FUNCTION FLUSH")
    world.produce([order("b")])
    world.assert_exact()
