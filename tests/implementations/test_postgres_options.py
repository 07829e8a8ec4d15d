"""Options of the postgres store: TLS, timeouts, several instances."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg.conninfo import conninfo_to_dict

from framework import DataFactory, as_settings
from framework.errors import OptionError, UnavailableError
from framework.testing import assert_same

FRAME = pd.DataFrame({"a": [1, 2, 3]})
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
    paths[1].chmod(0o600)
    return paths


class Tls:
    """Ends TLS in front of a server, as a pooler does: the embedded PostgreSQL itself is built without."""

    def __init__(self, url: str, chain: Path, key: Path, clients: Path | None = None) -> None:
        self._behind = conninfo_to_dict(url)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(chain, key)
        if clients is not None:
            self._context.load_verify_locations(clients)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self) -> str:
        user, name = self._behind.get("user", "postgres"), self._behind.get("dbname", "postgres")
        password = f":{self._behind['password']}" if self._behind.get("password") else ""
        return f"postgresql://{user}{password}@127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        self._door.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=[self._door.accept()[0]], daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain:
            if plain.recv(8, socket.MSG_WAITALL) != SSL_REQUEST:
                return
            plain.sendall(b"S")
            with self._context.wrap_socket(plain, server_side=True) as client, self._connected() as server:
                threading.Thread(target=pass_on, args=[server, client], daemon=True).start()
                pass_on(client, server)

    def _connected(self) -> socket.socket:
        host, port = str(self._behind["host"]), int(self._behind.get("port") or 5432)
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def make(postgres_url: str, postgres_schema: str, tmp_path: Path) -> Iterator[Any]:
    """Makes stores of the test's schema, and closes them."""
    made: list[Any] = []

    def store(**options: Any) -> Any:
        settings = as_settings({"DB_URL": postgres_url, "DB_SCHEMA": postgres_schema}, workspace=tmp_path)
        made.append(DataFactory(settings).create_store("postgres", **options))
        return made[-1]

    yield store
    for each in made:
        each.close()


@pytest.fixture
def tls(postgres_url: str, tmp_path: Path) -> Iterator[Tls]:
    """A server with TLS whose certificate is server.crt of the workspace."""
    server = Tls(postgres_url, *certificate(tmp_path, "server"))
    yield server
    server.close()


# --------------------------------------------------------------------------- TLS


def test_a_server_that_is_vouched_for_is_used_with_tls(make: Any, tls: Tls) -> None:
    """Writing, reading, chunks: both drivers check the certificate and the name; a path starts at the workspace."""
    store = make(url=tls.url(), sslmode="verify-full", sslrootcert="server.crt")
    store.save_data(FRAME, "d")
    assert_same(FRAME, store.get_data("d"))
    assert_same(FRAME, *store.iter_data("d"))


def test_a_server_that_nobody_vouches_for_is_refused(make: Any, tls: Tls, tmp_path: Path) -> None:
    """A certificate of somebody else's is an error that says so, and nothing is sent."""
    certificate(tmp_path, "other")
    store = make(url=tls.url(), sslmode="verify-full", sslrootcert="other.crt")
    with pytest.raises(UnavailableError, match="certificate"):
        store.list_sources()
    with pytest.raises(UnavailableError, match="certificate"), store._readers.use():
        pass
    assert not store.health_check()


def test_a_certificate_for_another_name_is_refused(make: Any, tls: Tls) -> None:
    """verify-full holds the name against the certificate."""
    store = make(url=tls.url().replace("127.0.0.1", "localhost"), sslmode="verify-full", sslrootcert="server.crt")
    with pytest.raises(UnavailableError, match="localhost"):
        store.list_sources()


def test_a_client_shows_its_certificate(make: Any, postgres_url: str, tmp_path: Path) -> None:
    """A server that asks for one gets it; without it there is no connection."""
    client, _ = certificate(tmp_path, "client")
    server = Tls(postgres_url, *certificate(tmp_path, "server"), clients=client)
    trust = {"url": server.url(), "sslmode": "verify-ca", "sslrootcert": "server.crt"}
    store = make(**trust, sslcert="client.crt", sslkey="client.key")
    store.save_data(FRAME, "d")
    assert_same(FRAME, store.get_data("d"))
    with pytest.raises(UnavailableError):
        make(**trust).list_sources()
    server.close()


# --------------------------------------------------------------------------- timeouts


@pytest.mark.timeout(60)
def test_a_statement_that_takes_too_long_is_stopped(make: Any, postgres_url: str, postgres_schema: str) -> None:
    """In both drivers, with an error that names the option; the store goes on."""
    store = make(statement_timeout=0.5)
    store.save_data(FRAME, "d")
    with psycopg.connect(postgres_url, autocommit=True) as raw:
        raw.execute(f'CREATE VIEW "{postgres_schema}".slow AS SELECT pg_sleep(30)::text AS s')
    for read in (store.get_data, lambda name: next(store.iter_data(name))):
        with pytest.raises(UnavailableError, match="statement_timeout"):
            read("slow")
    assert_same(FRAME, store.get_data("d"))


@pytest.mark.timeout(60)
def test_chunks_may_be_taken_slowly(make: Any) -> None:
    """What whoever takes them does in between is no statement of the server's."""
    store = make(statement_timeout=0.3)
    store.save_data(FRAME, "d")
    for chunk in store.iter_data("d", chunk_rows=1):
        time.sleep(0.2)
        assert len(chunk) == 1


@pytest.mark.timeout(60)
def test_a_server_that_never_answers_is_given_up(make: Any) -> None:
    """After connect_timeout seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = make(url=f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d", connect_timeout=2)
        with pytest.raises(UnavailableError, match="timeout"):
            store.list_sources()


@pytest.mark.parametrize(
    "option",
    [{"statement_timeout": 0}, {"statement_timeout": -1}, {"connect_timeout": 0}, {"sslmode": "maybe"}, {"schema": ""}],
    ids=repr,
)
def test_an_option_that_cannot_be_is_refused(make: Any, option: dict[str, Any]) -> None:
    """When the store is made."""
    with pytest.raises(OptionError, match=next(iter(option))):
        make(**option)


# --------------------------------------------------------------------------- instances


def test_two_instances_of_one_file_are_two_places(
    postgres_url: str, postgres_schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its own schema and options, and neither sees what the other holds."""
    monkeypatch.setenv("CRM_URL", postgres_url)
    (tmp_path / "millpond.yaml").write_text(
        f"stores:\n  crm: {{type: postgres, url: '${{CRM_URL}}', schema: {postgres_schema}, statement_timeout: 60}}\n"
        f"  lab: {{type: postgres, url: '${{CRM_URL}}', schema: {postgres_schema}_b}}\n"
    )
    factory = DataFactory(as_settings(None, workspace=tmp_path))
    crm, lab = factory.create_store("crm"), factory.create_store("lab")
    try:
        crm.save_data(FRAME, "d")
        assert lab.list_sources() == []
        lab.save_data(FRAME * 2, "d")
        assert_same(FRAME, crm.get_data("d"))
        assert_same(FRAME * 2, lab.get_data("d"))
    finally:
        crm.close()
        lab.close()
        with psycopg.connect(postgres_url, autocommit=True) as raw:
            raw.execute(f'DROP SCHEMA IF EXISTS "{postgres_schema}_b" CASCADE')
