"""ScaledJob: creates a Job per unit of work."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from autoscaler.api.fields import ApiModel, Count, FreeForm, Int32, PositiveCount
from autoscaler.api.metadata import ObjectMeta
from autoscaler.api.status import ScaledJobStatus
from autoscaler.api.triggers import Trigger

DEFAULT_JOB_POLLING_INTERVAL_SECONDS: Final = 30
DEFAULT_JOBS_HISTORY_LIMIT: Final = 100


class Rollout(ApiModel):
    """What a changed spec does to the jobs of the old one."""

    strategy: str = ""
    """``gradual`` (the default) leaves them; ``immediate`` deletes them, running ones too."""
    propagation_policy: str = ""
    """``background`` (the default) or ``foreground``."""


class ScalingStrategy(ApiModel):
    """How many jobs to create for how much work."""

    strategy: str = ""
    """``default``, ``custom``, ``accurate`` or ``eager``."""
    custom_scaling_queue_length_deduction: Int32 | None = None
    """``custom`` only: subtracted from the queue length."""
    custom_scaling_running_job_percentage: str = ""
    """``custom`` only: a running job counts as so many queued ones, such as "0.5"."""
    pending_pod_conditions: list[str] = Field(default_factory=list)
    """A job is pending until one of its pods has all these conditions."""
    multiple_scalers_calculation: str = ""
    """``max`` (the default), ``min``, ``avg`` or ``sum`` over the active triggers."""


class ScaledJobSpec(ApiModel):
    """What to run, on what, and within which bounds."""

    job_target_ref: FreeForm
    """The ``spec`` of the batch/v1 Jobs to create."""
    triggers: list[Trigger]
    """Where the need is read; at least one."""
    polling_interval: PositiveCount | None = None
    """Seconds between two reads; default 30."""
    min_replica_count: Count | None = None
    """Jobs that always run; default 0."""
    max_replica_count: Count | None = None
    """Jobs that run at most; default 100."""
    successful_jobs_history_limit: Count | None = None
    """Successful jobs to keep; default 100."""
    failed_jobs_history_limit: Count | None = None
    """Failed jobs to keep; default 100."""
    rollout: Rollout | None = None
    rollout_strategy: str = ""
    """Deprecated spelling of ``rollout.strategy``."""
    scaling_strategy: ScalingStrategy | None = None
    env_source_container_name: str = ""
    """Container whose environment ``…FromEnv`` parameters read; default the first."""


class ScaledJob(ApiModel):
    """Creates a Job per unit of work."""

    api_version: str
    kind: Literal["ScaledJob"]
    metadata: ObjectMeta = ObjectMeta()
    spec: ScaledJobSpec
    status: ScaledJobStatus | None = None

    @property
    def is_keda(self) -> bool:
        """Whether the object is KEDA's own and keeps KEDA's defaults."""
        return self.api_version.startswith("keda.sh/")

    @property
    def polling_interval_seconds(self) -> float:
        """Seconds between two reads."""
        return float(self.spec.polling_interval or DEFAULT_JOB_POLLING_INTERVAL_SECONDS)

    @property
    def deletes_on_rollout(self) -> bool:
        """Whether a changed spec deletes the jobs of the old one, running ones too.

        KEDA's objects say when it does not (``gradual``), ours when it does (``immediate``).
        """
        rollout = self.spec.rollout
        words = {self.spec.rollout_strategy, rollout.strategy if rollout else ""}
        return "gradual" not in words if self.is_keda else "immediate" in words
