"""``flyball backtest`` against a real Prometheus with two weeks of history."""

from __future__ import annotations

import json
import math
import time
import urllib.parse
import urllib.request

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.main import app
from simulations.workload.catalogue import load_trace
from simulations.workload.trace import Floats
from tests.servers.prometheus_history import DAY_SECONDS, History, history_of, running_history

RATE = "sum(rate(http_requests_total[90s]))"
THRESHOLD = 14
BUDGET_SECONDS = 60

POLICY = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "scaleTargetRef": {"name": "web"},
        "minReplicaCount": 1,
        "maxReplicaCount": 100,
        "triggers": [
            {
                "type": "prometheus",
                "metadata": {
                    "serverAddress": "http://prometheus.monitoring:9090",
                    "query": RATE,
                    "threshold": str(THRESHOLD),
                },
            }
        ],
    },
}
SERVICE = {
    "service": {"mean_seconds": 0.2, "concurrency": 4},
    "start_up": {"container": {"median_seconds": 15, "p95_seconds": 45}},
    "waiting": {"slo_seconds": 0.2},
    "lag_seconds": 5,
    "prices": {"replica_hour": 0.05},
}


@pytest.fixture(scope="module")
def served():
    """A Prometheus with the last two weeks of the world cup, as if they had just passed."""
    history = history_of(load_trace("worldcup98"), from_day=70, until_at=time.time())
    with running_history(history) as server:
        yield server, history


def invoke(folder, url, *arguments, policy=POLICY):
    """Run the command in a folder of its own."""
    manifest, service = folder / "policy.yaml", folder / "service.yaml"
    manifest.write_text(yaml.safe_dump(policy))
    service.write_text(yaml.safe_dump(SERVICE))
    command = ["backtest", "-f", str(manifest), "--prometheus", url, "-o", str(folder / "out")]
    return CliRunner().invoke(app, [*command, *arguments])


@pytest.mark.real("prometheus")
@pytest.mark.timeout(180)
def test_two_weeks_are_replayed_within_a_minute(served, tmp_path):
    """End to end, with what really happened and what it would have cost, in under 60 s."""
    server, history = served
    begin = time.monotonic()
    service = str(tmp_path / "service.yaml")
    result = invoke(tmp_path, server.url, "--since", "13.9d", "--service", service, "--json")
    took = time.monotonic() - begin
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    policy, actual = document["scores"]
    assert took < BUDGET_SECONDS, took
    really = hours(history, history.wanted, 13.9 * DAY_SECONDS)
    assert document["paid"] == "created"
    assert actual["replica_hours"] == pytest.approx(really, rel=0.01)
    assert really > 1.015 * hours(history, history.ready, 13.9 * DAY_SECONDS)
    assert policy["cost"] == pytest.approx(0.05 * policy["replica_hours"])
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "out" / "policy.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.real("prometheus")
@pytest.mark.timeout(120)
def test_a_day_is_what_the_rules_of_the_hpa_give_by_hand(served, tmp_path):
    """Every sync of a day worked out here: ceil(rate / 14), tolerance, window, doubling."""
    server, _ = served
    result = invoke(tmp_path, server.url, "--since", "30h", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    policy = document["scores"][0]
    # Every fourth instant has one sample only within the 90 s of the rate.
    assert document["gaps"][0]["instants"] == pytest.approx(document["gaps"][0]["of"] / 4, rel=0.01)
    asked_at = document_start(tmp_path)
    expected = by_hand(server, asked_at, round(policy["seconds"] / 15))
    assert policy["replica_hours"] == pytest.approx(expected, rel=1e-9)


def test_queries_that_scaling_itself_changes_are_refused(served, tmp_path):
    """A queue's length depends on the replicas; a recording of it proves nothing."""
    server, _ = served
    policy = json.loads(json.dumps(POLICY))
    policy["spec"]["triggers"][0]["metadata"]["query"] = "sum(request_queue_length)"
    result = invoke(tmp_path, server.url, policy=policy)
    assert result.exit_code == 2
    assert "spec.triggers[0]" in result.stderr
    assert "--exogenous" in result.stderr


def test_a_silent_prometheus_is_named(tmp_path):
    """Nothing listens there: the address is in the message and nothing is written."""
    result = invoke(tmp_path, "http://127.0.0.1:9", "--since", "1h")
    assert result.exit_code == 2
    assert "http://127.0.0.1:9" in result.stderr
    assert not list((tmp_path / "out").iterdir())


def test_a_failed_criterion_fails_the_command(served, tmp_path):
    """Exit status 1, the sentence on standard error and a failed case in the JUnit file."""
    server, _ = served
    junit = tmp_path / "junit.xml"
    result = invoke(
        tmp_path, server.url, "--since", "6h", "--fail-on", "cost>0.001", "--junit", str(junit)
    )
    assert result.exit_code == 1, result.output
    assert "cost is" in result.stderr
    assert 'failures="1"' in junit.read_text()


def document_start(folder) -> float:
    """Return when the replay began, as the report says."""
    return json.loads((folder / "out" / "result.json").read_text())["from_at"]


def hours(history: History, replicas: Floats, seconds: float) -> float:
    """Return the recorded replica hours of the last seconds."""
    inside = (history.at > history.at[-1] - seconds) & ~np.isnan(replicas)
    return float(replicas[inside].sum() * history.step_seconds / 3600)


def by_hand(server, from_at: float, syncs: int) -> float:
    """Return the replica hours of 15 s syncs over what the query gives, by the HPA's own rules."""
    values = query_range(server, from_at, syncs)
    replicas, recommendations, total = first_ready(server, from_at), [], 0
    for sync, value in enumerate(values):
        # An instant without a result is 0 for a keda.sh object (ignoreNullValues).
        milli = int((value or 0.0) * 1000)
        average = milli / (THRESHOLD * 1000 * replicas)
        wanted = replicas
        if not 0.9 <= average <= 1.1:
            wanted = math.ceil(milli / (THRESHOLD * 1000))
        if not recommendations:
            recommendations.append((sync, replicas))
        window = [count for at, count in recommendations if sync - at <= 20]
        recommendations.append((sync, wanted))
        held = max([wanted, *window])
        replicas = max(1, min(held, 100, max(2 * replicas, 4)))
        total += replicas
    return total * 15 / 3600


def query_range(server, from_at: float, count: int) -> list[float | None]:
    """Return what the query gives every 15 s, straight from the API."""
    values: list[float | None] = []
    for first in range(0, count, 5000):
        last = min(count, first + 5000) - 1
        asked = urllib.parse.urlencode(
            {"query": RATE, "start": from_at + first * 15, "end": from_at + last * 15, "step": 15}
        )
        with urllib.request.urlopen(f"{server.url}/api/v1/query_range?{asked}") as response:
            series = json.load(response)["data"]["result"][0]["values"]
        by_time = {round(float(at)): float(value) for at, value in series}
        values += [by_time.get(round(from_at + i * 15)) for i in range(first, last + 1)]
    return values


def first_ready(server, from_at: float) -> int:
    """Return the recorded replicas at the beginning."""
    query = 'sum(kube_deployment_status_replicas_ready{namespace="shop",deployment="web"})'
    asked = urllib.parse.urlencode({"query": query, "time": from_at})
    with urllib.request.urlopen(f"{server.url}/api/v1/query?{asked}") as response:
        return int(json.load(response)["data"]["result"][0]["value"][1])
