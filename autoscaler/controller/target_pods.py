"""What is known of a target's pods, and what may be done with it while they cannot be watched.

Pods that nobody hears of any more are no facts: an old count of ready pods would lower a target
that was raised since. But every watch breaks now and then, and goes on a moment later from where
it was; what was known until then is as good as what an HPA decides on.
"""

from __future__ import annotations

from typing import Final

import msgspec

from autoscaler.errors import Forbidden, KubeError
from autoscaler.kube.pods import PodView
from autoscaler.kube.reflector import ReflectorStats
from autoscaler.kube.store import Store

GRACE_SECONDS: Final = 10.0
"""How long pods may be out of sight before they count as unknown (real seconds). An HPA looks every
15 s, so until then nobody would have seen more; and a watch that merely broke, or met a restarting
API server, had two more tries at the slowest pace a server in trouble is asked at."""
LOOK_AGAIN_SECONDS: Final = 5.0
"""When to look again while the pods are out of sight (real seconds); they are not asked for more
often either."""


class TargetPods(msgspec.Struct, frozen=True, kw_only=True):
    """The pods of one target at one moment.

    Attributes:
        store: As last heard of.
        failure: Why they are not heard of right now; None = they are, or nobody knows why not.
        hidden_seconds: For how long they have been out of sight (real seconds); 0 = they are not.
    """

    store: Store[PodView]
    failure: KubeError | None = None
    hidden_seconds: float = 0.0

    @property
    def error(self) -> str | None:
        """Why nothing may be concluded from the pods; None = something may, or soon."""
        if self.hidden_seconds < GRACE_SECONDS:
            return None
        what = "watched" if self.store.has_synced else "listed"
        return f"the pods of the target cannot be {what}: {self.failure or 'no answer'}"

    @property
    def is_awaited(self) -> bool:
        """Whether they are still to be listed, which takes a moment."""
        return not self.store.has_synced and self.error is None

    @property
    def is_doubtful(self) -> bool:
        """Whether they were out of sight just now: enough to raise a count, not to lower it."""
        return self.store.has_synced and self.failure is not None and self.error is None

    @property
    def look_again_seconds(self) -> float | None:
        """When to look again though nothing happens (real seconds); None = no need."""
        return None if self.failure is None and self.error is None else LOOK_AGAIN_SECONDS

    def check_allowed(self, patience_seconds: float = 0.0) -> None:
        """Raise Forbidden if they must not be watched, for at least ``patience_seconds`` by now."""
        failure = self.failure
        if isinstance(failure, Forbidden) and self.hidden_seconds >= patience_seconds:
            raise Forbidden(str(failure), status=failure.status)


def look_at(
    store: Store[PodView], stats: ReflectorStats, *, wanted_at: float, now: float
) -> TargetPods:
    """Return what is known of pods.

    Args:
        store: Of the pods.
        stats: Of what keeps the store current.
        wanted_at: Since when they are wanted, ``loop.time()``.
        now: ``loop.time()``.
    """
    since = stats.failing_since if store.has_synced else wanted_at
    return TargetPods(
        store=store,
        failure=stats.last_failure if stats.failing else None,
        hidden_seconds=0.0 if since is None else now - since,
    )
