"""Seeded faults of the embedded API server; all off by default.

Probabilities are per request (or per watch), drawn from one seeded generator, so the same traffic
meets the same faults. Writes that fail by a fault were not performed, except ``lost_replies``,
where they were and the client does not learn it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import msgspec

from autoscaler.demo.apierrors import ApiError, conflict, expired
from autoscaler.demo.resources import Resource

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


class FaultRates(msgspec.Struct, frozen=True, kw_only=True):
    """How often each fault happens, 0..1, and how large it is.

    Attributes:
        conflicts: Writes answered 409.
        expired: Watches and lists answered 410.
        too_many_requests: Answered 429 with ``Retry-After``.
        server_errors: Answered 500, 502, 503 or 504, not performed.
        lost_replies: Performed, and the connection dropped before the answer.
        dropped_watches: Watches cut without an end after up to ``watch_seconds``.
        stalled_watches: Watches that go silent after up to ``watch_seconds``.
        expired_watches: Watches ended by a 410 event after up to ``watch_seconds``.
        slow: Answers delayed by up to ``slow_seconds``.
    """

    conflicts: float = 0.0
    expired: float = 0.0
    too_many_requests: float = 0.0
    server_errors: float = 0.0
    lost_replies: float = 0.0
    dropped_watches: float = 0.0
    stalled_watches: float = 0.0
    expired_watches: float = 0.0
    slow: float = 0.0
    slow_seconds: float = 2.0
    watch_seconds: float = 30.0
    retry_after_seconds: int = 1


class WatchFault(msgspec.Struct, frozen=True):
    """What happens to one watch: ``drop``, ``stall`` or ``expire``, ``after_seconds`` from now."""

    kind: str
    after_seconds: float


class Faults:
    """Decides, request by request, what goes wrong."""

    def __init__(self, seed: int = 0, rates: FaultRates | None = None) -> None:
        self.rates = rates or FaultRates()
        self.counts: Counter[str] = Counter()
        self._rng = random.Random(seed)  # noqa: S311 - reproducible faults, nothing secret
        self._scripted: list[tuple[str, str, ApiError]] = []
        self._denied: set[tuple[str, str]] = set()

    def deny(self, verb: str, plural: str) -> None:
        """Answer matching requests 403, as without a right, until :meth:`permit`."""
        self._denied.add((verb, plural))

    def permit(self, verb: str, plural: str) -> None:
        """Take back :meth:`deny`."""
        self._denied.discard((verb, plural))

    def fail_next(self, verb: str, plural: str, error: ApiError, *, times: int = 1) -> None:
        """Answer the next matching requests with ``error``; ``plural`` may name a subresource.

        Args:
            verb: ``get``, ``list``, ``watch``, ``create``, ``update``, ``patch`` or ``delete``.
            plural: For example ``deployments`` or ``deployments/scale``.
            error: What is answered.
            times: How many requests fail.
        """
        self._scripted.extend([(verb, plural, error)] * times)

    def delay_seconds(self) -> float:
        """Return how long to hold back the next answer; usually 0."""
        if not self._happens("slow", self.rates.slow):
            return 0.0
        return self._rng.uniform(0, self.rates.slow_seconds)

    def before(self, verb: str, resource: Resource, subresource: str, name: str) -> None:
        """Raise the ApiError this request fails with, if any; nothing was performed."""
        self._raise_denied(verb, resource, f"{resource.plural}/{subresource}".rstrip("/"), name)
        self._raise_scripted(verb, f"{resource.plural}/{subresource}".rstrip("/"))
        rates = self.rates
        if self._happens("too_many_requests", rates.too_many_requests):
            raise ApiError(
                429,
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later",
                retry_after_seconds=rates.retry_after_seconds,
            )
        if self._happens("server_errors", rates.server_errors):
            code, reason = self._choose(
                ((500, "InternalError"), (502, ""), (503, "ServiceUnavailable"), (504, "Timeout"))
            )
            raise ApiError(code, reason, "the server was unable to complete the request")
        if verb in {"update", "patch"} and self._happens("conflicts", rates.conflicts):
            raise conflict(resource, name)
        if verb in {"list", "watch"} and self._happens("expired", rates.expired):
            raise expired("The resourceVersion for the provided list or watch is too old.")

    def loses_reply(self, verb: str) -> bool:
        """Whether a performed write's connection is dropped before the answer."""
        return verb in WRITES and self._happens("lost_replies", self.rates.lost_replies)

    def watch_fault(self) -> WatchFault | None:
        """Return what will happen to a new watch, None for nothing."""
        rates = self.rates
        for kind, rate in (
            ("drop", rates.dropped_watches),
            ("stall", rates.stalled_watches),
            ("expire", rates.expired_watches),
        ):
            if self._happens(kind, rate):
                return WatchFault(kind, self._rng.uniform(0, rates.watch_seconds))
        return None

    def _raise_denied(self, verb: str, resource: Resource, plural: str, name: str) -> None:
        if (verb, plural) in self._denied:
            self.counts["denied"] += 1
            # In the words of the RBAC authorizer, which leave out the name of a collection.
            what = f'{resource.qualified} "{name}"' if name else resource.qualified
            raise ApiError(
                403,
                "Forbidden",
                f'{what} is forbidden: User "demo" cannot {verb} resource "{plural}" in API group '
                f'"{resource.group}"',
            )

    def _raise_scripted(self, verb: str, plural: str) -> None:
        for index, (wanted_verb, wanted_plural, error) in enumerate(self._scripted):
            if (wanted_verb, wanted_plural) == (verb, plural):
                del self._scripted[index]
                self.counts["scripted"] += 1
                raise error

    def _happens(self, name: str, rate: float) -> bool:
        # The generator is only asked when the fault is on, so turning one on leaves the others'
        # sequences as they were while it was off.
        if rate <= 0 or self._rng.uniform(0, 1) >= rate:
            return False
        self.counts[name] += 1
        return True

    def _choose(self, options: Sequence[tuple[int, str]]) -> tuple[int, str]:
        return options[self._rng.randrange(len(options))]
