"""Runs bound pods: start-up, readiness, completion, and the drain before they go."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from autoscaler.demo.controllers import controller_of
from autoscaler.demo.objects import JsonObject, Key, at_path, timestamp
from autoscaler.demo.pods import is_ready, node_of, phase
from autoscaler.demo.registry import DeleteOptions, Registry
from autoscaler.demo.store import Change, Item

PREFIX: Final = "demo.flyball.dev/"
DRAIN_POLL_SECONDS: Final = 1.0
NOW: Final = DeleteOptions(grace_period_seconds=0)


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """How long pods take where their annotations do not say.

    The annotations are ``demo.flyball.dev/start-seconds``, ``ready-seconds``, ``stop-seconds`` and
    ``run-seconds``.

    Attributes:
        start_seconds: From binding to running.
        ready_seconds: From running to ready.
        stop_seconds: From the deletion mark to the end, within the grace period.
        run_seconds: How long a pod of a Job runs.
        jitter_ratio: Start times vary by this much to either side.
    """

    start_seconds: float = 2.0
    ready_seconds: float = 1.0
    stop_seconds: float = 1.0
    run_seconds: float = 10.0
    jitter_ratio: float = 0.2


class PodTimes(msgspec.Struct, kw_only=True):
    """When the next things happen to one pod, monotonic seconds."""

    running_at: float
    ready_at: float
    finished_at: float | None
    marked_at: float | None = None


class Kubelet:
    """The kubelet of every node.

    Attributes:
        is_drained: Asked for a terminating pod: whether its work is done. A pod that is not goes on
            until its grace period is over.
    """

    def __init__(
        self, registry: Registry, rng: random.Random, timings: Timings | None = None
    ) -> None:
        self.is_drained: Callable[[Key], bool] = lambda _key: True
        self._registry = registry
        self._rng = rng
        self._timings = timings or Timings()
        self._resource = registry.resource("v1", "Pod")
        self._times: dict[Key, PodTimes] = {}
        self._addresses = 0

    def affected(self, change: Change) -> Iterable[Key]:
        """Look at bound pods."""
        if change.bucket != "pods":
            return ()
        if change.after is None:
            self._times.pop(change.key, None)
            return ()
        return (change.key,) if node_of(change.after.value) else ()

    def reconcile(self, key: Key) -> float | None:
        """Take one pod's next step; returns the seconds to the one after."""
        item = self._registry.store.get("pods", *key)
        if item is None:
            return None
        now = self._registry.clock.monotonic()
        times = self._times.get(key)
        if times is None:
            times = self._times[key] = self._plan(item.value, now)
        if "deletionTimestamp" in item.value["metadata"]:
            return self._terminate(key, item, times, now)
        return self._advance(item, times, now)

    def _plan(self, pod: JsonObject, now: float) -> PodTimes:
        jitter = self._rng.uniform(1 - self._timings.jitter_ratio, 1 + self._timings.jitter_ratio)
        running_at = now + self._seconds(pod, "start-seconds", self._timings.start_seconds) * jitter
        owner = controller_of(pod)
        finished_at = None
        if owner is not None and owner["kind"] == "Job":
            finished_at = running_at + self._seconds(pod, "run-seconds", self._timings.run_seconds)
        ready_seconds = self._seconds(pod, "ready-seconds", self._timings.ready_seconds)
        return PodTimes(
            running_at=running_at, ready_at=running_at + ready_seconds, finished_at=finished_at
        )

    def _seconds(self, pod: JsonObject, name: str, otherwise: float) -> float:
        text = (pod["metadata"].get("annotations") or {}).get(PREFIX + name)
        return otherwise if text is None else float(text)

    def _advance(self, item: Item, times: PodTimes, now: float) -> float | None:
        if phase(item.value) in {"Succeeded", "Failed"}:
            return None
        if now < times.running_at:
            return times.running_at - now
        if times.finished_at is not None and now >= times.finished_at:
            self._set_status(item, "Succeeded", ready=False)
            return None
        if phase(item.value) != "Running" or (now >= times.ready_at and not is_ready(item.value)):
            self._set_status(item, "Running", ready=now >= times.ready_at)
        upcoming = [at for at in (times.ready_at, times.finished_at) if at is not None and at > now]
        return min(upcoming) - now if upcoming else None

    def _terminate(self, key: Key, item: Item, times: PodTimes, now: float) -> float | None:
        if times.marked_at is None:
            times.marked_at = now
        grace_seconds = float(item.value["metadata"].get("deletionGracePeriodSeconds", 0))
        stop_seconds = self._seconds(item.value, "stop-seconds", self._timings.stop_seconds)
        if phase(item.value) != "Running":
            stop_seconds = 0.0
        stopped_at = times.marked_at + min(stop_seconds, grace_seconds)
        killed_at = times.marked_at + grace_seconds
        if now < stopped_at:
            return stopped_at - now
        if now < killed_at and not self.is_drained(key):
            return min(DRAIN_POLL_SECONDS, killed_at - now)
        self._registry.delete(self._resource, *key, NOW)
        return None

    def _set_status(self, item: Item, new_phase: str, *, ready: bool) -> None:
        pod = item.value
        now = timestamp(self._registry.clock.now())
        before = pod.get("status") or {}
        since = {one["type"]: one for one in before.get("conditions") or ()}
        flags = {
            "PodScheduled": True,
            "Initialized": True,
            "ContainersReady": ready,
            "Ready": ready,
        }
        conditions = []
        for kind, holds in flags.items():
            word = "True" if holds else "False"
            known = since.get(kind, {})
            at = now if known.get("status") != word else known["lastTransitionTime"]
            conditions.append({"type": kind, "status": word, "lastTransitionTime": at})
        state = (
            {"running": {"startedAt": now}}
            if new_phase == "Running"
            else {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": now}}
        )
        statuses = [
            {
                "name": one["name"],
                "image": one.get("image", ""),
                "imageID": one.get("image", ""),
                "ready": ready,
                "started": new_phase == "Running",
                "restartCount": 0,
                "state": state,
            }
            for one in at_path(pod, "spec", "containers") or ()
        ]
        status = {
            **before,
            "phase": new_phase,
            "conditions": conditions,
            "containerStatuses": statuses,
            "startTime": before.get("startTime", now),
            "podIP": before.get("podIP") or self._address(),
        }
        self._registry.set_status(self._resource, item, status)

    def _address(self) -> str:
        self._addresses += 1
        return (
            f"10.{self._addresses >> 16 & 255}.{self._addresses >> 8 & 255}.{self._addresses & 255}"
        )
