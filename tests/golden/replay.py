"""Replay of golden vectors: which function checks which group, and the counts it adds up to.

A group's replay function takes one case and returns ``None`` when our result equals the recorded
one, a :class:`Differs` when a committed rule says we deliberately do otherwise, or a
:class:`NotCovered` when the product has no such part yet. It raises ``AssertionError`` otherwise.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Case = Mapping[str, Any]


@dataclass(frozen=True)
class Differs:
    """The case falls under a deliberate difference; ``rule`` is its key in ``differences.py``."""

    rule: str


@dataclass(frozen=True)
class NotCovered:
    """Nothing in the product answers this case yet; ``why`` groups such cases in the summary."""

    why: str


Outcome = Differs | NotCovered | None
Replay = Callable[[Case, Mapping[str, Any]], Outcome]

GROUPS: dict[str, Replay] = {}
"""Replay function by group: ``hpa/<group>`` or ``keda/<first part of the case id>``."""


def replays(*groups: str) -> Callable[[Replay], Replay]:
    """Register a replay function ``f(case, document)`` for groups."""

    def register(function: Replay) -> Replay:
        for group in groups:
            assert group not in GROUPS, group
            GROUPS[group] = function
        return function

    return register


@dataclass
class Tally:
    """Counts over one file."""

    passed: int = 0
    failed: int = 0
    differing: Counter[str] = field(default_factory=Counter)
    not_covered: Counter[str] = field(default_factory=Counter)


def vector_files(root: Path) -> Iterator[Path]:
    """Yield every vector file below ``root``, in a stable order."""
    yield from sorted(p for p in root.rglob("*.json*") if p.name.endswith((".json", ".json.gz")))


def load(path: Path) -> dict[str, Any]:
    """Return the document in a plain or gzipped JSON file."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    document: dict[str, Any] = json.loads(data)
    return document


def group_of(document: Mapping[str, Any], case: Case) -> str:
    """Return the group a case belongs to."""
    if "kubernetes_version" in document:
        return f"hpa/{document['group']}"
    return f"keda/{str(case['id']).split('/')[0]}"


def replay_file(path: Path, *, failures_shown: int = 12) -> tuple[Tally, list[str]]:
    """Replay one file.

    Returns:
        The counts and the first failures as text.
    """
    document = load(path)
    tally, failures = Tally(), []
    for case in document.get("cases", ()):
        group = group_of(document, case)
        replay = GROUPS.get(group)
        if replay is None:
            tally.not_covered[f"no replay for {group}"] += 1
            continue
        try:
            outcome = replay(case, document)
        except AssertionError as error:
            tally.failed += 1
            if len(failures) < failures_shown:
                failures.append(f"{case.get('name') or case.get('id')}: {error}")
            continue
        match outcome:
            case Differs(rule):
                tally.differing[rule] += 1
            case NotCovered(why):
                tally.not_covered[why] += 1
            case None:
                tally.passed += 1
    return tally, failures
