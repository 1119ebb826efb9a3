"""Writes down what the controller does to the shop, as seen from the cluster."""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from autoscaler.demo.objects import at_path
from autoscaler.demo.shop import NAMESPACE
from autoscaler.demo.store import Change, Store
from autoscaler.demo.summary import ScaleEvent
from autoscaler.errors import shorten
from autoscaler.runtime.clock import Clock

LOOK_SECONDS: Final = 0.1
EVENTS_MAX: Final = 10_000
ERRORS_MAX: Final = 100


class Explainer(Protocol):
    """The part of the service that says why."""

    def objects(self) -> list[dict[str, Any]]:
        """Return a line about every object."""
        ...

    def explain(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return everything known about one object."""
        ...


class Recorder:
    """Collects scale events and errors; the oldest events go when there are too many.

    Attributes:
        events: In order; reasons are filled in as soon as the controller tells them.
        errors: Everything reported as wrong, each text once.
    """

    def __init__(self, store: Store, service: Explainer, clock: Clock) -> None:
        self.events: list[ScaleEvent] = []
        self.errors: dict[str, None] = {}
        self._explained_at: dict[str, float] = {}
        self._service = service
        self._clock = clock
        self._began_at = clock.now()
        store.listen(self._changed)

    @property
    def elapsed_seconds(self) -> float:
        """Time since the recorder was made, by the cluster's clock."""
        return self._clock.now() - self._began_at

    async def run(self) -> None:
        """Keep asking the service for reasons and errors until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Ask once."""
        for line in self._service.objects():
            shown = self._service.explain(line["namespace"], line["name"])
            if shown is None:
                continue
            name = line["name"]
            if line["problem"]:
                self._error(f"{name}: {line['problem']}")
            for reading in shown["readings"]:
                if reading["error"]:
                    self._error(f"{name}: {reading['metric']}: {reading['error']}")
            if shown["error"]:
                self._error(f"{name}: {shown['error']}")
            self._explain(name, shown["history"])

    def latest(self, name: str) -> ScaleEvent | None:
        """Return the last scale event of an object."""
        return next((event for event in reversed(self.events) if event.object == name), None)

    def _changed(self, change: Change) -> None:
        if change.bucket not in {"deployments.apps", "statefulsets.apps"}:
            return
        if change.key[0] != NAMESPACE or change.before is None or change.after is None:
            return
        before = at_path(change.before.value, "spec", "replicas")
        after = at_path(change.after.value, "spec", "replicas")
        if before == after:
            return
        at = round(self.elapsed_seconds, 1)
        self.events.append(ScaleEvent(at=at, object=change.key[1], before=before, after=after))
        del self.events[:-EVENTS_MAX]

    def _explain(self, name: str, history: list[dict[str, Any]]) -> None:
        """Match decisions that were written to the changes they made; both are in order."""
        written = [entry for entry in history if entry["outcome"] == "written"]
        for event in self.events:
            if event.object != name or event.reason:
                continue
            for entry in written:
                is_new = entry["at"] > self._explained_at.get(name, 0.0)
                if is_new and (entry["from"], entry["to"]) == (event.before, event.after):
                    event.reason = entry["why"]
                    # Windows count from decisions, not from when the write arrived.
                    event.at = round(entry["at"] - self._began_at, 3)
                    self._explained_at[name] = entry["at"]
                    break

    def _error(self, text: str) -> None:
        if len(self.errors) < ERRORS_MAX:
            self.errors.setdefault(shorten(text), None)
