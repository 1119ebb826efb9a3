"""Replay of quantity parsing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autoscaler.core.quantity import as_double, canonical, to_milli
from autoscaler.errors import QuantityError
from tests.golden.replay import Case, Outcome, replays


@replays("hpa/quantities")
def quantities(case: Case, _document: Mapping[str, Any]) -> Outcome:
    """Thousandths, tolerance double and spelling equal the API server's and the controller's.

    The API server keeps some texts as the user spelt them; those need only mean the same.
    """
    text = case["input"]
    try:
        milli = to_milli(text)
    except QuantityError:
        assert not case["valid"], "refused"
        return None
    assert case["valid"], "accepted"
    stored = case["as_stored"]
    assert canonical(stored) == canonical(text)
    assert stored in {text, canonical(text)}, canonical(text)
    if "milli_value" in case:
        assert milli == case["milli_value"], milli
    if "as_approximate_float64_hex" in case:
        expected = float.fromhex(case["as_approximate_float64_hex"])
        assert as_double(text) == expected, as_double(text)
    return None
