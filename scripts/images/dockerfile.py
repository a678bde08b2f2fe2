"""Rules for the Dockerfile, for machines that have no hadolint. `broken_rules(text)` names each breach and its line.

Knows the instructions that ours uses. Refuses to judge shell beyond how packages are installed in it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_SECRET: Final = re.compile(r"(^|_)(PASSWORD|PASSWD|SECRET|TOKEN|KEY|PEPPER|CREDENTIALS?)(S?$|_)", re.IGNORECASE)
_INSTALL: Final = re.compile(r"pip (install|sync)[^&|;]*")
_LABELS: Final = tuple(f"org.opencontainers.image.{it}" for it in ("title", "licenses", "version", "revision"))
_TARGET_NEEDS: Final = ("USER", "HEALTHCHECK", "EXPOSE", "LABEL")


@dataclass(frozen=True, slots=True)
class Instruction:
    line: int
    word: str
    rest: str


@dataclass(slots=True)
class Stage:
    """From one FROM to the next. `inherited`: what the stages it is built on say, first things first."""

    name: str
    line: int
    image: str
    own: list[Instruction] = field(default_factory=list)
    inherited: list[Instruction] = field(default_factory=list)

    @property
    def everything(self) -> list[Instruction]:
        return [*self.inherited, *self.own]

    @property
    def is_target(self) -> bool:
        return any(each.word == "ENTRYPOINT" for each in self.own)


def instructions(text: str) -> Iterator[Instruction]:
    """Each with the lines that continue it; comments left out."""
    start, so_far = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (line.strip() or so_far):
            continue
        start = start or number
        so_far += " " + line.strip().removesuffix("\\").strip()
        if not line.rstrip().endswith("\\"):
            word, _, rest = so_far.strip().partition(" ")
            yield Instruction(start, word.upper(), rest.strip())
            start, so_far = 0, ""


def stages(text: str) -> list[Stage]:
    found: list[Stage] = []
    for each in instructions(text):
        if each.word == "FROM":
            words = each.rest.split()
            stage = Stage(words[2] if len(words) == 3 else str(len(found)), each.line, words[0])
            parent = next((it for it in found if it.name == stage.image), None)
            stage.inherited = parent.everything if parent else []
            found.append(stage)
        elif found:
            found[-1].own.append(each)
    return found


def broken_rules(text: str) -> list[str]:
    """`line: what is wrong`, in the order of lines."""
    found = [*_bases(text), *_instructions(text)]
    for stage in stages(text):
        if stage.is_target:
            found += _target(stage)
    return [f"{line}: {what}" for line, what in sorted(found)]


def _bases(text: str) -> Iterator[tuple[int, str]]:
    defaults = dict(
        each.rest.split("=", 1) for each in instructions(text) if each.word == "ARG" and "=" in each.rest.split()[0]
    )
    names: set[str] = set()
    for stage in stages(text):
        image = re.sub(r"\$\{?(\w+)\}?", lambda found: defaults.get(found[1], ""), stage.image)
        if image != "scratch" and image not in names:
            _, _, tag = image.rpartition("/")[2].partition(":")
            if "@sha256:" not in image and tag in {"", "latest"}:
                yield stage.line, f"FROM {stage.image} has no tag of its own"
        names.add(stage.name)


def _instructions(text: str) -> Iterator[tuple[int, str]]:
    names: set[str] = set()
    for each in instructions(text):
        match each.word:
            case "FROM":
                names |= set(each.rest.split()[2:])
            case "ADD":
                yield each.line, "ADD fetches and unpacks: COPY says what comes in"
            case "ARG" | "ENV":
                named = re.findall(r"(\w+)(?==|$)", re.sub(r"=(\"[^\"]*\"|\S*)", "=", each.rest))
                yield from (
                    (each.line, f"{each.word} {name} would stay in the image") for name in named if _SECRET.search(name)
                )
            case "RUN":
                yield from ((each.line, what) for what in _run(each.rest))
            case "COPY":
                source = each.rest.split()[-2]
                stage = re.match(r"--from=(\S+)", each.rest)
                if stage and stage[1] not in names:
                    yield each.line, f"COPY --from={stage[1]} takes from no stage of this file"
                if not stage and source in {".", "./", "*"}:
                    yield each.line, "COPY . takes whatever lies there"
            case "WORKDIR" if not each.rest.startswith("/"):
                yield each.line, "WORKDIR is not absolute"
            case "ENTRYPOINT" | "CMD" | "HEALTHCHECK" if not _is_json(each.rest):
                yield each.line, f"{each.word} in shell form needs a shell, which would be process 1"


def _run(command: str) -> Iterator[str]:
    if command.startswith("--mount"):
        yield "RUN --mount is refused by the classic builder"
    for install in _INSTALL.finditer(command):
        if not re.search(r"--require-hashes|--no-index", install[0]):
            yield "packages are installed without --require-hashes"
    if re.search(r"\b(curl|wget)\b", command):
        yield "what is fetched by hand has no hash"
    if re.search(r"\bapt-get install\b(?!.*--no-install-recommends)", command):
        yield "apt-get install brings what is recommended, too"
    if re.search(r"\bsudo\b", command):
        yield "sudo in a build"


def _is_json(rest: str) -> bool:
    words = rest.partition("CMD ")[2] if "CMD " in rest else rest
    try:
        return isinstance(json.loads(words), list)
    except ValueError:
        return False


def _target(stage: Stage) -> Iterator[tuple[int, str]]:
    last = {each.word: each for each in stage.everything}
    yield from ((stage.line, f"{stage.name} has no {word}") for word in _TARGET_NEEDS if word not in last)
    user = last["USER"].rest.split(":")[0] if "USER" in last else "10001"
    if not user.isdigit() or int(user) == 0:
        yield last["USER"].line, f"{stage.name} runs as {user}: a number that is not 0 can be checked"
    labels = " ".join(each.rest for each in stage.everything if each.word == "LABEL")
    yield from ((stage.line, f"{stage.name} has no label {name}") for name in _LABELS if f"{name}=" not in labels)
    if any(each.word == "RUN" for each in stage.everything):
        yield stage.line, f"{stage.name} runs commands: what is built belongs into the builder"
