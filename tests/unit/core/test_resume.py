"""What a stored memory is worth to the service that takes over."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from autoscaler.core.model import (
    Behavior,
    Condition,
    Health,
    Memory,
    Recommendation,
    ScaleEvent,
    ScalingRules,
    SmoothingState,
)
from autoscaler.core.resume import (
    AWAY_SECONDS,
    Stored,
    Told,
    after_absence,
    clamp,
    compact,
    outline,
    resume,
)
from tests.unit.core.scene import JUMPING, START, policy

NOW_MS = round(START * 1000)
ACTIVE = Condition("Active", "True", "ScalerActive", "work")
FULL = Memory(
    recommendations=(Recommendation(NOW_MS - 9_000, 8), Recommendation(NOW_MS, 3)),
    scale_ups=(ScaleEvent(NOW_MS - 5_000, 2, outdated=True),),
    scale_downs=(ScaleEvent(NOW_MS - 4_000, 1),),
    last_active_at=START,
    last_sync_at=START,
    last_scale_at=START - 4.0,
    desired_replicas=8,
    conditions=(ACTIVE,),
    health={"m": Health(2, NOW_MS)},
    smoothing={"m": SmoothingState(NOW_MS, (1.0,))},
)


def stored(**fields: object) -> Stored:
    """Return a memory stored in order at the end of its service."""
    return Stored(**{"memory": FULL, "at": START, **fields})  # type: ignore[arg-type]


def test_a_memory_stored_in_order_comes_back_as_it_was() -> None:
    """Nothing is added, dropped or dated anew, however long it took."""
    for seconds in (0.0, 7.0, 100_000.0):
        assert resume(stored(), Told(), START + seconds) == FULL


def test_compact_keeps_what_a_window_can_still_find() -> None:
    """A steady proposal is one recommendation; the highest ones before it stay."""
    steady = tuple(Recommendation(NOW_MS + second, 3) for second in range(100))
    memory = replace(FULL, recommendations=(Recommendation(NOW_MS - 1, 8), *steady))
    assert compact(memory).recommendations == (Recommendation(NOW_MS - 1, 8), steady[-1])


def test_what_only_goes_on_does_not_change_the_outline() -> None:
    """Later instants, messages and averages can wait; counts, events and conditions cannot."""
    later = replace(
        FULL,
        recommendations=(Recommendation(NOW_MS - 9_000, 8), Recommendation(NOW_MS + 5_000, 3)),
        last_active_at=START + 5,
        last_sync_at=START + 5,
        conditions=(replace(ACTIVE, message="more work"),),
        smoothing={"m": SmoothingState(NOW_MS + 5_000, (2.0,))},
    )
    assert outline(later) == outline(FULL)
    for change in (
        {"recommendations": (Recommendation(NOW_MS, 3),)},
        {"scale_ups": ()},
        {"scale_downs": ()},
        {"last_active_at": None},
        {"last_scale_at": START},
        {"desired_replicas": 3},
        {"conditions": (replace(ACTIVE, status="False"),)},
        {"health": {"m": Health(3, NOW_MS)}},
    ):
        assert outline(replace(FULL, **change)) != outline(FULL), change


def test_after_a_crash_the_last_state_counts_as_having_gone_on() -> None:
    """The newest recommendation and the activity last until nobody knows, or until now."""
    for unseen, now, expected in ((35.0, 100.0, 35.0), (35.0, 10.0, 10.0)):
        resumed = resume(stored(unseen_until=START + unseen), Told(), START + now)
        assert resumed.recommendations == (
            FULL.recommendations[0],
            Recommendation(round((START + expected) * 1000), 3),
        )
        assert resumed.last_active_at == START + expected
        assert resumed.scale_downs == FULL.scale_downs
        assert resumed.last_scale_at == FULL.last_scale_at


def test_after_a_crash_what_had_ended_stays_ended() -> None:
    """An activity that was over, and a history without a last entry, are not prolonged."""
    memory = replace(FULL, last_active_at=START - 50, recommendations=FULL.recommendations[:1])
    resumed = resume(stored(memory=memory, unseen_until=START + 35), Told(), START + 60)
    assert resumed == memory


def test_metrics_of_another_generation_are_forgotten() -> None:
    """An edited object keeps its histories; what a metric's name stood for may be another thing."""
    resumed = resume(stored(is_same_generation=False), Told(), START)
    assert resumed == replace(FULL, health={}, smoothing={})


def test_a_status_of_a_later_decision_wins() -> None:
    """Its fields replace the snapshot's; the histories, which it does not tell, stay."""
    inactive = replace(ACTIVE, status="False")
    told = Memory(
        last_active_at=START + 20,
        desired_replicas=12,
        conditions=(inactive,),
        health={"n": Health(1)},
    )
    resumed = resume(stored(), Told(memory=told, at=START + 30), START + 40)
    assert resumed == replace(
        FULL,
        last_active_at=START + 20,
        desired_replicas=12,
        conditions=(inactive,),
        health={"n": Health(1)},
    )


def test_a_rise_the_snapshot_missed_counts_as_recommended() -> None:
    """A crash right after scaling up must not let the next decision take it back at once."""
    raised = Recommendation(NOW_MS + 30_000, 12)
    resumed = resume(stored(), Told(at=START + 30, raised=raised), START + 40)
    assert resumed.recommendations == (*FULL.recommendations, raised)
    known = Recommendation(NOW_MS, 12)
    assert resume(stored(), Told(at=START, raised=known), START + 40) == FULL


def test_a_later_status_never_turns_activity_back() -> None:
    """Whoever was active last, status or snapshot: the cooldown counts from there."""
    resumed = resume(stored(), Told(at=START + 30), START + 40)
    assert resumed.last_active_at == START
    nothing = stored(memory=Memory())
    assert resume(nothing, Told(at=START + 30), START + 40).last_active_at is None


def test_a_status_of_the_same_decision_changes_nothing() -> None:
    """Statuses tell whole seconds, so a fraction of one does not make the snapshot newer."""
    told = Told(memory=Memory(last_active_at=START, desired_replicas=1), at=START)
    assert resume(stored(at=START + 0.9), told, START + 1) == FULL


def test_a_clock_that_went_back_leaves_nothing_in_the_future() -> None:
    """Every instant is at most now, so no window holds longer than its length."""
    now = START - 100
    clamped = resume(stored(unseen_until=START + 35), Told(), now)
    assert clamped == clamp(FULL, now)
    now_ms = round(now * 1000)
    assert {entry.at_ms for entry in clamped.recommendations} == {now_ms}
    assert [entry.replicas for entry in clamped.recommendations] == [8, 3]
    assert clamped.scale_ups == (ScaleEvent(now_ms, 2, outdated=True),)
    assert clamped.scale_downs == (ScaleEvent(now_ms, 1),)
    assert clamped.last_active_at == clamped.last_sync_at == clamped.last_scale_at == now
    assert clamped.smoothing == {"m": SmoothingState(now_ms, (1.0,))}
    assert clamp(Memory(), now) == Memory()


@pytest.mark.parametrize(
    ("own", "away", "is_kept"),
    [
        (None, 300.0, True),
        (None, 301.0, False),
        (900, 900.0, True),
        (900, 901.0, False),
        # A short window never makes a quick restart hold what a running service would let go.
        (0, AWAY_SECONDS, True),
        (0, AWAY_SECONDS + 1, False),
    ],
)
def test_a_long_absence_starts_the_window_anew(own: int | None, away: float, is_kept: bool) -> None:
    """Longer than the window and than a restart: the count found counts as recommended again."""
    rules = ScalingRules(policies=(), stabilization_window_seconds=own)
    behavior = Behavior(scale_up=ScalingRules(policies=()), scale_down=rules)
    kept = after_absence(policy(behavior=behavior), FULL, START + away)
    assert kept == (FULL if is_kept else replace(FULL, recommendations=()))


def test_without_behavior_the_window_of_the_service_counts() -> None:
    """It is the HPA's, 300 s unless set otherwise."""
    assert after_absence(policy(), FULL, START + 300) == FULL
    assert after_absence(policy(), FULL, START + 301) == replace(FULL, recommendations=())
    patient = policy(hpa=replace(JUMPING, downscale_stabilization_seconds=900.0))
    assert after_absence(patient, FULL, START + 301) == FULL


def test_an_absence_without_history_changes_nothing() -> None:
    """There is nothing to drop."""
    assert after_absence(policy(), Memory(), START) == Memory()
