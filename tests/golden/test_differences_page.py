"""The page of differences says what the rules say."""

from __future__ import annotations

from pathlib import Path

from tests.golden.differences import RULES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "differences.md"


def test_every_rule_is_documented_with_its_reason() -> None:
    """The reference page has one row per rule, in the rules' order and words."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert rows[: len(RULES)] == [f"| `{rule}` | {reason} |" for rule, reason in RULES.items()]
