"""Counting what a run amounted to."""

from __future__ import annotations

import msgspec

from autoscaler.demo.orders import Counts
from autoscaler.demo.summary import ScaleEvent, Summary, Windows, summarise, windows_of

COUNTS = Counts(produced=10, processed=6, queued=2, in_flight=1, returned=0)


def summary(*events: tuple[float, str, int, int]) -> Summary:
    """Summarise events given as time, object, before, after; windows are 60 s, to zero 100 s."""
    made = [ScaleEvent(at=at, object=name, before=b, after=a) for at, name, b, a in events]
    windows = {"web": Windows(60, 100)}
    return summarise(
        made, windows, COUNTS, [], seed=1, speed=2.0, seconds=30.0, cluster_seconds=60.0
    )


def test_scales_from_zero_and_largest_step_are_counted() -> None:
    """Leaving zero counts each time, and only additions make a scale-out."""
    found = summary((0, "web", 0, 1), (10, "web", 1, 9), (200, "web", 9, 0), (300, "web", 0, 3))
    assert found.scales_from_zero == 2
    assert found.largest_scale_out == 8


def test_scale_in_is_judged_by_the_time_since_the_last_scale_out() -> None:
    """Before the window is over it is too early; to zero the cooldown counts."""
    found = summary(
        (0, "web", 1, 5),
        (59, "web", 5, 4),
        (61, "web", 4, 2),
        (99, "web", 2, 0),
        (120, "web", 1, 0),
    )
    assert found.scale_ins_too_early == 2
    assert found.scale_ins_after_window == 2


def test_missing_items_are_lost() -> None:
    """What is in no account is lost."""
    assert summary().items.lost == 1


def test_json_names_are_those_promised() -> None:
    """Events say from and to."""
    shown = msgspec.json.decode(msgspec.json.encode(summary((0, "web", 0, 1))))
    event = {"at": 0.0, "object": "web", "from": 0, "to": 1, "reason": ""}
    assert shown["events"] == [event]
    assert set(shown["items"]) >= {"produced", "processed", "queued", "in_flight", "lost"}


def test_windows_come_from_the_scaled_object() -> None:
    """Both waiting times are the object's own, else five minutes."""
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    advanced = {"horizontalPodAutoscalerConfig": {"behavior": behavior}}
    assert windows_of({"spec": {"cooldownPeriod": 7, "advanced": advanced}}) == Windows(0.0, 7.0)
    assert windows_of({"spec": {}}) == Windows(300.0, 300.0)
