"""Memory over an edit: what is known about a metric or a target is not known about another one.

Metrics are called after the position and type of their trigger, so an edited trigger's metric often
keeps its name. The HPA keeps its histories by the name of the HPA, whatever that scales; here they
go with the target, as they are about its replicas.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from autoscaler.core.model import Memory


def without_metrics(memory: Memory, names: Collection[str]) -> Memory:
    """Return the memory without failures in a row and averages of metrics that measure anew.

    Args:
        memory: Of the object.
        names: Metrics whose trigger is another one than before.
    """
    if not any(name in memory.health or name in memory.smoothing for name in names):
        return memory
    return replace(
        memory,
        health={name: known for name, known in memory.health.items() if name not in names},
        smoothing={name: known for name, known in memory.smoothing.items() if name not in names},
    )


def about_target(memory: Memory, target: str) -> Memory:
    """Return the memory to decide about a target with.

    Of another target's histories nothing is left: its recommendations would hold this one's count
    up, or raise it, and its scale events count as steps this one never took. As at a start the
    next decision remembers the count it finds, so nothing is lowered before the window has passed.
    Activity and failures are about triggers, conditions about the object; they stay.

    Args:
        memory: Of the object.
        target: Equal for one target only.
    """
    if memory.scale_target == target:
        return memory
    if not memory.scale_target:
        return replace(memory, scale_target=target)
    return replace(
        memory,
        scale_target=target,
        recommendations=(),
        scale_ups=(),
        scale_downs=(),
        last_sync_at=None,
        last_scale_at=None,
        desired_replicas=None,
    )
