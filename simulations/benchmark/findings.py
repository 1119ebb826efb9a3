"""All a report is made of: the files the benchmark writes into its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from simulations.benchmark.result import Results, read_results
from simulations.benchmark.worlds import Row, read_worlds

FILES: Final = {
    "default": "results.json.gz",
    "tuned": "tuned.json.gz",
    "sets": "sets.json.gz",
    "worlds": "worlds.json",
}
"""File of each track."""


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What the tracks found.

    Attributes:
        default: One configuration of everybody for all traces.
        tuned: Everybody's main knob swept.
        sets: Other sizes and services.
        worlds: Scenarios of exact replay.
    """

    default: Results
    tuned: Results
    sets: Results
    worlds: list[Row]


def read_findings(folder: Path) -> Findings:
    """Return what is in a folder."""
    return Findings(
        default=read_results(folder / FILES["default"]),
        tuned=read_results(folder / FILES["tuned"]),
        sets=read_results(folder / FILES["sets"]),
        worlds=read_worlds(folder / FILES["worlds"]),
    )
