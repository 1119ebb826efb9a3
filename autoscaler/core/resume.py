"""Memory over a restart: what to store of it, and what the stored form is worth later.

Whoever takes over should decide as the one before would have. What was not stored in time (after a
crash) is assumed in the direction that scales nothing down early.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from autoscaler.core.history import bound_recommendations
from autoscaler.core.model import Memory, Policy, Recommendation, ScaleEvent, SmoothingState

AWAY_SECONDS: Final = 300.0
"""Shorter absences never make the service treat a target as one it sees for the first time."""

Outline = tuple[object, ...]


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A memory as it was stored.

    Attributes:
        at: Of the decision it was returned with, epoch seconds.
        unseen_until: Until when decisions may have gone on in the same way without being stored,
            epoch seconds; not after ``at`` when the service ended in order.
        is_same_generation: Whether the object is still the one the decision was made for; else
            metrics of the same name may measure something else.
    """

    memory: Memory
    at: float
    unseen_until: float = 0.0
    is_same_generation: bool = True


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What an object's status tells; instants in whole seconds.

    Attributes:
        memory: What the status preserves of one.
        at: Latest decision it tells of, epoch seconds; 0 = none.
        raised: Count and instant of the last rescale if it went up, else None.
    """

    memory: Memory = Memory()
    at: float = 0.0
    raised: Recommendation | None = None


def compact(memory: Memory) -> Memory:
    """Return the memory without recommendations that no window can make count any more."""
    return replace(memory, recommendations=bound_recommendations(memory.recommendations))


def outline(memory: Memory) -> Outline:
    """Return what has to be stored soon when it changes; instants that just go on can wait.

    Args:
        memory: Made :func:`compact`, so that a steady proposal is one recommendation.
    """
    by_age = sorted(memory.recommendations, key=lambda entry: entry.at_ms)
    return (
        tuple(entry.replicas for entry in by_age),
        memory.scale_ups,
        memory.scale_downs,
        memory.last_active_at is None,
        memory.last_scale_at,
        memory.desired_replicas,
        tuple((known.type, known.status) for known in memory.conditions),
        tuple((name, health.failures) for name, health in memory.health.items()),
    )


def resume(stored: Stored, told: Told, now: float) -> Memory:
    """Return the memory to go on with.

    Args:
        stored: The snapshot.
        told: What the object's status says; wins where it is later.
        now: Epoch seconds. Instants after it (the clock went back) are taken for now.
    """
    memory = _stretched(stored, now) if stored.unseen_until > stored.at else stored.memory
    if not stored.is_same_generation:
        memory = after_edit(memory)
    if told.at > int(stored.at):
        memory = replace(
            memory,
            last_active_at=_latest(memory.last_active_at, told.memory.last_active_at),
            desired_replicas=told.memory.desired_replicas,
            conditions=told.memory.conditions,
            health=told.memory.health,
        )
    if told.raised is not None and told.raised.at_ms > int(stored.at) * 1000:
        # Nobody stored why it was raised; until more is known it was for a reason.
        recommendations = (*memory.recommendations, told.raised)
        memory = replace(memory, recommendations=recommendations)
    return clamp(memory, now)


def after_edit(memory: Memory) -> Memory:
    """Return what a memory is worth for another policy of the same target.

    What was wanted and done counts on; metrics of the same name may measure something else.
    """
    return replace(memory, health={}, smoothing={})


def clamp(memory: Memory, now: float) -> Memory:
    """Return the memory with no instant after ``now`` (epoch seconds)."""
    now_ms = round(now * 1000)
    return replace(
        memory,
        recommendations=tuple(
            Recommendation(min(entry.at_ms, now_ms), entry.replicas)
            for entry in memory.recommendations
        ),
        scale_ups=_clamped(memory.scale_ups, now_ms),
        scale_downs=_clamped(memory.scale_downs, now_ms),
        last_active_at=_earliest(memory.last_active_at, now),
        last_sync_at=_earliest(memory.last_sync_at, now),
        last_scale_at=_earliest(memory.last_scale_at, now),
        smoothing=_clamped_smoothing(memory.smoothing, now_ms),
    )


def after_absence(policy: Policy, memory: Memory, now: float) -> Memory:
    """Return the memory to decide with after a time in which nothing was decided.

    When the absence was longer than the scale-down window, nothing stored speaks for the current
    count any more, although nobody knows what was wanted meanwhile. Without recommendations the
    next decision remembers the count it finds, as the HPA does after a start.

    Args:
        policy: Of the object.
        memory: As resumed.
        now: Epoch seconds.
    """
    newest_ms = max((entry.at_ms for entry in memory.recommendations), default=None)
    if newest_ms is None:
        return memory
    window = policy.hpa.downscale_stabilization_seconds
    if policy.behavior is not None:
        own = policy.behavior.scale_down.stabilization_window_seconds
        window = window if own is None else own
    if now - newest_ms / 1000 <= max(window, AWAY_SECONDS):
        return memory
    return replace(memory, recommendations=())


def _stretched(stored: Stored, now: float) -> Memory:
    """Return the memory as if the last decision had been repeated until nobody knows."""
    memory, until = stored.memory, min(stored.unseen_until, now)
    if until <= stored.at:
        return memory
    at_ms = round(stored.at * 1000)
    return replace(
        memory,
        recommendations=tuple(
            Recommendation(round(until * 1000), entry.replicas) if entry.at_ms == at_ms else entry
            for entry in memory.recommendations
        ),
        last_active_at=until if memory.last_active_at == stored.at else memory.last_active_at,
    )


def _clamped(events: tuple[ScaleEvent, ...], now_ms: int) -> tuple[ScaleEvent, ...]:
    return tuple(
        ScaleEvent(min(event.at_ms, now_ms), event.change, event.outdated) for event in events
    )


def _clamped_smoothing(
    states: Mapping[str, SmoothingState], now_ms: int
) -> Mapping[str, SmoothingState]:
    return {
        name: SmoothingState(min(state.sampled_at_ms, now_ms), state.values)
        for name, state in states.items()
    }


def _earliest(instant: float | None, now: float) -> float | None:
    return None if instant is None else min(instant, now)


def _latest(one: float | None, other: float | None) -> float | None:
    return max((instant for instant in (one, other) if instant is not None), default=None)
