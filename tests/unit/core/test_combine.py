"""Merging proposals of several metrics."""

from __future__ import annotations

from autoscaler.core.combine import combine
from autoscaler.core.model import Proposal


def bad(name: str = "bad") -> Proposal:
    """Return a failed proposal."""
    return Proposal(name, None, error="down", error_reason="FailedGetExternalMetric")


def test_the_highest_proposal_wins() -> None:
    """Several metrics never average; the first of equals is named."""
    combined = combine([Proposal("a", 3), Proposal("b", 7), Proposal("c", 7)], 5)
    assert combined.replicas == 7
    assert combined.chosen is not None
    assert combined.chosen.metric == "b"


def test_a_failure_blocks_scaling_down_only() -> None:
    """The others may scale up or hold, but not go below the current count."""
    assert combine([bad(), Proposal("a", 7)], 5).replicas == 7
    assert combine([bad(), Proposal("a", 5)], 5).replicas == 5
    blocked = combine([bad("x"), Proposal("a", 4), bad("y")], 5)
    assert blocked.replicas is None
    assert blocked.first_failure is not None
    assert (blocked.first_failure.metric, blocked.failures) == ("x", 2)


def test_nothing_usable_proposes_nothing() -> None:
    """All metrics failing, or none configured, is no proposal of zero."""
    assert combine([bad()], 0).replicas is None
    assert combine([], 5).replicas is None


def test_negative_proposals_are_outdone_by_zero() -> None:
    """A negative metric value proposes less than nothing until another metric asks."""
    assert combine([Proposal("a", -3)], 5).replicas == -3
    assert combine([Proposal("a", -3), Proposal("b", 0)], 5).replicas == 0
