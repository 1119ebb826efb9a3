"""Process settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autoscaler.errors import ConfigError
from autoscaler.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide variables the machine may have."""
    for variable in list(os.environ):
        if variable.startswith("FLYBALL_"):
            monkeypatch.delenv(variable)


def write(tmp_path: Path, text: str) -> Path:
    """Return the path of a settings file."""
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return path


def test_everything_has_a_default() -> None:
    """Without any setting the service can start."""
    loaded = load_settings()
    assert loaded == Settings()
    assert loaded.polling.deadline_seconds == 10.0
    assert loaded.kubernetes.namespace is None


def test_flags_weigh_more_than_variables_and_those_more_than_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each setting is decided by itself; flags not given (None) leave the others their say."""
    path = write(
        tmp_path,
        "polling: {deadline_seconds: 1, concurrent_sources: 1, coalesce_seconds: 1}\n"
        "server: {port: 1}\n",
    )
    monkeypatch.setenv("FLYBALL_POLLING__DEADLINE_SECONDS", "2")
    monkeypatch.setenv("FLYBALL_POLLING__CONCURRENT_SOURCES", "2")
    flags = {
        "polling": {"deadline_seconds": 3.0, "concurrent_sources": None},
        "server": {"port": None},
    }
    loaded = load_settings(flags, file=path)
    assert loaded.polling.deadline_seconds == 3.0
    assert loaded.polling.concurrent_sources == 2
    assert loaded.polling.coalesce_seconds == 1.0
    assert loaded.server.port == 1


@pytest.mark.parametrize("word", ["off", '"off"', "false", "annotated", "all"])
def test_keda_is_left_alone_in_every_way_yaml_can_say_it(tmp_path: Path, word: str) -> None:
    """A bare ``off`` is a boolean in YAML 1.1 and means the word all the same."""
    loaded = load_settings(file=write(tmp_path, f"kubernetes: {{watch_keda: {word}}}"))
    assert loaded.kubernetes.watch_keda == {"false": "off"}.get(word, word.strip('"'))


@pytest.mark.parametrize("word", ["on", "0", "none"])
def test_what_is_no_way_to_watch_keda_is_refused(tmp_path: Path, word: str) -> None:
    """Only off has a second form; the message has the accepted words."""
    with pytest.raises(ConfigError, match=r"kubernetes\.watch_keda = .*'annotated' or 'all'"):
        load_settings(file=write(tmp_path, f"kubernetes: {{watch_keda: {word}}}"))


def test_a_variable_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``FLYBALL_CONFIG`` counts unless a flag names a file."""
    monkeypatch.setenv("FLYBALL_CONFIG", str(write(tmp_path, "server: {port: 9}")))
    assert load_settings().server.port == 9


def test_every_problem_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Typos and wrong values of all places are named with their setting and variable."""
    path = write(tmp_path, "polling: {dedline_seconds: 1}\nserver: {port: 99999}\nextra: 1\n")
    monkeypatch.setenv("FLYBALL_SCALING__WORKERS", "many")
    monkeypatch.setenv("FLYBALL_POLING__DEADLINE_SECONDS", "1")
    with pytest.raises(ConfigError) as caught:
        load_settings(file=path)
    message = str(caught.value)
    assert "polling.dedline_seconds: no such setting; known here are deadline_seconds" in message
    assert "server.port = 99999:" in message
    assert "scaling.workers = 'many':" in message
    assert "variable FLYBALL_SCALING__WORKERS" in message
    assert "variable FLYBALL_POLING__DEADLINE_SECONDS: no such group" in message
    assert "extra: no such setting; known here are kubernetes, polling" in message


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("FLYBALL_SERVER", "http://flyball:8080", "FLYBALL_SERVER__<NAME>, where <NAME> is one of"),
        ("FLYBALL_SERVER", "8080", "FLYBALL_SERVER__<NAME>, where <NAME> is one of HOST, PORT"),
        ("FLYBALL_SERVER", "", "FLYBALL_SERVER__<NAME>, where <NAME> is one of HOST, PORT"),
        ("FLYBALL_WEBHOOK__NAMES", "a,b", "must be a JSON list, such as"),
        ("FLYBALL_WEBHOOK__NAMES", "3", "must be a JSON list, such as"),
    ],
)
def test_a_variable_of_another_form_is_named_with_the_form_it_takes(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, accepted: str
) -> None:
    """Nobody has to guess which of a group's variables is meant, or what it should look like."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        load_settings()
    message = str(caught.value)
    assert f"variable {variable}" in message
    assert value in message
    assert accepted in message
    assert "EnvSettingsSource" not in message


def test_a_list_and_a_group_may_be_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """The forms that messages name are accepted."""
    monkeypatch.setenv("FLYBALL_WEBHOOK__NAMES", '["a", "b"]')
    monkeypatch.setenv("FLYBALL_SERVER", '{"port": 1}')
    loaded = load_settings()
    assert loaded.webhook.names == ("a", "b")
    assert loaded.server.port == 1


def test_variables_the_kubelet_sets_for_a_service_do_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Service called flyball leaves its traces in every pod; they are not ours."""
    for name in ("FLYBALL_PORT", "FLYBALL_SERVICE_HOST", "FLYBALL_PORT_8080_TCP_ADDR"):
        monkeypatch.setenv(name, "tcp://10.0.0.1:8080")
    assert load_settings() == Settings()


@pytest.mark.parametrize("text", ["- a list", "just text", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    """The error names the file."""
    with pytest.raises(ConfigError, match=r"settings\.yaml"):
        load_settings(file=write(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that was asked for has to be there."""
    with pytest.raises(ConfigError, match="nowhere"):
        load_settings(file=tmp_path / "nowhere.yaml")


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    """Comments alone are fine."""
    assert load_settings(file=write(tmp_path, "# nothing yet\n")) == Settings()


def test_every_setting_is_explained() -> None:
    """Each group and each setting has a description for the reference page."""
    for group in Settings.model_fields.values():
        assert group.description
        model = group.annotation
        assert model is not None
        for name, field in model.model_fields.items():
            assert field.description, name
