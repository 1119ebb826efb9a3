"""The triggers ``external`` and ``external-push`` against an external scaler written in Go."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from autoscaler.collect import push
from autoscaler.plugins import ScalerRegistry
from autoscaler.runtime.clock import SystemClock
from autoscaler.sdk import (
    HttpClient,
    MetricError,
    MetricUnavailable,
    Reading,
    SourceContext,
    TriggerConfigError,
    TriggerContext,
)
from scalers.external import ExternalScaler
from scalers.external import scaler as external_scaler
from scalers.external import source as external_source
from scalers.external.channels import OPTIONS, open_channels
from tests.e2e.controlplane.certificates import Authority
from tests.integration.world import World, running
from tests.servers import GoExternalScaler
from tests.servers.fixtures import missing

pytestmark = pytest.mark.real("external-scaler")

CONTEXT = TriggerContext(namespace="shop", name="web", trigger_index=2)


@pytest.fixture(scope="module")
def shared() -> Iterator[GoExternalScaler]:
    """One server for the module."""
    if why := missing("external-scaler"):
        pytest.skip(why)
    with GoExternalScaler() as server:
        yield server


@pytest.fixture
def server(shared: GoExternalScaler) -> GoExternalScaler:
    """The server with nothing told."""
    shared.push(end=True)
    return shared.set()


def jobs(value: float = 7, target: float = 5, **more: Any) -> dict[str, Any]:
    """Return a state with one metric of integers."""
    return {
        "specs": [{"name": "jobs", "int": int(target)}],
        "values": {"jobs": [{"int": int(value)}]},
        "active": True,
        **more,
    }


def trigger(server: GoExternalScaler, kind: str = "external", **metadata: str) -> dict[str, Any]:
    """Return a trigger on the server."""
    return {"type": kind, "metadata": {"scalerAddress": server.address, **metadata}}


def scaler(
    address: str,
    auth: dict[str, str] | None = None,
    env: dict[str, str] | None = None,
    context: TriggerContext = CONTEXT,
    **metadata: str,
) -> ExternalScaler:
    """Build the scaler of a trigger."""
    given = {"scalerAddress": address, **metadata}
    built = ScalerRegistry().create("external", given, auth or {}, env or {}, context)
    assert isinstance(built, ExternalScaler)
    return built


async def read(
    one: ExternalScaler, *, turns: int = 2, call_seconds: float = 3.0
) -> list[Reading | MetricError]:
    """Read as the service does: what is learned in one turn is taken over for the next."""
    async with HttpClient(timeout_seconds=call_seconds) as http:
        context = SourceContext(http=http, clock=SystemClock())
        source = one.open_source(context)
        found: list[Reading | MetricError] = []
        try:
            for _ in range(turns):
                one.take_over()
                found = []
                for spec in one.metric_specs():
                    query = one.query(spec.name)
                    answer = (await source.fetch([query], 0.0))[query]
                    try:
                        if isinstance(answer, MetricError):
                            raise answer
                        found.append(one.reading(spec.name, answer, 1.0))
                    except MetricError as error:
                        found.append(error)
        finally:
            await source.close()
    return found


async def test_names_and_targets_are_learned_from_the_server(server: GoExternalScaler):
    """Prefixed by the trigger's position and otherwise as the server says."""
    server.set(**jobs(12, 5))
    one = scaler(server.address)
    assert [spec.name for spec in one.metric_specs()] == ["s2-external"]
    (reading,) = await read(one)
    (spec,) = one.metric_specs()
    assert (spec.name, spec.target_milli) == ("s2-jobs", 5000)
    assert (reading.value, reading.values_milli, reading.active) == (12, (12_000,), True)


@pytest.mark.parametrize(
    ("integer", "fraction", "expected"),
    [(7, 0.0, 7.0), (7, 0.5, 0.5), (0, 0.0, 0.0), (7, -1.0, 7.0), (-3, 0.0, -3.0), (0, 1e-3, 1e-3)],
)
async def test_the_float_field_counts_if_it_is_above_zero(
    server: GoExternalScaler, integer: int, fraction: float, expected: float
):
    """KEDA's rule: a server that sets float 0.0 and a stale integer is read as the integer."""
    state = jobs()
    state["values"] = {"jobs": [{"int": integer, "float": fraction}]}
    server.set(**state)
    (reading,) = await read(scaler(server.address))
    assert reading.value == expected
    assert reading.values_milli == (max(0, int(expected * 1000)),)


async def test_the_same_rule_holds_for_targets(server: GoExternalScaler):
    """And a target of nothing is refused by name."""
    for integer, fraction, milli in ((5, 0.0, 5000), (5, 2.5, 2500), (5, -1.0, 5000)):
        server.set(**{**jobs(), "specs": [{"name": "jobs", "int": integer, "float": fraction}]})
        one = scaler(server.address)
        await read(one)
        assert one.metric_specs()[0].target_milli == milli
    server.set(**{**jobs(), "specs": [{"name": "jobs"}]})
    (error,) = await read(scaler(server.address))
    assert 'metric "jobs" of shop/web has the target 0, must be at least 0.001' in str(error)


async def test_several_specs_are_several_metrics_and_several_values_are_added(
    server: GoExternalScaler,
):
    """Each value keeps its thousandths, as the HPA adds them up; negative ones count as none."""
    server.set(
        specs=[{"name": "a", "int": 1}, {"name": "b/c", "float": 0.5}],
        values={"a": [{"int": 3}, {"float": 0.25}, {"int": -5}], "b/c": [{"int": 1}]},
        active=False,
    )
    one = scaler(server.address)
    first, second = await read(one)
    assert [spec.name for spec in one.metric_specs()] == ["s2-a", "s2-b/c"]
    assert first.values_milli == (3000, 250, 0)
    assert (first.active, second.values_milli) == (False, (1000,))
    asked = [call["metric"] for call in server.calls("GetMetrics")[-2:]]
    assert sorted(asked) == ["a", "b/c"]


async def test_metadata_is_sent_as_keda_does(server: GoExternalScaler):
    """Every entry; resolved variables under the unchanged key; empty ones and secrets never."""
    server.set(**jobs())
    one = scaler(
        server.address,
        auth={"password": "secret"},
        env={"TOKEN": "resolved", "NOTHING": ""},
        queue="mails",
        tokenFromEnv="TOKEN",
        otherFromEnv="NOTHING",
        absentFromEnv="ABSENT",
    )
    await read(one)
    call = server.calls("GetMetricSpec")[-1]
    assert (call["namespace"], call["name"]) == ("shop", "web")
    assert call["metadata"] == {
        "scalerAddress": server.address,
        "queue": "mails",
        "tokenFromEnv": "resolved",
    }


async def test_empty_or_failed_specs_are_asked_for_once_more(server: GoExternalScaler):
    """One refresh; if that is no better, the reading is an error that says so."""
    for trouble in ({"empty": {"GetMetricSpec": True}}, {"fail": {"GetMetricSpec": 14}}):
        server.set(**jobs(), **trouble, times={"GetMetricSpec": 1})
        (reading,) = await read(scaler(server.address))
        assert reading.value == 7
    server.set(**jobs(), empty={"GetMetricSpec": True})
    before = len(server.calls("GetMetricSpec"))
    (error,) = await read(scaler(server.address), turns=1)
    assert "no metric is declared" in str(error)
    assert len(server.calls("GetMetricSpec")) == before + 2


@pytest.mark.parametrize(
    ("method", "code", "reason"),
    [
        ("GetMetricSpec", grpc.StatusCode.INVALID_ARGUMENT, "MetricRejected"),
        ("GetMetrics", grpc.StatusCode.UNAVAILABLE, "MetricUnavailable"),
        ("GetMetrics", grpc.StatusCode.NOT_FOUND, "MetricRejected"),
        ("IsActive", grpc.StatusCode.INTERNAL, "MetricUnavailable"),
    ],
)
async def test_a_failed_call_is_an_error_and_never_a_zero(
    server: GoExternalScaler, method: str, code: grpc.StatusCode, reason: str
):
    """With the server's own words."""
    server.set(**jobs(), fail={method: code.value[0]})
    (error,) = await read(scaler(server.address))
    assert isinstance(error, MetricError)
    assert error.reason == reason
    assert f"{method}: {code.name}: told to fail" in str(error)


async def test_no_value_is_an_error(server: GoExternalScaler):
    """KEDA hands the HPA an empty list, which reads it as an error, too."""
    server.set(**{**jobs(), "values": {}})
    (error,) = await read(scaler(server.address))
    assert 'metric "jobs" of shop/web has no value' in str(error)


async def test_a_hanging_call_ends_at_its_deadline(server: GoExternalScaler):
    """KEDA's operator would wait for ever; each call of ours carries a deadline."""
    state = jobs(hang={"GetMetrics": True})
    state["specs"] = [{"name": name, "int": 5} for name in ("a", "b", "c", "d")]
    server.set(**state)
    began = asyncio.get_running_loop().time()
    errors = await read(scaler(server.address), turns=1, call_seconds=0.3)
    # All values of an object are asked for at once, so that they cost one deadline together.
    assert asyncio.get_running_loop().time() - began < 0.3 * 3
    assert "external scaler" in str(errors[0])
    assert 0 < server.calls("GetMetrics")[-1]["deadline"] < 0.5
    server.set(**jobs(), hang={"GetMetricSpec": True})
    before = len(server.calls("GetMetricSpec"))
    (error,) = await read(scaler(server.address), turns=1, call_seconds=0.3)
    # The server sees the same deadline, and may be the first to give up: CANCELLED.
    assert isinstance(error, MetricUnavailable)
    assert len(server.calls("GetMetricSpec")) == before + 1, "waiting once is enough"


async def test_a_slow_object_costs_no_other_ones_answer(
    server: GoExternalScaler, monkeypatch: pytest.MonkeyPatch
):
    """What was answered in time counts, though another object of the server used all of it."""
    monkeypatch.setattr(external_source, "FETCH_SECONDS", 0.5)
    server.set(**jobs(), hangs_for="slow", hang={"GetMetrics": True})
    slow, quick = (
        scaler(server.address, context=TriggerContext(namespace="shop", name=name))
        for name in ("slow", "quick")
    )
    async with HttpClient() as http:
        source = slow.open_source(SourceContext(http=http, clock=SystemClock()))
        answers = await source.fetch([slow.query(""), quick.query("")], 0.0)
        await source.close()
    assert "no answer in 0.5 s" in str(answers[slow.query("")])
    assert answers[quick.query("")].values == {"jobs": (7.0,)}


async def test_nobody_there_is_unavailable():
    """Named with the address."""
    (error,) = await read(scaler("127.0.0.1:1"))
    assert error.reason == "MetricUnavailable"
    assert "external scaler 127.0.0.1:1: GetMetricSpec: UNAVAILABLE" in str(error)


async def test_tls_and_client_certificates(tmp_path: Path):
    """As KEDA takes them: authority, client certificate and key from the authentication."""
    authority = Authority(tmp_path / "ca", "authority")
    stranger = Authority(tmp_path / "other", "stranger")
    own = authority.issue("server", common_name="server", alternatives=["IP:127.0.0.1"])
    client = authority.issue("client", common_name="flyball")
    wrong = stranger.issue("client", common_name="evil")
    ca = authority.certificate.crt
    files = (own.crt, own.key)

    def auth(certificate: Any = None, authority_pem: Path | None = ca) -> dict[str, str]:
        given = {"caCert": authority_pem.read_text()} if authority_pem else {}
        if certificate is not None:
            given |= {
                "tlsClientCert": certificate.crt.read_text(),
                "tlsClientKey": certificate.key.read_text(),
            }
        return given

    async with GoExternalScaler(certificate=files) as plain:
        await asyncio.to_thread(plain.set, **jobs())
        (reading,) = await read(scaler(plain.address, auth()))
        assert reading.value == 7
        (error,) = await read(scaler(plain.address, auth(None, stranger.certificate.crt)))
        assert error.reason == "MetricUnavailable"
        (error,) = await read(scaler(plain.address, enableTLS="true"))
        assert error.reason == "MetricUnavailable"
        for address in (plain.address, f"dns:///{plain.address}"):
            unsafe = scaler(address, enableTLS="true", unsafeSsl="true")
            (reading,) = await read(unsafe)
            assert reading.value == 7
    async with GoExternalScaler(certificate=files, authority=ca) as mutual:
        await asyncio.to_thread(mutual.set, **jobs())
        (reading,) = await read(scaler(mutual.address, auth(client)))
        assert reading.value == 7
        for given in (auth(), auth(wrong)):
            (error,) = await read(scaler(mutual.address, given))
            assert error.reason == "MetricUnavailable"
        with pytest.raises(MetricError, match="ca is no PEM certificate"):
            await read(scaler(mutual.address, auth() | {"caCert": "no PEM"}))


async def test_an_unverified_server_may_change_its_certificate(tmp_path: Path):
    """What is trusted is what the server shows; another certificate costs one reading."""
    old, new = (Authority(tmp_path / name, name) for name in ("old", "new"))
    first, second = (
        one.issue("server", common_name="server", alternatives=["IP:127.0.0.1"])
        for one in (old, new)
    )
    shown = (tmp_path / "tls.crt", tmp_path / "tls.key")

    def show(certificate: Any) -> None:
        shown[0].write_bytes(certificate.crt.read_bytes())
        shown[1].write_bytes(certificate.key.read_bytes())

    show(first)
    async with GoExternalScaler(certificate=shown) as server, HttpClient() as http:
        await asyncio.to_thread(server.set, **jobs())
        one = scaler(server.address, enableTLS="true", unsafeSsl="true")
        source = one.open_source(SourceContext(http=http, clock=SystemClock()))
        query = one.query("")
        assert not isinstance((await source.fetch([query], 0.0))[query], MetricError)
        show(second)
        await asyncio.to_thread(server.restart)
        await asyncio.to_thread(server.set, **jobs())
        (answer,) = (await source.fetch([query], 0.0)).values()
        assert isinstance(answer, MetricError)
        (answer,) = (await source.fetch([query], 0.0)).values()
        assert not isinstance(answer, MetricError), answer
        await source.close()
        assert open_channels() == 0


async def test_channels_are_shared_and_closed_with_their_last_user(server: GoExternalScaler):
    """Polls and streams of one server and credentials use one connection."""
    server.set(**jobs())
    registry = ScalerRegistry()
    pushing = registry.create("external-push", {"scalerAddress": server.address}, {}, {}, CONTEXT)
    async with HttpClient() as http:
        context = SourceContext(http=http, clock=SystemClock())
        source = pushing.open_source(context)
        activity = pushing.activity(context)
        listening = asyncio.ensure_future(anext(activity))
        await source.fetch([pushing.query("x")], 0.0)
        assert open_channels() == 1
        await until(lambda: server.open_streams("StreamIsActive") == 1)
        await asyncio.to_thread(server.push, active=True)
        assert await listening is True
        await source.close()
        assert open_channels() == 1
        await activity.aclose()
        assert open_channels() == 0


async def until(holds: Any, seconds: float = 8.0) -> None:
    """Wait until something holds; it is asked in a thread."""
    give_up_at = asyncio.get_running_loop().time() + seconds
    while not await asyncio.to_thread(holds):
        assert asyncio.get_running_loop().time() < give_up_at, "it did not happen in time"
        await asyncio.sleep(0.02)


def metric_names(world: World) -> list[str]:
    """Return the metrics the service has bound."""
    tracked = world.service._reconciler.tracked["default/web"]
    return [m.spec.name for m in tracked.binding.metrics] if tracked.binding else []


async def test_the_service_scales_on_what_the_server_says(server: GoExternalScaler):
    """Specs, values, activity; a changed declaration is taken over without a wrong decision."""
    server.set(**jobs(42, 5))
    async with running() as world:
        world.deploy("web")
        world.scale_on("web", trigger(server), cooldownPeriod=1, maxReplicaCount=50)
        await world.until(lambda: world.replicas("web") == 9)
        assert metric_names(world) == ["s0-jobs"]
        # Twice the target under another name: half of the replicas, once the window is over.
        await asyncio.to_thread(
            lambda: server.set(
                specs=[{"name": "mails", "float": 0.5}],
                values={"mails": [{"float": 20.25}]},
                active=True,
            )
        )
        await world.until(lambda: world.replicas("web") == 41)
        assert metric_names(world) == ["s0-mails"]
        assert world.history["web"] == [0, 9, 41]


async def test_a_server_that_is_away_holds_the_replicas(shared: GoExternalScaler):
    """Nothing is lowered, and the trigger's error is told; afterwards it goes on."""
    await asyncio.to_thread(lambda: shared.set(**jobs(42, 5)))
    async with running() as world:
        world.deploy("web")
        world.scale_on("web", trigger(shared), cooldownPeriod=1)
        await world.until(lambda: world.replicas("web") == 9)
        await asyncio.to_thread(shared.kill)
        await world.until(lambda: world.condition("web")[0] == "False")
        assert "external scaler" in world.condition("web")[2]
        await asyncio.sleep(2.0)
        assert world.replicas("web") == 9
        await asyncio.to_thread(shared.start)
        await asyncio.to_thread(lambda: shared.set(**jobs(60, 5)))
        await world.until(lambda: world.replicas("web") == 12, seconds=20)
        assert world.history["web"] == [0, 9, 12]


async def test_a_fallback_stands_in_for_a_server_that_never_answered():
    """KEDA's fallback does not cover failing specs; ours covers the placeholder."""
    async with running() as world:
        world.deploy("web")
        one = {"type": "external", "metadata": {"scalerAddress": "127.0.0.1:1"}}
        world.scale_on("web", one, fallback={"failureThreshold": 1, "replicas": 4})
        await world.until(lambda: world.replicas("web") == 4, seconds=20)


async def test_a_push_wakes_a_workload_that_is_polled_rarely(server: GoExternalScaler):
    """The stream's word makes the next read come at once."""
    server.set(**{**jobs(0, 5), "active": False})
    async with running() as world:
        world.deploy("web")
        world.scale_on("web", trigger(server, "external-push"), pollingInterval=3600)
        await until(lambda: server.open_streams("StreamIsActive") == 1)
        await world.until(lambda: metric_names(world) == ["s0-jobs"])
        await asyncio.to_thread(lambda: server.set(**jobs(42, 5)))
        began = asyncio.get_running_loop().time()
        await asyncio.to_thread(lambda: server.push(active=True))
        await world.until(lambda: world.replicas("web") == 9)
        assert asyncio.get_running_loop().time() - began < 1.0


async def test_pushed_specs_are_read_at_once(server: GoExternalScaler):
    """A server that declares other metrics does not wait for the next poll."""
    server.set(**jobs(42, 5))
    async with running() as world:
        world.deploy("web")
        world.scale_on(
            "web", trigger(server, "external-push"), pollingInterval=3600, maxReplicaCount=50
        )
        await world.until(lambda: world.replicas("web") == 9)
        await until(lambda: server.open_streams("StreamMetricSpec") == 1)
        await asyncio.to_thread(lambda: server.set(**jobs(42, 2)))
        await asyncio.to_thread(lambda: server.push(specs=True))
        await world.until(lambda: world.replicas("web") == 21)


class NoJitter(random.Random):
    """Draws the most there is."""

    def uniform(self, a: float, b: float) -> float:
        """Return the upper end."""
        return max(a, b)


async def test_streams_are_opened_again_after_growing_pauses(
    server: GoExternalScaler, monkeypatch: pytest.MonkeyPatch
):
    """After errors 2 s doubling up to 60 s; an ordered end starts over.

    After UNIMPLEMENTED specs are never asked for again. Pauses are counted, not waited for.
    """
    pauses: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float, *rest: Any) -> None:
        if seconds >= 1.9:
            pauses.append(seconds)
            seconds = 0.02
        await real_sleep(seconds, *rest)

    monkeypatch.setattr(push.asyncio, "sleep", sleep)
    server.set(**jobs(), fail={"StreamIsActive": 14, "StreamMetricSpec": 12})
    one = ScalerRegistry().create(
        "external-push", {"scalerAddress": server.address}, {}, {}, CONTEXT
    )
    asked: list[int] = []
    async with HttpClient() as http:
        context = SourceContext(http=http, clock=SystemClock())
        task = asyncio.ensure_future(push.follow(one, context, lambda: asked.append(1), NoJitter()))
        try:
            await until(lambda: len(pauses) >= 7)
            assert pauses[:7] == [2, 4, 8, 16, 32, 60, 60]
            # The first attempts may end before the refusal of the other stream has arrived.
            specs_asked = len(await asyncio.to_thread(server.calls, "StreamMetricSpec"))
            await asyncio.to_thread(lambda: server.set(**jobs()))
            await until(lambda: server.open_streams("StreamIsActive") == 1)
            await asyncio.to_thread(lambda: server.push(active=False))
            await asyncio.to_thread(lambda: server.push(active=True))
            await until(lambda: asked == [1])
            del pauses[:]
            await asyncio.to_thread(lambda: server.push(end=True))
            await until(lambda: len(pauses) == 1)
            assert pauses == [2]
            await until(lambda: server.open_streams("StreamIsActive") == 1)
            assert len(server.calls("StreamMetricSpec")) == specs_asked
        finally:
            task.cancel()
            await asyncio.wait((task,))


async def test_a_broken_stream_of_specs_is_opened_again_by_itself(
    server: GoExternalScaler, monkeypatch: pytest.MonkeyPatch
):
    """The stream of activity goes on meanwhile, and is not opened a second time."""
    monkeypatch.setattr(external_scaler, "RECONNECT_SECONDS", 0.05)
    server.set(**jobs())
    one = ScalerRegistry().create(
        "external-push", {"scalerAddress": server.address}, {}, {}, CONTEXT
    )
    before = {name: len(server.calls(name)) for name in ("StreamIsActive", "StreamMetricSpec")}
    async with HttpClient() as http:
        activity = one.activity(SourceContext(http=http, clock=SystemClock()))
        listening = asyncio.ensure_future(anext(activity))
        for opened in (1, 2, 3):
            await until(lambda: server.open_streams("StreamMetricSpec") == 1)
            assert len(server.calls("StreamMetricSpec")) == before["StreamMetricSpec"] + opened
            code = 14 if opened == 1 else 0
            server.push(end=True, code=code, method="StreamMetricSpec")
            await until(
                lambda wanted=opened: (
                    len(server.calls("StreamMetricSpec")) > before["StreamMetricSpec"] + wanted
                )
            )
        await until(lambda: server.open_streams("StreamMetricSpec") == 1)
        server.push(specs=True)
        assert await listening is True
        assert len(server.calls("StreamIsActive")) == before["StreamIsActive"] + 1
        await activity.aclose()


def test_pings_are_rarer_than_servers_in_go_put_up_with():
    """They end a connection with too_many_pings, by default below five minutes."""
    assert dict(OPTIONS)["grpc.keepalive_time_ms"] > 5 * 60 * 1000


def test_bad_parameters_are_named():
    """Before anything is connected to."""
    with pytest.raises(TriggerConfigError, match="scalerAddress: is required"):
        scaler("")
    with pytest.raises(TriggerConfigError, match='enableTLS: "maybe"'):
        scaler("a:1", enableTLS="maybe")
