"""Replay of trigger validation: accepted or not, parsed values, metric specs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from pydantic import SecretStr

from autoscaler.errors import ConfigError
from autoscaler.sdk.config import TriggerConfig, block_of
from autoscaler.sdk.conversion import to_seconds
from autoscaler.sdk.params import Seconds, bare_type, param_of
from autoscaler.sdk.scaler import LearningScaler
from scalers.external.config import ExternalConfig
from tests.golden.replay import Case, Differs, Outcome, replays
from tests.golden.triggers import (
    REGISTRY,
    TARGETS,
    context_of,
    differing_specs,
    refuses,
    rule_for,
    try_build,
    uncovered,
)

GROUPS = ("keda/parse", *(f"keda/parse-derived-{n}" for n in range(1, 10)))


VALUES_COMPARED = frozenset(TARGETS) - {"kafka", "redis", "redis-streams"}
"""Types whose recorded values carry the parameters' own names; the others use KEDA's internal ones."""


@replays(*GROUPS)
def replay_parse(case: Case, document: Mapping[str, Any]) -> Outcome:
    """Check one trigger configuration."""
    scaler, config, expected = case["scaler"], case["config"], case["expect"]
    if (missing := uncovered(scaler, config)) is not None:
        return missing
    outcome = try_build(scaler, config)
    rule = rule_for(scaler, config)
    if rule is not None and expected["ok"] and refuses(outcome, rule[1]):
        return Differs(rule[0])
    if not expected["ok"] or expected.get("buildOk") is False:
        assert isinstance(outcome, ConfigError), f"accepted, expected {expected['error']}"
        return None
    assert not isinstance(outcome, ConfigError), f"refused: {outcome}"
    wanted = expected.get("metricSpecs", [])
    topic = config["triggerMetadata"].get("topic", "")
    is_padded = scaler == "kafka" and topic != topic.strip()
    if is_padded:
        wanted = [w | {"metricName": w["metricName"].replace(topic, topic.strip())} for w in wanted]
    # What an external server declares is not in its trigger.
    if not isinstance(outcome, LearningScaler):
        problems = list(differing_specs(tuple(outcome.metric_specs()), wanted))
        assert not problems, "; ".join(problems)
    if is_padded:
        return Differs("kafka-padded-topic")
    parsed = REGISTRY.get(scaler).config_type.parse(
        config["triggerMetadata"], config["authParams"], config["resolvedEnv"], context_of(config)
    )
    if isinstance(parsed, ExternalConfig):
        sent = expected["parsed"]["derived"]["originalMetadata"]
        assert dict(parsed.forwarded) == sent, f"sends {parsed.forwarded}, expected {sent}"
        wrong = list(_differing_values(parsed, expected["parsed"]))
        assert not wrong, "; ".join(wrong)
        return None
    if scaler not in VALUES_COMPARED:
        return None
    wrong = list(_differing_values(parsed, expected.get("parsed", {})))
    assert not wrong, "; ".join(wrong)
    return None


def _differing_values(parsed: TriggerConfig, expected: Mapping[str, Any]) -> Iterator[str]:
    for name, field in type(parsed).model_fields.items():
        value = getattr(parsed, name)
        if block_of(field)[0] is not None:
            yield from _differing_values(value, expected)
        elif (param := param_of(field)) is not None and param.names[0] in expected:
            wanted = expected[param.names[0]]
            kind = bare_type(field.annotation)
            if value is None or (isinstance(wanted, dict) and "$longString" in wanted):
                continue
            if kind is Seconds and isinstance(wanted, str):
                wanted = to_seconds(wanted)
            if _plain(value) != _plain(wanted):
                yield f"{param.names[0]} is {value!r}, expected {wanted!r}"


def _plain(value: Any) -> Any:
    """Return a value in the form both sides can be compared in; nothing given is None."""
    match value:
        case SecretStr():
            value = value.get_secret_value()
        case Enum():
            value = value.value
        case str() if re.fullmatch(r"[a-zA-Z]+(,[a-zA-Z]+)*", value):
            pass
        case tuple() | list():
            value = [_plain(item) for item in value]
        case dict():
            value = {k: v[0] if isinstance(v, list) else v for k, v in value.items()}
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        value = ",".join(value)
    return value if value not in ("", 0, False, [], {}, None) else None
