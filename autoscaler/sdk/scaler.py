"""The contract between the service and a trigger type.

A trigger type has two halves. A :class:`Scaler` is one trigger's pure view: it knows its metric
specs, which source it needs, what to ask it, and how to turn the answer into a reading. A
:class:`Source` is the connection: one per distinct :meth:`Scaler.source_key`, shared by every
trigger that names the same endpoint with the same credentials. The collector gathers the due
queries of all triggers of a source, drops duplicates, and calls :meth:`Source.fetch` once, so a
thousand lists of one Redis cost one round trip and a query asked by fifty objects is asked once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, runtime_checkable

import msgspec

from autoscaler.core.model import MetricSpec, Reading
from autoscaler.errors import MetricError
from autoscaler.runtime.clock import Clock

if TYPE_CHECKING:
    from autoscaler.sdk.config import TriggerConfig
    from autoscaler.sdk.http import HttpClient

NO_SOURCE: Final = "no-source"
"""``source_key`` of a scaler whose metrics are read elsewhere.

The collector opens no source for it and skips every metric whose ``MetricSpec.source`` is
``RESOURCE`` or ``CONTAINER_RESOURCE``: the controller reads those from ``metrics.k8s.io`` together
with the pods they belong to.
"""

Answer = Any
"""Whatever a source returns for one query; only the scaler that asked looks inside."""


class TriggerContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where a trigger stands.

    Attributes:
        namespace: Of the scaling object.
        name: Of the scaling object. A scaler that asks by it declares ``asks_by_name = True``:
            equal triggers of several objects may otherwise be built once.
        trigger_index: Position in ``spec.triggers``; metric names begin with ``s<index>-``.
        trigger_name: User-given name, may be empty.
        metric_type: Trigger's ``metricType`` as written, None when absent.
        is_metric_source: The trigger only feeds a formula (its own target is not needed).
        safe_defaults: True for ``flyball.dev`` objects (no data is an error unless said otherwise),
            False for objects adopted from ``keda.sh``, which keep KEDA's defaults.
    """

    namespace: str = "default"
    name: str = ""
    trigger_index: int = 0
    trigger_name: str = ""
    metric_type: str | None = None
    is_metric_source: bool = False
    safe_defaults: bool = True


class ClusterPod(msgspec.Struct, frozen=True, kw_only=True):
    """A pod as a scaler may see it."""

    name: str
    phase: str
    node: str = ""


class ClusterReader(Protocol):
    """The few things a scaler may ask of the cluster it runs in."""

    async def list_pods(self, namespace: str, selector: str) -> Sequence[ClusterPod]:
        """Return the pods matching a label selector; raises MetricError."""
        ...

    async def service_endpoints(self, namespace: str, service: str) -> Sequence[str]:
        """Return ``host:port`` of the ready endpoints behind a Service; raises MetricError."""
        ...


class SourceContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a source is given to do its work with.

    Attributes:
        http: Shared HTTP client (pools, size limits, error mapping).
        clock: Current time.
        cluster: In-cluster reads, None outside a cluster.
    """

    http: HttpClient
    clock: Clock
    cluster: ClusterReader | None = None


class Source(Protocol):
    """A connection to one metric source."""

    async def fetch(
        self, queries: Sequence[Hashable], at: float
    ) -> Mapping[Hashable, Answer | MetricError]:
        """Answer distinct queries, in as few round trips as the protocol allows.

        Args:
            queries: Distinct, never empty.
            at: Now, epoch seconds.

        Returns:
            An answer or the error for each query.

        Raises:
            MetricError: All queries failed for the same reason (the source is unreachable).
        """
        ...

    async def close(self) -> None:
        """Release connections; called once, never concurrently with ``fetch``."""
        ...


@runtime_checkable
class Scaler(Protocol):
    """One trigger; cheap to build, does no I/O, holds no connection."""

    config_type: ClassVar[type[TriggerConfig]]
    tier: ClassVar[str]
    """``bronze``, ``silver`` (passes ScalerContract) or ``gold`` (and tested on a real server)."""
    description: ClassVar[str]
    """One line for ``flyball scalers``."""

    @classmethod
    def create(cls, config: Any, context: TriggerContext) -> Scaler:
        """Build the scaler; raises TriggerConfigError naming every bad parameter."""
        ...

    def metric_specs(self) -> Sequence[MetricSpec]:
        """Return the trigger's metrics and targets; at least one."""
        ...

    def source_key(self) -> Hashable:
        """Return what makes two triggers share a source: endpoint, credentials, TLS.

        ``NO_SOURCE`` when the controller reads the metrics itself; then ``open_source``, ``query``
        and ``reading`` are never called. Secrets in the key are ``SecretStr``, so that logging a
        key shows none.
        """
        ...

    def open_source(self, context: SourceContext) -> Source:
        """Build the source for this key; no I/O before the first fetch."""
        ...

    def query(self, metric_name: str) -> Hashable:
        """Return what to ask the source; equal queries are asked once."""
        ...

    def reading(self, metric_name: str, answer: Answer, at: float) -> Reading:
        """Turn an answer into a reading; raises MetricError when it is no usable value."""
        ...


@runtime_checkable
class LearningScaler(Scaler, Protocol):
    """A scaler whose metrics are known only from its source's answers.

    It declares what it knows, and an answer that says otherwise is an error reading; the object is
    then bound anew, with what was learned, before anything is decided.
    """

    def has_learned(self) -> bool:
        """Whether an answer said that the metrics are others than ``metric_specs`` returns."""
        ...

    def take_over(self) -> None:
        """Return from ``metric_specs`` what was learned from now on."""
        ...


@runtime_checkable
class PushScaler(Scaler, Protocol):
    """A scaler whose source can also say by itself that something happened."""

    def activity(self, context: SourceContext) -> AsyncIterator[bool]:
        """Yield True whenever the trigger should be read at once."""
        ...


def metric_name(index: int, specific: str) -> str:
    """Return KEDA's metric name ``s<index>-<specific>`` with ``/ . : % ( )`` turned into ``-``."""
    return f"s{index}-" + specific.translate(_NORMALISE)


def is_for_one_object(kind: type[Scaler]) -> bool:
    """Whether a scaler of a class must not serve equal triggers of several objects."""
    learns = hasattr(kind, LearningScaler.has_learned.__name__)
    return learns or bool(getattr(kind, "asks_by_name", False))


_NORMALISE = str.maketrans(dict.fromkeys("/.:%()", "-"))
