"""Label selectors: what is one, and which labels it matches."""

from __future__ import annotations

import pytest

from autoscaler.sdk.selector import matches, parse_selector

LABELS = {"app": "web", "tier": "a", "rank": "7", "example.com/team": "blue"}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True),
        ("app", True),
        ("!app", False),
        ("! gone", True),
        ("app=web", True),
        ("app == web", True),
        ("app!=web", False),
        ("gone!=web", True),
        ("app in (web, api),tier notin (b)", True),
        ("tier in (b,)", False),
        ("gone notin (x)", True),
        ("rank>6", True),
        ("rank < 7", False),
        ("app>1", False),
        ("example.com/team=blue", True),
        ("gone=", False),
    ],
)
def test_a_selector_matches_labels(selector: str, expected: bool) -> None:
    """Each operator decides as in Kubernetes."""
    assert matches(parse_selector(selector), LABELS) is expected


@pytest.mark.parametrize(
    "selector",
    [
        "=x",
        "app=x,",
        ",",
        "app in x",
        "app in (x",
        "app=a b",
        "-app",
        "a=b=c",
        "a=!x",
        "a>x",
        "a/b/c",
    ],
)
def test_what_is_no_selector_is_refused(selector: str) -> None:
    """The faulty requirement is named."""
    with pytest.raises(ValueError, match="is no"):
        parse_selector(selector)
