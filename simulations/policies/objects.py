"""From the object a user applies to the autoscaler of a simulation."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from autoscaler.api.hpa import hpa_policy
from autoscaler.api.hpa_validation import validate_hpa_spec
from autoscaler.api.parse import parse_object
from autoscaler.api.policy import HPA_SYNC_PERIOD_SECONDS, TriggerMetrics, scaled_object_policy
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.api.triggers import Trigger
from autoscaler.core.model import HpaSettings, MetricSource, Policy, Reading
from autoscaler.errors import ConfigError, TriggerConfigError
from autoscaler.plugins import ScalerRegistry
from autoscaler.sdk.scaler import Scaler, TriggerContext
from simulations.errors import SimulationError
from simulations.plant.parameters import Positive, Signal, SignalKind
from simulations.policies.decided import DecidedAutoscaler, Watched
from simulations.policies.past import MINUTE_SECONDS

CLOCK: Final = "clock"
"""Source key of triggers that follow from the time alone."""

STAND_IN: Final = "http://stand-in.invalid"
"""For parameters that a TriggerAuthentication or the environment would provide; nothing is read."""

CONTROLLERS: Final = ("keda", "flyball")


class TriggerModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a trigger of the object measures.

    Attributes:
        signal: Name of a signal of the tier.
        factor: The trigger's value per unit of the signal.
    """

    signal: str
    factor: Positive = 1.0


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """An object ready to be simulated.

    Attributes:
        policy: What it asks for.
        watched: What its metrics measure.
        tick_seconds: How often the controller decides.
        wake_seconds: How often it looks at zero replicas; each tick when None.
        raw: The object as written; None for an HPA.
    """

    policy: Policy
    watched: tuple[Watched, ...]
    tick_seconds: float
    wake_seconds: float | None = None
    raw: Mapping[str, Any] | None = None

    def autoscaler(self, *, keep_decisions: bool = False) -> DecidedAutoscaler:
        """Return a fresh autoscaler."""
        return DecidedAutoscaler(
            self.policy,
            self.watched,
            tick_seconds=self.tick_seconds,
            wake_seconds=self.wake_seconds,
            keep_decisions=keep_decisions,
        )


def subject_of_object(
    raw: Mapping[str, Any],
    triggers: Mapping[str, TriggerModel],
    signals: Sequence[Signal],
    *,
    controller: str = "",
) -> Subject:
    """Return a ScaledObject as it would be scaled.

    A flyball.dev object decides at every polling interval. A keda.sh object does as KEDA and its
    HPA do (15 s, at zero the polling interval rounded up to a sync) unless ``controller`` is
    ``flyball``.

    Args:
        raw: A manifest's document.
        triggers: What triggers measure, by name or position; a cpu trigger finds the only
            utilization signal itself, a cron trigger needs none.
        signals: There are.
        controller: ``keda``, ``flyball`` or empty.

    Raises:
        InvalidObject: The object itself is wrong.
        SimulationError: It cannot be simulated.
    """
    obj = parse_object(raw)
    if not isinstance(obj, ScaledObject):
        raise SimulationError(
            f"{raw.get('kind')} {obj.metadata.key} is no ScaledObject", field="kind"
        )
    if controller and controller not in CONTROLLERS:
        raise SimulationError(
            f'controller is "{controller}", must be {" or ".join(CONTROLLERS)}', field="controller"
        )
    scalers = scalers_of(obj)
    metrics = tuple(
        TriggerMetrics(
            index=index, name=trigger.name, type=trigger.type, specs=tuple(scaler.metric_specs())
        )
        for index, (trigger, scaler) in enumerate(zip(obj.spec.triggers, scalers, strict=True))
    )
    policy = scaled_object_policy(obj, metrics)
    watched = [
        item
        for trigger, scaler in zip(metrics, scalers, strict=True)
        for item in _watch(trigger, scaler, triggers, signals)
    ]
    _check_all_used(triggers, [(str(item.index), item.name) for item in metrics])
    polling = obj.polling_interval_seconds
    if obj.is_keda and controller != "flyball":
        # KEDA looks on its own time; here, at the first sync of the HPA after it would have.
        wake = math.ceil(polling / HPA_SYNC_PERIOD_SECONDS) * HPA_SYNC_PERIOD_SECONDS
        return Subject(
            policy=policy,
            watched=tuple(watched),
            tick_seconds=HPA_SYNC_PERIOD_SECONDS,
            wake_seconds=wake,
            raw=raw,
        )
    return Subject(policy=policy, watched=tuple(watched), tick_seconds=polling, raw=raw)


def subject_of_hpa(
    spec: Mapping[str, Any], triggers: Mapping[str, TriggerModel], signals: Sequence[Signal]
) -> Subject:
    """Return an ``autoscaling/v2`` spec as kube-controller-manager would scale it.

    Raises:
        SimulationError: The spec is wrong, or a metric measures no signal.
    """
    problems = [str(problem) for problem in validate_hpa_spec(spec)]
    if problems:
        raise SimulationError("; ".join(problems), field="hpa")
    policy = hpa_policy(spec, HpaSettings())
    watched = []
    for index, metric in enumerate(policy.metrics):
        is_cpu = metric.spec.source is MetricSource.RESOURCE
        chosen = triggers.get(str(index)) or _default(is_cpu, signals)
        if chosen is None:
            raise SimulationError(_unbound(f"metrics[{index}]", str(index), signals))
        watched.append(_watched(metric.spec.name, chosen, signals))
    _check_all_used(triggers, [(str(index), "") for index in range(len(policy.metrics))])
    return Subject(policy=policy, watched=tuple(watched), tick_seconds=HPA_SYNC_PERIOD_SECONDS)


@functools.cache
def _registry() -> ScalerRegistry:
    """Return the installed trigger types; finding them takes as long as hundreds of decisions."""
    return ScalerRegistry()


def scalers_of(obj: ScaledObject) -> list[Scaler]:
    """Return the live scaler of each trigger; nothing is asked through it.

    Raises:
        SimulationError: A trigger is wrong.
    """
    registry = _registry()
    scalers = []
    for index, trigger in enumerate(obj.spec.triggers):
        context = TriggerContext(
            namespace=obj.metadata.namespace,
            name=obj.metadata.name,
            trigger_index=index,
            trigger_name=trigger.name,
            metric_type=trigger.metric_type or None,
            is_metric_source=obj.modifiers is not None,
            safe_defaults=not obj.is_keda,
        )
        try:
            scalers.append(_scaler(registry, trigger, context))
        except TriggerConfigError as error:
            raise SimulationError(str(error), field=f"spec.triggers[{index}].metadata") from error
        except ConfigError as error:
            raise SimulationError(str(error), field=f"spec.triggers[{index}].type") from error
    return scalers


def _scaler(registry: ScalerRegistry, trigger: Trigger, context: TriggerContext) -> Scaler:
    """Build a scaler; what only the cluster can provide is stood in for, as nothing is read."""
    metadata = trigger.metadata
    try:
        return registry.create(trigger.type, metadata, {}, {}, context)
    except TriggerConfigError as error:
        missing = {name for name, _ in error.problems if name and name not in metadata}
        may_be_provided = trigger.authentication_ref is not None or any(
            key.endswith("FromEnv") for key in metadata
        )
        if not missing or not may_be_provided:
            raise
    return registry.create(trigger.type, metadata, dict.fromkeys(missing, STAND_IN), {}, context)


def _watch(
    trigger: TriggerMetrics,
    scaler: Scaler,
    triggers: Mapping[str, TriggerModel],
    signals: Sequence[Signal],
) -> list[Watched]:
    field = f"spec.triggers[{trigger.index}]"
    chosen = triggers.get(trigger.name) or triggers.get(str(trigger.index))
    is_clock = scaler.source_key() == CLOCK
    if chosen is None and not is_clock:
        is_cpu = trigger.specs[0].source is MetricSource.RESOURCE
        chosen = _default(is_cpu, signals)
    if chosen is None and not is_clock:
        raise SimulationError(_unbound(field, trigger.name or str(trigger.index), signals))
    watched = []
    for spec in trigger.specs:
        if chosen is None:
            watched.append(Watched(metric=spec.name, clock=_clock(scaler, spec.name)))
        else:
            watched.append(_watched(spec.name, chosen, signals))
    return watched


def _clock(scaler: Scaler, metric: str) -> Callable[[float], Reading]:
    """Return the reading of a cron trigger, which changes at full minutes only."""
    minute, reading = -1, Reading.of(metric, 0.0, 0.0)

    def read(at: float) -> Reading:
        nonlocal minute, reading
        if int(at // MINUTE_SECONDS) != minute:
            minute, reading = int(at // MINUTE_SECONDS), scaler.reading(metric, at, at)
        return reading

    return read


def _watched(metric: str, chosen: TriggerModel, signals: Sequence[Signal]) -> Watched:
    if chosen.signal not in {signal.name for signal in signals}:
        raise SimulationError(
            f'signal "{chosen.signal}" is not one of {_names(signals)}', field="triggers"
        )
    return Watched(metric=metric, signal=chosen.signal, factor=chosen.factor)


def _default(is_cpu: bool, signals: Sequence[Signal]) -> TriggerModel | None:
    """Return the utilization signal for cpu if there is exactly one."""
    fitting = [signal for signal in signals if signal.kind is SignalKind.UTILIZATION]
    return TriggerModel(signal=fitting[0].name) if is_cpu and len(fitting) == 1 else None


def _unbound(field: str, key: str, signals: Sequence[Signal]) -> str:
    return (
        f'{field} measures no signal: say which under triggers, such as "{key}": '
        f"{{signal: {signals[0].name if signals else 'NAME'}}}; signals: {_names(signals)}"
    )


def _names(signals: Sequence[Signal]) -> str:
    return ", ".join(signal.name for signal in signals) or "none"


def _check_all_used(triggers: Mapping[str, TriggerModel], known: Sequence[tuple[str, str]]) -> None:
    names = {name for pair in known for name in pair if name}
    for key in triggers:
        if key not in names:
            raise SimulationError(
                f'triggers has "{key}", which is no trigger; known: {", ".join(sorted(names))}',
                field="triggers",
            )
