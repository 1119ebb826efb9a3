"""Decision journals become traces: values hold for a while, then they are missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulations.errors import SimulationError
from simulations.workload.importers.journal import read_journal, replicas_at, trace_of_journal

AT = 1_700_000_000.0


def entry(after_seconds: float, before: int, after: int, **readings: float | None) -> dict:
    """Return an entry of the history."""
    outcome = "written" if before != after else "unchanged"
    return {
        "at": AT + after_seconds,
        "from": before,
        "to": after,
        "outcome": outcome,
        "readings": readings,
        "why": "",
    }


def answer(*history: dict, name: str = "web", **fields: Any) -> dict[str, Any]:
    """Return an answer of the service."""
    shown = {"kind": "ScaledObject", "namespace": "shop", "name": name, "readings": []}
    return {**shown, "history": list(history), **fields}


def saved(folder: Path, *answers: Any, indent: int | None = None) -> Path:
    """Return the path of a file with answers one after another."""
    path = folder / "journal.json"
    path.write_text("\n".join(json.dumps(item, indent=indent) for item in answers))
    return path


def reading(after_seconds: float, value: float | None) -> dict[str, Any]:
    """Return a current reading."""
    return {"metric": "hits", "sampledAt": AT + after_seconds, "value": value, "error": None}


@pytest.mark.parametrize("indent", [None, 2])
def test_repeated_answers_are_one_series(tmp_path, indent):
    """Answers that overlap, in any order and any formatting, give every sample once."""
    first = answer(entry(0, 1, 2, hits=10.0), readings=[reading(0, 10.0)])
    second = answer(
        entry(0, 1, 2, hits=10.0), entry(60, 2, 2, hits=12.0), readings=[reading(60, 12.0)]
    )
    journal = read_journal(saved(tmp_path, second, first, indent=indent))
    assert journal.object == "shop/web"
    assert journal.readings["hits"] == ((AT, 10.0), (AT + 60, 12.0))
    assert journal.replicas == ((AT, 2), (AT + 60, 2))


def test_a_value_holds_for_a_while_and_is_then_missing(tmp_path):
    """Between samples the older value holds for ``hold_seconds``, then nothing is known."""
    journal = read_journal(
        saved(tmp_path, answer(entry(0, 1, 1, hits=5.0), entry(100, 1, 1, hits=7.0)))
    )
    trace = trace_of_journal(journal, "hits", step_seconds=10, hold_seconds=30)
    np.testing.assert_array_equal(trace.values, [5, 5, 5, 5, *[np.nan] * 6, 7])
    assert (trace.start_at, trace.step_seconds) == (AT, 10)
    assert "shop/web" in trace.source


def test_failed_readings_are_missing_at_once(tmp_path):
    """An error ends what held before; it is no zero."""
    journal = read_journal(
        saved(
            tmp_path,
            answer(entry(0, 1, 1, hits=5.0), entry(20, 1, 1, hits=None), entry(40, 1, 1, hits=0.0)),
        )
    )
    trace = trace_of_journal(journal, "hits", step_seconds=10)
    np.testing.assert_array_equal(trace.values, [5, 5, np.nan, np.nan, 0])


def test_replicas_change_only_where_they_were_written(tmp_path):
    """A shadowed or refused decision leaves the count as it was."""
    shadowed = {**entry(10, 2, 9), "outcome": "shadow"}
    refused = {**entry(20, 2, 9), "outcome": "failed"}
    journal = read_journal(saved(tmp_path, answer(shadowed, refused, entry(30, 2, 4))))
    at = np.array([AT, AT + 10, AT + 29, AT + 30, AT + 99])
    np.testing.assert_array_equal(replicas_at(journal, at), [np.nan, 2, 2, 4, 4])


def test_the_last_sample_of_a_step_counts(tmp_path):
    """Of several samples within a step the newest is its value, the very last one included."""
    entries = [entry(after, 1, 1, hits=after) for after in (0.0, 4.0, 9.0, 10.0, 27.0)]
    trace = trace_of_journal(
        read_journal(saved(tmp_path, answer(*entries))), "hits", step_seconds=10
    )
    np.testing.assert_array_equal(trace.values, [9, 10, 27])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("{", "no decision journal"),
        ("[]", "no decision journal"),
        ('"x"', "no decision journal"),
        ("{}", "no decision journal.*kind"),
        (json.dumps(answer(kind="ScaledJob")), "about a ScaledJob; only a ScaledObject"),
        (json.dumps(answer(history=None)), "no decision journal"),
        (json.dumps(answer(history=[{}])), "no decision journal.*outcome"),
        (json.dumps(answer()) + json.dumps(answer(name="api")), "shop/api, shop/web"),
    ],
)
def test_other_files_are_refused(tmp_path, text, said):
    """What is no journal of one ScaledObject is an error that names the file."""
    path = tmp_path / "journal.json"
    path.write_text(text)
    with pytest.raises(SimulationError, match=said) as caught:
        read_journal(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_an_error(tmp_path):
    """A path that leads nowhere is named."""
    with pytest.raises(SimulationError, match="nowhere"):
        read_journal(tmp_path / "nowhere.json")


@pytest.mark.parametrize(("metric", "value"), [("other", 1.0), ("hits", None)])
def test_metrics_without_values_are_refused(tmp_path, metric, value):
    """An unknown metric is named with the known ones; one that always failed has no values."""
    journal = read_journal(saved(tmp_path, answer(entry(0, 1, 1, hits=value, queue=1.0))))
    with pytest.raises(SimulationError, match=f'"{metric}".*there are: .*queue'):
        trace_of_journal(journal, metric, step_seconds=10)


def test_negative_values_are_no_load(tmp_path):
    """A metric below zero is refused with its value."""
    journal = read_journal(saved(tmp_path, answer(entry(0, 1, 1, hits=-3.0))))
    with pytest.raises(SimulationError, match="was -3, must be >= 0"):
        trace_of_journal(journal, "hits", step_seconds=10)
