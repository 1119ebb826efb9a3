"""What the text of a policy tells by itself, before anything is looked up for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

from autoscaler.api.parse import parse_object
from autoscaler.api.problems import InvalidObject, Problem, did_you_mean
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.collect.trigger_check import check_triggers
from autoscaler.errors import UnknownScalerError, shorten
from autoscaler.external.asks import BESIDE_PARAMETERS, REPORTED_MAX, InlinePolicy
from autoscaler.plugins import ScalerRegistry
from autoscaler.sdk.config import TriggerConfig
from autoscaler.sdk.params import METADATA
from autoscaler.sdk.scaler import Scaler, is_for_one_object

TAKEN: Final = "is for KEDA's connection to this server"
ADVICE: Final = "write the trigger with policy (YAML) instead"


class NeverValid(InvalidObject):
    """A policy that cannot work whatever its cluster holds: its author must change it."""


class PolicyTexts:
    """Looks at the policies that come with calls.

    Args:
        registry: The trigger types.
    """

    def __init__(self, registry: ScalerRegistry) -> None:
        self._registry = registry
        self._kinds: dict[str, type[Scaler]] = {}

    async def check(self, intent: InlinePolicy, raw: Mapping[str, Any]) -> None:
        """Check a policy as far as its text allows; what nothing reads is an error here.

        Nobody else would tell: this object never meets an API server.

        Args:
            intent: The policy.
            raw: The same as the object it stands for.

        Raises:
            NeverValid: With every problem.
        """
        kinds = [await self._kind(trigger.get("type")) for trigger in _triggers(intent.raw)]
        if intent.is_flat and kinds[0] is not None:
            _check_keys(intent, kinds[0].config_type)
        try:
            obj = parse_object(raw)
        except InvalidObject as error:
            raise NeverValid(error.problems, subject=error.subject) from error
        assert isinstance(obj, ScaledObject), "no other kind is accepted in a call"
        problems = check_triggers(self._registry, obj)
        if problems:
            raise NeverValid(problems)

    async def is_for_one_object(self, intent: InlinePolicy) -> bool:
        """Whether equal texts may give other metrics to other objects of KEDA's.

        So it is if a source is told which object asks, or if a target's environment or an
        authentication is looked up.
        """
        for trigger in _triggers(intent.raw):
            metadata = trigger.get("metadata")
            keys = metadata if isinstance(metadata, dict) else {}
            looks_up = any(str(key).endswith("FromEnv") for key in keys.keys() - intent.environment)
            if looks_up or trigger.get("authenticationRef"):
                return True
            kind = await self._kind(trigger.get("type"))
            if kind is not None and is_for_one_object(kind):
                return True
        return False

    async def _kind(self, trigger_type: object) -> type[Scaler] | None:
        """Return what is behind a trigger type; imported in a thread, as drivers may be large."""
        if not isinstance(trigger_type, str):
            return None
        if trigger_type not in self._kinds:
            try:
                kind = await asyncio.to_thread(self._registry.get, trigger_type)
            except UnknownScalerError:
                return None
            self._kinds[trigger_type] = kind
        return self._kinds[trigger_type]


def _check_keys(intent: InlinePolicy, config_type: type[TriggerConfig]) -> None:
    """Check the keys of a policy in the flat form, which have two readers: KEDA and us.

    Raises:
        NeverValid: With every key that would not do what it says.
    """
    (trigger,) = intent.raw["spec"]["triggers"]
    described = [one for one in config_type.describe() if str(METADATA) in one.sources]
    names = {name for one in described for name in (one.name, *one.aliases)}
    problems = [
        Problem(key, f'{TAKEN}, so type "{trigger["type"]}" would not get it; {ADVICE}')
        for key in intent.connection
        if key in names
    ]
    if not problems:
        unknown = [
            key for key in trigger["metadata"] if config_type.unexpected_parameters({key: ""})
        ]
        known = {*BESIDE_PARAMETERS, *names}
        problems = [
            Problem(shorten(key, 80), f"is not known{did_you_mean(key, known)}")
            for key in sorted(unknown)[:REPORTED_MAX]
        ]
    if problems:
        raise NeverValid(problems, subject="trigger metadata")


def _triggers(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the triggers of a spec nobody has checked yet."""
    triggers = raw["spec"].get("triggers")
    if isinstance(triggers, list):
        yield from (one for one in triggers if isinstance(one, dict))
