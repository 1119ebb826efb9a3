"""KEDA's external scaler protocol: messages and methods, for both sides of the wire.

The messages are generated from ``externalscaler.proto`` (``make proto``); this package needs the
extra ``grpc`` and is imported by nothing that can do without.
"""

from __future__ import annotations

from typing import Final

from autoscaler.sdk.externalscaler.externalscaler_pb2 import (
    DESCRIPTOR,
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    MetricSpec,
    MetricValue,
    ScaledObjectRef,
)

__all__ = [
    "DESCRIPTOR",
    "SERVICE",
    "GetMetricSpecResponse",
    "GetMetricsRequest",
    "GetMetricsResponse",
    "IsActiveResponse",
    "MetricSpec",
    "MetricValue",
    "ScaledObjectRef",
    "method_path",
]

SERVICE: Final = "externalscaler.ExternalScaler"


def method_path(method: str) -> str:
    """Return the path a client calls, for example of ``GetMetrics``."""
    return f"/{SERVICE}/{method}"
