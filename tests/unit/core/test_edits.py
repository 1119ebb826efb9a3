"""What an edit leaves of a memory."""

from __future__ import annotations

from msgspec.structs import replace

from autoscaler.core.decide import decide
from autoscaler.core.edits import about_target, without_metrics
from autoscaler.core.memory import decode_memory, encode_memory
from autoscaler.core.model import Health, Memory, Recommendation, ScaleEvent, SmoothingState
from tests.unit.core.scene import START, Scene, policy

NOW_MS = round(START * 1000)
HERE, THERE = "deployments.apps shop/here", "deployments.apps shop/there"
FULL = Memory(
    recommendations=(Recommendation(NOW_MS, 20),),
    scale_ups=(ScaleEvent(NOW_MS, 19),),
    scale_downs=(ScaleEvent(NOW_MS, 1),),
    last_active_at=START,
    last_sync_at=START,
    last_scale_at=START,
    desired_replicas=20,
    health={"a": Health(2, NOW_MS), "b": Health(1, NOW_MS)},
    smoothing={"a": SmoothingState(NOW_MS, (40.0,)), "b": SmoothingState(NOW_MS, (7.0,))},
    scale_target=HERE,
)


def test_only_metrics_that_measure_anew_are_forgotten() -> None:
    """Averages and failures of the others go on; so does everything about the target."""
    assert without_metrics(FULL, {"a"}) == replace(
        FULL, health={"b": Health(1, NOW_MS)}, smoothing={"b": SmoothingState(NOW_MS, (7.0,))}
    )
    assert without_metrics(FULL, {"c"}) is FULL
    assert without_metrics(FULL, ()) is FULL


def test_histories_are_about_one_target() -> None:
    """Another target took none of the steps; what triggers did is known all the same."""
    assert about_target(FULL, HERE) is FULL
    assert about_target(FULL, THERE) == Memory(
        last_active_at=START, health=FULL.health, smoothing=FULL.smoothing, scale_target=THERE
    )


def test_histories_of_a_target_nobody_named_stay() -> None:
    """A memory stored by an earlier release says nothing of the target; most were not edited."""
    old = replace(FULL, scale_target="")
    assert about_target(old, HERE) == FULL


def test_the_target_is_remembered_over_decisions_and_restarts() -> None:
    """Else an edit made while no service ran would go unseen."""
    wanted = policy()
    _, after = decide(wanted, FULL, Scene(wanted, 20).see(20.0))
    assert after.scale_target == HERE
    assert decode_memory(encode_memory(after)).scale_target == HERE
