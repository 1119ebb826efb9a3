"""What is refused costs little, however large it is and however often it comes."""

from __future__ import annotations

import time
from unittest.mock import Mock

import pytest

from autoscaler.errors import ConfigError
from autoscaler.external import refusals
from autoscaler.external.asks import (
    ENTRIES_MAX,
    LINES_MAX,
    TRIGGERS_MAX,
    VALUES_MAX,
    Ask,
    ask_of,
    intent_of,
)
from autoscaler.external.refusals import REMEMBERED, Refusals

BYTES = 64_000
TOO_MUCH = {
    "list": ("a: [" + "1," * (BYTES // 2) + "1]", f"more than {VALUES_MAX} values"),
    "map": ("\n".join(f"k{n}: 1" for n in range(BYTES // 10)), f"more than {LINES_MAX} lines"),
    "flow map": ("{" + ",".join(f"k{n}: 1" for n in range(7_000)) + "}", "more than"),
    "lines": ("a:\n" + "- 1\n" * (BYTES // 4), f"more than {LINES_MAX} lines"),
    "comments": ("#\n" * (BYTES // 2), f"more than {LINES_MAX} lines"),
    "documents": ("---\n" * 4_999 + "a: 1", "unknown field"),
    "triggers": (
        "triggers: [" + ",".join(["{type: kafka}"] * 300) + "]",
        f"spec.triggers: has 300, at most {TRIGGERS_MAX}",
    ),
    "unknown fields": (
        "\n".join(f"{'minReplicaCoun' * 4}{n}: 1" for n in range(900)),
        "unknown field",
    ),
}


def ask(**metadata: str) -> Ask:
    """Return what an object of KEDA's asks."""
    return ask_of("shop", "web", metadata.items())


@pytest.mark.parametrize(("text", "expected"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_large_texts_are_refused_before_they_cost_much(text: str, expected: str):
    """The event loop serves everybody else meanwhile: the best of five is far below 50 ms."""
    taken = []
    for _ in range(5):
        began = time.thread_time()
        with pytest.raises(ConfigError, match=expected):
            intent_of(ask(policy=text))
        taken.append(time.thread_time() - began)
    assert min(taken) < 0.025


def test_as_many_keys_as_nobody_reads_are_refused():
    """In the flat form each of them would be compared with the known ones."""
    many = {f"key{number}": "x" for number in range(ENTRIES_MAX)}
    with pytest.raises(ConfigError, match=f"at most {ENTRIES_MAX} are accepted"):
        intent_of(ask(type="kafka", **many))


def test_a_policy_of_fifty_triggers_is_accepted():
    """Far more than anybody writes into trigger metadata."""
    trigger = "{type: kafka, metadata: {" + ", ".join(f"k{n}: x" for n in range(12)) + "}}"
    intent_of(ask(policy="triggers: [" + ", ".join([trigger] * TRIGGERS_MAX) + "]"))


def test_what_was_refused_is_refused_again_without_being_read(monkeypatch: pytest.MonkeyPatch):
    """With the same reason, for exactly the same ask."""
    reading = Mock(side_effect=intent_of)
    monkeypatch.setattr(refusals, "intent_of", reading)
    known = Refusals()
    for _ in range(3):
        with pytest.raises(ConfigError, match="cannot be read as YAML"):
            known.intent_of(ask(policy="{unclosed"))
    assert reading.call_count == 1
    with pytest.raises(ConfigError, match="must be a mapping"):
        known.intent_of(ask(policy="- 1"))
    known.intent_of(ask(policy="triggers: []"))
    known.intent_of(ask(policy="triggers: []"))
    assert reading.call_count == 4


def test_only_the_latest_refusals_are_remembered():
    """However many different ones come."""
    known = Refusals()
    for number in range(REMEMBERED + 50):
        with pytest.raises(ConfigError):
            known.intent_of(ask(policy=f"- {number}"))
    assert len(known) == REMEMBERED
