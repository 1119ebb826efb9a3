"""The formula language under arbitrary input."""

from __future__ import annotations

import math
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from autoscaler.core.formula import compile_formula
from autoscaler.errors import FormulaError

NAMES = ("a", "b")
TOKENS = (
    *("a", "b", "1", "2.5", "0", "-", "+", "*", "/", "%", "**", "(", ")", "[", "]", "{", "}", ","),
    *("#", "?", ":", "??", "==", "<", ">=", "and", "or", "not", "in", "..", "|", ".x", "x:", "nil"),
    *("true", '"t"', "max(", "sum(", "map(", "filter(", "count(", "reduce(", "len(", "sort("),
    *("let v =", ";", "v", "if", "else", "first(", "string(", "get(", "[0]", "[1:]", "#acc"),
)
floats = st.floats(allow_nan=False, allow_infinity=False)
numbers = floats | st.none()


@given(words=st.lists(st.sampled_from(TOKENS), max_size=14), a=numbers, b=numbers)
def test_nothing_but_formula_errors_ever_comes_out(words, a, b) -> None:
    """Any text is refused or compiled, and any values give a finite number, nil or an error."""
    try:
        result = compile_formula(" ".join(words), NAMES).evaluate({"a": a, "b": b})
    except FormulaError:
        return
    assert result is None or math.isfinite(result)


@given(text=st.text(max_size=40))
def test_any_text_is_survived(text) -> None:
    """Characters that begin no formula are refused with a formula error, never another one."""
    with suppress(FormulaError):
        assert compile_formula(text, NAMES).source == text


safe = st.floats(min_value=-1e6, max_value=1e6)


@given(a=safe, b=safe)
def test_arithmetic_equals_pythons(a, b) -> None:
    """Where Python and the language agree on the rules, they agree on the result."""
    for source, expected in (
        ("a + b * 2", a + b * 2),
        ("(a - b) / 4", (a - b) / 4),
        ("max(a, b) - min([a, b])", max(a, b) - min(a, b)),
        ("a < b ? a : b", min(a, b)),
        ("sum([a, b], {# * #})", 0 + a * a + b * b),
        ("abs(a) + floor(b) + ceil(b)", abs(a) + math.floor(b) + math.ceil(b)),
    ):
        assert compile_formula(source, NAMES).evaluate({"a": a, "b": b}) == expected
