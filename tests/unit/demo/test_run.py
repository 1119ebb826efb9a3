"""The whole demo: the real controller, over HTTP, under a day of traffic."""

from __future__ import annotations

import json

import pytest
from typer import Typer
from typer.testing import CliRunner

from autoscaler.cli.demo import demo

app = Typer()
app.command()(demo)

pytestmark = pytest.mark.slow


def test_a_day_at_the_shop_in_json() -> None:
    """One day gives a scale from zero, large steps, patient scale-ins, and loses nothing."""
    result = CliRunner().invoke(app, ["--duration", "15", "--speed", "480", "--json"])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["scales_from_zero"] >= 1
    assert summary["largest_scale_out"] > 4
    assert summary["scale_ins_after_window"] >= 1
    assert summary["scale_ins_too_early"] == 0
    assert summary["errors"] == []
    items = summary["items"]
    assert items["lost"] == 0
    assert items["produced"] > 1_000
    assert items["produced"] == items["processed"] + items["queued"] + items["in_flight"]
    assert all(event["reason"] for event in summary["events"])
    worker = [event["to"] for event in summary["events"] if event["object"] == "worker"]
    assert worker[-1] == 0


def test_plain_output_says_what_happens() -> None:
    """Without a terminal there is a line per scale event and a closing count."""
    result = CliRunner().invoke(app, ["--duration", "4", "--speed", "480", "--seed", "3"])
    assert result.exit_code == 0, result.output
    assert "worker 0 -> " in result.stdout
    assert " 0 lost." in result.stdout
