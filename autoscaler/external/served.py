"""One asked policy between two calls: what was decided, and who waits to hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
import structlog

from autoscaler.controller.tracked import Tracked
from autoscaler.core.fallback import FALLBACK_EXISTS
from autoscaler.core.model import Decision, Policy, Reading
from autoscaler.core.readings import fresh_readings
from autoscaler.external.asks import Ask, Intent

FALLBACK: Final = FALLBACK_EXISTS.type
METRIC_NAME: Final = "flyball"
"""Of the only metric served; KEDA's HPA calls it ``s<trigger index>-flyball``."""

log = structlog.get_logger(__name__)


class Trouble(StrEnum):
    """Why there is no answer."""

    INVALID = "invalid"
    """The caller must change what it asks with."""
    MISSING = "missing"
    """What the caller names does not exist."""
    UNAVAILABLE = "unavailable"
    """A source or the API server does not answer; it may next time."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to every call about a policy, until the next one.

    Attributes:
        replicas: What the target should have; only meaningful without trouble.
        trouble: None = there is an answer.
        why: What the trouble is, for people.
    """

    replicas: int = 0
    trouble: Trouble | None = None
    why: str = ""

    @property
    def is_active(self) -> bool:
        """Whether the target should have any replica."""
        return self.replicas > 0


class Served:
    """An asked policy.

    Attributes:
        key: Of its metrics and turns.
        intent: What the ask names or carries.
        uid: What is built for it is kept under this, together with others that ask the same.
        tracked: What the controller would keep about the object: memory, journal, binding.
        replicas: What KEDA was last told, taken for what the target has; None = nothing was told
            yet, and what the target has is not known.
        is_looked_up: Whether it was looked up what the target has, found or not; nothing is decided
            before.
        is_due: Whether its binding waits to be looked at again.
        selected_at: When it was last looked up which pods are the target's, monotonic seconds.
        verdict: None until there is one.
        asked_at: When it was last asked about, monotonic seconds.
        streams: Open streams about it.
    """

    def __init__(self, key: str, ask: Ask, intent: Intent, tracked: Tracked) -> None:
        self.key = key
        self.ask = ask
        self.intent = intent
        self.uid = ""
        self.tracked = tracked
        self.replicas: int | None = None
        self.is_looked_up = False
        self.is_due = False
        self.selected_at = 0.0
        self.verdict: Verdict | None = None
        self.asked_at = 0.0
        self.streams = 0
        self._changed = asyncio.Event()

    @property
    def is_bound(self) -> bool:
        """Whether the policy has been found to be usable."""
        return self.tracked.binding is not None

    def publish(self, verdict: Verdict) -> None:
        """Answer with a verdict from now on."""
        if verdict != self.verdict:
            self.verdict = verdict
            self.wake()
            log.info(
                "policy_decided",
                object=f"{self.ask.namespace}/{self.ask.name}",
                replicas=None if verdict.trouble else verdict.replicas,
                trouble=verdict.why or None,
            )

    def wake(self) -> None:
        """Let everybody who waits for a change look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def change(self) -> None:
        """Wait until something about it changes."""
        await self._changed.wait()


def verdict_of(policy: Policy, decision: Decision, readings: Mapping[str, Reading]) -> Verdict:
    """Return the answer that a decision amounts to.

    When nothing could be read and no fallback stands in, the decision merely holds the count; the
    caller is told so, as its own fallback may know better. A number is never made up.

    Args:
        policy: Decided for.
        decision: As made.
        readings: It was made from.
    """
    usable = fresh_readings(policy.metrics, readings, decision.at)
    if _is_blind(policy, decision, usable) and not _is_told(policy, decision):
        failed = {one.metric: one.error for one in decision.proposals if one.error}
        return Verdict(trouble=Trouble.UNAVAILABLE, why=errors_in(policy, usable, failed))
    return Verdict(replicas=decision.desired_replicas)


def errors_in(
    policy: Policy, usable: Mapping[str, Reading], failed: Mapping[str, str] | None = None
) -> str:
    """Return what is wrong with the readings of a policy, for people.

    Args:
        policy: With the metrics that count.
        usable: One per metric, missing and stale ones as errors.
        failed: What else kept a metric from leading to a count.
    """
    errors = dict(failed or {})
    for metric in policy.metrics:
        if (error := usable[metric.spec.name].error) is not None:
            errors[metric.spec.name] = error
    told = [f"{name}: {error}" for name, error in sorted(errors.items())]
    return "; ".join(told) or "no metric could be read"


def _is_blind(policy: Policy, decision: Decision, usable: Mapping[str, Reading]) -> bool:
    """Whether no metric said anything; one that was never read, or not for too long, did not."""
    if decision.proposals:
        return all(proposal.replicas is None for proposal in decision.proposals)
    return all(usable[metric.spec.name].error is not None for metric in policy.metrics)


def _is_told(policy: Policy, decision: Decision) -> bool:
    """Whether the count stands whatever the metrics say."""
    if policy.pause.paused or policy.pause.replicas is not None or policy.force_activation:
        return True
    # An object that has no fallback any more keeps the condition it had.
    return policy.fallback is not None and any(
        one.type == FALLBACK and one.status == "True" for one in decision.conditions
    )
