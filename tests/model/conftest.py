"""Fixtures of the tests here: a Redis with the functions, empty before each test."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import functions  # noqa: E402


@pytest.fixture(scope="module")
def server():
    server = functions.Server()
    server.load_functions()
    yield server
    server.stop()


@pytest.fixture
def f(server):
    server.client.flushall()
    return functions.Functions(server.client)
