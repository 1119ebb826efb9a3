"""How problems name fields, values and accepted forms."""

from __future__ import annotations

import pytest

from autoscaler.api.problems import (
    InvalidObject,
    Path,
    Problem,
    did_you_mean,
    invalid,
    not_supported,
    shown,
)
from autoscaler.errors import ConfigError


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        (("spec", "triggers", 1, "metadata", "listLength"), "spec.triggers[1].metadata.listLength"),
        (("spec", "metrics", 0), "spec.metrics[0]"),
        (
            ("metadata", "annotations", "example.com/on"),
            "metadata.annotations[example.com/on]",
        ),
        ((), ""),
    ],
)
def test_paths_are_written_as_kubernetes_does(steps: tuple[str | int, ...], text: str) -> None:
    """A path prints keys with dots, indexes and odd keys in brackets."""
    path = Path()
    for step in steps:
        path = path / step
    assert str(path) == text


def test_an_invalid_object_names_every_problem() -> None:
    """The error text and the field of the first problem are there for conditions and logs."""
    problems = [Problem("spec.a", "must be 1"), Problem("spec.b", "is required")]
    error = InvalidObject(problems, subject="ScaledObject shop/worker")
    assert isinstance(error, ConfigError)
    assert str(error) == "ScaledObject shop/worker: spec.a: must be 1; spec.b: is required"
    assert (error.field, error.reason, error.problems) == (
        "spec.a",
        "InvalidObject",
        tuple(problems),
    )


def test_a_near_miss_is_suggested() -> None:
    """An unsupported word comes with the accepted ones and the nearest of them."""
    problem = not_supported(Path(("spec", "mode")), "shadwo", ["shadow", "active"])
    assert problem.message == (
        'must be one of active, shadow, got "shadwo" (did you mean "shadow"?)'
    )
    assert did_you_mean("entirely", ["other"]) == ""


def test_long_and_secret_values_are_not_repeated() -> None:
    """A message shows short values whole, long ones cut and secret ones not at all."""
    assert shown({"a": 1}) == '{"a": 1}'
    assert len(shown("x" * 1000)) == 60
    path = Path(("spec", "hashiCorpVault", "credential", "token"))
    assert "hunter2" not in invalid(path, "must be a string", ["hunter2"]).message
