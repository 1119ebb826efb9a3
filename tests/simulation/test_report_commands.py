"""What the commands leave behind: reports, files for programs, exit status."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from autoscaler.cli.main import app

SCENARIO = """\
name: hour
workload: {trace: worldcup98, from_seconds: 6134400, duration_seconds: 3600, peak_per_second: 400}
seeds: 1
tiers:
  - name: web
    replicas: 30
    service: {mean_seconds: 0.2, concurrency: 4}
    start_up: {container: {median_seconds: 15, p95_seconds: 45}}
    waiting: {slo_seconds: 0.2}
    PRICES
    signals:
      - {name: rate, kind: request_rate, lag_seconds: 5}
    autoscaler:
      scaled_object:
        apiVersion: keda.sh/v1alpha1
        kind: ScaledObject
        metadata: {name: web}
        spec:
          scaleTargetRef: {name: web}
          maxReplicaCount: 80
          triggers:
            - type: prometheus
              name: requests
              metadata: {serverAddress: "http://p:9090", query: "rate(r[1m])", threshold: "14"}
      triggers:
        requests: {signal: rate}
"""
MANIFEST = """\
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: web}
spec:
  scaleTargetRef: {name: web}
  triggers:
    - type: prometheus
      metadata: {serverAddress: "http://p:9090", query: "sum(rate(r[1m]))", threshold: "14"}
"""


@pytest.fixture
def scenario(tmp_path):
    """Return an hour of a trace, paid by the replica."""
    path = tmp_path / "hour.yaml"
    path.write_text(SCENARIO.replace("    PRICES\n", ""))
    return path


def flyball(*arguments):
    """Return what the command line gave."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def contents(folder):
    """Return every file of a report."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_simulation_leaves_the_same_report_every_time(scenario, tmp_path):
    """Page, images and JSON are written, and a second run writes the same bytes."""
    for folder in ("one", "two"):
        assert flyball("simulate", scenario, "-o", tmp_path / folder).exit_code == 0
    found = contents(tmp_path / "one")
    assert set(found) == {"report.html", "result.json", "web.png", "web.svg"}
    assert found == contents(tmp_path / "two")
    page = found["report.html"].decode()
    assert "Decisions of web that changed something" in page
    assert "web by day (UTC)" in page
    (first,) = json.loads(found["result.json"])["scores"]
    assert first["replica_hours"] > 20


def test_criteria_decide_the_exit_status(scenario, tmp_path):
    """One that fails means 1 and a failed case for CI; one that is kept means 0."""
    junit = tmp_path / "junit.xml"
    options = ("-o", tmp_path / "report", "--junit", junit)
    kept = flyball("simulate", scenario, *options, "--fail-on", "slo_violation>50%")
    assert kept.exit_code == 0
    assert ET.parse(junit).getroot().get("failures") == "0"
    failed = flyball(
        "simulate", scenario, *options, "--fail-on", "cost>1", "--fail-on", "dropped>1e9"
    )
    assert failed.exit_code == 1
    assert "which fails cost>1" in failed.output
    root = ET.parse(junit).getroot()
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    assert "which fails cost&gt;1" in (tmp_path / "report" / "report.html").read_text()


def test_wrong_criteria_are_refused_before_anything_runs(scenario, tmp_path):
    """Exit status 2, a sentence, and no report."""
    found = flyball("simulate", scenario, "-o", tmp_path / "r", "--fail-on", "cots>1")
    assert found.exit_code == 2
    assert 'perhaps "cost" is meant' in found.output
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("option", ["--output", "--junit"])
def test_what_cannot_be_written_is_said_before_anything_runs(scenario, tmp_path, option):
    """Exit status 2 and a sentence: 1 is for criteria."""
    (tmp_path / "file").write_text("")
    options = {"-o": tmp_path / "r", "--junit": tmp_path / "j.xml"}
    options["-o" if option == "--output" else option] = tmp_path / "file" / "x" / "y"
    found = flyball("simulate", scenario, *(part for pair in options.items() for part in pair))
    assert found.exit_code == 2
    assert f"{option}: cannot write to" in found.output


def test_folders_of_what_is_written_are_made(scenario, tmp_path):
    """A JUnit file may lie in a folder that is not there yet."""
    junit = tmp_path / "new" / "j.xml"
    options = ("-o", tmp_path / "r", "--junit", junit, "--fail-on", "dropped>1e9")
    assert flyball("simulate", scenario, *options).exit_code == 0
    assert junit.exists()


def test_baselines_beside_the_files_are_not_judged(scenario, tmp_path):
    """What the build is about are the files; a bad baseline only shows how good they are."""
    options = ("-o", tmp_path / "r", "--baselines", "static", "--no-sensitivity")
    found = flyball(
        "compare", scenario, "--scenario", scenario, *options, "--fail-on", "mean_replicas<20"
    )
    assert found.exit_code == 0, found.output


@pytest.mark.parametrize("spec", ["foo", None])
def test_an_object_without_a_spec_is_refused_in_a_sentence(scenario, tmp_path, spec):
    """Every command that takes one says what is missing."""
    path = tmp_path / "object.yaml"
    document = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "a"}}
    path.write_text(json.dumps(document | ({"spec": spec} if spec else {})))
    for command in (
        ("tune", "-f", path, "--scenario", scenario),
        ("compare", path, "--scenario", scenario),
    ):
        found = flyball(*command, "-o", tmp_path / "r")
        assert found.exit_code == 2, found.output
        assert "spec" in found.output


def test_a_comparison_shows_frontier_ranking_and_other_worlds(scenario, tmp_path):
    """Every policy is in the tables; of a single hour no certainty is claimed."""
    found = flyball(
        "compare", scenario, "--scenario", scenario, "--baselines", "hpa", "-o", tmp_path / "r"
    )
    assert found.exit_code == 0
    page = contents(tmp_path / "r")["report.html"].decode()
    for wanted in ("Cost and violations", "Sensitivity: cost / late", "lag x2", ">hpa<"):
        assert wanted in page
    assert "paired bootstrap" not in page


def test_what_costs_nothing_can_be_compared(tmp_path):
    """Without prices there are no cost ratios, but a report."""
    path = tmp_path / "free.yaml"
    path.write_text(SCENARIO.replace("PRICES", "prices: {replica_hour: 0}"))
    found = flyball("compare", path, path, "-o", tmp_path / "r")
    assert found.exit_code == 0, found.output


@pytest.mark.parametrize("criterion", ["slo_violation>1%", "dropped>0", "wait_p99>5"])
def test_a_backtest_that_does_not_know_the_service_is_not_judged_by_requests(criterion, tmp_path):
    """Such a criterion would pass or fail by accident; it is refused before anything is asked."""
    path = tmp_path / "web.yaml"
    path.write_text(MANIFEST)
    found = flyball("backtest", "-f", path, "--prometheus", "http://p", "--fail-on", criterion)
    assert found.exit_code == 2
    assert f'criterion "{criterion}" is about requests' in found.output
    assert "without --service" in found.output
