"""Replay of whole polls against a real HTTP server that plays the recorded answers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote_plus

from autoscaler.core.model import MetricSpec, Reading
from autoscaler.errors import ConfigError, MetricError
from autoscaler.runtime.clock import ManualClock
from autoscaler.sdk.http import HttpClient
from autoscaler.sdk.scaler import ClusterPod, Scaler, Source, SourceContext
from autoscaler.sdk.selector import matches, parse_selector
from tests.golden.http_play import differing_requests, filled, run, start_all
from tests.golden.replay import Case, Differs, Outcome, replays
from tests.golden.triggers import differing_specs, refuses, rule_for, try_build, uncovered

ERROR = "error"
VALUE = "value"


class RecordedCluster:
    """The pods and endpoints a case describes."""

    def __init__(self, objects: Sequence[Mapping[str, Any]]) -> None:
        self._objects = objects

    async def list_pods(self, namespace: str, selector: str) -> list[ClusterPod]:
        """Return the matching pods."""
        wanted = parse_selector(selector)
        return [
            ClusterPod(
                name=o["metadata"]["name"],
                phase=o["status"]["phase"],
                node=o.get("spec", {}).get("nodeName", ""),
            )
            for o in self._objects
            if o["kind"] == "Pod"
            and o["metadata"]["namespace"] == namespace
            and matches(wanted, o["metadata"].get("labels", {}))
        ]

    async def service_endpoints(self, namespace: str, service: str) -> list[str]:
        """Return the ready endpoints."""
        return [
            f"{address}:{port['port']}"
            for o in self._objects
            if o["kind"] == "EndpointSlice"
            and o["metadata"]["namespace"] == namespace
            and o["metadata"]["labels"]["kubernetes.io/service-name"] == service
            for endpoint in o["endpoints"]
            if endpoint.get("conditions", {}).get("ready", True)
            for address in endpoint["addresses"]
            for port in o["ports"]
        ]


@replays("keda/scaler-http")
def replay_http(case: Case, document: Mapping[str, Any]) -> Outcome:
    """Check construction, metric specs, readings and requests of one trigger."""
    missing = uncovered(case["scaler"], case["config"])
    return missing if missing is not None else run(_play(case))


async def _play(case: Case) -> Outcome:
    objects = case.get("kubeObjects", ())
    hosts = ["127.0.0.1"]
    if case.get("listensOnAllLoopback"):
        hosts = sorted({a for o in objects for e in o.get("endpoints", ()) for a in e["addresses"]})
    async with AsyncExitStack() as stack:
        servers = await start_all(stack, case.get("servers", ()), hosts or ["127.0.0.1"])
        config, expected, objects = filled(
            [case["config"], case["expect"], list(objects)], [server.port for server in servers]
        )
        outcome = try_build(case["scaler"], config)
        rule = rule_for(case["scaler"], config)
        if rule is not None and expected["build"]["ok"] and refuses(outcome, rule[1]):
            return Differs(rule[0])
        http = await stack.enter_async_context(HttpClient())
        clock = ManualClock()
        context = SourceContext(http=http, clock=clock, cluster=RecordedCluster(objects))
        if not expected["build"]["ok"] and _gives_certificate(config):
            assert isinstance(await _first_poll(outcome, context), ConfigError | MetricError)
            return Differs("tls-checked-on-use")
        if not expected["build"]["ok"]:
            assert isinstance(outcome, ConfigError), f"accepted, expected {expected['build']}"
            return None
        assert not isinstance(outcome, ConfigError), f"refused: {outcome}"
        specs = tuple(outcome.metric_specs())
        problems = list(differing_specs(specs, expected["metricSpecs"]))
        assert not problems, "; ".join(problems)
        source = outcome.open_source(context)
        different: Outcome = None
        for result in expected["results"]:
            seen = sum(len(server.requests) for server in servers)
            spec = next(s for s in specs if s.name == result["metricName"])
            got = await _poll(outcome, source, spec, clock.now())
            different = _compare(case, config, spec, got, result) or different
            requests = [r for server in servers for r in server.requests][seen:]
            if not (different and different.rule == "prometheus-namespace-escaped"):
                problems = differing_requests(requests, result["requests"])
                assert not problems, "; ".join(problems)
        await source.close()
        return different


def _gives_certificate(config: Mapping[str, Any]) -> bool:
    auth = config["authParams"]
    return all(auth.get(name, "").strip() for name in ("cert", "key")) or bool(auth.get("ca"))


async def _first_poll(
    outcome: Scaler | ConfigError, context: SourceContext
) -> Reading | MetricError | ConfigError:
    if isinstance(outcome, ConfigError):
        return outcome
    return await _poll(
        outcome, outcome.open_source(context), outcome.metric_specs()[0], context.clock.now()
    )


async def _poll(
    scaler: Scaler, source: Source, spec: MetricSpec, at: float
) -> Reading | MetricError:
    query = scaler.query(spec.name)
    try:
        answer = (await source.fetch([query], at))[query]
        return answer if isinstance(answer, MetricError) else scaler.reading(spec.name, answer, at)
    except MetricError as error:
        return error


def _compare(
    case: Case,
    config: Mapping[str, Any],
    spec: MetricSpec,
    got: Reading | MetricError,
    result: Mapping[str, Any],
) -> Differs | None:
    """Assert that a poll gave the recorded result, or what the rule it falls under says."""
    fails = "error" in result or "panic" in result
    if fails and isinstance(got, MetricError):
        return None
    if not fails and isinstance(got, Reading) and got.value is not None:
        wanted = result["values"][0]
        is_active = got.value > spec.activation_value if got.active is None else got.active
        same = wanted.get("platformDefined") or math.trunc(got.value * 1000) == wanted["milli"]
        if same and is_active == result["active"]:
            return None
    rule = _rule(case["scaler"], config, case.get("servers", ()))
    shown = got if isinstance(got, MetricError) else got.value
    assert rule is not None, f"got {shown!r}, expected {json.dumps(result)[:200]}"
    name, instead = rule
    if instead == ERROR:
        assert isinstance(got, MetricError), f"got {shown!r}, {name} says an error"
    elif instead == VALUE:
        assert isinstance(got, Reading), f"got {shown!r}, {name} says a value"
    else:
        assert shown == instead, f"got {shown!r}, {name}: {instead}"
    return Differs(name)


def _rule(
    scaler: str, config: Mapping[str, Any], servers: Sequence[Sequence[Mapping[str, Any]]]
) -> tuple[str, object] | None:
    """Return the rule the inputs fall under, and what we do instead: ERROR, VALUE or a number."""
    body = servers[0][0].get("body", "") if servers and servers[0] else ""
    metadata = config["triggerMetadata"]
    if scaler == "prometheus":
        return _prometheus_rule(metadata, body)
    if scaler == "metrics-api":
        return _metrics_api_rule(metadata, body)
    return None


def _prometheus_rule(metadata: Mapping[str, str], body: str) -> tuple[str, object] | None:
    namespace = metadata.get("namespace", "")
    if quote_plus(namespace) != namespace:
        return "prometheus-namespace-escaped", VALUE
    answer = json.loads(body)
    if answer.get("status") == "error":
        return "prometheus-error-answer", ERROR
    data = answer.get("data") or {}
    if data.get("resultType") == "scalar":
        return "prometheus-scalar", float(data["result"][1])
    if not isinstance(data.get("result"), list) or data.get("resultType", "vector") != "vector":
        return "prometheus-no-result", ERROR
    sample = data["result"][0].get("value") if data["result"] else None
    if sample and sample[-1] is None:
        ignores = metadata.get("ignoreNullValues", "true").lower() in ("true", "t", "1")
        return "prometheus-null-sample", 0.0 if ignores else ERROR
    if sample and not _is_usable(sample[-1]):
        return "not-a-number", ERROR
    return None


def _metrics_api_rule(metadata: Mapping[str, str], body: str) -> tuple[str, object] | None:
    location = metadata["valueLocation"]
    match metadata.get("format", "json"):
        case "xml":
            return "metrics-api-xml", VALUE
        case "yaml":
            if re.search(r":\s*[-+]?\.(inf|nan)\b", body, re.IGNORECASE):
                return "not-a-number", ERROR
        case "prometheus":
            name = location.partition("{")[0].strip()
            kinds = dict(re.findall(r"# TYPE (\S+) (\S+)", body))
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            if "!=" in location:
                return "metrics-api-label-operator", VALUE
            if kinds.get(base) in ("histogram", "summary"):
                return "metrics-api-histogram-series", VALUE
            if re.search(rf"^{re.escape(name)}\S* +([+-]?Inf|NaN)", body, re.MULTILINE):
                return "not-a-number", ERROR
        case "json":
            try:
                json.loads(body)
            except ValueError:
                return "metrics-api-invalid-json", ERROR
            if not all(map(_is_usable, re.findall(r"-?\d+(?:\.\d+)?[eE][+-]?\d+", body))):
                return "not-a-number", ERROR
    return None


def _is_usable(text: str) -> bool:
    return math.isfinite(float(text)) and abs(float(text) * 1000) < 2**63
