"""The command line: what people type and what they read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from autoscaler import __version__
from autoscaler.cli.main import app
from autoscaler.settings import Settings

REPOSITORY = Path(__file__).parents[3]
EXAMPLES = sorted((REPOSITORY / "deploy" / "examples").rglob("*.yaml"))
COMMANDS = ("run", "external-scaler", "demo", "validate", "explain", "scalers", "crds")

WRONG = """\
apiVersion: flyball.dev/v1alpha1
kind: ScaledObject
metadata: {name: worker}
spec:
  scaleTargetRef: {name: worker}
  minReplicaCount: 5
  maxReplicaCount: 2
  triggers:
  - type: rediss
    metadata: {}
  - type: redis
    metadata: {listLength: ten, listname: jobs}
    authenticationRef: {name: redis}
"""

runner = CliRunner()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """``--help`` of each command says what it does and exits 0."""
    result = runner.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_the_version_is_shown() -> None:
    """``--version`` prints the package's version."""
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.output.strip()) == (0, f"flyball {__version__}")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_shipped_example_is_valid(example: Path) -> None:
    """``validate`` finds nothing wrong with the worked examples."""
    result = runner.invoke(app, ["validate", str(example)])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_stay_valid_as_keda_objects(tmp_path: Path, example: Path) -> None:
    """Only ``apiVersion`` stands between a KEDA manifest and ours."""
    text = example.read_text().replace("flyball.dev/v1alpha1", "keda.sh/v1alpha1")
    path = tmp_path / "keda.yaml"
    path.write_text(text)
    result = runner.invoke(app, ["validate", str(path)])
    assert result.exit_code == 0, result.output


def test_every_problem_of_a_manifest_is_listed_at_once(tmp_path: Path) -> None:
    """File, line, document, object, field and accepted form, for all problems, and exit 1."""
    path = tmp_path / "wrong.yaml"
    path.write_text(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: other}}\n---\n{WRONG}")
    result = runner.invoke(app, ["validate", "--json", str(path)])
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    errors = [f for f in answer["findings"] if f["severity"] == "error"]
    assert {f["field"] for f in errors} == {
        "spec.minReplicaCount",
        "spec.triggers[0].type",
        "spec.triggers[1].metadata.listLength",
    }
    assert {f["document"] for f in errors} == {2}
    assert all(f["file"] == str(path) and f["line"] > 4 for f in errors)
    (warning,) = [f for f in answer["findings"] if f["severity"] == "warning"]
    assert 'did you mean "listName"?' in warning["message"]


def test_what_an_authentication_may_still_provide_is_no_problem(tmp_path: Path) -> None:
    """A required parameter is not missed while a TriggerAuthentication can bring it."""
    path = tmp_path / "so.yaml"
    path.write_text(WRONG.replace("rediss", "cpu").replace("minReplicaCount: 5", ""))
    result = runner.invoke(app, ["validate", "--json", str(path)])
    fields = [f["field"] for f in json.loads(result.stdout)["findings"]]
    assert not any("address" in field for field in fields)


def test_manifests_are_read_from_standard_input() -> None:
    """``-`` stands for standard input."""
    result = runner.invoke(app, ["validate", "-"], input=EXAMPLES[0].read_text())
    assert result.exit_code == 0, result.output


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that cannot be read is an error with its name."""
    result = runner.invoke(app, ["validate", str(tmp_path / "absent.yaml")])
    assert result.exit_code == 1
    assert "absent.yaml: error: cannot be read" in result.output.replace("\n", "")


def test_trigger_types_are_listed_with_their_tier() -> None:
    """``scalers`` lists each type once; ``--json`` gives the same to programs."""
    rows = json.loads(runner.invoke(app, ["scalers", "--json"]).stdout)
    assert {"prometheus", "redis", "kafka", "cron", "cpu"} <= {row["type"] for row in rows}
    assert all(row["tier"] in {"bronze", "silver", "gold"} for row in rows)


def test_parameters_of_a_type_are_described() -> None:
    """``scalers TYPE`` gives parameters, defaults and where they may come from."""
    described = json.loads(runner.invoke(app, ["scalers", "redis", "--json"]).stdout)
    by_name = {row["name"]: row for row in described["parameters"]}
    assert by_name["listLength"]["default"] == "5"
    assert by_name["password"]["secret"]
    assert "listLength" in runner.invoke(app, ["scalers", "redis"]).output


def test_an_unknown_type_is_answered_with_the_nearest() -> None:
    """``scalers TYPE`` of a misspelt type exits 1 and suggests."""
    result = runner.invoke(app, ["scalers", "promtheus"])
    assert result.exit_code == 1
    assert 'did you mean "prometheus"?' in result.output


def test_definitions_are_written_and_checked(tmp_path: Path) -> None:
    """``crds`` writes one file per kind; ``--check`` notices a stale and a foreign one."""
    assert runner.invoke(app, ["crds", "--output", str(tmp_path)]).exit_code == 0
    assert runner.invoke(app, ["crds", "--check", str(tmp_path)]).exit_code == 0
    first = min(tmp_path.iterdir())
    first.write_text("stale")
    (tmp_path / "zz-foreign.yaml").write_text("")
    result = runner.invoke(app, ["crds", "--check", str(tmp_path)])
    assert result.exit_code == 1
    assert first.name in result.output
    assert "zz-foreign.yaml" in result.output


def test_explain_says_where_to_look_when_no_service_answers() -> None:
    """Without a service the message says how to reach one."""
    result = runner.invoke(app, ["explain", "shop/worker", "--server", "http://127.0.0.1:9"])
    assert result.exit_code == 1
    assert "port-forward" in result.output


def test_explain_refuses_an_address_that_is_none() -> None:
    """``--server`` wants a URL."""
    result = runner.invoke(app, ["explain", "worker", "--server", "localhost:8080"])
    assert result.exit_code == 1
    assert "http://" in result.output


def test_explain_takes_the_address_from_its_own_variable() -> None:
    """What ``explain`` reads is no setting of the service, so it can stay exported for both."""
    address = {"FLYBALL_EXPLAIN_SERVER": "localhost:8080"}
    result = runner.invoke(app, ["explain", "worker"], env=address)
    assert result.exit_code == 1
    assert "got 'localhost:8080" in result.output
    result = runner.invoke(app, ["run", "--log-level", "loud"], env=address)
    assert "FLYBALL_EXPLAIN_SERVER" not in result.output


def test_no_option_has_the_variable_of_a_group_of_settings() -> None:
    """A variable means one thing in all commands."""
    groups = {f"FLYBALL_{group.upper()}" for group in Settings.model_fields}
    commands = get_command(app).commands.values()  # type: ignore[attr-defined]
    variables = {
        option.envvar for command in commands for option in command.params if option.envvar
    }
    assert "FLYBALL_EXPLAIN_SERVER" in variables
    assert not variables & groups


def test_run_names_a_bad_setting() -> None:
    """A wrong option ends at once, naming the setting."""
    result = runner.invoke(app, ["run", "--log-level", "loud"])
    assert result.exit_code == 1
    assert "log_level" in result.output


def test_run_names_a_missing_kubeconfig(tmp_path: Path) -> None:
    """A kubeconfig that is not there ends the start with its path."""
    result = runner.invoke(app, ["run", "--kubeconfig", str(tmp_path / "absent")])
    assert result.exit_code == 1
    assert "absent" in result.output
