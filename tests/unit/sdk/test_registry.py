"""The scaler registry: names without imports, clear refusals."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from autoscaler.errors import TriggerConfigError, UnknownScalerError
from autoscaler.plugins import GROUP, ScalerRegistry
from autoscaler.sdk.scaler import TriggerContext


def entry(name: str, value: str) -> EntryPoint:
    """Return an entry point as a distribution would declare it."""
    return EntryPoint(name=name, value=value, group=GROUP)


def test_every_installed_trigger_type_can_be_loaded() -> None:
    """Each entry point of this distribution leads to a working scaler class."""
    registry = ScalerRegistry()
    assert {"prometheus", "metrics-api", "cron", "kubernetes-workload", "cpu", "memory"} <= set(
        registry.names()
    )
    assert all(registry.get(name).description for name in registry.names())


def test_names_are_listed_without_importing() -> None:
    """Listing costs no import of any scaler, even a broken one."""
    registry = ScalerRegistry([entry("broken", "a_module_that_is_not_there:Scaler")])
    assert registry.names() == ["broken"]
    assert "a_module_that_is_not_there" not in sys.modules


def test_a_scaler_is_created_from_plain_text() -> None:
    """The registry parses the parameters and builds the scaler."""
    metadata = {"serverAddress": "http://prometheus:9090", "query": "up", "threshold": "5"}
    scaler = ScalerRegistry().create("prometheus", metadata, {}, {}, TriggerContext())
    assert scaler.metric_specs()[0].target_milli == 5000


def test_bad_parameters_raise_with_every_problem() -> None:
    """Creating a scaler from nothing names all it needs."""
    with pytest.raises(TriggerConfigError) as caught:
        ScalerRegistry().create("prometheus", {}, {}, {}, TriggerContext())
    assert {name for name, _ in caught.value.problems} == {"serverAddress", "query", "threshold"}


def test_an_unknown_type_is_guessed() -> None:
    """A misspelt type is refused with the type that was probably meant."""
    with pytest.raises(UnknownScalerError, match='did you mean "prometheus"'):
        ScalerRegistry().get("promethues")


def test_a_missing_driver_names_the_extra() -> None:
    """A driver that is not installed leads to the extra that brings it."""
    registry = ScalerRegistry([entry("kafka", "aiokafka_missing:Scaler"), entry("x", "no_such:S")])
    with pytest.raises(UnknownScalerError, match="needs the module no_such"):
        registry.get("x")


def test_a_broken_plugin_says_why() -> None:
    """Whatever a plugin raises on import is told to the object that asked for it."""
    registry = ScalerRegistry([entry("odd", "json:NoSuchThing"), entry("no", "json:dumps")])
    with pytest.raises(UnknownScalerError, match="AttributeError"):
        registry.get("odd")
    with pytest.raises(UnknownScalerError, match="is no Scaler class"):
        registry.get("no")


def test_two_plugins_of_one_name_are_both_refused() -> None:
    """Nobody wins by chance: both makers are named."""
    registry = ScalerRegistry([entry("cron", "one:Scaler"), entry("cron", "two:Scaler")])
    with pytest.raises(UnknownScalerError, match=r"one:Scaler.*two:Scaler"):
        registry.get("cron")
