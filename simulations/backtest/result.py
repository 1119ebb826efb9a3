"""What comes out of a backtest."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from simulations.engine.run import Run
from simulations.score.score import Score

POLICY: Final = "policy"
ACTUAL: Final = "actual"


class PlayedLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Where the load came from.

    Attributes:
        query: PromQL; empty when there is a trace alone.
        is_triggers: Whether it is the query of the first trigger.
        mean_seconds: Each value is a mean over this time: shorter bursts are not in it.
    """

    query: str
    is_triggers: bool
    mean_seconds: float


class Gaps(msgspec.Struct, frozen=True, kw_only=True):
    """Instants at which the query of a trigger gave no result.

    Attributes:
        trigger: Position.
        instants: How many.
        of: All instants.
        taken_for: What the live scaler takes them for; None = for errors.
    """

    trigger: int
    instants: int
    of: int
    taken_for: float | None


class Paid(StrEnum):
    """Which pods both sides pay for, beside those that drain."""

    CREATED = "created"
    """From their creation on, start-up included."""
    READY = "ready"
    """From when they are ready: nobody recorded more, or how long a start-up takes is not known."""


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """What came out.

    Attributes:
        policy: The run of the policy.
        actual: What really happened; None when nothing recorded it.
        scores: Of both; what depends on the service is NaN when that is not known.
        load: What was played as the load.
        gaps: Of each trigger that has some.
        paid: From when on the pods of both are paid for.
        knows_service: Whether violations mean anything.
    """

    policy: Run
    actual: Run | None
    scores: tuple[Score, ...]
    load: PlayedLoad
    gaps: tuple[Gaps, ...]
    paid: Paid
    knows_service: bool
