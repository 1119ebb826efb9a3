"""What happened in a run of the demo, for machines and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from autoscaler.demo.objects import JsonObject, at_path
from autoscaler.demo.orders import Counts

DEFAULT_WINDOW_SECONDS = 300.0


class ScaleEvent(msgspec.Struct, kw_only=True):
    """One change of a target's replicas, with the controller's own words for it.

    Attributes:
        at: When it was decided, seconds of the cluster's clock since the run began.
        object: Name of the ScaledObject.
        before: Replicas until then (``from`` in JSON).
        after: Replicas wanted since (``to`` in JSON).
        reason: Derivation of the decision; empty while it is not known.
    """

    at: float
    object: str
    before: int = msgspec.field(name="from")
    after: int = msgspec.field(name="to")
    reason: str = ""


class Items(msgspec.Struct, frozen=True, kw_only=True):
    """Where the queue's items are: ``produced == processed + queued + in_flight + lost``."""

    produced: int
    processed: int
    queued: int
    in_flight: int
    lost: int
    returned: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run.

    Attributes:
        seconds: Real time.
        cluster_seconds: Time by the cluster's clock.
        scales_from_zero: Times a target left zero replicas.
        largest_scale_out: Most replicas added by one decision.
        scale_ins_after_window: Decisions that removed replicas, no sooner than the object's
            stabilization window (to zero: its cooldown) after its last scale-out.
        scale_ins_too_early: Decisions that removed replicas sooner than that.
        errors: Everything that went wrong, each once.
    """

    seed: int
    speed: float
    seconds: float
    cluster_seconds: float
    scales_from_zero: int
    largest_scale_out: int
    scale_ins_after_window: int
    scale_ins_too_early: int
    items: Items
    errors: Sequence[str]
    events: Sequence[ScaleEvent]


class Windows(msgspec.Struct, frozen=True):
    """How long an object waits before it removes replicas, seconds."""

    scale_in: float
    to_zero: float


def windows_of(scaled_object: JsonObject) -> Windows:
    """Return the waiting times a ScaledObject asks for."""
    path = ("spec", "advanced", "horizontalPodAutoscalerConfig", "behavior", "scaleDown")
    window = at_path(scaled_object, *path, "stabilizationWindowSeconds")
    cooldown = at_path(scaled_object, "spec", "cooldownPeriod")
    return Windows(
        DEFAULT_WINDOW_SECONDS if window is None else float(window),
        DEFAULT_WINDOW_SECONDS if cooldown is None else float(cooldown),
    )


def summarise(
    events: Sequence[ScaleEvent],
    windows: Mapping[str, Windows],
    counts: Counts,
    errors: Sequence[str],
    *,
    seed: int,
    speed: float,
    seconds: float,
    cluster_seconds: float,
) -> Summary:
    """Count what a run's events amount to."""
    last_out: dict[str, float] = {}
    in_time = too_early = 0
    for event in events:
        if event.after > event.before:
            last_out[event.object] = event.at
            continue
        known = windows.get(event.object, Windows(DEFAULT_WINDOW_SECONDS, DEFAULT_WINDOW_SECONDS))
        window_seconds = known.to_zero if event.after == 0 else known.scale_in
        waited_seconds = event.at - last_out.get(event.object, float("-inf"))
        if waited_seconds >= window_seconds:
            in_time += 1
        else:
            too_early += 1
    return Summary(
        seed=seed,
        speed=speed,
        seconds=round(seconds, 3),
        cluster_seconds=round(cluster_seconds, 1),
        scales_from_zero=sum(event.before == 0 for event in events),
        largest_scale_out=max((event.after - event.before for event in events), default=0),
        scale_ins_after_window=in_time,
        scale_ins_too_early=too_early,
        items=Items(
            produced=counts.produced,
            processed=counts.processed,
            queued=counts.queued,
            in_flight=counts.in_flight,
            lost=counts.lost,
            returned=counts.returned,
        ),
        errors=tuple(errors),
        events=tuple(events),
    )
