"""From a scenario file to tiers that can be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from simulations.engine.exact import TierSpec, check_order, tick_steps
from simulations.engine.view import Autoscaler
from simulations.errors import SimulationError
from simulations.plant.delays import quantile_seconds
from simulations.plant.lateness import LatenessTable
from simulations.plant.parameters import Plant, Signal
from simulations.policies.catalogue import baseline
from simulations.policies.objects import Subject, subject_of_hpa, subject_of_object
from simulations.policies.one_lane import OneLane
from simulations.policies.oracle import Oracle
from simulations.policies.past import Past
from simulations.policies.service import ServiceFacts
from simulations.policies.static import Static
from simulations.policies.watching import standard_signals
from simulations.scenario.model import AutoscalerModel, ScenarioModel, TierModel
from simulations.workload.load import Load, load_of
from simulations.workload.model import build_trace, workload_of
from simulations.workload.trace import Trace

ORACLE_LATE_RATIO: Final = 0.005
STATIC, ORACLE = "static", "oracle"
KINDS: Final = ("scaled_object", "hpa", "baseline")


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario ready to run.

    Attributes:
        model: As written.
        trace: What arrives.
        subjects: The objects under test, by tier; other tiers are scaled by baselines.
        folder: Relative paths start here.
    """

    model: ScenarioModel
    trace: Trace
    subjects: Mapping[str, Subject]
    folder: Path

    @property
    def score_from_step(self) -> int:
        """Steps before it are warm-up."""
        return round(self.model.score_from_seconds / self.model.step_seconds)

    def load(self, seed: int) -> Load:
        """Return the load of one run."""
        return load_of(self.trace, step_seconds=self.model.step_seconds, seed=seed)

    def tiers(self, load: Load, *, keep_decisions: bool = False) -> list[TierSpec]:
        """Return the tiers with fresh autoscalers.

        Args:
            load: Of the run; only a perfect-foresight tier looks at it.
            keep_decisions: Keep every decision of the objects under test.
        """
        specs = []
        for tier in self.model.tiers:
            subject = self.subjects.get(tier.name)
            autoscaler: Autoscaler
            if subject is not None:
                autoscaler = subject.autoscaler(keep_decisions=keep_decisions)
            else:
                autoscaler = _baseline(tier, load)
            specs.append(
                TierSpec(
                    name=tier.name,
                    plant=plant_of(tier),
                    autoscaler=autoscaler,
                    signals=signals_of(tier),
                    replicas=tier.replicas,
                    upstream=_upstream(tier),
                )
            )
        return specs


def read_scenario(path: Path, *, now: float) -> Scenario:
    """Read a scenario.

    Args:
        path: YAML file.
        now: Epoch seconds, for workloads of the last days.

    Raises:
        SimulationError: It is no scenario; names field, value and accepted form.
        InvalidObject: An object in it is wrong.
    """
    model = read_model(path)
    trace = build_trace(workload_of(model.workload), path.parent, now=now)
    return checked(scenario_of(model, trace, path.parent))


def checked(scenario: Scenario) -> Scenario:
    """Return the scenario if it can run: tiers in order, ticks on its steps.

    Done once where a scenario comes from, as it sets up every tier; runs find out by themselves.

    Raises:
        SimulationError: It cannot.
    """
    specs = scenario.tiers(scenario.load(0))
    check_order(specs)
    for spec in specs:
        tick_steps(spec.autoscaler.tick_seconds, scenario.model.step_seconds)
    return scenario


def scenario_of(model: ScenarioModel, trace: Trace, folder: Path) -> Scenario:
    """Return a scenario with a given load.

    Raises:
        SimulationError: Something in it does not fit together.
    """
    if not model.tiers:
        raise SimulationError(f"scenario {model.name} has no tiers", field="tiers")
    _check(model)
    subjects: dict[str, Subject] = {}
    for tier in model.tiers:
        try:
            subject = _subject(tier, folder)
        except SimulationError as error:
            field = f"tiers[{tier.name}].autoscaler"
            raise SimulationError(f"{field}: {error}", field=field) from error
        if subject is not None:
            subjects[tier.name] = subject
    scenario = Scenario(model=model, trace=trace, subjects=subjects, folder=folder)
    if scenario.score_from_step * model.step_seconds >= trace.duration_seconds:
        raise SimulationError(
            f"score_from_seconds is {model.score_from_seconds:g}, the workload lasts "
            f"{trace.duration_seconds:g} s",
            field="score_from_seconds",
        )
    return scenario


def read_model(path: Path) -> ScenarioModel:
    """Return a scenario as written.

    Raises:
        SimulationError: The file is none.
    """
    raw = read_yaml(path)
    try:
        return msgspec.convert(raw, ScenarioModel)
    except msgspec.ValidationError as error:
        raise SimulationError(f"{path}: {_with_field(str(error))}") from error


def read_yaml(path: Path) -> Any:
    """Return the only document of a YAML file.

    Raises:
        SimulationError: The file cannot be read.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SimulationError(f"{path} cannot be read: {error}") from error


def plant_of(tier: TierModel) -> Plant:
    """Return the plant of a tier."""
    return Plant(
        service=tier.service,
        start_up=tier.start_up,
        waiting=tier.waiting,
        termination=tier.termination,
        nodes=tier.nodes,
        faults=tier.faults,
        prices=tier.prices,
    )


def _upstream(tier: TierModel) -> dict[str, float]:
    if isinstance(tier.upstream, str):
        return {tier.upstream: tier.fan_out} if tier.upstream else {}
    return tier.upstream


def _check(model: ScenarioModel) -> None:
    """Raise SimulationError where fields are each all right but do not go together."""
    milliseconds = model.step_seconds * 1000
    if round(milliseconds) != milliseconds:
        raise SimulationError(
            f"step_seconds is {model.step_seconds:g}, must be whole milliseconds",
            field="step_seconds",
        )
    standard = {signal.name: signal for signal in standard_signals()}
    for tier in model.tiers:
        field = f"tiers[{tier.name}]"
        if not isinstance(tier.upstream, str) and tier.fan_out != 1:
            raise SimulationError(
                f"{field}: fan_out is {tier.fan_out:g}; with several upstream tiers each has its "
                "own, such as upstream: {web: 1, api: 2.5}",
                field=f"{field}.fan_out",
            )
        seen: set[str] = set()
        for signal in tier.signals:
            why = ""
            if signal.name in seen:
                why = "there is one of that name already"
            elif tier.autoscaler.baseline is not None:
                kind = standard.get(signal.name, signal).kind
                why = f"baselines take it for one of {kind.value}" if kind != signal.kind else ""
            if why:
                raise SimulationError(
                    f"{field}: signal {signal.name} ({signal.kind.value}): {why}",
                    field=f"{field}.signals",
                )
            seen.add(signal.name)


def signals_of(tier: TierModel) -> Sequence[Signal]:
    """Return what a tier's autoscaler sees; baselines see the standard signals."""
    if tier.autoscaler.baseline is None:
        return tier.signals
    own = {signal.name for signal in tier.signals}
    return (*tier.signals, *(item for item in standard_signals() if item.name not in own))


def object_of(model: AutoscalerModel, folder: Path) -> dict[str, Any]:
    """Return the ScaledObject of a tier, from its file if it is named by one.

    Raises:
        SimulationError: The file holds none.
    """
    raw: Any = model.scaled_object
    if isinstance(raw, str):
        raw = read_yaml(folder / raw)
    if not isinstance(raw, dict):
        raise SimulationError(f"{model.scaled_object} holds no object")
    return raw


def _subject(tier: TierModel, folder: Path) -> Subject | None:
    model = tier.autoscaler
    given = [kind for kind in KINDS if getattr(model, kind) is not None]
    if len(given) != 1:
        raise SimulationError(
            f"has {' and '.join(given) or 'nothing'}, must have exactly one of {', '.join(KINDS)}"
        )
    if model.hpa is not None:
        return subject_of_hpa(model.hpa, model.triggers, tier.signals)
    if model.scaled_object is not None:
        raw = object_of(model, folder)
        return subject_of_object(raw, model.triggers, tier.signals, controller=model.controller)
    name = model.baseline
    if name is not None and name not in {STATIC, ORACLE}:
        baseline(name)
    return None


def _baseline(tier: TierModel, load: Load) -> Autoscaler:
    model, plant = tier.autoscaler, plant_of(tier)
    facts = _facts(tier)
    if model.baseline == STATIC:
        return OneLane(Static(_replicas(model, tier.replicas)))
    if model.baseline == ORACLE:
        table = LatenessTable(plant.service, plant.waiting, step_seconds=load.step_seconds)
        horizon = quantile_seconds(plant.start_up, 0.95)
        return OneLane(
            Oracle(
                load, lambda rates: table.replicas_for(rates, ORACLE_LATE_RATIO), [horizon], facts
            )
        )
    assert model.baseline is not None
    past = Past(start_at=load.start_at, rates=load.expected[:0])
    return OneLane(baseline(model.baseline).make(facts, past))


def _facts(tier: TierModel) -> ServiceFacts:
    options = dict(tier.autoscaler.options)
    if tier.autoscaler.baseline == STATIC:
        options.pop("replicas", None)
    try:
        return msgspec.convert(
            {
                "requests_per_second": tier.service.requests_per_second,
                "concurrency": tier.service.concurrency,
                **options,
            },
            ServiceFacts,
        )
    except msgspec.ValidationError as error:
        raise SimulationError(f"options: {error}", field="options") from error


def _replicas(model: AutoscalerModel, default: int) -> int:
    value = model.options.get("replicas", default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise SimulationError(
            f"options.replicas is {value!r}, must be a whole number >= 0", field="options"
        )
    return value


def _with_field(message: str) -> str:
    """Return msgspec's message with the path first: ``tiers[0].service: ...``."""
    text, separator, path = message.rpartition(" - at `$")
    return f"{path.rstrip('`').lstrip('.')}: {text}" if separator else message
