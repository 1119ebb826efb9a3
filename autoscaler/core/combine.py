"""Several proposals to one: the highest wins, and failing metrics block scaling down only."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from autoscaler.core.model import Proposal


class Combined(msgspec.Struct, frozen=True):
    """The merged proposal.

    Attributes:
        replicas: The highest proposal, which negative metric values can make negative; None = the
            metrics may not be acted upon (or there are none).
        chosen: The metric that asks for the most; None when no metric gave a proposal.
        first_failure: The first metric that failed.
        failures: How many failed.
    """

    replicas: int | None
    chosen: Proposal | None = None
    first_failure: Proposal | None = None
    failures: int = 0


def combine(proposals: Sequence[Proposal], current: int) -> Combined:
    """Merge the proposals of all metrics.

    With some metrics failing, the others may scale up or hold, never down: a failing metric could
    be the one that needs the replicas.

    Args:
        proposals: In policy order.
        current: ``spec.replicas``.
    """
    best = 0
    chosen = first_failure = None
    failures = 0
    for proposal in proposals:
        replicas = proposal.replicas
        if replicas is None:
            failures += 1
            if first_failure is None:
                first_failure = proposal
        elif chosen is None or best == 0 or replicas > best:
            best = replicas
            chosen = proposal
    if chosen is None or (failures and best < current):
        return Combined(None, chosen, first_failure, failures)
    return Combined(best, chosen, first_failure, failures)
