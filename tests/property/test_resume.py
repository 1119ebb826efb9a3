"""A restart changes no decision, whatever the policy, the life and the moment."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.decide import decide, record_rescale
from autoscaler.core.memory import decode_memory, encode_memory
from autoscaler.core.model import (
    Decision,
    Fallback,
    FallbackBehavior,
    Memory,
    Policy,
)
from autoscaler.core.resume import Stored, Told, compact, resume
from tests.property.lives import START, Tick, counts, look, policies, ticks

fallbacks = st.none() | st.builds(
    Fallback,
    failure_threshold=st.integers(0, 3),
    replicas=st.integers(0, 70),
    behavior=st.sampled_from([FallbackBehavior.STATIC, FallbackBehavior.CURRENT_REPLICAS]),
)


def restarted(memory: Memory, at: float, now: float) -> Memory:
    """Return a memory that went through a snapshot written in order."""
    body = encode_memory(compact(memory))
    return resume(Stored(memory=decode_memory(body), at=at), Told(), now)


def decisions(
    policy: Policy, replicas: int, life: list[Tick], restarts: frozenset[int]
) -> list[Decision]:
    """Return the decisions of a life with a restart before each of the given ticks."""
    memory, at, made = Memory(), START, []
    for index, tick in enumerate(life):
        before, at = at, at + tick.seconds
        if index in restarts:
            memory = restarted(memory, before, at)
        seen = look(policy, at, replicas, tick)
        decision, memory = decide(policy, memory, seen)
        made.append(decision)
        if decision.is_rescale:
            succeeded = not tick.write_fails
            memory = record_rescale(policy, memory, decision, at, succeeded=succeeded)
            if succeeded:
                replicas = decision.desired_replicas
    return made


@given(
    policy=policies(fallbacks=fallbacks),
    replicas=counts,
    life=ticks(min_size=1, max_size=20),
    restarts=st.frozensets(st.integers(0, 19), min_size=1),
)
def test_a_restart_in_order_changes_no_decision(policy, replicas, life, restarts) -> None:
    """Decisions, their reasons and their derivations equal those of a service never restarted."""
    assert decisions(policy, replicas, life, restarts) == decisions(
        policy, replicas, life, frozenset()
    )


@given(
    policy=policies(fallbacks=fallbacks),
    replicas=counts,
    life=ticks(min_size=2, max_size=20),
    back=st.floats(0, 10_000),
)
def test_no_instant_is_later_than_the_clock(policy, replicas, life, back) -> None:
    """However far the clock went back, nothing resumed lies in the future."""
    memory, at = Memory(), START
    for tick in life:
        at += tick.seconds
        seen = look(policy, at, replicas, tick)
        decision, memory = decide(policy, memory, seen)
        if decision.is_rescale:
            memory = record_rescale(policy, memory, decision, at, succeeded=True)
            replicas = decision.desired_replicas
    now = at - back
    stored = Stored(memory=compact(memory), at=at, unseen_until=at + 35.0)
    resumed = resume(stored, Told(), now)
    now_ms = round(now * 1000)
    instants = [e.at_ms for e in (*resumed.recommendations, *resumed.scale_ups)]
    instants += [e.at_ms for e in resumed.scale_downs]
    assert all(instant <= now_ms for instant in instants)
    for known in (resumed.last_active_at, resumed.last_sync_at, resumed.last_scale_at):
        assert known is None or known <= now
