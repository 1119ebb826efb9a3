"""KEDA's annotations."""

from __future__ import annotations

import pytest

from autoscaler.api import annotations as known
from autoscaler.api.annotations import excluded_labels, is_on, pause_of, validate_annotations
from autoscaler.core.model import Pause


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("true", True),
        ("1", True),
        ("", True),
        ("junk", True),
        ("false", False),
        ("False", False),
        ("F", False),
        ("0", False),
        ("fALSE", True),
    ],
)
def test_a_switch_is_on_unless_it_says_false(text: str, on: bool) -> None:
    """Only the spellings of false switch off; what cannot be parsed switches on."""
    assert is_on({known.PAUSED: text}, known.PAUSED) is on
    assert not is_on({}, known.PAUSED)


def test_nothing_is_paused_without_annotations() -> None:
    """An object without annotations is not paused in any way."""
    assert pause_of({"team": "shop"}) == Pause()


def test_paused_replicas_win_over_paused() -> None:
    """A replica count pauses at that count whatever ``paused`` says."""
    asked = pause_of({known.PAUSED: "false", known.PAUSED_REPLICAS: "4"})
    assert asked == Pause(paused=True, replicas=4)
    assert pause_of({known.PAUSED_REPLICAS: "0"}).replicas == 0


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "99999999999", "4294967296"])
def test_an_impossible_replica_count_pauses_and_is_reported(text: str) -> None:
    """The workload stays where it is and the object's author is told."""
    annotations = {known.PAUSED_REPLICAS: text}
    assert pause_of(annotations) == Pause(paused=True)
    (problem,) = validate_annotations(annotations)
    assert problem.field == "metadata.annotations[autoscaling.keda.sh/paused-replicas]"
    assert not validate_annotations({})


def test_each_direction_is_paused_on_its_own() -> None:
    """Scale-in and scale-out are separate switches."""
    assert pause_of({known.PAUSED_SCALE_IN: "true"}) == Pause(scale_in=True)
    assert pause_of({known.PAUSED_SCALE_OUT: "junk"}) == Pause(scale_out=True)


def test_excluded_labels_are_a_comma_list() -> None:
    """Blanks and empty entries do not count."""
    annotations = {known.JOB_EXCLUDED_LABELS: "a, b,,"}
    assert excluded_labels(annotations) == {"a", "b"}
    assert excluded_labels({}) == set()
