"""What the text of a policy tells by itself, before anything is looked up for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from autoscaler.api.parse import parse_object
from autoscaler.api.problems import InvalidObject
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.collect.trigger_check import check_triggers
from autoscaler.errors import UnknownScalerError
from autoscaler.external.asks import InlinePolicy
from autoscaler.plugins import ScalerRegistry
from autoscaler.sdk.scaler import Scaler, is_for_one_object


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
        """Check a policy as far as its text allows.

        Args:
            intent: The policy.
            raw: The same as the object it stands for.

        Raises:
            NeverValid: With every problem.
        """
        for trigger in _triggers(intent.raw):
            await self._kind(trigger.get("type"))
        try:
            obj = parse_object(raw)
        except InvalidObject as error:
            raise NeverValid(error.problems, subject=error.subject) from error
        assert isinstance(obj, ScaledObject), "no other kind is accepted in a call"
        problems = [one for one in check_triggers(self._registry, obj) if not one.is_warning]
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


def _triggers(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the triggers of a spec nobody has checked yet."""
    triggers = raw["spec"].get("triggers")
    if isinstance(triggers, list):
        yield from (one for one in triggers if isinstance(one, dict))
