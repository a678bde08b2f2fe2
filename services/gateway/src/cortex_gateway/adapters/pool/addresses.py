"""Where a service's replicas are: addresses by commas, and names that stand for several.

A name is resolved anew every few seconds, in a thread of the loop's, and a resolution that fails changes nothing. Of a
name's addresses those of one family are taken, IPv4 first: the same replica is not to be counted once for each.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

RESOLVED_EVERY: Final = 5.0  # seconds
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """`host` is where to connect to: a name or an IP address; `name` what a certificate must be for; `authority` what
    `Host` says."""

    host: str
    port: int
    secure: bool
    name: str
    authority: str

    @property
    def is_name(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False


def read_addresses(text: str) -> list[Address]:
    """`http://one:3001,http://two:3001`. Raises ValueError for what is no address."""
    return [_read(part.strip()) for part in text.split(",") if part.strip()]


def _read(text: str) -> Address:
    url = urlsplit(text)
    if url.scheme not in _PORTS or url.hostname is None or url.username is not None or url.path not in ("", "/"):
        raise ValueError("an address is http:// or https:// with a host, and perhaps a port")
    host = url.hostname
    return Address(host, url.port or _PORTS[url.scheme], url.scheme == "https", host, url.netloc)


async def resolve(address: Address) -> Sequence[Address]:
    """What a name stands for now; an IP address stands for itself. Raises OSError."""
    if not address.is_name:
        return [address]
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    hosts = [str(sockaddr[0]) for family, *_, sockaddr in found if family == socket.AF_INET] or [
        str(sockaddr[0]) for family, *_, sockaddr in found if family == socket.AF_INET6
    ]
    return [replace(address, host=host) for host in sorted(set(hosts))]
