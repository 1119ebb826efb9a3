"""Redis lists and streams against KEDA's, over a raw TCP server that answers as recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from autoscaler.errors import MetricError
from autoscaler.runtime.clock import ManualClock
from autoscaler.sdk.http import HttpClient
from autoscaler.sdk.scaler import Scaler, SourceContext, TriggerContext
from scalers.redis_lists import RedisListScaler
from scalers.redis_streams import RedisStreamsScaler
from tests.doubles.redis import ScriptedRedis
from tests.golden.replay import Case, Differs, NotCovered, Outcome, replays

TYPES: dict[str, Any] = {"redis": RedisListScaler, "redis-streams": RedisStreamsScaler}
CONNECTING = ("AUTH", "SELECT")


@replays("keda/redis-beanstalkd")
def counts(case: Case, document: Mapping[str, Any]) -> Outcome:
    """One read over the wire gives KEDA's value and activity, or an error where KEDA has one."""
    if case["scaler"] not in TYPES:
        return NotCovered(f"trigger type {case['scaler']}")
    assert case["expect"]["build"]["ok"]
    spec, got, commands = asyncio.run(_converse(case))
    (expected_spec,) = case["expect"]["metricSpecs"]
    assert (spec.name, str(spec.target_type)) == (
        expected_spec["metricName"],
        expected_spec["targetType"],
    )
    expected_commands = {tuple(one) for one in case["expect"]["commandsSeen"]}
    assert _connecting(commands) == _connecting(expected_commands), commands
    (expected,) = case["expect"]["results"]
    if _unknown_lag(case):
        assert got is None, f"{got}, but Redis does not know the lag"
        return Differs("redis-unknown-lag")
    if "error" in expected or "panic" in expected:
        assert got is None, f"{got}, KEDA fails: {expected}"
        return None
    want = ([one["milli"] for one in expected["values"]], expected["active"])
    assert got == want, f"{got}, KEDA: {want}"
    return None


def _connecting(commands: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    return {words for words in commands if words[0] in CONNECTING}


def _unknown_lag(case: Case) -> bool:
    """Return whether the server answers that it cannot tell the lag of the trigger's group."""
    metadata, groups = case["config"]["triggerMetadata"], case["replies"].get("XINFO GROUPS", "")
    _, _, described = groups.partition(
        f"name\r\n${len(metadata.get('consumerGroup', ''))}\r\n{metadata.get('consumerGroup')}\r\n"
    )
    described, _, _ = described.partition("name\r\n")
    return "lagCount" in metadata and "lag\r\n$-1\r\n" in described


async def _converse(case: Case) -> tuple[Any, Any, set[tuple[str, ...]]]:
    async with ScriptedRedis(case["replies"]) as server:
        text = server.filled
        config = case["config"]
        context = TriggerContext(
            trigger_index=config["triggerIndex"],
            metric_type=config.get("metricType"),
            safe_defaults=False,
        )
        kind = TYPES[case["scaler"]]
        scaler: Scaler = kind.create(
            kind.config_type.parse(
                {key: text(value) for key, value in config["triggerMetadata"].items()},
                {key: text(value) for key, value in config["authParams"].items()},
                {key: text(value) for key, value in config["resolvedEnv"].items()},
                context,
            ),
            context,
        )
        return (*await _read(scaler), server.commands)


async def _read(scaler: Scaler) -> tuple[Any, Any]:
    """Return the metric spec, and thousandths and activity of one read (None = an error)."""
    (spec,) = scaler.metric_specs()
    source = scaler.open_source(SourceContext(http=HttpClient(), clock=ManualClock()))
    query = scaler.query(spec.name)
    try:
        answer = (await source.fetch([query], 0.0))[query]
        if isinstance(answer, MetricError):
            return spec, None
        reading = scaler.reading(spec.name, answer, 0.0)
    except MetricError:
        return spec, None
    finally:
        await source.close()
    assert reading.value is not None
    active = reading.active
    if active is None:
        active = reading.value > spec.activation_value
    return spec, (list(reading.values_milli), active)
