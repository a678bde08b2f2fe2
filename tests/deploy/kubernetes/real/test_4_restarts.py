"""20 pods replaced under load: no request fails. With drain and preStop off, the same load sees failures."""

from .page import do
from .release import Release
from .sightings import Sightings

AT_ONCE = (
    "serviceDefaults.preStopSeconds=0",
    "serviceDefaults.settings.drainDelay=0",
    "serviceDefaults.settings.shutdownGrace=1",
)


def test_twenty_restarts_fail_no_request(hub: Release, seen: Sightings) -> None:
    with hub.under_load() as clients:
        do("Restart", hub.namespace)
        hub.settled("gateway", "order")
        replaced = 5  # three gateways and two orders, by the page's commands
        while replaced < 20:
            replaced += hub.restart("gateway", "order", "notification", "analytics", "storage", "compute")

    seen(f"{replaced} pods replaced under load", clients)
    assert clients.failed == 0, clients.failures
    seen("orders placed meanwhile", hub.end_of(clients.orders))


def test_without_a_drain_the_same_load_sees_failures(hub: Release, seen: Sightings) -> None:
    """The control: what counts nothing when there is nothing to count must count something when there is."""
    hub.upgrade(*(part for each in AT_ONCE for part in ("--set", each)))
    hub.settled("gateway", "order")
    try:
        with hub.under_load() as clients:
            replaced = 0
            while replaced < 9:
                replaced += hub.restart("gateway")
    finally:
        hub.upgrade()
        hub.settled("gateway", "order")

    seen(f"control: {replaced} gateways replaced without drain", clients)
    assert clients.failed > 0, "nothing failed without a drain: the load cannot see what a roll-out breaks"
