"""What the tests share: a real PostgreSQL, wherever one can be had, and an S3 server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

pytest.register_assert_rewrite("framework.testing")
settings.register_profile("same", derandomize=True, database=None)  # what failed once can be seen again by anyone
settings.load_profile("same")


def _in_a_container(stack: ExitStack) -> str | None:
    """The address of a server in a container; None without testcontainers or a Docker engine that answers."""
    try:
        import docker
        from docker.errors import DockerException
        from testcontainers.postgres import PostgresContainer
    except ImportError:
        return None
    try:
        docker.from_env(timeout=2).ping()
    except (DockerException, OSError):
        return None
    server = stack.enter_context(PostgresContainer("postgres:18", driver=None))
    return str(server.get_connection_url())


def _embedded(stack: ExitStack) -> str:
    from implementations.storage.postgres_embedded import EmbeddedPostgres

    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="millpond-"))
    server = EmbeddedPostgres(Path(folder) / "postgres")
    stack.callback(server.stop)
    return str(server.url())


@pytest.fixture
def modules_as_before(tmp_path: Path) -> Iterator[None]:
    """What a test imports from a workspace of its own is gone after it."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    here = {n for n, module in sys.modules.items() if str(getattr(module, "__file__", "")).startswith(str(tmp_path))}
    tops = {name.split(".")[0] for name in here} | {"modules", "plugins"}
    for name in [name for name in sys.modules if name.split(".")[0] in tops]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server's address: TEST_POSTGRES_URL, else a container's, else the embedded one's, stopped at the end."""
    with ExitStack() as stack:
        yield os.environ.get("TEST_POSTGRES_URL") or _in_a_container(stack) or _embedded(stack)


@pytest.fixture
def postgres_schema(postgres_url: str) -> Iterator[str]:
    """The name of a schema for one test, which is dropped afterwards."""
    name = f"test_{uuid4().hex[:12]}"
    yield name
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '10s'; SET client_min_messages = warning")
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3 server, a process of its own, stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.fail("the S3 server did not start within 30 s")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)
