"""What a written, or refused, scale leaves in the memory."""

from __future__ import annotations

from msgspec.structs import replace

from autoscaler.core.decide import decide, record_rescale
from autoscaler.core.model import Activation, HpaSettings, Memory, Recommendation, ScaleEvent
from autoscaler.core.rescale import events_after_failure
from tests.unit.core.scene import START, Scene, pods_per_minute, policy

NOW_MS = round(START * 1000)


def test_a_written_scale_is_remembered() -> None:
    """The scale event, the time, the count and the condition are recorded."""
    scene = Scene(policy(behavior=pods_per_minute(3)), 4)
    scene.decide(90.0)
    memory = scene.memory
    assert memory.scale_ups == (ScaleEvent(NOW_MS, 3),)
    assert (memory.last_scale_at, memory.desired_replicas) == (START, 7)
    able = next(item for item in memory.conditions if item.type == "AbleToScale")
    assert (able.reason, able.message) == ("SucceededRescale", "the target was scaled to 7")


def test_a_refused_scale_counts_toward_nothing() -> None:
    """Only the condition and the event say that it was tried."""
    scene = Scene(policy(behavior=pods_per_minute(3)), 4)
    decision, memory = decide(scene.policy, Memory(), scene.see(90.0))
    refused = record_rescale(
        scene.policy, memory, decision, START, succeeded=False, error="forbidden"
    )
    assert replace(refused, conditions=memory.conditions) == memory
    able = next(item for item in refused.conditions if item.type == "AbleToScale")
    assert (able.status, able.reason) == ("False", "FailedUpdateScale")
    (event,) = events_after_failure(decision, "forbidden", policy=scene.policy)
    assert event.reason == "FailedRescale"
    assert event.message == (
        "New size: 7; reason: external metric s0-redis-jobs(nil) above target; error: forbidden"
    )


def test_a_refused_activation_is_told_in_kedas_words() -> None:
    """Leaving zero fails with KEDA's event when the policy is at hand, else with the HPA's."""
    scene = Scene(policy())
    decision, _ = decide(scene.policy, Memory(), scene.see(90.0))
    (kedas,) = events_after_failure(decision, "forbidden", policy=scene.policy)
    assert kedas.reason == "KEDAScaleTargetActivationFailed"
    (hpas,) = events_after_failure(decision, "forbidden")
    assert hpas.reason == "FailedRescale"


def test_kedas_jumps_do_not_count_toward_the_rates() -> None:
    """With MINIMUM, activation happens behind the HPA's back, as under KEDA."""
    own = policy(behavior=pods_per_minute(3), activation=Activation.MINIMUM, cooldown_seconds=0.0)
    waking = Scene(own)
    waking.decide(90.0)
    assert waking.memory.scale_ups == ()
    waking.decide(90.0, after=1.0)
    assert waking.memory.scale_ups == (ScaleEvent(NOW_MS + 1000, 3),)
    jumping = Scene(replace(own, zero_follows_behavior=False), 9)
    jumping.decide(0.0, after=1.0)
    assert (jumping.replicas, jumping.memory.scale_downs) == (0, ())
    gliding = Scene(own, 2, Memory(recommendations=(Recommendation(0, 0),)))
    gliding.decide(0.0, after=1.0)
    assert (gliding.replicas, gliding.memory.scale_downs) == (0, (ScaleEvent(NOW_MS + 1000, 2),))


def test_without_behavior_no_events_are_kept() -> None:
    """There is no rate to count toward."""
    scene = Scene(policy(), 4)
    scene.decide(90.0)
    assert scene.memory.scale_ups == ()


def test_a_bare_hpa_marks_its_way_to_zero() -> None:
    """ScaledToZero follows our own rescales, and goes away with the gate."""
    settings = HpaSettings(scale_to_zero=True, downscale_stabilization_seconds=0.0)
    own = policy(activation=Activation.HPA, hpa=settings)
    scene = Scene(own, 4, Memory(recommendations=(Recommendation(0, 0),)))

    def mark() -> list[str]:
        return [item.status for item in scene.memory.conditions if item.type == "ScaledToZero"]

    scene.decide(90.0)
    assert mark() == ["False"]
    scene.decide(0.0, after=1.0)
    assert mark() == ["True"]
    scene.policy = replace(own, hpa=HpaSettings())
    scene.replicas = 3
    scene.decide(60.0, after=1.0)
    assert mark() == []
