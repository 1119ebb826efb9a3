"""What operators do to values: IEEE division, 64-bit integers, comparison by value.

Python differs from the language in four ways that matter here: dividing by zero raises, ``%``
rounds down instead of toward zero, integers have no limit, and truth values count as integers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from autoscaler.errors import shorten

INTEGER_MAX: Final = 2**63 - 1
INTEGER_MIN: Final = -(2**63)
SIZE_LIMIT: Final = 10_000
_SMALLEST_PLAIN: Final = -4


class ValueProblem(Exception):
    """An operation has no result for these values."""


def kind_of(value: Any) -> str:
    """Return the word for a value's kind, for messages."""
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, int | float):
        return "a number"
    names = {type(None): "nil", str: "a text", tuple: "a list", dict: "a map"}
    return names[type(value)]


def is_number(value: Any) -> bool:
    """Whether a value is an integer or a float (and no truth value)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: Any) -> Any:
    """Return ``value`` if it is a number."""
    if not is_number(value):
        raise ValueProblem(f"a number is needed, not {kind_of(value)}")
    return value


def integer(value: Any) -> int:
    """Return ``value`` if it is an integer."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueProblem(f"an integer is needed, not {kind_of(value)} {shown(value)}")
    return value


def truth(value: Any) -> bool:
    """Return ``value`` if it is a truth value."""
    if not isinstance(value, bool):
        raise ValueProblem(f"true or false is needed, not {kind_of(value)}")
    return value


def items(value: Any) -> tuple[Any, ...]:
    """Return ``value`` if it is a list."""
    if not isinstance(value, tuple):
        raise ValueProblem(f"a list is needed, not {kind_of(value)}")
    return value


def shown(value: Any) -> str:
    """Return a value for a message."""
    return shorten(text_of(value), 40)


def bounded(value: Any) -> Any:
    """Return a result of integer arithmetic, which must fit in 64 bits."""
    if isinstance(value, int) and not INTEGER_MIN <= value <= INTEGER_MAX:
        raise ValueProblem("the integer does not fit in 64 bits")
    return value


def sized(value: Any) -> Any:
    """Return a list or text that was put together, which must not grow without limit."""
    if len(value) > SIZE_LIMIT:
        raise ValueProblem(f"more than {SIZE_LIMIT} elements")
    return value


def plain(value: Any) -> Any:
    """Return ``value`` if it may be an element: lists and maps do not nest.

    Without nesting the work a formula can cause stays proportional to what is written in it.
    """
    if isinstance(value, tuple | dict):
        raise ValueProblem(f"{kind_of(value)} cannot be inside a list or map")
    return value


def span(first: Any, last: Any) -> tuple[int, ...]:
    """Return the integers from ``first`` to ``last``, both included."""
    start, stop = integer(first), integer(last)
    if stop - start >= SIZE_LIMIT:
        raise ValueProblem(f"more than {SIZE_LIMIT} elements")
    return tuple(range(start, stop + 1))


def add(left: Any, right: Any) -> Any:
    """Return the sum of two numbers, or two texts joined."""
    if isinstance(left, str) and isinstance(right, str):
        return sized(left + right)
    return bounded(number(left) + number(right))


def subtract(left: Any, right: Any) -> Any:
    """Return the difference."""
    return bounded(number(left) - number(right))


def multiply(left: Any, right: Any) -> Any:
    """Return the product."""
    return bounded(number(left) * number(right))


def divide(left: Any, right: Any) -> float:
    """Return the quotient as a float; dividing by zero gives an infinity or NaN."""
    numerator, denominator = float(number(left)), float(number(right))
    if denominator:
        return numerator / denominator
    if not numerator or math.isnan(numerator):
        return math.nan
    return math.copysign(math.inf, numerator) * math.copysign(1.0, denominator)


def remainder(left: Any, right: Any) -> int:
    """Return the remainder of two integers; its sign is the dividend's."""
    dividend, divisor = integer(left), integer(right)
    if not divisor:
        raise ValueProblem("division by zero")
    rest = abs(dividend) % abs(divisor)
    return -rest if dividend < 0 else rest


def power(left: Any, right: Any) -> float:
    """Return a power as a float, as IEEE 754 ``pow`` defines it."""
    base, exponent = float(number(left)), float(number(right))
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf
    except ValueError:
        if base:
            return math.nan
        odd = exponent % 2 == 1
        return math.copysign(math.inf, base) if odd else math.inf


def equal(left: Any, right: Any) -> bool:
    """Whether two values are equal; values of different kinds are not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)


def less(left: Any, right: Any) -> bool:
    """Whether ``left`` comes before ``right``; both numbers or both texts."""
    if isinstance(left, str) and isinstance(right, str):
        return left < right
    return bool(number(left) < number(right))


def at_most(left: Any, right: Any) -> bool:
    """Whether ``left`` is not after ``right``; both numbers or both texts."""
    if isinstance(left, str) and isinstance(right, str):
        return left <= right
    return bool(number(left) <= number(right))


def contains(container: Any, value: Any) -> bool:
    """Whether a list has an element, or a map a key."""
    if isinstance(container, dict):
        return isinstance(value, str) and value in container
    if container is None:
        return False
    return any(equal(value, item) for item in items(container))


def element(container: Any, key: Any) -> Any:
    """Return a list's element (negative counts from the end) or a map's value (nil if none)."""
    if isinstance(container, dict):
        return container.get(key) if isinstance(key, str) else None
    listed, index = items(container), integer(key)
    if not -len(listed) <= index < len(listed):
        raise ValueProblem(f"index {index} is outside a list of {len(listed)}")
    return listed[index]


def part(container: Any, start: Any, stop: Any) -> Any:
    """Return a list's or text's part from ``start`` up to ``stop``."""
    if not isinstance(container, str):
        items(container)
    size = len(container)
    ends = (0 if start is None else integer(start), size if stop is None else integer(stop))
    first, last = (max(0, min(size, end + size if end < 0 else end)) for end in ends)
    return container[first:last]


def to_float(value: Any) -> float:
    """Return a number or a numeric text as a float."""
    if isinstance(value, str):
        try:
            parsed = float(value)
        except ValueError:
            parsed = None
        if parsed is None or value != value.strip() or "_" in value:
            raise ValueProblem(f"“{shorten(value, 40)}” is no number")
        return parsed
    return float(number(value))


def to_integer(value: Any) -> int:
    """Return a number truncated toward zero, or a text of digits, as an integer."""
    if isinstance(value, str):
        if not value.lstrip("+-").isascii() or not value.lstrip("+-").isdigit():
            raise ValueProblem(f"“{shorten(value, 40)}” is no integer")
        return int(bounded(int(value)))
    if not math.isfinite(number(value)):
        raise ValueProblem("infinity and NaN have no integer")
    return int(bounded(int(value)))


def text_of(value: Any) -> str:
    """Return a value as text; floats have an exponent from a million on."""
    match value:
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case float():
            return float_text(value, exponent_from=6)
        case tuple():
            return "[" + " ".join(map(text_of, value)) + "]"
        case dict():
            return "{" + " ".join(f"{k}:{text_of(v)}" for k, v in sorted(value.items())) + "}"
        case _:
            return str(value)


def json_of(value: Any) -> str:
    """Return a value as JSON; floats have an exponent from 1e21 on."""
    match value:
        case None:
            return "null"
        case float() if not math.isfinite(value):
            raise ValueProblem("infinity and NaN have no JSON")
        case float():
            return float_text(value, exponent_from=21)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case tuple():
            return "[" + ",".join(map(json_of, value)) + "]"
        case dict():
            pairs = sorted(value.items())
            return "{" + ",".join(f"{json_of(k)}:{json_of(v)}" for k, v in pairs) + "}"
        case _:
            return text_of(value)


def float_text(value: float, *, exponent_from: int) -> str:
    """Return the shortest text that reads back as ``value``.

    Args:
        value: Any float.
        exponent_from: Power of ten from which on the text has an exponent.
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    power_of_ten = len(digits) + exponent - 1
    if _SMALLEST_PLAIN <= power_of_ten < exponent_from:
        return f"{Decimal(repr(value)).normalize():f}"
    first, *rest = map(str, digits)
    fraction = "." + "".join(rest) if rest else ""
    return f"{'-' * sign}{first}{fraction}e{power_of_ten:+03d}"


def ordered(values: Sequence[Any]) -> list[Any]:
    """Return values sorted; all numbers or all texts."""
    if all(isinstance(value, str) for value in values):
        return sorted(values)
    return sorted(number(value) for value in values)
