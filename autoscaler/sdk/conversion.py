"""Text of a trigger parameter to a value, accepting exactly what KEDA accepts.

KEDA reads numbers of typed parameters by the JSON grammar (no leading ``+``, no hexadecimal, no
leading zeros), booleans by Go's ``ParseBool`` and durations by Go's ``ParseDuration`` or as whole
milliseconds. Every function takes text already stripped of surrounding blanks and raises
``ValueError`` whose message is the accepted form, fit to follow ``"<name>": "<value>" is not …``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qsl

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
RANGE_LIMIT = 65_536
"""Most elements one ``1-5`` range may stand for; Kafka topics have far fewer partitions."""

_JSON_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")
_BOOLEANS = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "false", "FALSE", "False"), False
)
_DURATION_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_UNIT_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


def to_int(text: str) -> int:
    """Return a whole number of 64 bits."""
    if not _JSON_INTEGER.match(text) or not INT64_MIN <= int(text) <= INT64_MAX:
        raise ValueError("a whole number")
    return int(text)


def to_float(text: str) -> float:
    """Return a finite number; ``1e3`` and ``-0.5`` are fine, ``+3``, ``0x10`` and ``inf`` not."""
    if not _JSON_NUMBER.match(text) or abs(value := float(text)) == float("inf"):
        raise ValueError("a decimal number such as 5, 0.5 or 1e3")
    return value


def to_bool(text: str) -> bool:
    """Return a boolean as Go's ``ParseBool`` reads it."""
    if text not in _BOOLEANS:
        raise ValueError("true or false")
    return _BOOLEANS[text]


def to_seconds(text: str) -> float:
    """Return a duration in seconds, >= 0, from ``1m30s``, ``250ms`` or bare milliseconds."""
    accepted = 'a duration such as "30s", "1m30s" or a number of milliseconds, not negative'
    if re.match(r"[+-]?[0-9]+\Z", text):
        milliseconds = int(text)
        if not 0 <= milliseconds <= INT64_MAX // 10**6:
            raise ValueError(accepted)
        return milliseconds / 1000
    unsigned = text.removeprefix("+")
    parts = _DURATION_PART.findall(unsigned)
    if not parts or "".join(number + unit for number, unit in parts) != unsigned:
        raise ValueError(accepted)
    nanoseconds = sum(float(number) * _UNIT_NANOSECONDS[unit] for number, unit in parts)
    if nanoseconds > INT64_MAX:
        raise ValueError(accepted)
    return nanoseconds / 10**9


def to_list(
    text: str, element: Callable[[str], object], separator: str = ","
) -> tuple[object, ...]:
    """Return the elements between separators, each stripped and converted."""
    return tuple(element(part.strip()) for part in text.split(separator))


def to_int_list(text: str, *, range_separator: str = "-", separator: str = ",") -> tuple[int, ...]:
    """Return whole numbers of 32 bits, >= 0, from ``1,3-5``; a range backwards is empty."""
    numbers: list[int] = []
    for part in text.split(separator):
        ends = part.split(range_separator)
        low, high = to_int(ends[0]), to_int(ends[-1])
        if len(ends) > 2 or not INT32_MIN <= min(low, high) <= max(low, high) <= INT32_MAX:  # noqa: PLR2004 - a range has two ends
            raise ValueError("made of whole numbers and ranges such as 1,3-5")
        if high - low >= RANGE_LIMIT:
            raise ValueError(f"made of ranges of at most {RANGE_LIMIT} numbers")
        numbers.extend(range(low, high + 1))
    return tuple(numbers)


def to_map(text: str, separator: str = ",") -> dict[str, str]:
    """Return pairs from ``key=value,key=value``; keys and values are stripped."""
    pairs: dict[str, str] = {}
    for part in text.split(separator):
        key, equals, value = part.partition("=")
        if not equals or "=" in value:
            raise ValueError(f"made of pairs such as key=value{separator}key2=value2")
        pairs[key.strip()] = value.strip()
    return pairs


def to_url_map(text: str) -> dict[str, str]:
    """Return pairs from ``key=value&key=value``, percent-decoded; the first of a key counts."""
    if ";" in text or re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise ValueError("made of URL-encoded pairs such as key=value&key2=a%20b")
    pairs: dict[str, str] = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        pairs.setdefault(key, value)
    return pairs
