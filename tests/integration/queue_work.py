"""What the tests of ScaledJobs share: a queue, workers that take from it, and what became of it."""

from __future__ import annotations

from typing import Any

from autoscaler.demo.objects import JsonObject
from autoscaler.demo.store import Change
from autoscaler.kube.jobs import NAME_LABEL
from tests.integration.world import World
from tests.servers import RedisServer

LIST = "videos"
NAME = "convert"


class Jobs:
    """A ScaledJob of one list item per job, and its jobs.

    Args:
        world: Where it runs; gets nodes enough if it has none.
        server: Holds the list.
        takes: When a job's pod takes an item: once it is ready (``begin``), when it has succeeded
            (``end``), or never (empty).
    """

    def __init__(self, world: World, server: RedisServer, takes: str = "") -> None:
        self.world = world
        self.server = server
        self.takes = takes
        self.created: list[str] = []
        self.deleted: list[str] = []
        self._served: set[str] = set()
        if not world.cluster.store.items("nodes"):
            world.cluster.add_pool("main", 4, cpu="64", memory="64Gi")
        world.cluster.store.listen(self._changed)

    def push(self, count: int) -> None:
        """Append items to the list."""
        self.server.send("RPUSH", LIST, *map(str, range(count)))

    def left(self) -> int:
        """Return the length of the list."""
        return int(self.server.send("LLEN", LIST).removeprefix(b":"))

    def define(
        self,
        *,
        metadata: dict[str, Any] | None = None,
        start_seconds: float = 0.1,
        run_seconds: float = 600.0,
        api: str = "flyball.dev/v1alpha1",
        **spec: Any,
    ) -> None:
        """Create the ScaledJob."""
        self.world.create(
            "ScaledJob",
            NAME,
            api=api,
            metadata=metadata or {},
            spec={
                "jobTargetRef": {"template": template(start_seconds, run_seconds)},
                "pollingInterval": 1,
                "triggers": [self.trigger()],
                **spec,
            },
        )

    def trigger(self) -> dict[str, Any]:
        """Return the trigger."""
        metadata = {"address": self.server.address, "listName": LIST, "listLength": "1"}
        return {"type": "redis", "metadata": metadata}

    def edit(self, **spec: Any) -> None:
        """Change fields of the ScaledJob's spec."""
        self.world.edit("ScaledJob", NAME, lambda value: value["spec"].update(spec))

    def annotate(self, name: str, value: str | None) -> None:
        """Set, or with None remove, an annotation of the ScaledJob."""

        def change(found: JsonObject) -> None:
            known = found["metadata"].setdefault("annotations", {})
            known.pop(name, None)
            if value is not None:
                known[name] = value

        self.world.edit("ScaledJob", NAME, change)

    def all(self) -> list[JsonObject]:
        """Return the jobs there are."""
        return [
            item.value
            for item in self.world.cluster.store.items("jobs.batch")
            if item.value["metadata"]["labels"].get(NAME_LABEL) == NAME
        ]

    def unfinished(self) -> list[JsonObject]:
        """Return the jobs that are not done."""
        return [job for job in self.all() if not status_of(job).get("conditions")]

    def begun(self) -> list[JsonObject]:
        """Return the unfinished jobs with a ready pod."""
        return [job for job in self.unfinished() if status_of(job).get("ready")]

    def finished(self) -> list[JsonObject]:
        """Return the jobs that are done."""
        return [job for job in self.all() if status_of(job).get("conditions")]

    def status(self) -> JsonObject:
        """Return the status of the ScaledJob."""
        return status_of(self.world.get("ScaledJob", NAME))

    def condition(self, kind: str) -> tuple[str, str, str]:
        """Return status, reason and message of a condition of the ScaledJob; empty if absent."""
        for one in self.status().get("conditions", ()):
            if one["type"] == kind:
                return one["status"], one["reason"], one["message"]
        return "", "", ""

    def reasons(self) -> list[str]:
        """Return the reasons of the events about the ScaledJob."""
        return [reason for reason, _ in self.world.events(NAME)]

    def explained(self) -> JsonObject:
        """Return what the service says about the ScaledJob."""
        shown = self.world.service.explain("default", NAME, "ScaledJob")
        assert shown is not None
        return shown

    async def polls(self, count: int = 3) -> None:
        """Wait for decisions on so many further readings."""
        for _ in range(count):
            before = self._sampled_at()
            await self.world.until(lambda before=before: self._sampled_at() > before)  # type: ignore[misc]

    def _sampled_at(self) -> float:
        readings = self.explained()["readings"]
        return float(readings[0]["sampledAt"]) if readings else 0.0

    def _changed(self, change: Change) -> None:
        if change.bucket == "jobs.batch":
            if change.before is None and change.after is not None:
                self.created.append(change.after.value["metadata"]["name"])
            elif change.after is None and change.before is not None:
                self.deleted.append(change.before.value["metadata"]["name"])
        elif change.bucket == "pods" and change.after is not None and self.takes:
            self._serve(change.after.value)

    def _serve(self, pod: JsonObject) -> None:
        """Take an item for a pod that gets so far."""
        status = status_of(pod)
        is_ready = any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in status.get("conditions", ())
        )
        is_due = is_ready if self.takes == "begin" else status.get("phase") == "Succeeded"
        name = pod["metadata"]["name"]
        if is_due and name not in self._served:
            self._served.add(name)
            self.server.send("LPOP", LIST)


def template(start_seconds: float = 0.1, run_seconds: float = 600.0) -> JsonObject:
    """Return the pod template of jobs that need so long."""
    annotations = {
        "demo.flyball.dev/start-seconds": str(start_seconds),
        "demo.flyball.dev/ready-seconds": "0",
        "demo.flyball.dev/run-seconds": str(run_seconds),
    }
    return {
        "metadata": {"annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": "demo"}]},
    }


def status_of(value: JsonObject) -> JsonObject:
    """Return an object's status."""
    found: JsonObject = value.get("status") or {}
    return found
