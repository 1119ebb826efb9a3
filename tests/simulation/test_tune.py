"""The search finds cheaper objects, and proves them on days it has not seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from simulations.errors import SimulationError
from simulations.scenario.model import ScenarioModel
from simulations.scenario.read import read_model, scenario_of
from simulations.sweep.executors import Serial
from simulations.tune.evaluate import World, evaluate
from simulations.tune.plan import tuned
from simulations.tune.search import search
from simulations.tune.space import space_of
from simulations.workload.generators import Diurnal
from simulations.workload.trace import Trace

FOLDER = Path("simulations/scenarios")
KEDA = yaml.safe_load((FOLDER / "web.yaml").read_text())
FAST = yaml.safe_load((FOLDER / "web-fast.yaml").read_text())


@pytest.fixture(scope="module")
def world() -> tuple[ScenarioModel, Trace]:
    """Half a day up and half a day down."""
    shape = Diurnal(mean_per_second=250, duration_seconds=86_400.0, noise_ratio=0.05, seed=1)
    return read_model(FOLDER / "tuning-world.yaml"), shape.trace()


def test_a_cheaper_object_is_found_and_proven_on_other_hours(world):
    """At a budget the tuned object costs less than KEDA's defaults where nobody searched."""
    scenario = scenario_of(*world, FOLDER)
    result = tuned(FAST, scenario, Serial(), against=KEDA, budget=0.005, candidates=40, seeds=1)
    assert result.found.chosen.violation_ratio <= 0.005
    assert result.best.cost < result.base.cost
    assert yaml.safe_load(result.yaml)["apiVersion"] == "flyball.dev/v1alpha1"
    assert result.searched_days == pytest.approx(0.6)
    assert result.tested_days == pytest.approx(0.4)
    assert result.effects, "a saving without any effect"


def test_an_impossible_budget_is_said_to_be_one(world):
    """Nothing keeps it: the message says how close the best came."""
    scenario = scenario_of(*world, FOLDER)
    with pytest.raises(SimulationError, match="the fewest were"):
        tuned(KEDA, scenario, Serial(), budget=0.0, candidates=8, seeds=1)


def test_nothing_cheaper_is_said_to_be_nothing(world):
    """A candidate that costs more than the object to beat is no result."""
    model, trace = world
    space = space_of(KEDA)
    tested = World(tier=model.tiers[0], trace=trace, step_seconds=5.0)
    cheap = {**KEDA, "spec": {**KEDA["spec"], "maxReplicaCount": 2}}
    with pytest.raises(SimulationError, match="is cheaper than"):
        search(space, tested, Serial(), candidates=8, against=cheap, budget=1.0)


def test_the_search_is_the_same_every_time(world):
    """Same seed, same candidates, same result."""
    scenario = scenario_of(*world, FOLDER)
    first, again = (
        tuned(FAST, scenario, Serial(), budget=0.01, candidates=16, seeds=1) for _ in range(2)
    )
    assert first.yaml == again.yaml
    assert first.found.tried == again.found.tried


def test_what_the_kernel_cannot_do_runs_on_exact_replay(world):
    """A smoothed trigger is no candidate for the kernel, and gets a figure all the same."""
    model, trace = world
    smooth = yaml.safe_load((FOLDER / "web-fast.yaml").read_text())
    smooth["spec"]["triggers"][0]["smoothing"] = {"type": "ewma", "halfLifeSeconds": 30}
    tested = World(tier=model.tiers[0], trace=trace, step_seconds=5.0)
    plain, smoothed = evaluate(tested, [FAST, smooth], Serial())
    assert smoothed.cost > 0
    assert smoothed.cost != plain.cost


def test_only_what_is_chosen_is_changed():
    """The unchanged choice is the object itself, but for the group."""
    space = space_of(KEDA)
    assert space.manifest(space.unchanged) == {**KEDA, "apiVersion": "flyball.dev/v1alpha1"}
    kept = space_of(KEDA, keep_group=True)
    assert kept.manifest(kept.unchanged) == KEDA
    assert all("pollingInterval" not in setting.path for setting in kept.settings)
