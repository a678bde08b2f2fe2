"""Hosts that are near: what no page of the internet can have for a name of its own.

DNS rebinding needs one: the page's own name is led to us after the page was loaded, so that its browser takes us for
the page's origin and lets it read, and write, as it likes. An address is nobody's name, one without a dot is nobody's
to register (containers, Kubernetes' services), and the endings below are in no public DNS.
"""

import re
from ipaddress import AddressValueError, IPv4Address
from typing import Final

# RFC 6761 (localhost), ICANN's reservation of 2024 (internal), Kubernetes' own (svc, cluster.local).
_NEAR: Final = re.compile(r"[a-z0-9_-]+(?:(?:\.[a-z0-9_-]+)*\.(?:localhost|internal|svc|cluster\.local))?", re.ASCII)


def is_near(name: str) -> bool:
    """Of a host in lower case, without its port, that is written correctly."""
    return name.startswith("[") or _NEAR.fullmatch(name) is not None or _is_ipv4(name)


def _is_ipv4(name: str) -> bool:
    try:
        IPv4Address(name)
    except AddressValueError:
        return False
    return True
