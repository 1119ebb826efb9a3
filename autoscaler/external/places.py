"""Scale targets of policies that came with a call: known to KEDA, and to us only with its help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from autoscaler.api.problems import Problem
from autoscaler.api.scaledobject import ScaledObject
from autoscaler.collect.resolve import TargetEnvironment
from autoscaler.collect.subscription import MetricReader
from autoscaler.controller.binding import Places
from autoscaler.controller.targets import TargetRef
from autoscaler.core.model import MetricSpec
from autoscaler.kube.codec import EnvVar, TemplateContainer, TemplateSpec
from autoscaler.kube.resources import Resource

OUT_OF_SIGHT: Final = Resource(group="", version="", plural="", kind="target of ScaledObject")
"""What stands in for the kind of a target nobody can look up; only messages show it."""


class NoCluster:
    """Implements :class:`~autoscaler.controller.binding.Places` where nothing can be looked up."""

    knows_pods = False

    async def find(
        self, obj: ScaledObject, problems: list[Problem]
    ) -> tuple[TargetRef, str] | None:
        """Return a stand-in for the target."""
        for index, trigger in enumerate(obj.spec.triggers):
            if trigger.authentication_ref is not None:
                where = f"spec.triggers[{index}].authenticationRef"
                problems.append(Problem(where, "needs access to the cluster it is in"))
        return TargetRef(OUT_OF_SIGHT, obj.metadata.namespace, obj.metadata.name), ""

    def environment(self, obj: ScaledObject, target: TargetRef) -> TargetEnvironment:
        """Return that nothing is known."""
        del obj, target
        return TargetEnvironment()

    def usage(
        self, target: TargetRef, selector: str, specs: Sequence[MetricSpec]
    ) -> MetricReader | None:
        """Return that nobody can read usage."""
        del target, selector, specs
        return None


class StrangersPlaces:
    """The places of a policy that whoever calls may have written.

    Args:
        places: Where its target is looked up.
        environment: Values that came with the call.
        is_trusted: Whether callers are known, so that they may use what their namespace holds.
    """

    def __init__(self, places: Places, environment: Mapping[str, str], *, is_trusted: bool) -> None:
        self._places = places
        self._environment = environment
        self._is_trusted = is_trusted

    @property
    def knows_pods(self) -> bool:
        """Whether the target's pods can be looked at."""
        return self._places.knows_pods

    async def find(
        self, obj: ScaledObject, problems: list[Problem]
    ) -> tuple[TargetRef, str] | None:
        """Return the target and its pod selector; None when it cannot be scaled."""
        if not self._is_trusted:
            problems += self._borrowed(obj)
        return await self._places.find(obj, problems)

    def environment(self, obj: ScaledObject, target: TargetRef) -> TargetEnvironment:
        """Return the values that came with the call, else what the target's container has."""
        if not self._environment:
            return self._places.environment(obj, target)
        values = [
            EnvVar(name=name, value=value.replace("$", "$$"))
            for name, value in self._environment.items()
        ]
        return TargetEnvironment(
            template=TemplateSpec(containers=[TemplateContainer(name="keda", env=values)])
        )

    def usage(
        self, target: TargetRef, selector: str, specs: Sequence[MetricSpec]
    ) -> MetricReader | None:
        """Return what reads the usage of the target's pods."""
        return self._places.usage(target, selector, specs)

    def _borrowed(self, obj: ScaledObject) -> list[Problem]:
        """Return every use of a secret that belongs to the namespace the caller only names."""
        what = (
            "is only for callers that show a certificate (ca.crt in the certificate folder): "
            "anybody else could name any namespace"
        )
        problems = []
        for index, trigger in enumerate(obj.spec.triggers):
            where = f"spec.triggers[{index}]"
            if trigger.authentication_ref is not None:
                problems.append(Problem(f"{where}.authenticationRef", what))
            problems += [
                Problem(f"{where}.metadata.{key}", what)
                for key in trigger.metadata
                if key.endswith("FromEnv") and key not in self._environment
            ]
        return problems
