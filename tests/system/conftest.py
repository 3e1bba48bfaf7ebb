"""Fixtures of the system tests: `stack` once per session, `world` once per test."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import harness  # noqa: E402


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.failed_call = outcome.get_result().failed


@pytest.fixture(scope="session")
def stack():
    servers = harness.Stack("check", STACK_FOR_TESTS="yes")
    yield servers
    servers.down()


@pytest.fixture
def make_world(stack, request, tmp_path):
    """make_world(partitions=.., migrate=.., zone=..): worlds that end with the test; their logs are shown when it fails."""
    worlds = []

    def make(**options):
        name = f"{request.node.name.split('[')[0].replace('test_', '')[:24]}-{os.getpid()}-{os.urandom(3).hex()}"
        directory = tmp_path / f"world{len(worlds)}"
        directory.mkdir()
        worlds.append(harness.World(stack, name, str(directory), **options))
        return worlds[-1]
    yield make
    found = []
    for world in worlds:
        world.close()
        found += [world.path(log) for log in os.listdir(world.directory) if log.startswith("sanitizer.")]
        if getattr(request.node, "failed_call", False):
            for log in sorted(filter(lambda name: os.path.isfile(world.path(name)), os.listdir(world.directory))):
                with open(world.path(log), encoding="utf-8", errors="replace") as text:
                    print(f"--- {log}\n{text.read()[-6000:]}")
    for path in found:  # of MODE=asan or tsan
        with open(path, encoding="utf-8", errors="replace") as text:
            print(f"--- {path}\n{text.read()[:10000]}")
    assert not found, "a sanitizer has found something"


@pytest.fixture
def world(make_world):
    return make_world()


@pytest.fixture
def root(tmp_path):
    """Of an archive, empty."""
    place = tmp_path / "archive"
    place.mkdir()
    return str(place)
