"""`python -m scripts.dashboards`: writes whatever is made of the services' figures. `--check` says what would change.

Exits 0, or with `--check` 1 where a file is not as it would be written.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.dashboards import inventory

ROOT = Path(__file__).resolve().parents[2]


def made(*, folder: Path = ROOT) -> Mapping[Path, str]:
    """Each file with its text. The inventory in `folder` is what it is made of."""
    from scripts.dashboards import reference, rules  # late: reads the inventory, which may just have been written
    from scripts.dashboards.grafana import to_json
    from scripts.dashboards.services import all_boards

    observability = folder / "observability"
    families = inventory.from_text((observability / "metrics.json").read_text(encoding="utf-8"))
    dashboards = {observability / "grafana" / "dashboards" / f"{each.uid}.json": to_json(each) for each in all_boards()}
    return {
        **dashboards,
        observability / "prometheus" / "rules" / "cortex.yml": rules.rules(),
        observability / "prometheus" / "tests" / "cortex.yml": rules.unit_tests(),
        folder / "docs" / "deploy" / "alerts.md": rules.page(),
        folder / "docs" / "deploy" / "metrics.md": reference.page(families),
    }


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m scripts.dashboards", description=__doc__)
    options.add_argument("--check", action="store_true", help="write nothing; exit 1 where something would change")
    check = options.parse_args().check
    families = inventory.to_text(inventory.ask_services())
    stale = _put({ROOT / "observability" / "metrics.json": families}, check=check)
    if not (check and stale):
        stale += _put(made(), check=check)
    for path in stale:
        print(f"{path.relative_to(ROOT)} {'is not what `make dashboards` writes' if check else 'written'}")
    return 1 if check and stale else 0


def _put(files: Mapping[Path, str], *, check: bool) -> list[Path]:
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if not check:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
