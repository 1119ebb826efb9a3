"""Kubernetes quantities: text to integer thousandths and doubles, and back to canonical text.

The grammar is ``[+-] digits [. digits] suffix`` with a decimal (``n u m k M G T P E``), binary
(``Ki`` … ``Ei``) or exponent (``e3``, ``E-3``) suffix. The smallest unit is nano; more digits, and
anything below a thousandth in :func:`to_milli`, are rounded away from zero, as the API server and
the HPA do. Amounts of 10^30 and more are refused: nothing Kubernetes can store is that large.
"""

from __future__ import annotations

import re
from typing import Final

from autoscaler.errors import QuantityError, shorten

_NANO_DIGITS: Final = 9
_LARGEST_EXPONENT: Final = 30
_LONGEST_EXPONENT_TEXT: Final = 4
_BINARY_BASE: Final = 1024
_DECIMAL_EXPONENTS: Final = {
    "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18,
}  # fmt: skip
_DECIMAL_SUFFIXES: Final = {exponent: suffix for suffix, exponent in _DECIMAL_EXPONENTS.items()}
_BINARY_SUFFIXES: Final = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_GRAMMAR: Final = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)(?:\.(?P<part>[0-9]*))?"
    r"(?:(?P<decimal>[numkMGTPE]?)|(?P<binary>[KMGTPE]i)|[eE](?P<exponent>[+-]?[0-9]+))"
)
_LONGEST_TEXT: Final = 128
_POWERS_OF_TEN: Final = {exponent: float(f"1e{exponent}") for exponent in range(-9, 31)}


class _Parsed:
    """``mantissa * 10**exponent`` with the spelling it came in."""

    __slots__ = ("exponent", "mantissa", "style")

    def __init__(self, mantissa: int, exponent: int, style: str) -> None:
        self.mantissa = mantissa
        self.exponent = exponent
        self.style = style


def to_milli(text: str) -> int:
    """Return a quantity in thousandths, rounded away from zero.

    Args:
        text: For example ``"1500m"``, ``"0.5"``, ``"2Gi"``.

    Returns:
        Any integer; amounts beyond int64 thousandths are returned as they are.

    Raises:
        QuantityError: The text is no quantity.
    """
    parsed = _parse(text)
    return _scaled_away_from_zero(parsed.mantissa, parsed.exponent + 3)


def as_double(text: str) -> float:
    """Return a quantity as the double the HPA uses for tolerances.

    It is ``mantissa * 10**scale`` of the canonical spelling, which can differ in the last bit from
    reading the decimal text: ``"0.069"`` is ``69 * 0.001``.

    Raises:
        QuantityError: The text is no quantity.
    """
    parsed = _parse(text)
    if parsed.exponent == 0:
        return float(parsed.mantissa)
    return float(parsed.mantissa) * _POWERS_OF_TEN[parsed.exponent]


def canonical(text: str) -> str:
    """Return a quantity's canonical spelling, the one Kubernetes prints: ``"0.5"`` is ``"500m"``.

    Raises:
        QuantityError: The text is no quantity.
    """
    parsed = _parse(text)
    style = parsed.style
    if style == "binary":
        units = parsed.mantissa * 10 ** max(parsed.exponent, 0)
        if parsed.exponent >= 0 and abs(units) >= _BINARY_BASE:
            return _print_binary(units)
        style = "decimal"
    return _print_decimal(parsed.mantissa, parsed.exponent, style)


def format_milli(milli: int) -> str:
    """Return an amount of thousandths as canonical text: 1500 is ``"1500m"``, 1000000 ``"1k"``."""
    mantissa, exponent = _normal(milli, -3)
    return _print_decimal(mantissa, exponent, "decimal")


def _parse(text: str) -> _Parsed:
    match = _GRAMMAR.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    whole, part = (match["whole"], match["part"] or "") if match else ("", "")
    if match is None or not (whole or part):
        raise QuantityError(
            f"{shorten(text, 40)!r} is no quantity; write a number with an optional suffix such as "
            '"500m", "2", "1.5k", "64Mi" or "1e3"'
        )
    mantissa = int(f"{match['sign']}{whole}{part}")
    exponent = -len(part)
    style = "decimal"
    if match["binary"]:
        style = "binary"
        mantissa *= _BINARY_BASE ** _BINARY_SUFFIXES.index(match["binary"])
    elif match["exponent"]:
        style = "exponent"
        exponent += _exponent(match["exponent"], text)
    else:
        exponent += _DECIMAL_EXPONENTS[match["decimal"]]
    mantissa, exponent = _normal(mantissa, exponent)
    if len(str(abs(mantissa))) + exponent > _LARGEST_EXPONENT:
        raise _out_of_range(text)
    return _Parsed(mantissa, exponent, style)


def _exponent(digits: str, text: str) -> int:
    if len(digits) > _LONGEST_EXPONENT_TEXT:
        raise _out_of_range(text)
    return int(digits)


def _normal(mantissa: int, exponent: int) -> tuple[int, int]:
    """Round to nano; strip zeros; make the exponent a multiple of three."""
    if exponent < -_NANO_DIGITS:
        mantissa = _scaled_away_from_zero(mantissa, exponent + _NANO_DIGITS)
        exponent = -_NANO_DIGITS
    if mantissa == 0:
        return 0, 0
    while mantissa % 10 == 0:
        mantissa //= 10
        exponent += 1
    surplus = exponent % 3
    return mantissa * 10**surplus, exponent - surplus


def _scaled_away_from_zero(mantissa: int, exponent: int) -> int:
    """Return ``mantissa * 10**exponent`` as an integer, rounded away from zero."""
    factor: int = 10 ** abs(exponent)
    if exponent >= 0:
        return mantissa * factor
    units = -(-abs(mantissa) // factor)
    return units if mantissa >= 0 else -units


def _print_decimal(mantissa: int, exponent: int, style: str) -> str:
    if style == "exponent" or exponent not in _DECIMAL_SUFFIXES:
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_DECIMAL_SUFFIXES[exponent]}"


def _print_binary(units: int) -> str:
    power = 0
    while units % _BINARY_BASE == 0 and power < len(_BINARY_SUFFIXES) - 1:
        units //= _BINARY_BASE
        power += 1
    return f"{units}{_BINARY_SUFFIXES[power]}"


def _out_of_range(text: str) -> QuantityError:
    return QuantityError(
        f"{shorten(text, 40)!r} is out of range; quantities are below 1e{_LARGEST_EXPONENT}"
    )
