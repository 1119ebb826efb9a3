"""A Dockerfile as far as ours goes: stages, what they copy and run, and what starts in the end."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

KNOWN = ("COPY", "RUN", "WORKDIR", "ENV", "USER", "EXPOSE", "LABEL", "ENTRYPOINT", "CMD")


class Instruction(NamedTuple):
    """One line.

    Attributes:
        name: In capitals.
        text: What follows, continued lines joined.
    """

    name: str
    text: str


class Stage(NamedTuple):
    """``FROM`` and what follows it.

    Attributes:
        base: Image, with arguments filled in.
        name: After ``AS``, empty for the last one.
        instructions: In order.
    """

    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def texts(self, name: str) -> list[str]:
        """Return what follows every instruction of a name."""
        return [one.text for one in self.instructions if one.name == name]

    def only(self, name: str) -> str:
        """Return what follows the one instruction of a name."""
        (text,) = self.texts(name)
        return text

    @property
    def environment(self) -> dict[str, str]:
        """The variables of ``ENV``."""
        words = [word for text in self.texts("ENV") for word in shlex.split(text)]
        return dict(word.split("=", 1) for word in words)

    @property
    def command(self) -> list[str]:
        """What a container runs unless told otherwise."""
        entry, command = json.loads(self.only("ENTRYPOINT")), json.loads(self.only("CMD"))
        return [*entry, *command]


def read_dockerfile(text: str) -> list[Stage]:
    """Return the stages; an instruction this does not know is an error."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for name, rest in _instructions(text):
        if name == "ARG":
            assert not stages, "arguments stand before the first stage"
            key, _, value = rest.partition("=")
            arguments[key] = value
        elif name == "FROM":
            base, _, stage = rest.partition(" AS ")
            stages.append(Stage(_filled(base, arguments), stage, ()))
        else:
            assert name in KNOWN, f"{name} is not understood"
            last = stages.pop()
            added = (*last.instructions, Instruction(name, rest))
            stages.append(last._replace(instructions=added))
    return stages


def is_in_context(path: str, ignore: Sequence[str]) -> bool:
    """Tell whether a file reaches the builder.

    Args:
        path: Relative to the project's folder.
        ignore: The rules of ``.dockerignore``; the last one that applies decides.
    """
    parts = path.split("/")
    heads = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    included = True
    for rule in ignore:
        pattern = rule.removeprefix("!")
        if pattern.startswith("**/"):
            applies = any(fnmatch(part, pattern.removeprefix("**/")) for part in parts)
        else:
            # A folder that is left out takes along what is in it.
            applies = any(fnmatch(head, pattern) for head in heads)
        if applies:
            included = rule.startswith("!")
    return included


def ignore_rules(text: str) -> list[str]:
    """Return the rules of a ``.dockerignore``."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def files_copied(project: Path, source: str, ignore: Sequence[str]) -> list[str]:
    """Return the files one ``COPY`` source stands for, relative to the project."""
    found = project / source
    paths = [found] if found.is_file() else sorted(found.rglob("*"))
    names = [path.relative_to(project).as_posix() for path in paths if path.is_file()]
    return [name for name in names if is_in_context(name, ignore)]


def _instructions(text: str) -> list[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = []
    for line in joined.splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            found.append(Instruction(name.upper(), " ".join(rest.split())))
    return found


def _filled(text: str, arguments: Mapping[str, str]) -> str:
    for name, value in arguments.items():
        text = text.replace(f"${{{name}}}", value)
    return text
