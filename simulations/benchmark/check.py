"""Whether a run of the benchmark gives, to the last bit, what a folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from simulations.benchmark.result import Result
from simulations.benchmark.worlds import Row


def first_difference(found: Sequence[Result | Row], kept: Sequence[Result | Row]) -> str:
    """Say where two lists of runs part, empty = they are equal in every bit.

    Args:
        found: Now, in the order of the file.
        kept: In the folder.
    """
    for number, (new, old) in enumerate(zip_longest(found, kept)):
        if new is None or old is None:
            return f"{len(found)} runs, the folder has {len(kept)}"
        for name in new.__struct_fields__:
            one, other = getattr(new, name), getattr(old, name, None)
            if one != other:
                return f"run {number}, {_where(new)}: {name} is {one}, the folder has {other}"
    return ""


def _where(run: Result | Row) -> str:
    if isinstance(run, Row):
        return f"{run.world}, {run.title}"
    where = (run.policy, run.trace, run.profile, run.variant, f"seed {run.seed}")
    return ", ".join(part for part in where if part)
