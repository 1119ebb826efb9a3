"""What the replays of trigger vectors share: building a scaler, comparing specs, rules on inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from autoscaler.core import quantity
from autoscaler.core.model import MetricSource, MetricSpec, TargetType
from autoscaler.errors import ConfigError, TriggerConfigError, UnknownScalerError
from autoscaler.plugins import ScalerRegistry
from autoscaler.sdk.scaler import Scaler, TriggerContext
from tests.golden.replay import NotCovered

REGISTRY = ScalerRegistry()
RESOURCE_TYPES = ("cpu", "memory")
TARGETS = {
    "prometheus": ("threshold",),
    "metrics-api": ("targetValue",),
    "kubernetes-workload": ("value",),
    "cpu": ("value",),
    "memory": ("value",),
    "redis": ("listLength",),
    "redis-streams": ("streamLength", "pendingEntriesCount", "lagCount"),
    "kafka": ("lagThreshold",),
}
"""The parameters that may hold the target, by trigger type."""
ADDRESSES = {"prometheus": "serverAddress", "metrics-api": "url"}
CLOUD_PARAMETERS = ("GoogleApplicationCredentials", "awsRegion")
CLOUD_IDENTITIES = ("azure-workload", "gcp", "aws")
PROVIDER_SCALERS = ("prometheus", "kafka")
"""Types that can log in with the pod's cloud identity in KEDA; others ignore it."""


def uncovered(scaler: str, config: Mapping[str, Any]) -> NotCovered | None:
    """Return why nothing in the product answers for this trigger, or None."""
    if scaler not in REGISTRY.names():
        return NotCovered(f"trigger type {scaler}")
    try:
        REGISTRY.get(scaler)
    except UnknownScalerError:
        return NotCovered(f"trigger type {scaler}")
    identity = (config.get("podIdentity") or {}).get("provider")
    if scaler in PROVIDER_SCALERS and identity in CLOUD_IDENTITIES:
        return NotCovered("cloud identities")
    metadata, auth = config["triggerMetadata"], config["authParams"]
    if scaler == "kafka" and "gssapi" in (metadata.get("sasl"), auth.get("sasl")):
        return NotCovered("kafka with Kerberos")
    if scaler == "prometheus" and (
        any(metadata.get(p) or auth.get(p) for p in CLOUD_PARAMETERS)
        or metadata.get("credentialsFromEnv")
        or metadata.get("credentialsFromEnvFile")
    ):
        return NotCovered("cloud identities")
    return None


def build(scaler: str, config: Mapping[str, Any]) -> Scaler:
    """Build the scaler of a case as for an object adopted from KEDA; raises ConfigError."""
    return REGISTRY.create(
        scaler,
        config["triggerMetadata"],
        config["authParams"],
        config["resolvedEnv"],
        context_of(config),
    )


def context_of(config: Mapping[str, Any]) -> TriggerContext:
    """Return where the case's trigger stands."""
    return TriggerContext(
        namespace=config.get("namespace") or "default",
        name=config.get("name") or "so",
        trigger_index=config["triggerIndex"],
        metric_type=config.get("metricType"),
        is_metric_source=bool(config.get("asMetricSource")),
        safe_defaults=False,
    )


def try_build(scaler: str, config: Mapping[str, Any]) -> Scaler | ConfigError:
    """Build the scaler, or return why it cannot be built."""
    try:
        return build(scaler, config)
    except ConfigError as error:
        return error


def rule_for(scaler: str, config: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return ``(rule, parameter)`` when the inputs fall under a deliberate difference.

    The parameter is the one our error names.
    """
    metadata = config["triggerMetadata"]
    allowed = (
        ("Utilization", "AverageValue") if scaler in RESOURCE_TYPES else ("AverageValue", "Value")
    )
    if config.get("metricType") and config["metricType"] not in allowed:
        return "metric-type-unknown", "metricType"
    for target in TARGETS.get(scaler, ()):
        if is_useless(scaler, metadata.get(target, ""), config):
            return "target-useless", target
    address = ADDRESSES.get(scaler)
    if address and metadata.get(address, "").strip() and not _is_http(metadata[address]):
        return "address-without-scheme", address
    if scaler == "cron" and re.match(r"\s*-[1-9]", metadata.get("desiredReplicas", "")):
        return "cron-negative-replicas", "desiredReplicas"
    if scaler == "cron" and metadata.get("timezone", "").strip() not in {
        *available_timezones(),
        "",
    }:
        return "cron-unknown-timezone", "timezone"
    return None


def is_useless(scaler: str, text: str, config: Mapping[str, Any]) -> bool:
    """Whether a target is below a thousandth or beyond what a quantity holds."""
    if not text.strip():
        return False
    try:
        if scaler in RESOURCE_TYPES:
            milli = quantity.to_milli(text.strip())
            return milli <= 0
        milli = int(float(text) * 1000)
    except (ValueError, OverflowError, ConfigError):
        return False
    return milli < 0 or milli > 2**63 - 1 or (milli == 0 and not config.get("asMetricSource"))


def refuses(outcome: object, parameter: str) -> bool:
    """Whether building failed with an error that names the parameter."""
    return isinstance(outcome, TriggerConfigError) and parameter in {n for n, _ in outcome.problems}


def differing_specs(
    got: tuple[MetricSpec, ...], expected: list[Mapping[str, Any]]
) -> Iterator[str]:
    """Yield what differs between our metric specs and the recorded ones."""
    if len(got) != len(expected):
        yield f"{len(got)} metrics, expected {len(expected)}"
    for spec, wanted in zip(got, expected, strict=False):
        if spec.source != MetricSource(wanted["source"]):
            yield f"source {spec.source}"
        if spec.source is MetricSource.EXTERNAL and spec.name != wanted["metricName"]:
            yield f"name {spec.name}, expected {wanted['metricName']}"
        if (spec.resource, spec.container) != (wanted.get("resource"), wanted.get("container")):
            yield f"resource {spec.resource} {spec.container}"
        if spec.target_type != wanted["targetType"]:
            yield f"target type {spec.target_type}, expected {wanted['targetType']}"
        target = wanted["target"]
        milli = target if spec.target_type is TargetType.UTILIZATION else quantity.to_milli(target)
        if spec.target_milli != milli:
            yield f"target {spec.target_milli}, expected {target}"


def _is_http(text: str) -> bool:
    try:
        parts = urlsplit(text.strip())
        return parts.scheme.lower() in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
