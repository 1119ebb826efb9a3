"""Callers that mean harm, or mean well and write nonsense: each is refused, the server goes on."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoscaler.external import admission
from autoscaler.external.admission import OTHER_STREAMS
from autoscaler.sdk.externalscaler import SERVICE, ScaledObjectRef, method_path
from tests.integration.external_world import Client, Serving, eventually, ref, serving
from tests.integration.test_external_scaler import inline

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

REFUSED = [
    ({}, "exactly one of scaledObject"),
    ({"policy": "x: 1", "type": "cron"}, "it gives policy and type"),
    ({"policy": "{unclosed"}, "cannot be read as YAML"),
    ({"policy": BOMB}, "cannot be read as YAML"),
    ({"policy": "[" * 200}, "nested deeper"),
    ({"policy": "a: !!python/name:os.system x"}, "YAML tag"),
    ({"policy": "- 1"}, "must be a mapping"),
    ({"policy": "triggers: []\n---\ntriggers: []"}, "must be one YAML document"),
    ({"policy": "kind: Deployment\nspec: {}"}, "must be a ScaledObject"),
    ({"policy": "scaleTargetRef: {name: x}\ntriggers: []"}, "leave it out"),
    ({"policy": "triggers: []\nreplicas: 3"}, "spec.replicas"),
    ({"policy": "triggers: [{type: nonsense, metadata: {}}]"}, "spec.triggers[0].type"),
    ({"policy": "triggers: [{type: cron, metadata: {}}]"}, "spec.triggers[0].metadata.start"),
    ({"policy": "triggers: []\nminReplicaCount: 5\nmaxReplicaCount: 2"}, "spec."),
    ({"type": "nonsense"}, 'unknown trigger type "nonsense"'),
    ({"type": "cron", "maxReplicaCount": "many"}, 'maxReplicaCount: "many" must be a whole'),
    ({"scaledObject": "a/b/c"}, "must be namespace/name"),
    ({"scaledObject": "jobs"}, "no access to a cluster"),
    ({"scaledObject": "a/b", "pollingInterval": "3"}, "nothing reads it"),
    ({"policy": "x" * 70_000}, "bytes, at most 65536 are accepted"),
]


@pytest.mark.parametrize(("metadata", "expected"), REFUSED)
async def test_nonsense_is_refused_with_what_is_wrong(metadata: dict[str, str], expected: str):
    """INVALID_ARGUMENT, naming field and accepted form."""
    async with serving() as world, world.client() as keda:
        code, why = await keda.refused(ref(metadata))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert expected in why
        await still_serves(world, keda)


async def still_serves(world: Serving, keda: Client) -> None:
    """Check that an honest caller gets an answer."""
    world.source.values["honest"] = 42
    await keda.until(ref(inline(world.source.trigger("honest")), name="honest"), 9)


async def test_another_metric_is_not_found():
    """Nobody mistakes the count for something else."""
    async with serving() as world, world.client() as keda:
        with pytest.raises(grpc.aio.AioRpcError, match='only "flyball"'):
            await keda.value(ref(inline(world.source.trigger("jobs"))), metric="queueLength")


async def test_a_request_larger_than_any_honest_one_is_cut_off():
    """By the transport, before anything is parsed."""
    async with serving() as world, world.client() as keda:
        code, _ = await keda.refused(ref({"policy": "x" * 1_000_000}))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await still_serves(world, keda)


ELSEWHERE = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[::1]:2379/",
    "http://localhost:8001/api",
    "http://127.0.0.1@evil.example/",
    "http://allowed.example@evil.example/",
    "http://evil.example#@allowed.example/",
    "http://evil.example\\@allowed.example/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://[::ffff:10.1.2.3]/",
    "http://allowed.example.evil.example/",
    "http://evilallowed.example/",
]


@pytest.mark.parametrize("url", ELSEWHERE)
async def test_only_allowed_hosts_are_connected_to(url: str):
    """Whatever the notation: what is not on the list is refused before it is resolved."""
    hosts = ("allowed.example", "*.internal.example", "192.0.2.0/24", "127.0.0.1")
    trigger = {
        "type": "metrics-api",
        "metadata": {"url": url, "valueLocation": "v", "targetValue": "1"},
    }
    async with serving(allowed_hosts=hosts) as world, world.client() as keda:
        code, why = await keda.refused(ref(inline(trigger)))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "allowed hosts" in why or "metadata.url" in why
        await still_serves(world, keda)


async def test_the_list_holds_for_addresses_of_every_trigger_type():
    """Redis, Kafka and Prometheus say where they connect to as well; cron connects nowhere."""
    triggers = [
        {"type": "redis", "metadata": {"address": "10.0.0.1:6379", "listName": "jobs"}},
        {
            "type": "kafka",
            "metadata": {
                "bootstrapServers": "127.0.0.1:9092,10.0.0.1:9092",
                "consumerGroup": "g",
                "topic": "t",
            },
        },
        {
            "type": "prometheus",
            "metadata": {"serverAddress": "http://10.0.0.1", "query": "up", "threshold": "1"},
        },
    ]
    cron = {
        "type": "cron",
        "metadata": {
            "timezone": "UTC",
            "start": "0 0 * * *",
            "end": "59 23 * * *",
            "desiredReplicas": "3",
        },
    }
    async with serving(allowed_hosts=("127.0.0.1",)) as world, world.client() as keda:
        for trigger in triggers:
            code, why = await keda.refused(ref(inline(trigger)))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert "10.0.0.1" in why
        assert await keda.value(ref(inline(cron))) in {0, 3}


async def test_a_name_server_named_in_an_address_does_not_hide_a_forbidden_one():
    """Nothing is connected to; gRPC asks the name server before the slash about what follows."""
    connections = []

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        async with serving(allowed_hosts=("10.0.0.0/8",)) as world, world.client() as keda:
            for authority in ("10.0.0.1", "10.0.0.1:53"):
                address = f"dns://{authority}/127.0.0.1:{port}"
                trigger = {"type": "external", "metadata": {"scalerAddress": address}}
                code, why = await keda.refused(ref(inline(trigger)))
                assert code is grpc.StatusCode.INVALID_ARGUMENT
                assert "no plain http(s) address or host:port" in why
        assert connections == []
    finally:
        listening.close()
        await listening.wait_closed()


async def test_calls_cut_off_by_their_callers_leave_nothing_behind():
    """A thousand calls that are given up at once."""
    async with serving() as world, world.client() as keda:
        hanging = {
            "type": "metrics-api",
            "metadata": {
                "url": "http://192.0.2.1/",
                "valueLocation": "v",
                "targetValue": "1",
            },
        }
        calls = [
            asyncio.ensure_future(keda.value(ref(inline(hanging)), within=0.05))
            for _ in range(1000)
        ]
        await asyncio.sleep(0.01)
        for call in calls[::2]:
            call.cancel()
        await asyncio.wait(calls)
        for call in calls[1::2]:
            assert isinstance(call.exception(), grpc.aio.AioRpcError)
        methods = world.scaler.server._methods
        await eventually(lambda: methods.calls.taken == 0)
        await still_serves(world, keda)


@pytest.mark.slow
async def test_ten_thousand_streams_meet_a_limit():
    """Those beyond it are told so; calls are answered all the while, and all is given back."""
    async with serving(streams=500) as world, world.client() as keda:
        world.source.values["jobs"] = 42
        asked = ref(inline(world.source.trigger("jobs")))
        assert await keda.value(asked) == 9
        opened, refused = [], 0
        codes = set()

        async def open_one() -> None:
            nonlocal refused
            stream = keda.activity(asked)
            try:
                await stream.read()
            except grpc.aio.AioRpcError as error:
                refused += 1
                codes.add(error.code())
            else:
                opened.append(stream)

        for _ in range(20):
            async with asyncio.TaskGroup() as group:
                for _ in range(500):
                    group.create_task(open_one())
            assert await keda.value(asked) == 9
        assert (len(opened), refused) == (500, 9_500)
        assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        for stream in opened:
            stream.cancel()
        await eventually(lambda: world.scaler.server._methods.streams.taken == 0)
        assert world.scaler.policies.all()[0].streams == 0
        await still_serves(world, keda)


async def said(stream: Any) -> str:
    """Return status and reason a stream is refused with, empty when it is open."""
    try:
        await stream.read()
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}: {error.details()}"
    return ""


@pytest.mark.parametrize("kind", ["health", "reflection"])
async def test_streams_of_other_services_have_a_limit_of_their_own(kind: str):
    """However many there are, calls and streams of KEDA's and checks of the health find room."""
    async with serving(concurrent_calls=20, streams=20) as world, world.client() as keda:
        web = ref(inline(world.source.trigger("jobs")))
        world.source.values["jobs"] = 42
        assert await keda.value(web) == 9

        async def listing() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
            yield reflection_pb2.ServerReflectionRequest(list_services="")
            await asyncio.Event().wait()

        async with world.client() as stranger:
            checks = health_pb2_grpc.HealthStub(stranger.channel)
            reflected = reflection_pb2_grpc.ServerReflectionStub(stranger.channel)
            streams = [
                checks.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
                if kind == "health"
                else reflected.ServerReflectionInfo(listing())
                for _ in range(OTHER_STREAMS + 200)
            ]
            reasons = Counter(await asyncio.gather(*map(said, streams)))
            assert reasons == {
                "": OTHER_STREAMS,
                f"RESOURCE_EXHAUSTED: {OTHER_STREAMS} streams of health and reflection are open "
                "already": 200,
            }
            assert await keda.value(web) == 9
            activity = keda.activity(web)
            assert (await activity.read()).result is True
            activity.cancel()
            answer = await checks.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            for stream in streams:
                stream.cancel()
            # Their places are given back.
            again = checks.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
            await asyncio.sleep(0.3)
            assert await said(again) == ""
            again.cancel()


@pytest.mark.parametrize(
    "path",
    [
        method_path("GetMetrics"),
        method_path("StreamIsActive"),
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
    ],
)
async def test_calls_that_never_send_their_request_take_nobodys_room(
    path: str, monkeypatch: pytest.MonkeyPatch
):
    """The oldest of them gives way to whoever comes next, and all end after some seconds."""
    monkeypatch.setattr(admission, "ARRIVALS", 50)
    monkeypatch.setattr(admission, "REQUEST_SECONDS", 1.0)
    async with serving(concurrent_calls=20, streams=20) as world, world.client() as keda:
        web = ref(inline(world.source.trigger("jobs")))
        world.source.values["jobs"] = 42
        assert await keda.value(web) == 9

        async def nothing() -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

        async def opened(stranger: Client) -> grpc.StatusCode:
            try:
                await stranger.channel.stream_unary(path)(nothing())
            except grpc.aio.AioRpcError as error:
                return error.code()
            raise AssertionError("answered without a request")

        async with world.client() as stranger:
            calls = [asyncio.ensure_future(opened(stranger)) for _ in range(400)]
            await asyncio.sleep(0.2)
            assert await keda.value(web) == 9
            codes = await asyncio.wait_for(asyncio.gather(*calls), 10)
            assert set(codes) == {grpc.StatusCode.DEADLINE_EXCEEDED}
        await still_serves(world, keda)


async def test_a_call_that_ends_without_a_request_is_refused():
    """As a request that says nothing would be."""
    async with serving() as world, world.client() as keda:

        async def none() -> AsyncIterator[bytes]:
            for never in ():
                yield never

        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await keda.channel.stream_unary(method_path("IsActive"))(none(), timeout=5)
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        await still_serves(world, keda)


async def test_too_many_policies_are_refused_but_nonsense_takes_no_place():
    """The limit counts what works; what cannot work makes room for what may."""
    async with serving(objects=5) as world, world.client() as keda:
        for number in range(20):
            code, _ = await keda.refused(ref({"type": "cron", "start": str(number)}))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
        world.source.values["jobs"] = 42
        policy = inline(world.source.trigger("jobs"))
        for number in range(5):
            assert await keda.value(ref(policy, name=f"web-{number}")) == 9
        code, why = await keda.refused(ref(policy, name="web-5"))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "limit of 5 policies" in why


texts = st.text(max_size=60)
metadatas = st.dictionaries(
    st.sampled_from(["scaledObject", "policy", "type", "pollingInterval", "query", "metricType"])
    | texts,
    texts
    | st.sampled_from(["cron", "redis", "prometheus", "kafka", "metrics-api", "cpu", "a/b", "- 1"]),
    max_size=6,
)


async def test_any_metadata_gets_a_status():
    """Whatever the strings: a refusal or an answer, never an internal error."""
    rng, codes = random.Random(5), Counter[grpc.StatusCode]()
    async with serving(wait_seconds=0.05) as world, world.client() as keda:

        async def ask(name: str, namespace: str, metadata: dict[str, str]) -> None:
            try:
                await keda.value(
                    ScaledObjectRef(name=name, namespace=namespace, scalerMetadata=metadata)
                )
            except grpc.aio.AioRpcError as error:
                codes[error.code()] += 1

        examples: list[tuple[str, str, dict[str, str]]] = []

        @settings(max_examples=300, database=None, suppress_health_check=list(HealthCheck))
        @given(texts, texts, metadatas)
        def collect(name: str, namespace: str, metadata: dict[str, str]) -> None:
            examples.append((name, namespace, metadata))

        collect()
        rng.shuffle(examples)
        for name, namespace, metadata in examples:
            await ask(name, namespace, metadata)
        assert set(codes) <= {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE}
        assert codes[grpc.StatusCode.INVALID_ARGUMENT] > 100
        await still_serves(world, keda)


async def test_raw_bytes_as_messages_get_a_status():
    """Bytes that are no message of the contract, over a proper connection."""
    rng = random.Random(7)
    async with serving(wait_seconds=0.05) as world, world.client() as keda:
        for method in ("GetMetrics", "IsActive", "GetMetricSpec"):
            call = keda.channel.unary_unary(method_path(method))
            for _ in range(60):
                with pytest.raises(grpc.aio.AioRpcError) as failed:
                    await call(rng.randbytes(rng.randrange(200)), timeout=5)
                assert failed.value.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
        await still_serves(world, keda)


async def test_raw_bytes_on_the_socket_hurt_nobody():
    """Noise, half a preface, a preface and then noise."""
    rng = random.Random(9)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    async with serving() as world, world.client() as keda:
        for number in range(120):
            noise = rng.randbytes(rng.randrange(1, 2_000))
            sent = (noise, preface[: number % len(preface)], preface + noise)[number % 3]
            reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
            writer.write(sent)
            with suppress(ConnectionError):
                await writer.drain()
                async with asyncio.timeout(0.02):
                    await reader.read(10_000)
            writer.close()
        await still_serves(world, keda)
