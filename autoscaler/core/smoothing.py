"""Smoothing of one trigger's values before they are compared with a target."""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.core.model import Policy, Reading, SmoothingState


def smooth(
    policy: Policy, state: Mapping[str, SmoothingState], readings: Mapping[str, Reading]
) -> tuple[Mapping[str, Reading], Mapping[str, SmoothingState]]:
    """Replace values by their average or median where a trigger asks for it.

    Errors pass through and leave the state alone; a reading seen before does not advance it.

    Args:
        policy: Metrics without ``smoothing`` are left as they are.
        state: By metric name.
        readings: After freshness and fallback; stand-in values of fallback must not be smoothed,
            so pass the readings from before fallback when in doubt.

    Returns:
        Readings and state; the mappings given when nothing changes.
    """
    raise NotImplementedError
