"""Decisions on what was read before: no news, and not to be remembered as such."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from autoscaler.controller.binding import Binding
from autoscaler.controller.tracked import Tracked
from autoscaler.core.history import without_repeat
from autoscaler.core.model import Memory, Reading


def counted_once(
    tracked: Tracked, binding: Binding, readings: Mapping[str, Reading], memory: Memory
) -> Memory:
    """Return the memory of a decision, in which the same readings count towards windows once.

    An object is looked at whenever a pod of its target changes or something is due, too. What was
    read before must not hold the count for another window then. In step with an HPA's sync period
    each look is one of the HPA's, which would have read anew.

    Args:
        tracked: With the memory the decision was made from.
        binding: Of the object.
        readings: The decision was made from, by metric name.
        memory: That the decision returned.
    """
    known = tracked.memory.recommendations
    if memory.recommendations is known or binding.policy.hpa.sync_period_seconds:
        return memory
    sampled = {name: reading.sampled_at for name, reading in readings.items()}
    if sampled == tracked.counted:
        return replace(memory, recommendations=without_repeat(known, memory.recommendations))
    tracked.counted = sampled
    return memory
