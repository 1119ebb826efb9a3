"""Formulas over many lanes give what the core gives, and what they cannot give they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autoscaler.core.formula import compile_formula
from simulations.policies.vectorised.formulas import LaneFormula, form_of

NAMES = ("rate", "queue")


def _lanes_of(*sources):
    return [compile_formula(source, NAMES) for source in sources]


@pytest.mark.parametrize(
    "sources",
    [
        (
            "max((rate + 4.88 * rate ** 0.5) / 17, queue / 100)",
            "max((rate + 2 * rate ** 0.5) / 14, queue / 7)",
        ),
        ("rate / queue", "rate / queue"),
        ("queue ** 1.5 - rate", "queue ** 0.3 - rate"),
        ("min(rate, queue, 3) * 2.5", "min(rate, queue, 8) * 0.5"),
        ("max(0 / queue, rate)", "max(0 / queue, rate)"),
        ("max(rate, 0 / queue)", "max(rate, 0 / queue)"),
        ("1 / -0", "1 / -0"),
        ('-queue + $env["rate"]', '-queue + $env["rate"]'),
    ],
)
@pytest.mark.parametrize("rate", [0.0, 0.3, 123.456, 1e200])
def test_lanes_give_what_the_core_gives(sources, rate):
    """Bit for bit, infinities and NaN included, whether a value is the same in all lanes or not."""
    formulas = _lanes_of(*sources)
    queue = np.array([0.0, 41.7])
    for given in (rate, np.array([rate, rate])):
        found = LaneFormula(formulas).evaluate({"rate": given, "queue": queue})
        found = np.broadcast_to(found, 2)
        for lane, formula in enumerate(formulas):
            expected = formula.run({"rate": rate, "queue": float(queue[lane])})
            assert found[lane] == expected or (math.isnan(found[lane]) and math.isnan(expected))


@pytest.mark.parametrize(
    "source",
    [
        "rate > 3 ? rate : queue",
        "rate ?? 1",
        "2 * 3 + rate",
        "max(1, rate) * 3",
        "len([rate]) + rate",
        "let x = rate; x + 1",
        "rate + 99999999999",
        '"3"',
    ],
)
def test_other_formulas_are_left_to_exact_replay(source):
    """Choices, nil, lists and arithmetic on integers alone have no form."""
    assert form_of(compile_formula(source, NAMES)) is None


def test_formulas_share_a_form_when_only_numbers_differ():
    """Names, operators and the number of arguments must be the same."""
    first, alike, other = _lanes_of("rate / 14 + queue", "rate / 2.5 + queue", "queue / 14 + rate")
    assert form_of(first) == form_of(alike)
    assert form_of(first) != form_of(other)
