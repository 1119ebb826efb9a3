"""Trigger types and parameters, checked as far as the object alone allows.

What a TriggerAuthentication or the scale target's environment may still provide is known only when
the trigger is bound, so its absence is no problem here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from autoscaler.api.problems import Problem, ProblemReason
from autoscaler.api.scaledjob import ScaledJob
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.api.triggers import Trigger
from autoscaler.errors import TriggerConfigError, UnknownScalerError
from autoscaler.plugins import ScalerRegistry
from autoscaler.sdk.scaler import TriggerContext

LOOKED_AT: Final = 100
"""Parameters of a trigger that are compared with the known ones; no scaler reads as many."""


def check_triggers(registry: ScalerRegistry, obj: ScaledObject | ScaledJob) -> list[Problem]:
    """Return what is wrong with an object's trigger types and parameters.

    Imports the plugins of types not used before, which may take long.

    Args:
        registry: The trigger types there are.
        obj: As far as it can be read.
    """
    return list(_check_all(registry, obj))


def _check_all(registry: ScalerRegistry, obj: ScaledObject | ScaledJob) -> Iterator[Problem]:
    is_metric_source = isinstance(obj, ScaledObject) and obj.modifiers is not None
    for index, trigger in enumerate(obj.spec.triggers):
        context = TriggerContext(
            trigger_index=index,
            trigger_name=trigger.name,
            metric_type=trigger.metric_type or None,
            is_metric_source=is_metric_source,
            safe_defaults=not obj.api_version.startswith("keda.sh/"),
        )
        yield from _check_one(registry, trigger, context)


def _check_one(
    registry: ScalerRegistry, trigger: Trigger, context: TriggerContext
) -> Iterator[Problem]:
    place = f"spec.triggers[{context.trigger_index}]"
    try:
        scaler = registry.get(trigger.type)
    except UnknownScalerError as error:
        yield Problem(f"{place}.type", str(error), ProblemReason.NOT_SUPPORTED)
        return
    looked_at = dict(islice(trigger.metadata.items(), LOOKED_AT))
    for sentence in scaler.config_type.unexpected_parameters(looked_at):
        yield Problem(f"{place}.metadata", sentence, ProblemReason.UNKNOWN, is_warning=True)
    try:
        registry.create(trigger.type, trigger.metadata, {}, {}, context)
    except TriggerConfigError as error:
        for parameter, message in _known_here(error.problems, trigger):
            field = f"{place}.metadata.{parameter}" if parameter else f"{place}.metadata"
            yield Problem(field, message)


def _known_here(problems: Sequence[tuple[str, str]], trigger: Trigger) -> Iterator[tuple[str, str]]:
    """Leave out what a TriggerAuthentication or an environment variable may still provide."""
    waits = trigger.authentication_ref is not None or any(
        key.endswith("FromEnv") for key in trigger.metadata
    )
    for parameter, message in problems:
        if parameter in trigger.metadata or not waits:
            yield parameter, message
