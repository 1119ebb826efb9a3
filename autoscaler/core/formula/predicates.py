"""Functions that evaluate an expression once per list element: ``filter(list, {# > 1})``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from autoscaler.core.formula import values
from autoscaler.core.formula.types import ANY, BOOL, INT, Kind, Type, element_of, list_of
from autoscaler.core.formula.values import ValueProblem

Evaluate = Callable[[Any], Any]
"""The predicate's value for one element."""


class PredicateFunction(NamedTuple):
    """A function with a predicate.

    Attributes:
        run: Takes the list, the predicate (None when left out) and further arguments.
        result: Type of the result, from the list's and the predicate's type.
        predicate: Kinds the predicate may yield.
        optional: Whether the predicate may be left out.
        most: Most arguments, predicate included.
    """

    run: Callable[..., Any]
    result: Callable[[Type, Type], Type]
    predicate: tuple[Kind, ...] = (Kind.BOOL,)
    optional: bool = False
    most: int = 2


def _truths(listed: tuple[Any, ...], test: Evaluate) -> Iterator[bool]:
    return (values.truth(test(item)) for item in listed)


def _one(listed: tuple[Any, ...], test: Evaluate) -> bool:
    return sum(_truths(listed, test)) == 1


def _filter(listed: tuple[Any, ...], test: Evaluate) -> tuple[Any, ...]:
    return tuple(item for item in listed if values.truth(test(item)))


def _map(listed: tuple[Any, ...], change: Evaluate) -> tuple[Any, ...]:
    return tuple(values.plain(change(item)) for item in listed)


def _count(listed: tuple[Any, ...], test: Evaluate | None) -> int:
    return sum(_truths(listed, test) if test else map(values.truth, listed))


def _sum(listed: tuple[Any, ...], change: Evaluate | None) -> Any:
    total: Any = 0
    for item in listed:
        total = values.add(total, change(item) if change else item)
    return total


def _find(listed: tuple[Any, ...], test: Evaluate) -> Any:
    return next((item for item in listed if values.truth(test(item))), None)


def _find_index(listed: tuple[Any, ...], test: Evaluate) -> int:
    return next((place for place, item in enumerate(listed) if values.truth(test(item))), -1)


def _find_last(listed: tuple[Any, ...], test: Evaluate) -> Any:
    return _find(listed[::-1], test)


def _find_last_index(listed: tuple[Any, ...], test: Evaluate) -> int:
    place = _find_index(listed[::-1], test)
    return -1 if place < 0 else len(listed) - 1 - place


def _sort_by(listed: tuple[Any, ...], rank: Evaluate, order: Any = "asc") -> tuple[Any, ...]:
    if order not in ("asc", "desc"):
        raise ValueProblem(f"the order is “asc” or “desc”, not {values.shown(order)}")
    ranks = [rank(item) for item in listed]
    values.ordered(ranks)
    places = sorted(range(len(listed)), key=ranks.__getitem__, reverse=order == "desc")
    return tuple(listed[place] for place in places)


def _bool(_listed: Type, _predicate: Type) -> Type:
    return BOOL


def _int(_listed: Type, _predicate: Type) -> Type:
    return INT


def _same(listed: Type, _predicate: Type) -> Type:
    return listed if listed.kind is Kind.LIST else list_of(ANY)


def _element(listed: Type, _predicate: Type) -> Type:
    return element_of(listed)


_ANYTHING: Final = tuple(Kind)
_NUMBERS: Final = (Kind.INT, Kind.FLOAT)

PREDICATES: Final[dict[str, PredicateFunction]] = {
    "all": PredicateFunction(lambda listed, test: all(_truths(listed, test)), _bool),
    "none": PredicateFunction(lambda listed, test: not any(_truths(listed, test)), _bool),
    "any": PredicateFunction(lambda listed, test: any(_truths(listed, test)), _bool),
    "one": PredicateFunction(_one, _bool),
    "filter": PredicateFunction(_filter, _same),
    "map": PredicateFunction(_map, lambda _, changed: list_of(changed), _ANYTHING),
    "count": PredicateFunction(_count, _int, optional=True),
    "sum": PredicateFunction(
        _sum, lambda _, changed: changed, (*_NUMBERS, Kind.TEXT), optional=True
    ),
    "find": PredicateFunction(_find, _element),
    "findIndex": PredicateFunction(_find_index, _int),
    "findLast": PredicateFunction(_find_last, _element),
    "findLastIndex": PredicateFunction(_find_last_index, _int),
    "sortBy": PredicateFunction(_sort_by, _same, (*_NUMBERS, Kind.TEXT), most=3),
}
"""By name; ``reduce`` also has an accumulator and is compiled on its own."""
