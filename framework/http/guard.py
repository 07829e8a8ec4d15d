"""Where a connection may go, and when it is cut."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from framework.errors import FetchError

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """True for an address of the public internet, also when it is wrapped in IPv6 (mapped, 6to4, NAT64, Teredo)."""
    place = ipaddress.ip_address(address.split("%")[0])
    if isinstance(place, ipaddress.IPv6Address):
        inner = place.ipv4_mapped or place.sixtofour or (place.teredo[1] if place.teredo else None)
        if place in _NAT64:
            inner = ipaddress.IPv4Address(int(place) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return place.is_global and not (place.is_multicast or place.is_reserved)


class Guard:
    """Resolves a name and answers with addresses that may be connected to.

    Parameters
    ----------
    allow_hosts : iterable of str
        `host` or `host:port` that may have private addresses.
    """

    def __init__(self, allow_hosts: Iterable[str]) -> None:
        self._allowed = {host.casefold() for host in allow_hosts}

    def addresses(self, host: str, port: int) -> list[str]:
        """All addresses of the name; FetchError if one of them is not public and the host is not allowed."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(place[4][0]) for place in found))
        if not self._allows(host, port) and not all(is_public(address) for address in addresses):
            raise FetchError(
                f"{host} has an address that is not public; it is not connected to.",
                cure="If it is meant, name the host in the setting or argument that holds the site's URL.",
                resource=host,
            )
        return addresses

    def _allows(self, host: str, port: int) -> bool:
        bare = host.strip("[]")
        named = (f"[{bare}]" if ":" in bare else bare).casefold()
        return named in self._allowed or f"{named}:{port}" in self._allowed


class GuardedAdapter(HTTPAdapter):
    """Carries requests over connections that a Guard has agreed to.

    With a proxy it is the proxy that connects, and the proxy decides where to.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        super().__init__(pool_maxsize=32)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        guard = {"guard": self._guard}
        plain = type("GuardedHTTP", (_GuardedConnection,), guard)
        secure = type("GuardedHTTPS", (_GuardedConnection, HTTPSConnection), guard)
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("GuardedPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("GuardedPool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
        }


_exchange = threading.local()  # deadline and sockets of this thread's request


@contextmanager
def watched(deadline: float) -> Iterator[None]:
    """Cut this thread's connection at the deadline: a server that sends a byte now and then never times out itself."""
    sockets: list[socket.socket] = []

    def cut() -> None:
        for sock in sockets:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), cut)
    timer.daemon = True
    _exchange.deadline, _exchange.sockets = deadline, sockets
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _GuardedConnection(HTTPConnection):
    """Connects to the very addresses that were checked, so that a name cannot mean another one a moment later."""

    guard: Guard

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        last: Exception = OSError("the name has no address")
        try:
            for address in self.guard.addresses(self.host, self.port):
                self._dns_host = address
                self.timeout = max(0.001, min(float(self.timeout or 60), _exchange.deadline - time.monotonic()))
                try:
                    return super()._new_conn()
                except HTTPError as error:
                    last = error
        finally:
            self._dns_host = name
        raise last

    def getresponse(self) -> Any:
        if self.sock is not None:
            _exchange.sockets.append(self.sock)
        return super().getresponse()
