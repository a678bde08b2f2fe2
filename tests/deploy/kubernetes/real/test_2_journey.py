"""The demonstration's journey through a port-forward, as production has it: with the token of the Secret."""

from pathlib import Path

from .release import Release
from .sightings import Sightings


def test_the_journey_passes(hub: Release, seen: Sightings, tmp_path: Path) -> None:
    with hub.open() as door:
        shown = door.demo(tmp_path)

    assert shown.returncode == 0, shown.stdout[-3000:] + shown.stderr[-1000:]
    seen("`cortex demo` with CORTEX_TOKEN through a port-forward", shown.stdout.strip().splitlines()[-1][:100])


def test_nobody_in_particular_is_refused(hub: Release) -> None:
    import urllib.error
    import urllib.request

    with hub.namespace.forwarded("service/hub-gateway", 3000) as url:
        try:
            status = urllib.request.urlopen(f"{url}/api/orders", timeout=20).status
        except urllib.error.HTTPError as refused:
            status = refused.code

    assert status == 401
