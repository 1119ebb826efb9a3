"""The search finds cheaper objects, and proves them on days it has not seen."""

from __future__ import annotations

import copy
from pathlib import Path

import msgspec
import numpy as np
import pytest
import yaml

from autoscaler.api.parse import parse_object
from simulations.errors import SimulationError
from simulations.scenario.model import ScenarioModel
from simulations.scenario.read import read_model, scenario_of
from simulations.score.score import late_per_step, score
from simulations.sweep.executors import Serial
from simulations.tune.evaluate import Outcomes, World, decided_of, evaluate, replayed
from simulations.tune.plan import tuned
from simulations.tune.search import ROUNDS, Allowed, doubtful_excess, search
from simulations.tune.space import space_of
from simulations.workload.compose import cut
from simulations.workload.generators import Diurnal
from simulations.workload.trace import Trace

FOLDER = Path("simulations/scenarios")
KEDA = yaml.safe_load((FOLDER / "web.yaml").read_text())
HOURS = 8
FAST = yaml.safe_load((FOLDER / "web-fast.yaml").read_text())


@pytest.fixture(scope="module")
def world() -> tuple[ScenarioModel, Trace]:
    """The hours of a day with the most load, up and down again."""
    shape = Diurnal(mean_per_second=250, duration_seconds=86_400.0, noise_ratio=0.05, seed=1)
    load = cut(shape.trace(), from_seconds=11 * 3600, duration_seconds=HOURS * 3600)
    return read_model(FOLDER / "tuning-world.yaml"), load


def test_a_cheaper_object_is_found_and_proven_on_other_hours(world):
    """At a budget the tuned object costs less than KEDA's defaults where nobody searched."""
    scenario = scenario_of(*world, FOLDER)
    result = tuned(FAST, scenario, Serial(), against=KEDA, budget=0.005, candidates=40, seeds=1)
    assert result.found.chosen.violation_ratio <= 0.005
    assert result.best.cost < result.base.cost
    assert yaml.safe_load(result.yaml)["apiVersion"] == "flyball.dev/v1alpha1"
    assert result.searched_days == pytest.approx(0.6 * HOURS / 24)
    assert result.tested_days == pytest.approx(0.4 * HOURS / 24)
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
        tuned(FAST, scenario, Serial(), against=KEDA, budget=0.02, candidates=12, seeds=1)
        for _ in range(2)
    )
    assert first.yaml == again.yaml
    assert first.found.tried == again.found.tried


def test_what_the_kernel_cannot_do_runs_on_exact_replay(world):
    """A smoothed trigger is no candidate for the kernel, and gets a figure all the same."""
    model, trace = world
    smooth = yaml.safe_load((FOLDER / "web-fast.yaml").read_text())
    smooth["spec"]["triggers"][0]["smoothing"] = {"type": "ewma", "halfLifeSeconds": 30}
    tested = World(tier=model.tiers[0], trace=trace, step_seconds=5.0)
    found = evaluate(tested, [FAST, smooth], Serial())
    plain, smoothed = found.points()
    assert smoothed.cost > 0
    assert smoothed.cost != plain.cost
    assert (found.late[:, 1] > 0).any()


def test_the_search_is_blind_to_the_days_it_is_tested_on(world):
    """Whatever comes after the days searched, the search finds the same."""
    model, trace = world
    values = trace.values.copy()
    later = len(values) * 6 // 10
    values[later:] *= 2.5
    other = msgspec.structs.replace(trace, values=values)
    first, again = (
        tuned(
            FAST,
            scenario_of(model, one, FOLDER),
            Serial(),
            against=KEDA,
            budget=0.02,
            candidates=12,
            seeds=1,
        )
        for one in (trace, other)
    )
    assert first.found.tried == again.found.tried
    assert first.effects == again.effects
    assert first.yaml == again.yaml
    assert first.base.requests < again.base.requests, "the other days were the same"


def test_no_candidate_ever_meets_the_days_it_is_tested_on(world):
    """Every run of the search ends where the days tested begin."""

    class Watching(Serial):
        def map(self, function, parts):
            ends.extend(
                part.world.trace.start_at + part.world.trace.duration_seconds for part in parts
            )
            yield from super().map(function, parts)

    model, trace = world
    ends: list[float] = []
    scenario = scenario_of(model, trace, FOLDER)
    tuned(FAST, scenario, Watching(), against=KEDA, budget=0.02, candidates=12, seeds=1)
    assert len(ends) > ROUNDS
    assert set(ends) == {trace.start_at + 0.6 * trace.duration_seconds}


def test_spans_add_up_to_the_whole_in_both_engines(world):
    """Late requests per span are those of exact replay, and all requests are in some span."""
    model, trace = world
    tested = World(
        tier=model.tiers[0], trace=trace, step_seconds=5.0, seeds=(3,), score_from_seconds=900.0
    )
    found = evaluate(tested, [FAST], Serial())
    load = tested.load(3)
    run = replayed(tested, decided_of(tested, FAST), load, 3)
    exact = score(run, from_step=tested.from_step)
    assert found.requests.sum() == pytest.approx(exact.requests)
    assert found.late.sum() == pytest.approx(exact.late)
    assert found.cost[0] == pytest.approx(exact.cost)
    length = -(-(load.steps - tested.from_step) // tested.spans)
    late = late_per_step(run)[tested.from_step :]
    sums = [late[begin : begin + length].sum() for begin in range(0, len(late), length)]
    assert found.late[:, 0] == pytest.approx(sums)


def test_a_rehearsal_counts_for_itself(world):
    """It follows on whole spans as they were, has more load, and is in no other figure."""
    model, trace = world
    plain = World(tier=model.tiers[0], trace=trace, step_seconds=5.0, seeds=(3,))
    both = msgspec.structs.replace(plain, rehearses=True)
    load, longer = plain.load(3), both.load(3)
    length = load.steps // plain.spans
    assert longer.steps == load.steps + length
    assert (longer.expected[: load.steps] == load.expected).all()
    ratio = longer.expected[load.steps :] / load.expected[-length:]
    assert ratio.min() == pytest.approx(1.0)
    assert ratio.max() == pytest.approx(1.6)
    alone, rehearsed = (evaluate(one, [KEDA], Serial()) for one in (plain, both))
    assert rehearsed.late == pytest.approx(alone.late)
    assert rehearsed.cost == pytest.approx(alone.cost)
    assert alone.rehearsed[0] == 0
    assert rehearsed.rehearsed[0] > alone.late[-1, 0]


def test_one_lucky_day_does_not_make_up_for_all_others():
    """A candidate that is late less often on one day only is in doubt, one on all days is not."""
    allowed = np.array([900.0, 10.0, 10.0, 10.0])
    lucky, steady = [100.0, 20.0, 20.0, 20.0], [870.0, 8.0, 8.0, 8.0]
    excess = doubtful_excess(_outcomes([lucky, steady], [0.0, 0.0]), _allowed(allowed, 0.0))
    assert excess[0] > 0
    assert excess[1] <= 0


def test_doing_worse_in_the_rehearsal_is_a_doubt():
    """However well a candidate does on the days searched."""
    allowed = np.full(4, 10.0)
    excess = doubtful_excess(
        _outcomes([[1.0] * 4, [1.0] * 4], [50.0, 51.0]), _allowed(allowed, 50.0)
    )
    assert excess[0] <= 0
    assert excess[1] > 0


def test_spare_capacity_is_written_as_a_formula():
    """The replicas a rate needs and their square root, beside a queue that gets no spare ones."""
    space = space_of(FAST, rates={0: 20.0})
    choice = _choice(space, "spec.advanced.scalingModifiers", 0.5)
    made = space.manifest(choice)["spec"]["advanced"]["scalingModifiers"]
    assert made == {
        "formula": "max((requests_now + 2 * requests_now ** 0.5) / 16, waiting / 100)",
        "target": "1",
    }
    assert parse_object(space.manifest(choice))


def test_a_target_above_what_a_replica_serves_is_never_tried():
    """It would only fit the load that was searched on."""
    (threshold,) = [
        setting
        for setting in space_of(FAST, rates={0: 20.0}).settings
        if setting.path == "spec.triggers[0].metadata.threshold"
    ]
    assert max(map(float, threshold.values)) == 20.0


@pytest.mark.parametrize(
    "changed",
    [
        {"name": ""},
        {"type": "rabbitmq"},
        {"metricType": "Value"},
    ],
)
def test_a_trigger_that_no_formula_can_stand_for_gets_none(changed):
    """Without a name, a known target or an average there is no formula to write."""
    raw = copy.deepcopy(FAST)
    raw["spec"]["triggers"][1].update(changed)
    paths = [setting.path for setting in space_of(raw, rates={0: 20.0}).settings]
    assert "spec.advanced.scalingModifiers" not in paths


def _choice(space, path, value):
    return tuple(value if setting.path == path else None for setting in space.settings)


def test_only_what_is_chosen_is_changed():
    """The unchanged choice is the object itself, but for the group."""
    space = space_of(KEDA)
    assert space.manifest(space.unchanged) == {**KEDA, "apiVersion": "flyball.dev/v1alpha1"}
    kept = space_of(KEDA, keep_group=True)
    assert kept.manifest(kept.unchanged) == KEDA
    assert all("pollingInterval" not in setting.path for setting in kept.settings)


def _outcomes(late, rehearsed):
    return Outcomes(
        cost=np.ones(len(late)),
        late=np.array(late).T,
        requests=np.full(4, 1e4),
        rehearsed=np.array(rehearsed),
    )


def _allowed(late, rehearsed):
    return Allowed(late=late, rehearsed=rehearsed)
