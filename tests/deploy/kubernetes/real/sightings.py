"""What a run has seen, as the table it ends with."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Sightings:
    rows: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, what: str, figure: object) -> None:
        self.rows.append((what, str(figure)))

    def table(self) -> list[str]:
        if not self.rows:
            return []
        wide = max(len(what) for what, _ in self.rows)
        return ["", "what the cluster showed", *(f"  {what:<{wide}}  {figure}" for what, figure in self.rows)]
