"""The functions of the formula language: what they accept, return and do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from autoscaler.core.formula import values
from autoscaler.core.formula.types import (
    ANY,
    FLOAT,
    INT,
    TEXT,
    Kind,
    Type,
    element_of,
    list_of,
)
from autoscaler.core.formula.values import ValueProblem

_NUMBERS: Final = (Kind.INT, Kind.FLOAT)
MANY: Final = 1_000_000
"""Stands for any number of arguments."""


class Function(NamedTuple):
    """A function without predicate.

    Attributes:
        run: Takes the arguments; raises ValueProblem.
        result: Type of the result, from the argument types.
        accepts: Kinds each argument may have; the last entry repeats.
        least: Fewest arguments.
        most: Most arguments.
    """

    run: Callable[..., Any]
    result: Callable[[Sequence[Type]], Type]
    accepts: tuple[tuple[Kind, ...], ...] = (tuple(Kind),)
    least: int = 1
    most: int = 1


def _returns(result: Type) -> Callable[[Sequence[Type]], Type]:
    return lambda _: result


def _same(arguments: Sequence[Type]) -> Type:
    return arguments[0]


def _element(arguments: Sequence[Type]) -> Type:
    return element_of(arguments[0])


def _round_half_away(value: Any) -> float:
    number = float(values.number(value))
    whole = math.trunc(number) if math.isfinite(number) else number
    return float(whole + math.copysign(1, number) if abs(number - whole) >= 0.5 else whole)  # noqa: PLR2004 - a half


def _to_whole(rule: Callable[[float], int]) -> Callable[[Any], float]:
    def run(value: Any) -> float:
        number = float(values.number(value))
        return float(rule(number)) if math.isfinite(number) else number

    return run


def _numbers(arguments: Sequence[Any]) -> list[Any]:
    """Return all numbers among the arguments, those inside lists included."""
    found: list[Any] = []
    for argument in arguments:
        found.extend(argument if isinstance(argument, tuple) else (argument,))
    for value in found:
        if type(value) is not float:
            values.number(value)
    return found


def _largest(*arguments: Any) -> Any:
    return max(_numbers(arguments), default=None)


def _smallest(*arguments: Any) -> Any:
    return min(_numbers(arguments), default=None)


def _mean(*arguments: Any) -> float:
    numbers = _numbers(arguments)
    return float(sum(numbers)) / len(numbers) if numbers else 0.0


def _median(*arguments: Any) -> float:
    numbers = sorted(map(float, _numbers(arguments)))
    if not numbers:
        return 0.0
    middle = len(numbers) // 2
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def _length(value: Any) -> int:
    if isinstance(value, str | tuple | dict):
        return len(value)
    raise ValueProblem(f"{values.kind_of(value)} has no length")


def _first(listed: Any) -> Any:
    found = values.items(listed)
    return found[0] if found else None


def _last(listed: Any) -> Any:
    found = values.items(listed)
    return found[-1] if found else None


def _get(container: Any, key: Any) -> Any:
    try:
        return values.element(container, key)
    except ValueProblem:
        return None


def _unique(listed: Any) -> tuple[Any, ...]:
    kept: list[Any] = []
    for item in values.items(listed):
        if not any(values.equal(item, other) for other in kept):
            kept.append(item)
    return tuple(kept)


def _sort(listed: Any, order: Any = "asc") -> tuple[Any, ...]:
    if order not in ("asc", "desc"):
        raise ValueProblem(f"the order is “asc” or “desc”, not {values.shown(order)}")
    found = values.ordered(values.items(listed))
    return tuple(found if order == "asc" else reversed(found))


def _concat(*lists: Any) -> tuple[Any, ...]:
    joined = tuple(item for listed in lists for item in values.items(listed))
    values.sized(joined)
    return joined


def _take(listed: Any, count: Any) -> tuple[Any, ...]:
    if values.integer(count) < 0:
        raise ValueProblem("the count is negative")
    return values.items(listed)[:count]


def _shift(left: bool) -> Callable[[Any, Any], int]:
    def run(value: Any, places: Any) -> int:
        number, distance = values.integer(value), values.integer(places)
        if distance < 0:
            raise ValueProblem("the shift is negative")
        return _wrapped(number << min(distance, 64)) if left else number >> distance

    return run


def _unsigned_shift(value: Any, places: Any) -> int:
    number, distance = values.integer(value), values.integer(places)
    if distance < 0:
        raise ValueProblem("the shift is negative")
    return _wrapped((number % 2**64) >> distance)


def _wrapped(value: int) -> int:
    """Return ``value`` as a signed 64-bit integer, as bit operations leave it."""
    return (value + 2**63) % 2**64 - 2**63


def _bits(operation: Callable[[int, int], int]) -> Function:
    def run(left: Any, right: Any) -> int:
        return _wrapped(operation(values.integer(left), values.integer(right)))

    return Function(run, _returns(INT), ((Kind.INT,),), 2, 2)


def _aggregate(run: Callable[..., Any], result: Type = ANY) -> Function:
    return Function(run, _returns(result), ((*_NUMBERS, Kind.LIST),), 1, MANY)


FUNCTIONS: Final[dict[str, Function]] = {
    "abs": Function(lambda v: values.bounded(abs(values.number(v))), _same, (_NUMBERS,)),
    "ceil": Function(_to_whole(math.ceil), _returns(FLOAT), (_NUMBERS,)),
    "floor": Function(_to_whole(math.floor), _returns(FLOAT), (_NUMBERS,)),
    "round": Function(_round_half_away, _returns(FLOAT), (_NUMBERS,)),
    "int": Function(values.to_integer, _returns(INT), ((*_NUMBERS, Kind.TEXT),)),
    "float": Function(values.to_float, _returns(FLOAT), ((*_NUMBERS, Kind.TEXT),)),
    "string": Function(values.text_of, _returns(TEXT)),
    "toJSON": Function(values.json_of, _returns(TEXT)),
    "len": Function(_length, _returns(INT), ((Kind.TEXT, Kind.LIST, Kind.MAP),)),
    "max": _aggregate(_largest),
    "min": _aggregate(_smallest),
    "mean": _aggregate(_mean, FLOAT),
    "median": _aggregate(_median, FLOAT),
    "first": Function(_first, _element, ((Kind.LIST,),)),
    "last": Function(_last, _element, ((Kind.LIST,),)),
    "get": Function(_get, _returns(ANY), ((Kind.LIST, Kind.MAP), (Kind.INT, Kind.TEXT)), 2, 2),
    "take": Function(_take, _same, ((Kind.LIST,), (Kind.INT,)), 2, 2),
    "reverse": Function(lambda v: values.items(v)[::-1], _same, ((Kind.LIST,),)),
    "uniq": Function(_unique, _same, ((Kind.LIST,),)),
    "sort": Function(_sort, _same, ((Kind.LIST,), (Kind.TEXT,)), 1, 2),
    "concat": Function(_concat, _returns(list_of(ANY)), ((Kind.LIST,),), 1, MANY),
    "bitand": _bits(lambda a, b: a & b),
    "bitor": _bits(lambda a, b: a | b),
    "bitxor": _bits(lambda a, b: a ^ b),
    "bitnand": _bits(lambda a, b: a & ~b),
    "bitnot": Function(lambda v: ~values.integer(v), _returns(INT), ((Kind.INT,),)),
    "bitshl": Function(_shift(left=True), _returns(INT), ((Kind.INT,),), 2, 2),
    "bitshr": Function(_shift(left=False), _returns(INT), ((Kind.INT,),), 2, 2),
    "bitushr": Function(_unsigned_shift, _returns(INT), ((Kind.INT,),), 2, 2),
}
"""By name; functions with a predicate are compiled in ``predicates.py``."""

TIME_FUNCTIONS: Final = frozenset(("now", "date", "duration", "timezone"))
"""Known to expr-lang, left out here: a formula may depend on trigger values only."""
