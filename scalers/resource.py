"""``cpu`` and ``memory``: usage of the pods themselves, read by the controller.

The controller reads ``metrics.k8s.io`` together with the pods, because the arithmetic needs both;
these scalers only declare the metric.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Annotated, Any, ClassVar, Final

from typing_extensions import override

from autoscaler.sdk import (
    NO_SOURCE,
    Answer,
    MetricMalformed,
    MetricSource,
    MetricSpec,
    Param,
    Problem,
    Reading,
    Source,
    SourceContext,
    TargetType,
    TriggerConfig,
    TriggerContext,
    metric_name,
    quantity_milli,
    shorten,
)

_PERCENT: Final = re.compile(r"[+-]?[0-9]{1,10}\Z")
_INT32_MAX: Final = 2**31 - 1


class ResourceConfig(TriggerConfig):
    """Parameters of a cpu or memory trigger."""

    connects_nowhere: ClassVar[bool] = True

    metric_types: ClassVar[tuple[TargetType, ...]] = (
        TargetType.UTILIZATION,
        TargetType.AVERAGE_VALUE,
    )
    needs_metric_type: ClassVar[bool] = True

    value: Annotated[
        str,
        Param(
            "value",
            doc="Percent of the pods' requests (Utilization) or a quantity (AverageValue).",
        ),
    ]
    container: Annotated[str, Param("containerName", doc="Count only this container.")] = ""
    type: Annotated[str, Param("type", removed="give the trigger's metricType instead")] = ""

    @override
    def check(self, context: TriggerContext) -> Iterable[Problem]:
        """Yield a value that is no target of its type."""
        if context.metric_type in self.metric_types:
            try:
                self.target_milli(TargetType(context.metric_type))
            except ValueError as error:
                yield "value", str(error)

    def target_milli(self, target_type: TargetType) -> int:
        """Return the target as ``MetricSpec`` wants it; raises ValueError."""
        shown = f'"{shorten(self.value, 80)}"'
        if target_type is TargetType.UTILIZATION:
            if not _PERCENT.match(self.value) or int(self.value) > _INT32_MAX:
                raise ValueError(f"{shown} is no whole percentage")
            target = int(self.value)
        else:
            try:
                target = quantity_milli(self.value)
            except MetricMalformed:
                raise ValueError(f"{shown} is no quantity such as 500m or 1Gi") from None
        if target <= 0:
            raise ValueError(f"{shown} must be greater than 0")
        return target


class ResourceScaler:
    """One cpu or memory trigger."""

    config_type: ClassVar[type[TriggerConfig]] = ResourceConfig
    tier: ClassVar[str] = "silver"
    description: ClassVar[str] = ""
    resource: ClassVar[str] = ""

    def __init__(self, config: ResourceConfig, context: TriggerContext) -> None:
        target_type = TargetType(context.metric_type or TargetType.UTILIZATION)
        specific = f"{self.resource}-{config.container}" if config.container else self.resource
        self._metric = MetricSpec(
            name=metric_name(context.trigger_index, specific),
            source=MetricSource.CONTAINER_RESOURCE if config.container else MetricSource.RESOURCE,
            target_type=target_type,
            target_milli=config.target_milli(target_type),
            resource=self.resource,
            container=config.container or None,
        )

    @classmethod
    def create(cls, config: Any, context: TriggerContext) -> ResourceScaler:
        """Build the scaler."""
        return cls(config, context)

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return the one metric."""
        return (self._metric,)

    def source_key(self) -> Hashable:
        """Return that there is no source."""
        return NO_SOURCE

    def open_source(self, context: SourceContext) -> Source:
        """Never called; the controller reads this metric."""
        raise NotImplementedError

    def query(self, metric_name: str) -> Hashable:
        """Never called; the controller reads this metric."""
        raise NotImplementedError

    def reading(self, metric_name: str, answer: Answer, at: float) -> Reading:
        """Never called; the controller reads this metric."""
        raise NotImplementedError


class CpuScaler(ResourceScaler):
    """A cpu trigger."""

    description: ClassVar[str] = "CPU usage of the pods"
    resource: ClassVar[str] = "cpu"


class MemoryScaler(ResourceScaler):
    """A memory trigger."""

    description: ClassVar[str] = "Memory usage of the pods"
    resource: ClassVar[str] = "memory"
