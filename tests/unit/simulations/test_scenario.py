"""Scenario files: what they make, and what is refused with field, value and accepted form."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import yaml

from simulations.engine.exact import replay
from simulations.errors import SimulationError
from simulations.scenario.candidates import candidates
from simulations.scenario.read import read_scenario
from simulations.score.score import score

SHIPPED = sorted(Path("simulations/scenarios").glob("*.yaml"))
SCENARIOS = [path for path in SHIPPED if not path.name.startswith("web") or path.stem == "web-day"]


def shipped(name: str) -> dict:
    """Return a shipped scenario as written."""
    return yaml.safe_load(Path(f"simulations/scenarios/{name}.yaml").read_text())


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


def test_an_object_without_a_world_is_refused():
    """A ScaledObject alone says nothing about load and service."""
    with pytest.raises(SimulationError, match="--scenario"):
        candidates([Path("simulations/scenarios/web.yaml")], scenario=None, baselines=[], now=0.0)
