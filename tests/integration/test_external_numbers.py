"""Numbers of external scalers that no metric value can hold: an error of one object alone."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from autoscaler.plugins import ScalerRegistry
from autoscaler.runtime.clock import SystemClock
from autoscaler.sdk import HttpClient, MetricMalformed, SourceContext, TriggerContext
from autoscaler.sdk.externalscaler import (
    SERVICE,
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    MetricSpec,
    MetricValue,
    ScaledObjectRef,
)

LARGE = "large"
"""The object whose numbers are large; all others have honest ones."""


def handler(spec: dict[str, Any], values: list[dict[str, Any]]) -> grpc.GenericRpcHandler:
    """Return a scaler that gives one object these numbers and every other one 7 of 5."""

    async def active(request: ScaledObjectRef, context: object) -> IsActiveResponse:
        del request, context
        return IsActiveResponse(result=True)

    async def specs(request: ScaledObjectRef, context: object) -> GetMetricSpecResponse:
        del context
        given = spec if request.name == LARGE else {"targetSize": 5}
        return GetMetricSpecResponse(metricSpecs=[MetricSpec(metricName="jobs", **given)])

    async def metrics(request: GetMetricsRequest, context: object) -> GetMetricsResponse:
        del context
        given = values if request.scaledObjectRef.name == LARGE else [{"metricValue": 7}]
        return GetMetricsResponse(metricValues=[MetricValue(**one) for one in given])

    unary, ref = grpc.unary_unary_rpc_method_handler, ScaledObjectRef.FromString
    methods = {
        "IsActive": unary(active, ref, IsActiveResponse.SerializeToString),
        "GetMetricSpec": unary(specs, ref, GetMetricSpecResponse.SerializeToString),
        "GetMetrics": unary(
            metrics, GetMetricsRequest.FromString, GetMetricsResponse.SerializeToString
        ),
    }
    return grpc.method_handlers_generic_handler(SERVICE, methods)


async def told(spec: dict[str, Any], values: list[dict[str, Any]]) -> str:
    """Read both objects in one go; return the large one's error, having checked the other's."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler(spec, values),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    large, honest = (
        ScalerRegistry().create(
            *("external", {"scalerAddress": address}, {}, {}),
            TriggerContext(namespace="shop", name=name),
        )
        for name in (LARGE, "honest")
    )
    try:
        async with HttpClient() as http:
            source = large.open_source(SourceContext(http=http, clock=SystemClock()))
            asked = [large.query(""), honest.query("")]
            answers = await asyncio.wait_for(source.fetch(asked, 0.0), 10)
            await source.close()
    finally:
        await server.stop(None)
    assert answers[honest.query("")].values == {"jobs": (7.0,)}
    found = answers[large.query("")]
    error = found if isinstance(found, MetricMalformed) else found.values["jobs"]
    assert isinstance(error, MetricMalformed)
    return str(error)


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ({"targetSizeFloat": 1e306}, "targetSizeFloat 1e+306"),
        ({"targetSizeFloat": 1e17}, "targetSizeFloat 1e+17"),
        ({"targetSizeFloat": float("inf")}, "targetSizeFloat inf"),
        ({"targetSize": 2**62}, "targetSize 4.61169e+18"),
        ({"targetSizeFloat": -1.0, "targetSize": 2**62}, "targetSize 4.61169e+18"),
    ],
)
async def test_a_target_no_metric_value_can_hold(spec: dict[str, Any], shown: str):
    """The error names object, metric, field and number; others of the server are read."""
    said = await told(spec, [{"metricValue": 3}])
    assert 'GetMetricSpec: metric "jobs" of shop/large' in said
    assert f"{shown} is too large or no number" in said


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([{"metricValueFloat": 1e306}], "metricValueFloat 1e+306 is too large or no number"),
        ([{"metricValueFloat": float("nan")}], "metricValueFloat nan is too large or no number"),
        (
            [{"metricValueFloat": float("-inf"), "metricValue": 3}],
            "metricValueFloat -inf is too large or no number",
        ),
        ([{"metricValue": 2**62}], "metricValue 4.61169e+18 is too large or no number"),
        ([{"metricValue": -(2**62)}], "metricValue -4.61169e+18 is too large or no number"),
        ([{"metricValueFloat": 6e15}] * 2, "its values are too large together"),
    ],
)
async def test_a_value_no_metric_value_can_hold(values: list[dict[str, Any]], shown: str):
    """The same, where the HPA adds several values up for their sum as well."""
    said = await told({"targetSize": 5}, values)
    assert 'GetMetrics: metric "jobs" of shop/large' in said
    assert shown in said
