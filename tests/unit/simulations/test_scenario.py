"""Scenario files: what they make, and what is refused with field, value and accepted form."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
import yaml

from simulations.engine.exact import replay
from simulations.errors import SimulationError
from simulations.scenario.candidates import candidates
from simulations.scenario.read import read_scenario, scenario_of
from simulations.score.score import score
from simulations.sweep.sensitivity import VARIANTS

SHIPPED = sorted(Path("simulations/scenarios").glob("*.yaml"))
SCENARIOS = [path for path in SHIPPED if not path.name.startswith("web") or path.stem == "web-day"]


def shipped(name: str) -> dict:
    """Return a shipped scenario as written."""
    return yaml.safe_load(Path(f"simulations/scenarios/{name}.yaml").read_text())


def scaled_by(raw: dict, **autoscaler) -> None:
    """Let something else scale the only tier."""
    raw["tiers"][0]["autoscaler"] = autoscaler


def refusal(tmp_path, raw) -> str:
    """Return why a scenario is refused."""
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(raw))
    with pytest.raises(SimulationError) as refused:
        read_scenario(path, now=0.0)
    return str(refused.value)


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_shipped_scenarios_run(path):
    """Every scenario in the repository is read and serves nearly all of its load."""
    scenario = read_scenario(path, now=0.0)
    load = scenario.load(0)
    short = msgspec.structs.replace(
        load, expected=load.expected[:720], counted=load.counted[:720], known=load.known[:720]
    )
    runs = replay(scenario.tiers(short), short, seed=0)
    for name, run in runs.items():
        assert score(run).dropped <= 0.01 * score(run).requests, name


def test_tiers_serve_one_after_the_other():
    """What a tier serves arrives behind it, multiplied by the fan-out; nodes follow the pods."""
    scenario = read_scenario(Path("simulations/scenarios/shop-tiers.yaml"), now=0.0)
    load = scenario.load(0)
    runs = replay(scenario.tiers(load), load, seed=0)
    assert np.array_equal(runs["api"].arrivals, runs["frontend"].served)
    assert np.array_equal(runs["readers"].arrivals, 3 * runs["api"].served)
    frontend = runs["frontend"]
    assert frontend.nodes.max() > frontend.nodes.min()
    assert (frontend.pods <= 8 * frontend.nodes).all()


def test_a_tier_may_stand_behind_several(tmp_path):
    """What each of them serves arrives, times the requests that each of it makes."""
    raw = shipped("shop-tiers")
    raw["tiers"][2].update(upstream={"frontend": 0.5, "api": 3})
    del raw["tiers"][2]["fan_out"]
    path = tmp_path / "graph.yaml"
    path.write_text(yaml.safe_dump(raw))
    scenario = read_scenario(path, now=0.0)
    load = scenario.load(0)

    runs = replay(scenario.tiers(load), load, seed=0)

    expected = 0.5 * runs["frontend"].served + 3 * runs["api"].served
    assert np.array_equal(runs["readers"].arrivals, expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw["tiers"][0].pop("service"), ("service", "missing")),
        (lambda raw: raw["tiers"][0]["signals"][0].pop("lag_seconds"), ("lag_seconds",)),
        (lambda raw: raw["tiers"][0]["service"].update(concurrency=0), ("concurrency", ">= 1")),
        (lambda raw: raw["tiers"][0]["waiting"].update(timout_seconds=3), ("timout_seconds",)),
        (lambda raw: raw["tiers"][0]["autoscaler"].update(triggers={}), ("signal", "rate")),
        (
            lambda raw: raw["tiers"][0]["autoscaler"]["triggers"]["requests"].update(signal="x"),
            ('"x"', "rate"),
        ),
        (lambda raw: raw["tiers"][0].update(upstream="nobody"), ("nobody",)),
        (lambda raw: raw.update(workload={"trace": "worldcup"}), ("worldcup98",)),
        (lambda raw: raw.update(score_from_seconds=1e9), ("score_from_seconds", "lasts")),
        (lambda raw: raw.update(step_seconds=7.0), ("15 s", "7 s")),
        (lambda raw: raw.update(step_seconds=0.0004), ("step_seconds", "0.0004", "millisecond")),
        (lambda raw: raw.update(name="../../elsewhere"), ("name",)),
        (lambda raw: raw["tiers"][0].update(name="a/b"), ("tiers[0].name",)),
        (lambda raw: raw["tiers"][0]["service"].update(mean_seconds=math.inf), ("mean_seconds",)),
        (
            lambda raw: raw["tiers"][0]["start_up"].update(
                container={"median_seconds": 0, "p95_seconds": 4}
            ),
            ("median_seconds is 0", "quantiles_seconds"),
        ),
        (
            lambda raw: raw["tiers"][0]["start_up"].update(
                container={"median_seconds": 9, "p95_seconds": 4}
            ),
            ("p95_seconds is 4", "median_seconds (9)"),
        ),
        (
            lambda raw: raw["tiers"][0].update(faults={"metric_outages": [[100, 50]]}),
            ("metric_outages has [100, 50]", "[from, to]"),
        ),
        (
            lambda raw: raw["tiers"][0].update(
                nodes={
                    "pods_per_node": 2,
                    "initial": 5,
                    "maximum": 2,
                    "provisioning": {"median_seconds": 1, "p95_seconds": 1},
                }
            ),
            ("initial is 5", "maximum (2)"),
        ),
        (
            lambda raw: raw["tiers"][0]["signals"].append(raw["tiers"][0]["signals"][0]),
            ("tiers[web]", "signal rate", "already"),
        ),
        (
            lambda raw: raw["tiers"][0].update(upstream={"nobody": 2}, fan_out=3),
            ("fan_out is 3", "upstream: {"),
        ),
        *(
            (lambda raw, given=given: scaled_by(raw, **given), words)
            for given, words in (
                ({"baseline": "static", "options": {"foo": 1}}, ("options", "foo")),
                ({"baseline": "static", "options": {"replicas": 2.7}}, ("2.7", "whole number")),
                ({"baseline": "kpa", "options": {"replicas": 1}}, ("options", "replicas")),
                ({"baseline": "kpa", "options": {"target_ratio": 0}}, ("target_ratio", "> 0")),
                (
                    {"baseline": "hpa", "options": {"minimum": 50, "maximum": 2}},
                    ("minimum is 50", "maximum (2)"),
                ),
            )
        ),
        (
            lambda raw: (
                scaled_by(raw, baseline="hpa"),
                raw["tiers"][0]["signals"].append(
                    {"name": "cpu", "kind": "queue_length", "lag_seconds": 5}
                ),
            ),
            ("signal cpu (queue_length)", "utilization"),
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_field(tmp_path, change, words):
    """Missing parameters are not guessed; the message names the field and what would do."""
    raw = shipped("web-day")
    change(raw)
    message = refusal(tmp_path, raw)
    for word in words:
        assert word in message, message


def test_an_object_takes_the_place_of_the_one_in_the_world(tmp_path):
    """Candidates share the world; a baseline gets the bounds of the object it replaces."""
    found = candidates(
        [Path("simulations/scenarios/web-fast.yaml")],
        scenario=Path("simulations/scenarios/tuning-world.yaml"),
        baselines=["kpa"],
        now=0.0,
    )
    (first, with_object), (second, with_kpa) = found
    assert (first, second) == ("web-fast", "kpa")
    assert set(with_object.subjects) == {"web"}
    assert {item.signal for item in with_object.subjects["web"].watched} == {"rate-now", "waiting"}
    assert with_kpa.model.tiers[0].autoscaler.options["maximum"] == 100


def test_only_policies_under_the_same_load_are_ranked(tmp_path):
    """Two scenarios with different workloads are no comparison; files of one name keep apart."""
    raw = shipped("web-day")
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        if folder == "c":
            raw["workload"]["peak_per_second"] = 700
        (tmp_path / folder / "x.yaml").write_text(yaml.safe_dump(raw))
    first, same, other = (tmp_path / folder / "x.yaml" for folder in ("a", "b", "c"))

    names = [name for name, _ in candidates([first, same], scenario=None, baselines=[], now=0.0)]

    assert names == ["a/x", "b/x"]
    twice = candidates([first, first], scenario=None, baselines=[], now=0.0)
    assert [name for name, _ in twice] == [f"a/x ({number})" for number in (1, 2)]
    with pytest.raises(SimulationError, match="same load"):
        candidates([first, other], scenario=None, baselines=[], now=0.0)


def test_metrics_twice_as_late_are_so_for_baselines(tmp_path):
    """Theirs are the standard signals, which the scenario does not write down."""
    raw = shipped("web-day")
    scaled_by(raw, baseline="keda-rate")
    path = tmp_path / "scenario.yaml"
    path.write_text(yaml.safe_dump(raw))
    scenario = read_scenario(path, now=0.0)
    before = {one.name: one.lag_seconds for one in scenario.tiers(scenario.load(0))[0].signals}

    doubled = scenario_of(VARIANTS["lag x2"](scenario.model), scenario.trace, scenario.folder)

    after = {one.name: one.lag_seconds for one in doubled.tiers(doubled.load(0))[0].signals}
    assert after == {name: 2 * seconds for name, seconds in before.items()}
    assert any(after.values())


def test_an_object_without_a_world_is_refused():
    """A ScaledObject alone says nothing about load and service."""
    with pytest.raises(SimulationError, match="--scenario"):
        candidates([Path("simulations/scenarios/web.yaml")], scenario=None, baselines=[], now=0.0)
