"""What a scaler may import, and nothing else of the service."""

from autoscaler.core.model import MetricSource, MetricSpec, PodSample, Reading, TargetType
from autoscaler.errors import (
    FOREIGN_TEXT_LIMIT,
    MetricError,
    MetricMalformed,
    MetricRejected,
    MetricUnavailable,
    TriggerConfigError,
    shorten,
)
from autoscaler.runtime.backoff import Backoff
from autoscaler.runtime.clock import Clock
from autoscaler.sdk.addresses import Destination, HostPort, host_of_url, host_port
from autoscaler.sdk.auth import Credentials, HttpAuth
from autoscaler.sdk.config import (
    AUTH,
    ENV,
    METADATA,
    Param,
    ParameterDescription,
    Problem,
    Seconds,
    TriggerConfig,
)
from autoscaler.sdk.cron import CronSchedule, load_zone
from autoscaler.sdk.documents import Document
from autoscaler.sdk.documents import Format as DocumentFormat
from autoscaler.sdk.fetch import fetch_each
from autoscaler.sdk.http import HttpClient, HttpResponse, NoConnection, is_http_url, only_ok
from autoscaler.sdk.metrics import (
    check_target,
    external_metric,
    parse_number,
    parse_quantity,
    quantity_milli,
    reading_of,
)
from autoscaler.sdk.scaler import (
    NO_SOURCE,
    Answer,
    ClusterPod,
    ClusterReader,
    LearningScaler,
    PushScaler,
    Scaler,
    Source,
    SourceContext,
    TriggerContext,
    metric_name,
)
from autoscaler.sdk.selector import parse_selector
from autoscaler.sdk.tls import TlsSettings

__all__ = [
    "AUTH",
    "Answer",
    "Backoff",
    "Clock",
    "ClusterPod",
    "ClusterReader",
    "Credentials",
    "CronSchedule",
    "ENV",
    "Document",
    "Destination",
    "DocumentFormat",
    "FOREIGN_TEXT_LIMIT",
    "HostPort",
    "HttpAuth",
    "HttpClient",
    "HttpResponse",
    "LearningScaler",
    "METADATA",
    "MetricError",
    "MetricMalformed",
    "MetricRejected",
    "MetricSource",
    "MetricSpec",
    "MetricUnavailable",
    "NO_SOURCE",
    "NoConnection",
    "Param",
    "ParameterDescription",
    "PodSample",
    "Problem",
    "PushScaler",
    "Reading",
    "Scaler",
    "Seconds",
    "Source",
    "SourceContext",
    "TargetType",
    "TlsSettings",
    "TriggerConfig",
    "TriggerConfigError",
    "TriggerContext",
    "check_target",
    "external_metric",
    "fetch_each",
    "host_of_url",
    "host_port",
    "is_http_url",
    "load_zone",
    "metric_name",
    "only_ok",
    "parse_number",
    "parse_quantity",
    "parse_selector",
    "quantity_milli",
    "reading_of",
    "shorten",
]
