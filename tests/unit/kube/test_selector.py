"""Label selectors."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.errors import ConfigError
from autoscaler.kube.codec import LabelSelector
from autoscaler.kube.selector import (
    Requirement,
    Selector,
    parse_selector,
    select_the_same,
    selector_text,
)

LABELS = {"app": "web", "tier": "front", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        (" app = web ", True),
        ("app=api", False),
        ("app!=api", True),
        ("app!=web", False),
        ("missing!=x", True),
        ("app=web,tier=front", True),
        ("app=web,tier=back", False),
        ("app in (api, web)", True),
        ("app in (api)", False),
        ("app notin (api,db)", True),
        ("app notin (web)", False),
        ("missing notin (x)", True),
        ("missing in (x)", False),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("! app", False),
        ("empty=", True),
        ("app=", False),
        ("empty in (,x)", True),
        ("example.com/part-of=shop", False),
    ],
)
def test_matching_follows_kubernetes(text: str, matches: bool) -> None:
    """Each operator means what it means to the API server; absent labels satisfy negations."""
    assert parse_selector(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("", "", True),
        ("app=web", "", False),
        ("a=b,c in (e,d)", "c in (d,e),a=b", True),
        ("app in (web)", "app=web", True),
        ("app=web", "app!=web", False),
        ("app>3", "app>3", True),
        ("app>3", "app>4", False),
    ],
)
def test_selectors_are_compared_by_what_they_select(one: str, other: str, same: bool) -> None:
    """Order and spelling do not matter; what cannot be read is the same only as itself."""
    assert select_the_same(one, other) is same


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("app=web,", 9),
        (",app=web", 1),
        ("app=web tier=front", 9),
        ("app in web", 8),
        ("app in (web", 12),
        ("app>3", 4),
        ("=web", 1),
        ("!", 2),
        ("()", 1),
    ],
)
def test_a_bad_selector_is_refused_with_its_position(text: str, position: int) -> None:
    """The error quotes the selector, says where it breaks, and shows the accepted form."""
    with pytest.raises(ConfigError, match=f"at position {position}; write for example"):
        parse_selector(text)


def test_a_workload_selector_becomes_text() -> None:
    """Labels come sorted, expressions in order, as the scale subresource prints them."""
    wire = msgspec.json.decode(
        b"""{"matchLabels": {"b": "2", "a": "1"},
             "matchExpressions": [{"key": "c", "operator": "In", "values": ["y", "x"]},
                                  {"key": "d", "operator": "NotIn", "values": ["z"]},
                                  {"key": "e", "operator": "Exists"},
                                  {"key": "f", "operator": "DoesNotExist"}]}""",
        type=LabelSelector,
    )
    assert selector_text(wire) == "a=1,b=2,c in (x,y),d!=z,e,!f"


def test_an_unknown_operator_is_refused() -> None:
    """An expression of a later API version is not silently ignored."""
    wire = msgspec.json.decode(
        b'{"matchExpressions": [{"key": "c", "operator": "Like", "values": ["x"]}]}',
        type=LabelSelector,
    )
    with pytest.raises(ConfigError, match="operator 'Like' is none of In, NotIn"):
        selector_text(wire)


word = st.text("abcxyz019.-_/", min_size=1, max_size=8).filter(lambda w: w not in {"in", "notin"})
requirement = st.one_of(
    st.builds(
        Requirement,
        word,
        st.sampled_from(["in", "notin"]),
        st.lists(word, min_size=1, max_size=3).map(tuple),
    ),
    st.builds(Requirement, word, st.sampled_from(["exists", "!"])),
)


@given(st.lists(requirement, max_size=4).map(lambda r: Selector(tuple(r))))
def test_text_and_back_is_the_same_selector(selector: Selector) -> None:
    """Whatever can be written can be read again."""
    assert parse_selector(selector.text) == selector
