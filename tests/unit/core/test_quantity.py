"""Kubernetes quantities as text, thousandths and doubles."""

from __future__ import annotations

import pytest

from autoscaler.core.quantity import as_double, canonical, format_milli, to_milli
from autoscaler.errors import QuantityError


@pytest.mark.parametrize(
    ("text", "milli"),
    [
        ("0", 0),
        ("1500m", 1500),
        (".5", 500),
        ("5.", 5000),
        ("+5", 5000),
        ("2k", 2_000_000),
        ("1Ki", 1_024_000),
        ("1e3", 1_000_000),
        ("1E-3", 1),
        ("12E", 12 * 10**21),
    ],
)
def test_reads_every_spelling(text: str, milli: int) -> None:
    """Decimal, binary and exponent suffixes are understood."""
    assert to_milli(text) == milli


@pytest.mark.parametrize(("text", "milli"), [("1u", 1), ("1001u", 2), ("-1500u", -2), ("1e-20", 1)])
def test_rounds_away_from_zero(text: str, milli: int) -> None:
    """What does not fit a thousandth grows in magnitude, never shrinks."""
    assert to_milli(text) == milli


@pytest.mark.parametrize("text", ["", ".", "1K", "1 000", "0x10", "1e", "--1", "1m1", "9" * 200])
def test_refuses_what_is_no_quantity(text: str) -> None:
    """The error shows the text, shortened, and how to write it."""
    with pytest.raises(QuantityError, match="is no quantity; write a number"):
        to_milli(text)


@pytest.mark.parametrize("text", ["1e30", "-1e31", "1e99999", "9" * 31])
def test_refuses_amounts_beyond_all_measure(text: str) -> None:
    """An absurd exponent must not cost memory or time."""
    with pytest.raises(QuantityError, match="out of range"):
        to_milli(text)


def test_tolerances_are_mantissa_times_power_of_ten() -> None:
    """The double is the HPA's, which can differ in the last bit from the decimal text."""
    assert as_double("0.069") == 69 * 0.001
    assert as_double("3") == 3.0
    assert as_double("0") == 0.0


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("0.5", "500m"),
        ("1000u", "1m"),
        ("1000", "1k"),
        ("0", "0"),
        ("-0.0001", "-100u"),
        ("64Mi", "64Mi"),
        ("1.5Ki", "1536"),
        ("0.1Ki", "102400m"),
        ("1500Ki", "1500Ki"),
        ("1000Ki", "1000Ki"),
        ("2Ei", "2Ei"),
        ("2048Ei", "2048Ei"),
        ("1e3", "1e3"),
        ("10e0", "10"),
        ("1e20", "100e18"),
        ("1000E", "1e21"),
    ],
)
def test_prints_the_canonical_spelling(text: str, printed: str) -> None:
    """Equal quantities print equally, in the suffix style they came in."""
    assert canonical(text) == printed


@pytest.mark.parametrize(("milli", "printed"), [(1500, "1500m"), (1_000_000, "1k"), (0, "0")])
def test_prints_thousandths(milli: int, printed: str) -> None:
    """Thousandths print as Kubernetes prints them."""
    assert format_milli(milli) == printed
