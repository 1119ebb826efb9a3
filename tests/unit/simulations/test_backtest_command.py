"""What ``flyball backtest`` asks a Prometheus, shows, and leaves behind."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from autoscaler.cli.main import app
from simulations.backtest import page
from simulations.commands import backtest as command
from tests.servers.answering_prometheus import serving

NOW = 1_700_092_800.0
"""2023-11-16 00:00 UTC."""
RATE = "sum(rate(http_requests_total[1m]))"
SERVICE = {
    "service": {"mean_seconds": 0.2, "concurrency": 4},
    "start_up": {"container": {"median_seconds": 15, "p95_seconds": 45}},
    "waiting": {"slo_seconds": 0.2},
    "lag_seconds": 40,
}


def manifest(kind="Deployment"):
    """Return an object with one prometheus trigger."""
    metadata = {"serverAddress": "http://p:9090", "query": RATE, "threshold": "14"}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "scaleTargetRef": {"name": "web", "kind": kind},
            "maxReplicaCount": 80,
            "triggers": [{"type": "prometheus", "metadata": metadata}],
        },
    }


def recorded(query, at):
    """Return 100 and 400 requests/s, an hour each in turn, under 25 pods, 20 of them ready."""
    if "kube_" in query:
        return 20.0 if "ready" in query else 25.0
    return 400.0 if (at // 3600) % 2 else 100.0


@pytest.fixture
def told(monkeypatch):
    """A Prometheus with that record."""
    monkeypatch.setattr(command, "now", lambda: NOW)
    with serving() as running:
        running.value = recorded
        yield running


@pytest.fixture
def undrawn(monkeypatch):
    """Draw nothing: charts take most of the time."""
    for chart in ("run_chart", "comparison_chart"):
        monkeypatch.setattr(page, chart, lambda *_, **__: b"<svg></svg>")


def run(folder, url, *arguments, service=SERVICE, kind="Deployment"):
    """Run the command on a record of the last six hours, or as told."""
    policy = folder / "policy.yaml"
    policy.write_text(yaml.safe_dump(manifest(kind)))
    command_line = ["backtest", "-f", str(policy), "--prometheus", url, "--since", "6h"]
    if service is not None:
        path = folder / "service.yaml"
        path.write_text(yaml.safe_dump(service))
        command_line += ["--service", str(path)]
    out = ["-o", str(folder / "out")]
    return CliRunner().invoke(app, [*command_line, *out, *arguments], env={"COLUMNS": "200"})


def test_without_a_service_nothing_is_said_about_requests(told, tmp_path):
    """No share of late requests in table and page, null in JSON; replicas and costs are there."""
    found = run(tmp_path, told.url, service=None)
    assert found.exit_code == 0, found.output
    html = (tmp_path / "out" / "report.html").read_text()
    for shown in (found.stdout, html):
        assert "100.00 %" not in shown
        assert "worst 5 min" not in shown
        assert "really" in shown
    assert "The service is not known" in found.stderr
    assert "The service is not known" in html
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    policy, actual = document["scores"]
    for score in (policy, actual):
        for field in ("late", "dropped", "violation_ratio", "worst_ratio", "wait_p95_seconds"):
            assert score[field] is None, field
        assert set(score["elasticity"].values()) == {None}
        assert [day["late"] for day in score["days"]] == [None]
        assert score["cost"] == pytest.approx(score["replica_hours"])
    assert policy["replica_hours"] > 50
    assert actual["replica_hours"] == pytest.approx(20 * 6, rel=0.01)
    assert (tmp_path / "out" / "policy.png").read_bytes().startswith(b"\x89PNG")


def test_with_a_service_late_requests_are_shown(told, tmp_path):
    """In the table and in JSON, for both; the remarks say what the figures rest on."""
    found = run(tmp_path, told.url)
    assert found.exit_code == 0, found.output
    assert "worst 5 min" in found.stdout
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert [score["violation_ratio"] > 0.01 for score in document["scores"]] == [True, True]
    assert document["load"] == {"query": RATE, "is_triggers": True, "mean_seconds": 60.0}
    assert document["paid"] == "created"
    assert document["gaps"] == []
    assert document["scores"][1]["replica_hours"] == pytest.approx(25 * 6, rel=0.01)
    assert "--load-query with a shorter range" in found.stderr
    assert "paid for from their creation" in found.stderr


@pytest.mark.usefixtures("undrawn")
def test_what_the_policy_reads_first_is_asked_for(told, tmp_path):
    """Its query from as much earlier as its values are old; all else from the beginning."""
    found = run(tmp_path, told.url, "--load-query", "sum(rate(http_requests_total[30s]))")
    assert found.exit_code == 0, found.output
    begins = {asked["query"]: float(asked["start"]) for asked in told.queries}
    begin = NOW - 6 * 3600
    assert begins.pop(RATE) == begin - 30
    assert set(begins.values()) == {begin}
    assert len(begins) == 3
    assert json.loads((tmp_path / "out" / "result.json").read_text())["from_at"] <= begin + 15


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("kind", "ready"),
    [
        ("Deployment", "kube_deployment_status_replicas_ready"),
        ("StatefulSet", "kube_statefulset_status_replicas_ready"),
        ("ReplicaSet", "kube_replicaset_status_ready_replicas"),
    ],
)
def test_each_kind_of_workload_has_its_own_series(told, tmp_path, kind, ready):
    """As kube-state-metrics names them."""
    assert run(tmp_path, told.url, kind=kind).exit_code == 0
    name = kind.lower()
    labels = f'{{namespace="shop",{name}="web"}}'
    assert {asked["query"] for asked in told.queries} == {
        RATE,
        f"sum({ready}{labels})",
        f"sum(kube_{name}_status_replicas{labels})",
    }


@pytest.mark.usefixtures("undrawn")
def test_all_pods_are_those_of_the_workload_the_ready_ones_are_of(told, tmp_path):
    """With a query of one's own for the ready pods, all pods need one as well."""
    own = run(tmp_path, told.url, "--replicas-query", "sum(kube_ready)", "--json")
    assert json.loads(own.stdout)["paid"] == "ready"
    both = run(
        tmp_path,
        told.url,
        "--replicas-query",
        "sum(kube_ready)",
        "--created-query",
        "sum(kube_pods)",
        "--json",
    )
    assert json.loads(both.stdout)["paid"] == "created"


@pytest.mark.usefixtures("undrawn")
def test_a_past_that_is_not_recorded_is_said_and_left_out(told, tmp_path):
    """Without ready pods there is nothing to compare with; without all of them no start-ups."""
    told.value = lambda query, at: None if "_ready" in query else recorded(query, at)
    found = run(tmp_path, told.url)
    assert found.exit_code == 0, found.output
    assert "What really happened is not recorded" in found.stderr
    assert len(json.loads((tmp_path / "out" / "result.json").read_text())["scores"]) == 1
    told.value = lambda query, at: None if "status_replicas{" in query else recorded(query, at)
    found = run(tmp_path, told.url)
    assert found.exit_code == 0, found.output
    assert "start-ups were really paid for is not recorded" in found.stderr
    assert "without their start-up" in found.stderr


@pytest.mark.usefixtures("undrawn")
def test_no_password_is_shown(told, tmp_path):
    """The address is in the page without what it holds for the server alone."""
    url = told.url.replace("http://", "http://flo:s3cret@")
    found = run(tmp_path, url)
    assert found.exit_code == 0, found.output
    html = (tmp_path / "out" / "report.html").read_text()
    assert told.url in html
    assert "s3cret" not in html + found.output


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--since", "infd", '--since is "infd", must have an end'),
        ("--since", "nand", '--since is "nand", must have an end'),
        ("--until", "infs", '--until is "infs", must have an end'),
        ("--step", "infm", '--step is "infm", must have an end'),
        ("--since", "1e9d", "is none since 1970"),
        ("--until", "1e9d", "is none since 1970"),
        ("--step", "100d", "holds no whole multiple of the step"),
        ("--step", "0.5s", "is no range of whole seconds"),
    ],
)
def test_times_that_are_none_are_named(told, tmp_path, option, text, said):
    """A sentence, exit status 2, and nothing is asked or written; nothing is of the future."""
    found = run(tmp_path, told.url, option, text)
    assert found.exit_code == 2, found.output
    assert said in found.stderr
    assert "Traceback" not in found.output
    assert told.queries == []
    assert not (tmp_path / "out" / "report.html").exists()


@pytest.mark.usefixtures("undrawn")
def test_more_instants_than_fit_are_refused(told, tmp_path):
    """Some 50 years of seconds would ask for all memory."""
    found = run(tmp_path, told.url, "--since", "19000d", "--step", "1s")
    assert found.exit_code == 2, found.output
    assert "must have at most 20000000" in found.stderr
    assert told.queries == []
