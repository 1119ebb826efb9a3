"""Replay of cron triggers at recorded instants."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from autoscaler.errors import ConfigError
from tests.golden.replay import Case, Differs, Outcome, replays
from tests.golden.triggers import differing_specs, refuses, rule_for, try_build


@replays("keda/cron")
def replay_cron(case: Case, document: Mapping[str, Any]) -> Outcome:
    """Check the metric spec and every evaluation of one cron trigger."""
    config, expected = case["config"], case["expect"]
    outcome = try_build("cron", config)
    rule = rule_for("cron", config)
    if rule is not None and expected["build"]["ok"] and refuses(outcome, rule[1]):
        return Differs(rule[0])
    if not expected["build"]["ok"]:
        assert isinstance(outcome, ConfigError), "accepted, expected an error"
        return None
    assert not isinstance(outcome, ConfigError), f"refused: {outcome}"
    problems = list(differing_specs(tuple(outcome.metric_specs()), expected["metricSpecs"]))
    assert not problems, "; ".join(problems)
    name = outcome.metric_specs()[0].name
    for evaluation in expected["evaluations"]:
        at = datetime.fromisoformat(evaluation["now"]).timestamp()
        reading = outcome.reading(name, at, at)
        got = (reading.values_milli[0], reading.active)
        assert got == (evaluation["milli"], evaluation["active"]), f"{evaluation}: got {got}"
    return None
