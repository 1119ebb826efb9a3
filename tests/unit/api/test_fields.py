"""Field types: durations, quantities, times and nulls."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from autoscaler.api.fields import (
    ApiModel,
    Quantity,
    Timestamp,
    parse_duration,
    parse_timestamp,
    without_nulls,
)


class Sample(ApiModel):
    amount: Quantity | None = None
    since: Timestamp | None = None


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(90, 90.0), ("90", 90.0), ("90s", 90.0), ("1m30s", 90.0), ("1.5h", 5400.0), ("250ms", 0.25)],
)
def test_durations_are_seconds_or_units(written: object, seconds: float) -> None:
    """Whole seconds and unit texts give the same amount."""
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    [0, -1, "0s", "", "soon", "1d", "1 m", "s", 1.5, True, None, [], "\uff11s", "1" * 400],
)
def test_other_durations_are_refused(written: object) -> None:
    """Nothing else is a duration, nor is zero or less."""
    with pytest.raises(ValueError, match="must be seconds"):
        parse_duration(written)


def test_quantities_keep_their_text() -> None:
    """A quantity may be a text or a whole number and is kept as text."""
    assert Sample(amount="50m").amount == "50m"
    assert Sample.model_validate({"amount": 1}).amount == "1"
    for wrong in ("much", 0.1, True, ["1"]):
        with pytest.raises(ValidationError):
            Sample.model_validate({"amount": wrong})


def test_times_are_rfc_3339() -> None:
    """Times with and without offset are understood; UTC is assumed."""
    assert parse_timestamp("1970-01-01T00:01:00Z") == 60.0
    assert parse_timestamp("1970-01-01T01:01:00+01:00") == 60.0
    assert parse_timestamp("1970-01-01T00:01:00") == 60.0
    for wrong in ("yesterday", 5):
        with pytest.raises(ValidationError):
            Sample.model_validate({"since": wrong})


def test_nulls_count_as_absent() -> None:
    """Null fields vanish at any depth; null list items and empty blocks stay."""
    raw = {"a": None, "b": {"c": None, "d": [{"e": None}, None]}, "f": {}}
    assert without_nulls(raw) == {"b": {"d": [{}, None]}, "f": {}}
