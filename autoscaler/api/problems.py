"""What is wrong with an object, all of it at once.

A :class:`Problem` points at one field with Kubernetes' own path notation
(``spec.triggers[1].metadata.listLength``) and says what was found and what is accepted.
:class:`InvalidObject` carries every problem of one object, so that a user corrects a manifest in
one round.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec
from typing_extensions import override

from autoscaler.errors import ConfigError, shorten

SHOWN_LIMIT = 60
"""Characters of an offending value that a message repeats."""

SECRET_WORDS = ("token", "password", "secret", "credential")


class ProblemReason(StrEnum):
    """Kind of problem, in the words the Kubernetes API uses for field errors."""

    REQUIRED = "Required"
    INVALID = "Invalid"
    NOT_SUPPORTED = "NotSupported"
    FORBIDDEN = "Forbidden"
    DUPLICATE = "Duplicate"
    UNKNOWN = "Unknown"


class Problem(msgspec.Struct, frozen=True):
    """One thing wrong with one field.

    Attributes:
        field: Path inside the object; empty when the object as a whole is meant.
        message: What was found and what is accepted, without the path.
        reason: Kind of problem.
        is_warning: The object works all the same; only ``validate`` mentions it.
    """

    field: str
    message: str
    reason: ProblemReason = ProblemReason.INVALID
    is_warning: bool = False

    @override
    def __str__(self) -> str:
        """Return ``path: message``."""
        return f"{self.field}: {self.message}" if self.field else self.message


class InvalidObject(ConfigError):
    """An object that cannot be acted on until its author changes it.

    Attributes:
        problems: Every problem found, in field order; never empty.
    """

    reason = "InvalidObject"

    def __init__(self, problems: Sequence[Problem], *, subject: str = "") -> None:
        assert problems, "an invalid object has at least one problem"
        text = "; ".join(map(str, problems))
        super().__init__(f"{subject}: {text}" if subject else text, field=problems[0].field)
        self.problems = tuple(problems)
        self.subject = subject


class Path(tuple[str | int, ...]):
    """A field's place: keys and list indexes from the top of the object."""

    __slots__ = ()

    def __truediv__(self, step: str | int) -> Path:
        """Return the path one step deeper."""
        return Path((*self, step))

    @override
    def __str__(self) -> str:
        """Return Kubernetes' notation, e.g. ``spec.metrics[0].external.target.value``."""
        text = ""
        for step in self:
            if isinstance(step, int):
                text += f"[{step}]"
            elif step.replace("_", "").replace("-", "").isalnum():
                text += f".{step}" if text else step
            else:
                text += f"[{step}]"
        return text


def required(path: Path, message: str) -> Problem:
    """Return the problem of a field that is missing or empty."""
    return Problem(str(path), message, ProblemReason.REQUIRED)


def invalid(path: Path, message: str, value: object) -> Problem:
    """Return the problem of a value outside the accepted form; the message repeats the value."""
    return Problem(str(path), f"{message}, got {shown(value, path)}", ProblemReason.INVALID)


def forbidden(path: Path, message: str) -> Problem:
    """Return the problem of a field that must not be set here."""
    return Problem(str(path), message, ProblemReason.FORBIDDEN)


def not_supported(path: Path, value: object, accepted: Iterable[str]) -> Problem:
    """Return the problem of a value outside a closed set, with the nearest accepted one."""
    names = sorted(accepted)
    hint = did_you_mean(value, names) if isinstance(value, str) else ""
    return Problem(
        str(path),
        f"must be one of {', '.join(names)}, got {shown(value, path)}{hint}",
        ProblemReason.NOT_SUPPORTED,
    )


def duplicate(path: Path, message: str) -> Problem:
    """Return the problem of a value that must be unique and is not."""
    return Problem(str(path), message, ProblemReason.DUPLICATE)


def shown(value: object, path: Path | None = None) -> str:
    """Return a value as a message may show it: JSON, short, nothing that looks secret."""
    if path and any(word in str(path[-1]).lower() for word in SECRET_WORDS):
        return "a value not shown here"
    return shorten(json.dumps(value, default=str, ensure_ascii=False), SHOWN_LIMIT)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean "…"?)`` for the nearest known word, or an empty text."""
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.7)
    return f' (did you mean "{folded[close[0]]}"?)' if close else ""
