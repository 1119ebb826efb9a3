"""From a ScaledJob as written to what the service does for it."""

from __future__ import annotations

from typing import Final

import msgspec

from autoscaler.api.job_policy import scaled_job_policy
from autoscaler.api.parse import parse_object
from autoscaler.api.problems import InvalidObject, Problem
from autoscaler.api.scaledjob import ScaledJob
from autoscaler.collect.resolve import ResolvedTrigger, TargetEnvironment
from autoscaler.collect.subscription import MetricReader
from autoscaler.controller.objects import group_of
from autoscaler.controller.resource_metrics import RESOURCE_SOURCES
from autoscaler.controller.triggers import (
    TriggerBinder,
    TriggerOwner,
    describe_metric,
    trigger_metrics,
)
from autoscaler.core.jobs import JobPolicy, JobStrategy
from autoscaler.core.model import MetricPolicy
from autoscaler.errors import ConfigError
from autoscaler.kube.codec import CustomObject, TemplateSpec

SHORTEST_INTERVAL_SECONDS: Final = 1.0
COUNTS_PENDING: Final = frozenset({JobStrategy.ACCURATE, JobStrategy.EAGER})


class _TemplateMeta(msgspec.Struct, frozen=True):
    labels: dict[str, str] | None = None


class _Template(msgspec.Struct, frozen=True):
    metadata: _TemplateMeta | None = None
    spec: TemplateSpec | None = None


class JobBinding(msgspec.Struct, frozen=True, kw_only=True):
    """What the service does for a valid ScaledJob.

    Attributes:
        obj: The object as parsed.
        policy: What its author wants.
        readers: What reads its metrics, with their intervals (seconds).
        resolved: Looked-up parameters per trigger, to notice when they change.
    """

    obj: ScaledJob
    policy: JobPolicy
    readers: tuple[tuple[MetricReader, float], ...]
    resolved: tuple[ResolvedTrigger, ...]

    @property
    def has_references(self) -> bool:
        """Whether anything outside the object went into the scalers."""
        return any(r.auth or r.env for r in self.resolved)

    @property
    def found(self) -> object:
        """What was looked up to make the binding."""
        return self.resolved, self.metrics

    @property
    def polling_interval_seconds(self) -> float:
        """How often its metrics are read."""
        return self.obj.polling_interval_seconds

    @property
    def metrics(self) -> tuple[MetricPolicy, ...]:
        """Every metric of the object."""
        return self.policy.metrics

    @property
    def external_metrics(self) -> tuple[str, ...]:
        """Names of the metrics read from sources."""
        return tuple(m.spec.name for m in self.metrics if m.spec.source not in RESOURCE_SOURCES)

    @property
    def needs_pods(self) -> bool:
        """Whether only the pods of a job tell if it is pending, and that matters."""
        return bool(self.policy.pending_pod_conditions) and self.policy.strategy in COUNTS_PENDING

    @property
    def propagation_policy(self) -> str:
        """How jobs are deleted on a rollout."""
        rollout = self.obj.spec.rollout
        wished = rollout.propagation_policy if rollout else ""
        return "Foreground" if wished == "foreground" else "Background"

    def describe(self, metric: str) -> str:
        """Return which trigger a metric belongs to, for messages."""
        return describe_metric(self.metrics, metric)


class JobBinder:
    """Builds bindings; everything that can be wrong with an object comes out here, at once."""

    def __init__(self, triggers: TriggerBinder) -> None:
        self._triggers = triggers

    def forget(self, uid: str) -> None:
        """Drop what is kept for an object that is gone."""
        self._triggers.forget(uid)

    async def bind(self, item: CustomObject) -> JobBinding:
        """Build the binding of an object.

        Raises:
            InvalidObject: With every problem of the object and what it refers to.
            KubeError: The API server could not be asked.
        """
        obj = parse_object(item.raw)
        if not isinstance(obj, ScaledJob):
            raise ConfigError(f"kind {obj.kind} is not a ScaledJob", field="kind")
        problems: list[Problem] = []
        owner = TriggerOwner(
            group=group_of(item),
            uid=item.metadata.uid,
            namespace=obj.metadata.namespace,
            name=obj.metadata.name,
            triggers=obj.spec.triggers,
            safe_defaults=not obj.is_keda,
        )
        bound = await self._triggers.bind(owner, _environment(obj, problems), problems)
        if problems:
            raise InvalidObject(problems)
        scalers = [scaler for scaler in bound.scalers if scaler is not None]
        policy = scaled_job_policy(obj, trigger_metrics(obj.spec.triggers, scalers))
        interval = max(SHORTEST_INTERVAL_SECONDS, obj.polling_interval_seconds)
        return JobBinding(
            obj=obj,
            policy=policy,
            readers=tuple(
                (scaler, interval)
                for scaler in scalers
                if all(spec.source not in RESOURCE_SOURCES for spec in scaler.metric_specs())
            ),
            resolved=bound.resolved,
        )


def _environment(obj: ScaledJob, problems: list[Problem]) -> TargetEnvironment | None:
    """Return where ``FromEnv`` parameters come from: the job's own pod template."""
    try:
        template = msgspec.convert(obj.spec.job_target_ref["template"], _Template)
    except msgspec.ValidationError as error:
        text = f"must be a pod template: {error}"
        problems.append(Problem("spec.jobTargetRef.template", text))
        return None
    return TargetEnvironment(
        template=template.spec or TemplateSpec(), container=obj.spec.env_source_container_name
    )
