"""What ``decide()`` makes of the readings that the server took, worked out beside it.

A served policy has no scale target of its own: its count is what was decided last. The source notes
when it was read, which is after the server's own clock said so: a little, and more when this process
was busy. Where milliseconds may matter (moving averages, scaling policies) copies with slightly
different clocks are run, and what any of them decides is possible; whatever follows a read after a
certain time (the end of a window) may come as much earlier as the note may be late.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

from autoscaler.api.parse import parse_object
from autoscaler.api.policy import TriggerMetrics, scaled_object_policy
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.core.decide import decide, record_rescale
from autoscaler.core.model import Memory, Observation, Policy, Reading
from autoscaler.plugins import ScalerRegistry
from autoscaler.sdk.scaler import TriggerContext
from tests.e2e.keda.source import Read
from tests.e2e.objects import FLYBALL

COPIES: Final = 5
UNSURE_SECONDS: Final = 0.03
"""Between the server's clock for a read and the source's note of it, as a rule."""
LATE_SECONDS: Final = 0.25
"""The note comes at most so long after; a full garbage collection of this process lies between."""
KNOWN_SECONDS: Final = 0.25
"""After a read has ended its decision is surely served."""
PAUSE_SECONDS: Final = 0.6
"""Between two polls, a second apart; shorter ones may happen within a poll."""


class Batch(NamedTuple):
    """One poll of the server: all that is due is asked for together.

    Attributes:
        began_at: Epoch seconds; of the readings, too.
        ended_at: Last answer.
        values: By case and trigger.
    """

    began_at: float
    ended_at: float
    values: Mapping[str, Mapping[int, float | None]]


class Decided(NamedTuple):
    """What one copy decided.

    Attributes:
        at: When, by its clock.
        known_at: From then on the server surely says so.
        replicas: Decided.
        is_failing: Nothing could be computed and nothing stands in: the server may not answer.
    """

    at: float
    known_at: float
    replicas: int
    is_failing: bool


def batches(reads: Sequence[Read]) -> list[Batch]:
    """Return the polls that reads belong to, oldest first.

    A poll ends with the first question that is asked again, or with a pause after all triggers of
    every case in it.
    """
    triggers = Counter(name for name, _ in {(read.name, read.trigger) for read in reads})
    found: list[Batch] = []
    values: dict[str, dict[int, float | None]] = {}
    for read in reads:
        is_again = read.trigger in values.get(read.name, {})
        is_whole = all(len(known) == triggers[name] for name, known in values.items())
        pause = read.at - found[-1].ended_at if found else math.inf
        if is_again or (is_whole and pause > PAUSE_SECONDS):
            values = {}
            found.append(Batch(read.at, read.at, values))
        values.setdefault(read.name, {})[read.trigger] = read.value
        found[-1] = found[-1]._replace(ended_at=read.at)
    return found


def policy_of(name: str, spec: Mapping[str, Any]) -> Policy:
    """Return the policy of an inline specification."""
    complete = {**spec, "scaleTargetRef": {"name": name}}
    metadata = {"name": name, "namespace": "default"}
    obj = parse_object(
        {"apiVersion": FLYBALL, "kind": "ScaledObject", "metadata": metadata, "spec": complete}
    )
    assert isinstance(obj, ScaledObject)
    registry = ScalerRegistry()
    triggers = []
    for index, trigger in enumerate(obj.spec.triggers):
        context = TriggerContext(
            namespace="default",
            name=name,
            trigger_index=index,
            trigger_name=trigger.name,
            metric_type=trigger.metric_type or None,
            is_metric_source=obj.modifiers is not None,
        )
        scaler = registry.create(trigger.type, trigger.metadata, {}, {}, context)
        triggers.append(
            TriggerMetrics(
                index=index,
                name=trigger.name,
                type=trigger.type,
                specs=tuple(scaler.metric_specs()),
            )
        )
    return scaled_object_policy(obj, triggers)


class Expected:
    """The counts that are right for one case at any time.

    Args:
        name: Of the case.
        policy: Of the case.
        polls: Of the server.
    """

    def __init__(self, name: str, policy: Policy, polls: Sequence[Batch]) -> None:
        own = [poll for poll in polls if name in poll.values]
        self._name = name
        self._policy = policy
        unsure = [0.0] + [UNSURE_SECONDS] * (COPIES - 1)
        self._copies = [
            list(self._decisions(own, Random(copy), seconds)) for copy, seconds in enumerate(unsure)
        ]

    @property
    def count(self) -> int:
        """How many decisions there were."""
        return len(self._copies[0])

    def between(self, began_at: float, ended_at: float) -> set[tuple[int, bool]]:
        """Return what the server may have said at a moment of that time, with ``is_failing``.

        Args:
            began_at: Epoch seconds.
            ended_at: Epoch seconds.
        """
        possible = set()
        for decisions in self._copies:
            for number, one in enumerate(decisions):
                if one.at - LATE_SECONDS > ended_at:
                    break
                later = decisions[number + 1 : number + 2]
                if not later or later[0].known_at >= began_at:
                    possible.add((one.replicas, one.is_failing))
        return possible

    def plateaus(self) -> Iterator[tuple[float, float, int]]:
        """Yield when the same count was decided without failing: from, to, and the count."""
        since: Decided | None = None
        last: Decided | None = None
        for one in self._copies[0]:
            is_same = since is not None and one.replicas == since.replicas and not one.is_failing
            if since is not None and not is_same:
                yield since.known_at, one.at - LATE_SECONDS, since.replicas
            if not is_same:
                since = None if one.is_failing else one
            last = one
        if since is not None and last is not None:
            yield since.known_at, last.at, since.replicas

    def _decisions(
        self, polls: Sequence[Batch], rng: Random, unsure_seconds: float
    ) -> Iterator[Decided]:
        follower = _Follower(self._policy)
        for poll, until in zip(polls, [*polls[1:], None], strict=True):
            at = poll.began_at + rng.uniform(-unsure_seconds, unsure_seconds)
            values = poll.values[self._name]
            follower.read(values, at)
            yield follower.decided(at, poll.ended_at + KNOWN_SECONDS)
            while until is not None and follower.again_at is not None:
                again_at = follower.again_at
                if again_at >= until.began_at:
                    break
                follower.decide(again_at)
                yield follower.decided(again_at, again_at + KNOWN_SECONDS)


class _Follower:
    """A scale target that is always where it was told to be."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._memory = Memory()
        self._readings: dict[str, Reading] = {}
        self._replicas = 0
        self.again_at: float | None = None

    def read(self, values: Mapping[int, float | None], at: float) -> None:
        for metric in self._policy.metrics:
            name, value = metric.spec.name, values[metric.trigger_index]
            self._readings[name] = (
                Reading.failed(name, "the source is away", at)
                if value is None
                else Reading.of(name, value, at)
            )
        self.decide(at)

    def decide(self, at: float) -> None:
        seen = Observation(
            at=at,
            spec_replicas=self._replicas,
            status_replicas=self._replicas,
            ready_pods=self._replicas,
            total_pods=self._replicas,
            readings=dict(self._readings),
        )
        decision, memory = decide(self._policy, self._memory, seen)
        if decision.is_rescale:
            memory = record_rescale(self._policy, memory, decision, at, succeeded=True)
        self._memory = memory
        self._replicas = decision.desired_replicas
        wait = decision.requeue_after_seconds
        self.again_at = None if wait is None else at + max(wait, 0.001)

    def decided(self, at: float, known_at: float) -> Decided:
        failures = [reading.error is not None for reading in self._readings.values()]
        # A formula needs all of its triggers.
        is_failing = any(failures) if self._policy.modifiers else all(failures)
        return Decided(at, known_at, self._replicas, is_failing and not self._has_stand_in())

    def _has_stand_in(self) -> bool:
        fallback = self._policy.fallback
        return fallback is not None and all(
            health.failures > fallback.failure_threshold for health in self._memory.health.values()
        )
