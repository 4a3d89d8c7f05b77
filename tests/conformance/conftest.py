# SPDX-License-Identifier: Apache-2.0
import pytest

from batch import Batches, load_script
from server import Server


@pytest.fixture(scope="session")
def script():
    return load_script()


@pytest.fixture(scope="session")
def shared_server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def client(shared_server):
    client = shared_server.connect()
    client("FLUSHALL")
    client("CONFIG", "SET", "maxmemory", "0")
    client("SCRIPT", "FLUSH")
    yield client
    client.close()


@pytest.fixture
def batches(client, script):
    """A Redis on which an incarnation has begun, without a recovery window."""
    batches = Batches(client, script)
    batches.run()
    return batches
