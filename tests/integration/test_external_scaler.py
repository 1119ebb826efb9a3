"""The external scaler over real gRPC: what KEDA is told, when, and when nothing."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from autoscaler.core.model import Recommendation
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.errors import ConfigError
from autoscaler.external.served import Served
from autoscaler.sdk.externalscaler import SERVICE
from tests.integration.external_world import (
    Serving,
    client_credentials,
    eventually,
    folder_with,
    number_source,
    ref,
    serving,
)
from tests.integration.test_references import coded

QUICK = {"pollingInterval": 1, "cooldownPeriod": 1}


def inline(*triggers: object, **spec: object) -> dict[str, str]:
    """Return trigger metadata with a policy as YAML."""
    return {"policy": yaml.safe_dump({**QUICK, "triggers": list(triggers), **spec})}


async def test_the_value_served_is_the_count_the_policy_wants():
    """With target 1 the HPA's division gives exactly our replicas: 42 of 5 each are 9."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 42
        web = ref(inline(world.source.trigger("jobs")))
        (spec,) = (await keda.specs(web)).metricSpecs
        assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == ("flyball", 1, 1.0)
        assert await keda.value(web) == 9
        assert await keda.is_active(web) is True


async def test_no_work_is_inactive_and_a_true_zero():
    """A zero that was read is served as one, after the cooldown of our policy."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 7
        web = ref(inline(world.source.trigger("jobs")))
        assert await keda.value(web) == 2
        world.source.values["jobs"] = 0
        await keda.until(web, 0)
        assert await keda.is_active(web) is False


async def test_a_source_that_fails_is_an_error_and_never_a_zero():
    """UNAVAILABLE names the metric and the reason; the value is back with the source."""
    async with serving() as world, world.client() as keda:
        web = ref(inline(world.source.trigger("jobs")))
        code, why = await keda.refused(web)
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "s0-metric-api-value" in why
        assert "status 503" in why
        world.source.values["jobs"] = 12
        await keda.until(web, 3)
        world.source.values["jobs"] = None
        await eventually(lambda: world.scaler.policies.all()[0].verdict.trouble is not None)
        assert (await keda.refused(web))[0] is grpc.StatusCode.UNAVAILABLE
        world.source.values["jobs"] = 12
        await keda.until(web, 3)


async def test_a_fallback_stands_in_for_a_source_that_keeps_failing():
    """The policy's own fallback replaces the error after as many failures as it says."""
    async with serving() as world, world.client() as keda:
        policy = inline(
            world.source.trigger("jobs"), fallback={"failureThreshold": 1, "replicas": 6}
        )
        await keda.until(ref(policy), 6)


async def test_one_of_two_sources_failing_still_answers():
    """As the HPA does, the metrics that are known may raise, and nothing is lowered."""
    async with serving() as world, world.client() as keda:
        world.source.values |= {"a": 20, "b": 5}
        web = ref(inline(world.source.trigger("a"), world.source.trigger("b")))
        await keda.until(web, 4)
        world.source.values |= {"a": None, "b": 50}
        await keda.until(web, 10)
        world.source.values["b"] = 5
        await asyncio.sleep(2.5)
        assert await keda.value(web) == 10


async def test_the_flat_form_is_a_single_trigger():
    """Keys of the trigger and of the object side by side, as KEDA users write them."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 1000
        flat = {
            "type": "metrics-api",
            "url": world.source.url("jobs"),
            "valueLocation": "value",
            "targetValue": "10",
            "maxReplicaCount": "30",
            "pollingInterval": "1",
        }
        assert await keda.value(ref(flat)) == 30


async def test_values_of_the_environment_arrive_as_keda_sends_them():
    """KEDA resolves ``…FromEnv`` itself and sends the value under the unchanged key."""
    async with serving() as world, world.client() as keda:
        flat = {
            "type": "redis",
            "addressFromEnv": "127.0.0.1:1",
            "passwordFromEnv": "pa$$word$(HOME)",
            "listName": "jobs",
        }
        code, why = await keda.refused(ref(flat))
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "127.0.0.1:1" in why
        (served,) = world.scaler.policies.all()
        assert served.tracked.binding.resolved[0].env["passwordFromEnv"] == "pa$$word$(HOME)"
        assert "pa$$word" not in json.dumps(world.scaler.view.explain("default", "web"))


async def test_push_wakes_at_once_and_says_when_it_is_over():
    """The stream gives the state on opening and every change of it, nothing else."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 0
        stream = keda.activity(ref(inline(world.source.trigger("jobs"))))
        assert (await stream.read()).result is False
        world.source.values["jobs"] = 1
        assert (await asyncio.wait_for(stream.read(), 3)).result is True
        world.source.values["jobs"] = 100
        await asyncio.sleep(1.5)
        world.source.values["jobs"] = 0
        assert (await asyncio.wait_for(stream.read(), 5)).result is False
        stream.cancel()
        await eventually(lambda: world.scaler.policies.all()[0].streams == 0)


async def test_the_spec_stream_says_once_what_is_served():
    """Whatever the policy, it is one metric: KEDA never has to rebuild its HPA."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 1
        stream = keda.spec_updates(ref(inline(world.source.trigger("jobs"))))
        (spec,) = (await stream.read()).metricSpecs
        assert (spec.metricName, spec.targetSizeFloat) == ("flyball", 1.0)
        stream.cancel()


async def test_stopping_ends_streams_in_order():
    """KEDA sees an end of the stream, not an error, and opens it elsewhere."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 1
        stream = keda.activity(ref(inline(world.source.trigger("jobs"))))
        await stream.read()
        world.scaler.server._methods.drain()
        assert await stream.read() is grpc.aio.EOF


async def test_a_stream_that_is_telling_when_the_server_stops_ends_too():
    """The end may come while an answer is on its way; the stream must not wait for another one."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 1
        await keda.until(ref(inline(world.source.trigger("jobs"))), 1)
        methods, (served,) = world.scaler.server._methods, world.scaler.policies.all()
        verdicts = methods._verdicts(served)
        await anext(verdicts)
        methods.drain()
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(verdicts), 3)


async def test_a_look_between_two_reads_is_no_news():
    """What was read before counts once towards windows, whatever made us look again."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 50
        await keda.until(ref(inline(world.source.trigger("jobs"), pollingInterval=60)), 10)
        (served,) = world.scaler.policies.all()
        # The first look raises from zero, the second counts what was read.
        seen = [await _looked_at(world, served) for _ in range(3)]
        assert seen[1] == seen[2] != ()


async def _looked_at(world: Serving, served: Served) -> tuple[Recommendation, ...]:
    """Look at a policy once more; returns what its windows hold then."""
    before = served.tracked.memory
    world.scaler.policies._queue.add(served.key)
    await eventually(lambda: served.tracked.memory is not before)
    return served.tracked.memory.recommendations


async def test_a_thousand_objects_with_one_policy_cost_one_read():
    """Policies are shared by content: one query per interval, whoever asks."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 42
        policy = inline(world.source.trigger("jobs"), pollingInterval=60)
        refs = [ref(policy, name=f"web-{number}") for number in range(1000)]
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(keda.value(one)) for one in refs]
        assert {task.result() for task in asked} == {9}
        assert world.source.asked["jobs"] <= 2


async def test_an_edited_policy_goes_on_from_what_was_told():
    """Nothing is lowered early because the text of the policy changed."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 50
        assert await keda.value(ref(inline(world.source.trigger("jobs")))) == 10
        world.source.values["jobs"] = 20
        edited = ref(inline(world.source.trigger("jobs"), maxReplicaCount=50))
        assert await keda.value(edited) == 10


async def test_policies_nobody_asks_for_are_forgotten():
    """Neither memory nor reads for objects that are gone."""
    async with serving(forget_seconds=0.4) as world, world.client() as keda:
        world.source.values["jobs"] = 42
        assert await keda.value(ref(inline(world.source.trigger("jobs")))) == 9
        await eventually(lambda: len(world.scaler.policies) == 0)
        asked = world.source.asked["jobs"]
        await asyncio.sleep(1.3)
        assert world.source.asked["jobs"] == asked


async def test_health_and_reflection_are_served():
    """grpc_health_probe and grpcurl work without the proto."""
    async with serving() as world, world.client() as keda:
        check = keda.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        answer = await check(health_pb2.HealthCheckRequest(service=SERVICE))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(keda.channel)
        call = stub.ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        )
        listed = (await call.read()).list_services_response.service
        assert SERVICE in [one.name for one in listed]


async def test_a_decision_can_be_explained_by_the_name_of_kedas_object():
    """The same derivation as the controller's, over HTTP."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 42
        await keda.value(ref(inline(world.source.trigger("jobs"))))
        (line,) = world.scaler.view.objects()
        assert (line["name"], line["policy"], line["toldReplicas"]) == ("web", "inline", 9)
        text = world.scaler.view.explain_text("default", "web")
        assert "derivation:" in text
        assert "served" in world.scaler.view.explain("default", "web")["outcome"]
        assert world.scaler.view.explain("default", "other") is None


def scaled_object(name: str, *triggers: object, **spec: object) -> dict[str, object]:
    """Return a ScaledObject of ours, which only watches."""
    return {
        "apiVersion": "flyball.dev/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"name": "web"},
            "mode": "shadow",
            **QUICK,
            "triggers": list(triggers),
            **spec,
        },
    }


def keda_object(name: str) -> dict[str, object]:
    """Return KEDA's object that asks us."""
    trigger = {"type": "external", "metadata": {"scalerAddress": "flyball:6000"}}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"scaleTargetRef": {"name": "web"}, "triggers": [trigger]},
    }


def deployment(replicas: int, name: str = "web") -> dict[str, object]:
    """Return a target."""
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": "demo"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


async def test_a_scaled_object_of_ours_is_served_with_its_whole_policy():
    """Named by namespace and name; editing it changes what is served, deleting it ends it."""
    async with EmbeddedCluster() as cluster, serving(cluster_url=cluster.url) as world:
        world.source.values["jobs"] = 42
        async with world.client() as keda:
            named = ref({"scaledObject": "default/jobs"})
            code, why = await keda.refused(named)
            assert (code, "default/jobs" in why) == (grpc.StatusCode.NOT_FOUND, True)
            cluster.create(deployment(0))
            cluster.create(scaled_object("jobs", world.source.trigger("jobs")))
            await keda.until(named, 9)
            resource = cluster.registry.resource("flyball.dev/v1alpha1", "ScaledObject")
            cluster.registry.modify(
                resource, "default", "jobs", lambda value: _with(value, maxReplicaCount=4)
            )
            await keda.until(named, 4)
            cluster.registry.delete(resource, "default", "jobs")
            await eventually(lambda: world.scaler.policies.all()[0].verdict.trouble is not None)
            assert (await keda.refused(named))[0] is grpc.StatusCode.NOT_FOUND


def _with(value: dict[str, object], **spec: object) -> dict[str, object]:
    return {**value, "spec": {**value["spec"], **spec}}


async def test_nothing_is_kept_for_a_scaled_object_that_was_created_again():
    """Scalers of the old one go with it, though the policy goes on to be asked for by its name."""
    async with EmbeddedCluster() as cluster, serving(cluster_url=cluster.url) as world:
        world.source.values["jobs"] = 42
        cluster.create(deployment(0))
        cluster.create(scaled_object("jobs", world.source.trigger("jobs")))
        resource = cluster.registry.resource("flyball.dev/v1alpha1", "ScaledObject")
        async with world.client() as keda:
            named = ref({"scaledObject": "default/jobs"})
            await keda.until(named, 9)
            cluster.registry.delete(resource, "default", "jobs")
            cluster.create(scaled_object("jobs", world.source.trigger("jobs"), maxReplicaCount=4))
            await keda.until(named, 4)
        new = cluster.registry.get(resource, "default", "jobs").value["metadata"]["uid"]
        (built,) = world.scaler.policies._binder._triggers._built
        assert built.endswith(f"/{new}")


async def test_another_target_has_what_it_has_and_not_what_was_told():
    """The policy is pointed elsewhere: what was told, and the windows, were about another one."""
    async with EmbeddedCluster() as cluster, serving(cluster_url=cluster.url) as world:
        world.source.values.update(jobs=100, few=10)
        cluster.create(deployment(1))
        cluster.create(deployment(1, "other"))
        cluster.create(scaled_object("jobs", world.source.trigger("jobs"), advanced={}))
        async with world.client() as keda:
            named = ref({"scaledObject": "default/jobs"})
            await keda.until(named, 20)
            resource = cluster.registry.resource("flyball.dev/v1alpha1", "ScaledObject")
            edited = {
                "scaleTargetRef": {"name": "other"},
                "triggers": [world.source.trigger("few")],
            }
            cluster.registry.modify(
                resource, "default", "jobs", lambda value: _with(value, **edited)
            )
            await keda.until(named, 2)


async def test_a_server_that_starts_lowers_nothing_early():
    """What the target has counts as wanted, and work as having been there, until windows pass."""
    async with EmbeddedCluster() as cluster, number_source() as source:
        cluster.create(deployment(20))
        cluster.create(keda_object("web"))
        source.values["jobs"] = 0
        policy = inline(source.trigger("jobs"), cooldownPeriod=300)
        async with (
            serving(cluster_url=cluster.url, source=source) as world,
            world.client() as keda,
        ):
            assert await keda.value(ref(policy)) == 20
            assert await keda.is_active(ref(policy)) is True
            source.values["jobs"] = 150
            await keda.until(ref(policy), 30)


async def test_cpu_and_value_metrics_need_the_cluster():
    """Without one they are refused by name; with one the target's pods are counted."""
    async with serving() as world, world.client() as keda:
        world.source.values["jobs"] = 10
        trigger = world.source.trigger("jobs", metricType="Value")
        code, why = await keda.refused(ref(inline(trigger)))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "spec.triggers[0].metricType: Value counts ready pods" in why
        cpu = {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "50"}}
        code, why = await keda.refused(ref(inline(cpu, minReplicaCount=1)))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "spec.triggers[0].type: measures pods" in why


async def test_secrets_of_a_namespace_are_only_for_callers_with_a_certificate():
    """Without client certificates anybody could name any namespace."""
    async with EmbeddedCluster() as cluster, serving(cluster_url=cluster.url) as world:
        cluster.create(deployment(0))
        cluster.create(keda_object("web"))
        trigger = world.source.trigger("jobs", authenticationRef={"name": "login"})
        async with world.client() as keda:
            code, why = await keda.refused(ref(inline(trigger)))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "spec.triggers[0].authenticationRef: is only for callers that show" in why


async def test_authentications_of_keda_serve_known_callers(tmp_path):
    """With client certificates a policy may use its namespace's TriggerAuthentications."""
    authority, folder = folder_with(tmp_path)
    async with (
        EmbeddedCluster() as cluster,
        serving(cluster_url=cluster.url, certificate_folder=str(folder)) as world,
    ):
        cluster.create(deployment(0))
        cluster.create(keda_object("web"))
        cluster.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": "login", "namespace": "default"},
                "data": coded(password="hidden", user="jo"),
            }
        )
        cluster.create(
            {
                "apiVersion": "keda.sh/v1alpha1",
                "kind": "TriggerAuthentication",
                "metadata": {"name": "login", "namespace": "default"},
                "spec": {
                    "secretTargetRef": [
                        {"parameter": "username", "name": "login", "key": "user"},
                        {"parameter": "password", "name": "login", "key": "password"},
                    ]
                },
            }
        )
        world.source.values["jobs"] = 5
        trigger = world.source.trigger("jobs", authenticationRef={"name": "login"})
        trigger["metadata"]["authMode"] = "basic"
        async with world.client(client_credentials(authority)) as keda:
            await keda.until(ref(inline(trigger)), 1)
            served = world.scaler.policies.all()[0]
            assert served.tracked.binding.resolved[0].auth["password"] == "hidden"


async def test_an_address_that_is_taken_is_named():
    """The error says which address, and which settings choose another."""
    async with serving() as world:
        with pytest.raises(ConfigError, match=rf"cannot listen on 127.0.0.1:{world.port}; choose"):
            async with serving(port=world.port):
                pass
