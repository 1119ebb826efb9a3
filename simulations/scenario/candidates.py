"""What ``flyball compare`` compares: scenarios, objects put into one, and baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec.structs import replace

from simulations.errors import SimulationError
from simulations.policies.objects import TriggerModel
from simulations.scenario.model import AutoscalerModel, ScenarioModel, TierModel
from simulations.scenario.read import (
    KINDS,
    Scenario,
    checked,
    object_of,
    read_model,
    read_scenario,
    read_yaml,
    scenario_of,
)
from simulations.workload.model import build_trace, workload_of

OBJECT_KIND: Final = "ScaledObject"


def candidates(
    files: Sequence[Path], *, scenario: Path | None, baselines: Sequence[str], now: float
) -> list[tuple[str, Scenario]]:
    """Return named scenarios, in order.

    Args:
        files: Scenarios or manifests of a ScaledObject.
        scenario: The world for objects and baselines.
        baselines: Names.
        now: Epoch seconds.

    Raises:
        SimulationError: A file is neither, or there is no world for an object.
    """
    world = None
    if scenario is not None:
        model = read_model(scenario)
        trace = build_trace(workload_of(model.workload), scenario.parent, now=now)
        world = model, trace, scenario.parent
    found: list[tuple[str, Scenario]] = []
    names = _unique(files)
    for name, path in zip(names, files, strict=True):
        raw = read_yaml(path)
        if not isinstance(raw, Mapping):
            raise SimulationError(f"{path} holds neither a scenario nor a {OBJECT_KIND}")
        if raw.get("kind") != OBJECT_KIND:
            found.append((name, read_scenario(path, now=now)))
            continue
        if world is None:
            raise SimulationError(f"{path} is a {OBJECT_KIND}: say in which world with --scenario")
        model, trace, folder = world
        made = scenario_of(with_object(model, raw), trace, folder)
        found.append((name, checked(made)))
    for name in baselines:
        if world is None:
            raise SimulationError("baselines need a world: say which with --scenario")
        model, trace, folder = world
        made = scenario_of(with_baseline(model, name, folder), trace, folder)
        found.append((name, checked(made)))
    _check_alike(found)
    return found


def _unique(files: Sequence[Path]) -> list[str]:
    """Return short names for files: with the folder, or a number, only where they need it."""
    names = [path.stem for path in files]
    if len(set(names)) < len(names):
        names = [f"{path.absolute().parent.name}/{path.stem}" for path in files]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: number + 1].count(name)})"
        for number, name in enumerate(names)
    ]


def _check_alike(found: Sequence[tuple[str, Scenario]]) -> None:
    """Raise SimulationError unless all have the same workload."""
    for name, other in found[1:]:
        first_name, first = found[0]
        one, two = first.trace, other.trace
        is_same = (one.start_at, one.step_seconds) == (two.start_at, two.step_seconds)
        if not is_same or not np.array_equal(one.values, two.values, equal_nan=True):
            raise SimulationError(
                f"{name} has another workload than {first_name}; only policies under the same load "
                "can be ranked",
                field="workload",
            )


def with_object(model: ScenarioModel, raw: Mapping[str, Any]) -> ScenarioModel:
    """Return a scenario with another object in its only tier that is scaled by one.

    Raises:
        SimulationError: There is no such tier, or several.
    """
    return _with(model, AutoscalerModel(scaled_object=dict(raw)), Path())


def with_baseline(model: ScenarioModel, name: str, folder: Path) -> ScenarioModel:
    """Return a scenario with its object replaced by a baseline of the same bounds."""
    return _with(model, AutoscalerModel(baseline=name), folder)


def triggers_of(
    manifest: Mapping[str, Any] | str, model: AutoscalerModel
) -> dict[str, TriggerModel]:
    """Return what the triggers of an object measure, of all the triggers a tier knows.

    Args:
        manifest: The object.
        model: Of the tier.
    """
    spec = manifest.get("spec") if isinstance(manifest, Mapping) else None
    triggers = spec.get("triggers") if isinstance(spec, Mapping) else None
    # What is wrong with the object is said where it is read.
    written = [one for one in triggers or () if isinstance(one, Mapping)]
    keys = {str(index) for index, _ in enumerate(written)}
    keys |= {trigger.get("name", "") for trigger in written}
    known = {**model.further_triggers, **model.triggers}
    return {key: value for key, value in known.items() if key in keys}


def tested_tier(model: ScenarioModel) -> int:
    """Return the position of the tier under test: the only one that no baseline scales.

    Raises:
        SimulationError: There is none, or there are several.
    """
    tested = [
        index for index, tier in enumerate(model.tiers) if tier.autoscaler.baseline is None
    ] or [index for index, _ in enumerate(model.tiers)]
    if len(tested) != 1:
        names = ", ".join(tier.name for tier in model.tiers)
        raise SimulationError(
            f"scenario {model.name} has {len(tested)} tiers under test ({names}); scale all but "
            f"one by a baseline ({', '.join(KINDS)})",
            field="tiers",
        )
    return tested[0]


def _with(model: ScenarioModel, autoscaler: AutoscalerModel, folder: Path) -> ScenarioModel:
    index = tested_tier(model)
    tier = model.tiers[index]
    kept = tier.autoscaler
    if autoscaler.scaled_object is not None:
        triggers = triggers_of(autoscaler.scaled_object, kept)
        autoscaler = replace(autoscaler, triggers=triggers, controller=kept.controller)
    else:
        autoscaler = replace(autoscaler, options=_facts(tier, folder))
    tiers = list(model.tiers)
    tiers[index] = replace(tier, autoscaler=autoscaler)
    return replace(model, tiers=tuple(tiers))


def _facts(tier: TierModel, folder: Path) -> dict[str, Any]:
    """Return what the operator of a baseline knows: the bounds, and the service as assumed now.

    Fixed here, so that a world in which the service is slower surprises baselines, too.
    """
    kept = tier.autoscaler
    if kept.baseline is not None:
        return kept.options
    spec = kept.hpa if kept.hpa is not None else object_of(kept, folder).get("spec", {})
    known = {
        "minimum": spec.get("minReplicaCount", spec.get("minReplicas")),
        "maximum": spec.get("maxReplicaCount", spec.get("maxReplicas")),
        "requests_per_second": tier.service.requests_per_second,
        "concurrency": tier.service.concurrency,
    }
    return {name: value for name, value in known.items() if value is not None}
