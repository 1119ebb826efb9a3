"""Which of the things built for a policy serve every object of KEDA's that asks with it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from autoscaler.demo.cluster import EmbeddedCluster
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
from tests.integration.external_world import (
    Client,
    client_credentials,
    eventually,
    folder_with,
    ref,
    serving,
)
from tests.integration.test_external_scaler import deployment, inline, keda_object, scaled_object


class Vendor:
    """Somebody else's external scaler, which answers by the name of the object that asks."""

    def __init__(self, values: Mapping[str, int]) -> None:
        self.values = dict(values)
        self.asked: Counter[str] = Counter()
        self.port = 0

    def trigger(self, kind: str = "external") -> dict[str, Any]:
        """Return a trigger on it."""
        return {"type": kind, "metadata": {"scalerAddress": f"127.0.0.1:{self.port}"}}

    async def active(self, request: ScaledObjectRef, context: object) -> IsActiveResponse:
        """IsActive."""
        del context
        return IsActiveResponse(result=self.values[request.name] > 0)

    async def specs(self, request: ScaledObjectRef, context: object) -> GetMetricSpecResponse:
        """GetMetricSpec."""
        del context
        self.asked[request.name] += 1
        return GetMetricSpecResponse(metricSpecs=[MetricSpec(metricName="jobs", targetSize=1)])

    async def metrics(self, request: GetMetricsRequest, context: object) -> GetMetricsResponse:
        """GetMetrics."""
        del context
        value = self.values[request.scaledObjectRef.name]
        return GetMetricsResponse(metricValues=[MetricValue(metricName="jobs", metricValue=value)])


@asynccontextmanager
async def vendor(**values: int) -> AsyncIterator[Vendor]:
    """Serve a vendor's external scaler."""
    served = Vendor(values)
    unary = grpc.unary_unary_rpc_method_handler
    of_object = ScaledObjectRef.FromString
    handlers = {
        "IsActive": unary(served.active, of_object, IsActiveResponse.SerializeToString),
        "GetMetricSpec": unary(served.specs, of_object, GetMetricSpecResponse.SerializeToString),
        "GetMetrics": unary(
            served.metrics, GetMetricsRequest.FromString, GetMetricsResponse.SerializeToString
        ),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    served.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield served
    finally:
        await server.stop(None)


def targets(cluster: EmbeddedCluster, names: Sequence[str]) -> None:
    """Create objects of KEDA's, each with a target of its name."""
    for name in names:
        target, asking = deployment(1), keda_object(name)
        target["metadata"] |= {"name": name}
        asking["spec"] |= {"scaleTargetRef": {"name": name}}
        cluster.create(target)
        cluster.create(asking)


async def answers(keda: Client, metadata: dict[str, str], expected: Mapping[str, int]) -> None:
    """Check that objects asking at the same moment each get their own answer."""
    async with asyncio.TaskGroup() as group:
        for name, count in expected.items():
            group.create_task(keda.until(ref(metadata, name=name), count))


@pytest.mark.parametrize("kind", ["external", "external-push"])
async def test_external_triggers_without_a_cluster_answer_for_the_object_that_asks(kind: str):
    """Names of metrics are learned, and whose values they are is told, for each object."""
    async with vendor(a=3, b=8) as other, serving() as world, world.client() as keda:
        await answers(keda, inline(other.trigger(kind)), {"a": 3, "b": 8})
        assert other.asked.keys() == {"a", "b"}


async def test_external_triggers_in_a_cluster_answer_for_the_object_that_asks():
    """Whichever object came first with the same text."""
    async with (
        vendor(a=3, b=8) as other,
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url) as world,
        world.client() as keda,
    ):
        targets(cluster, "ab")
        await answers(keda, inline(other.trigger()), {"a": 3, "b": 8})
        assert other.asked.keys() == {"a", "b"}


async def test_two_objects_may_name_one_policy_with_an_external_trigger():
    """Both get the count of our object, by whose name the vendor is asked."""
    async with (
        vendor(jobs=4) as other,
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url) as world,
        world.client() as keda,
    ):
        cluster.create(deployment(0))
        cluster.create(scaled_object("jobs", other.trigger()))
        await answers(keda, {"scaledObject": "default/jobs"}, {"a": 4, "b": 4})
        assert other.asked.keys() == {"jobs"}


async def test_equal_policies_look_into_the_environment_of_their_own_targets(tmp_path: Path):
    """One text, two targets, two values; neither replaces what was built for the other."""
    authority, folder = folder_with(tmp_path)
    trigger = {"type": "redis", "metadata": {"addressFromEnv": "ADDRESS", "listName": "jobs"}}
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url, certificate_folder=str(folder)) as world,
        world.client(client_credentials(authority)) as keda,
    ):
        targets(cluster, "ab")
        resource = cluster.registry.resource("apps/v1", "Deployment")
        for name, port in (("a", "1"), ("b", "2")):
            cluster.registry.modify(
                resource, "default", name, lambda value, port=port: with_address(value, port)
            )
        policy = inline(trigger)
        for name, port in (("a", "1"), ("b", "2")):
            _, why = await keda.refused(ref(policy, name=name))
            assert f"127.0.0.1:{port}" in why
        built = world.scaler.policies._binder._triggers._built.values()
        kept = {id(one.scaler) for triggers in built for one in triggers}
        used = {
            id(reader)
            for one in world.scaler.policies.all()
            for reader, _ in one.tracked.binding.readers
        }
        assert kept == used


def with_address(value: dict[str, Any], port: str) -> dict[str, Any]:
    """Return a Deployment whose container has an address in its environment."""
    (container,) = value["spec"]["template"]["spec"]["containers"]
    environment = [{"name": "ADDRESS", "value": f"127.0.0.1:{port}"}]
    pod = {"containers": [{**container, "env": environment}]}
    template = {**value["spec"]["template"], "spec": pod}
    return {**value, "spec": {**value["spec"], "template": template}}


async def test_equal_policies_share_their_scalers():
    """What depends on nothing but the text is built once."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 42
        await answers(keda, inline(world.source.trigger("jobs")), {"a": 9, "b": 9})
        bindings = [one.tracked.binding for one in world.scaler.policies.all()]
        first, second = (binding.readers[0][0] for binding in bindings)
        assert first is second


async def test_nothing_is_kept_for_policies_nobody_asks_for():
    """Neither what was shared nor what was one object's."""
    async with (
        vendor(jobs=1, a=2, b=3) as other,
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url, forget_seconds=1.0) as world,
        world.client() as keda,
    ):
        targets(cluster, "ab")
        cluster.create(scaled_object("jobs", other.trigger(), scaleTargetRef={"name": "a"}))
        world.source.values["jobs"] = 15
        for metadata, counts in (
            ({"scaledObject": "default/jobs"}, {"a": 1, "b": 1}),
            (inline(other.trigger()), {"a": 2, "b": 3}),
            (inline(world.source.trigger("jobs")), {"a": 3, "b": 3}),
        ):
            await answers(keda, metadata, counts)
        binder = world.scaler.policies._binder
        assert binder._triggers._built
        await eventually(lambda: len(world.scaler.policies) == 0)
        kept = (binder._triggers._built, binder._users, binder._inline, binder._alike)
        assert (*map(len, kept), len(binder._named), len(binder._shared)) == (0,) * 6
