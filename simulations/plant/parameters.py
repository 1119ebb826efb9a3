"""Parameters of the simulated world, one struct per stage of a pod's life.

Defaults are common values; where a result depends on a value that nobody can guess (service time,
concurrency, start-up, the age of metrics) there is none.
"""

from __future__ import annotations

import itertools
from enum import StrEnum
from typing import Annotated

import msgspec

FINITE_MAX = 1e15

Positive = Annotated[float, msgspec.Meta(gt=0, le=FINITE_MAX)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=FINITE_MAX)]
Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Delay(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A log-normal duration by its median and 95th percentile; equal ones make it fixed.

    Attributes:
        median_seconds: Half of the durations are shorter.
        p95_seconds: 95 % are shorter.
        quantiles_seconds: Of a duration of any other shape: from the shortest to the longest, as
            many durations between one and the next everywhere. Empty = log-normal.
    """

    median_seconds: NotNegative
    p95_seconds: NotNegative
    quantiles_seconds: tuple[NotNegative, ...] = ()

    def __post_init__(self) -> None:
        if not self.quantiles_seconds:
            self._check_log_normal()
        quantiles = self.quantiles_seconds
        if len(quantiles) == 1 or any(a > b for a, b in itertools.pairwise(quantiles)):
            raise ValueError(
                f"quantiles_seconds is {list(quantiles)}, must be at least two ascending durations"
            )

    def _check_log_normal(self) -> None:
        if self.p95_seconds < self.median_seconds:
            raise ValueError(
                f"p95_seconds is {self.p95_seconds:g}, must be at least median_seconds "
                f"({self.median_seconds:g})"
            )
        if self.median_seconds == 0 < self.p95_seconds:
            raise ValueError(
                f"median_seconds is 0 and p95_seconds {self.p95_seconds:g}: no log-normal duration "
                "has such a median; give quantiles_seconds"
            )

    def times(self, factor: float) -> Delay:
        """Return a delay that is longer, or shorter, by a factor."""
        return Delay(
            median_seconds=factor * self.median_seconds,
            p95_seconds=factor * self.p95_seconds,
            quantiles_seconds=tuple(factor * one for one in self.quantiles_seconds),
        )


class ImagePull(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pulling the image where the node does not have it.

    Attributes:
        cached_ratio: Share of pods whose node has the image, 0..1.
        seconds: Duration of a pull.
    """

    cached_ratio: Ratio = 1.0
    seconds: NotNegative = 0.0


class StartUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From the decision to a pod that serves; the delays of the stages add up.

    Attributes:
        container: Container start until the application could serve.
        scale_write: Write of the scale and creation of the pod.
        scheduling: Until a node is found (if one has room).
        image_pull: See :class:`ImagePull`.
        probe_period_seconds: Readiness is noticed at multiples of this; 0 = at once.
        endpoint: From Ready until traffic arrives.
        warm_up_seconds: Capacity of a fresh pod rises linearly to full over this time.
    """

    container: Delay
    scale_write: Delay | None = None
    scheduling: Delay | None = None
    image_pull: ImagePull = ImagePull()
    probe_period_seconds: NotNegative = 0.0
    endpoint: Delay | None = None
    warm_up_seconds: NotNegative = 0.0


class ServiceTime(StrEnum):
    """Shape of the service time."""

    EXPONENTIAL = "exponential"
    DETERMINISTIC = "deterministic"
    LOG_NORMAL = "log-normal"


class Service(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a replica serves: first come, first served, ``concurrency`` requests at a time.

    Attributes:
        mean_seconds: Mean service time of a request.
        concurrency: Requests one replica serves at a time.
        shape: Distribution of the service time.
        cv2: Squared coefficient of variation; only read for log-normal.
    """

    mean_seconds: Positive
    concurrency: Count
    shape: ServiceTime = ServiceTime.EXPONENTIAL
    cv2: NotNegative = 1.72

    @property
    def requests_per_second(self) -> float:
        """What one replica serves at most."""
        return self.concurrency / self.mean_seconds

    @property
    def squared_variation(self) -> float:
        """Squared coefficient of variation of the shape."""
        match self.shape:
            case ServiceTime.EXPONENTIAL:
                return 1.0
            case ServiceTime.DETERMINISTIC:
                return 0.0
            case ServiceTime.LOG_NORMAL:
                return self.cv2


class Waiting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to requests that wait.

    Attributes:
        slo_seconds: A request that waits longer is late.
        timeout_seconds: A request that waits longer is given up, and counts as late.
        retry_ratio: Share of given up requests that come again in the next step, 0..1.
        buffer_requests: Most requests that wait; further ones are given up at once.
    """

    slo_seconds: NotNegative
    timeout_seconds: Positive = 30.0
    retry_ratio: Ratio = 0.0
    buffer_requests: NotNegative = 10_000.0


class Termination(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The end of a pod: it is paid for until it has drained."""

    drain_seconds: NotNegative = 10.0


class Nodes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The node pool pods are packed on.

    Attributes:
        pods_per_node: Pods of this size that fit on one node.
        initial: Nodes at the beginning; also the least.
        maximum: Most nodes; further pods stay pending.
        provisioning: From the pending pod to the ready node.
        idle_seconds: An empty node is removed after this time.
    """

    pods_per_node: Count
    initial: Count
    maximum: Count
    provisioning: Delay
    idle_seconds: NotNegative = 600.0

    def __post_init__(self) -> None:
        if self.initial > self.maximum:
            raise ValueError(f"initial is {self.initial}, must be at most maximum ({self.maximum})")


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong; nothing by default.

    Attributes:
        crashes_per_pod_hour: Serving pods that crash and start again.
        metric_outages: ``(from, to)`` seconds after the start without metrics.
        scale_outages: ``(from, to)`` seconds after the start in which scale writes fail.
    """

    crashes_per_pod_hour: NotNegative = 0.0
    metric_outages: tuple[tuple[float, float], ...] = ()
    scale_outages: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        for name in ("metric_outages", "scale_outages"):
            for begin, end in getattr(self, name):
                if not 0 <= begin < end:
                    raise ValueError(
                        f"{name} has [{begin:g}, {end:g}], must be [from, to] in seconds after the "
                        "start"
                    )


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What things cost, in any currency."""

    replica_hour: NotNegative = 1.0
    node_hour: NotNegative = 0.0


class Plant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scaled workload."""

    service: Service
    start_up: StartUp
    waiting: Waiting
    termination: Termination = Termination()
    nodes: Nodes | None = None
    faults: Faults = Faults()
    prices: Prices = Prices()


class SignalKind(StrEnum):
    """What a metric measures of the plant."""

    REQUEST_RATE = "request_rate"
    """Requests per second that arrive, retries included, mean over the window."""
    QUEUE_LENGTH = "queue_length"
    """Requests that wait, now."""
    CONCURRENCY = "concurrency"
    """Requests that wait or are served, now."""
    UTILIZATION = "utilization"
    """Busy share of the serving replicas, 0..1, mean over the window."""


class Signal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A metric as an autoscaler sees it: measured at scrapes, over a window, and late.

    Attributes:
        name: What triggers refer to.
        lag_seconds: From a scrape until its value can be read.
        window_seconds: The mean is taken over this time before the scrape.
        scrape_seconds: Between scrapes.
        phase_seconds: Of the first scrape.
        missed_ratio: Share of scrapes that fail, 0..1; the last value stands for five minutes.
    """

    name: str
    kind: SignalKind
    lag_seconds: NotNegative
    window_seconds: Positive = 60.0
    scrape_seconds: Positive = 15.0
    phase_seconds: NotNegative = 0.0
    missed_ratio: Ratio = 0.0
