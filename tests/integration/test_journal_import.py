"""What the service says about its decisions can be read back as load and replicas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from simulations.workload.importers.journal import read_journal, replicas_at, trace_of_journal
from tests.integration.world import World, running


def cron(replicas: int) -> dict[str, Any]:
    """Return a trigger that always wants a count."""
    window = {"timezone": "UTC", "start": "0 0 * * *", "end": "59 23 * * *"}
    return {"type": "cron", "name": "day", "metadata": {**window, "desiredReplicas": str(replicas)}}


async def test_answers_of_the_service_are_a_journal(tmp_path: Path) -> None:
    """Answers saved while replicas change hold every count and the values that led to them."""
    path = tmp_path / "journal.json"

    def save(world: World) -> None:
        # Over the web, then indented as ``flyball explain --json`` prints it.
        shown = json.loads(msgspec.json.encode(world.service.explain("default", "web")))
        with path.open("a") as file:
            file.write(json.dumps(shown, indent=2) + "\n")

    async with running() as world:
        world.deploy("web", 1)
        world.scale_on("web", cron(3))
        await world.until(lambda: world.replicas("web") == 3)
        save(world)

        def change(value: dict[str, Any]) -> None:
            value["spec"]["triggers"] = [cron(6)]

        world.edit("ScaledObject", "web", change)
        await world.until(lambda: world.replicas("web") == 6)
        save(world)
        shown = world.service.explain("default", "web")

    assert shown is not None
    (metric,) = (reading["metric"] for reading in shown["readings"])
    journal = read_journal(path)
    assert journal.object == "default/web"
    counts = [count for _, count in journal.replicas]
    assert sorted(set(counts)) == [3, 6]
    assert counts == sorted(counts)
    rescaled_at = next(at for at, count in journal.replicas if count == 6)
    np.testing.assert_array_equal(
        replicas_at(journal, np.array([0.0, rescaled_at - 1e-6, rescaled_at, rescaled_at + 9])),
        [np.nan, 3, 6, 6],
    )
    values = [value for _, value in journal.readings[metric]]
    assert values[0] == 3
    assert values[-1] == 6
    trace = trace_of_journal(journal, metric, step_seconds=0.001)
    assert (trace.values[0], trace.values[-1]) == (3, 6)
