"""Keys in memory, a clock to turn by hand, and somebody who may administer them."""

import pytest

from cortex_core.kernel.principal import Principal
from cortex_core.security.api_keys import KeyDesk, MemoryApiKeys, Peppers
from cortex_core.testing import FakeClock

PEPPER = "p" * 31 + "1"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def peppers() -> Peppers:
    return Peppers.of(PEPPER)


@pytest.fixture
def keys(clock: FakeClock) -> MemoryApiKeys:
    return MemoryApiKeys(clock=clock)


@pytest.fixture
def admin() -> Principal:
    scopes = frozenset({"keys:admin", "orders:read", "files:read"})
    return Principal("root", "acme", scopes, method="jwt")


@pytest.fixture
def desk(keys: MemoryApiKeys, peppers: Peppers, clock: FakeClock) -> KeyDesk:
    return KeyDesk(keys, peppers, plans={"free", "pro"}, clock=clock)
