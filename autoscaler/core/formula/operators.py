"""Binary operators: which types they accept and the fastest way to run them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from autoscaler.core.formula import values
from autoscaler.core.formula.types import ANY, BOOL, FLOAT, INT, Kind, Type, list_of, wider

_NUMBERS: Final = (Kind.INT, Kind.FLOAT)


class Operator(NamedTuple):
    """What an operator does.

    Attributes:
        run: On any two values; raises ValueProblem.
        operands: Kinds that may be combined with each other, in groups.
        result: Type of the result, from the operand types.
        fast: On two operands known to be numbers (or nil, which raises TypeError).
    """

    run: Callable[[Any, Any], Any]
    operands: tuple[tuple[Kind, ...], ...]
    result: Callable[[Type, Type], Type]
    fast: Callable[[Any, Any], Any] | None = None


def _bool(_left: Type, _right: Type) -> Type:
    return BOOL


def _float(_left: Type, _right: Type) -> Type:
    return FLOAT


def _sum(left: Type, right: Type) -> Type:
    return left if left == right else wider(left, right)


def _int(left: Type, right: Type) -> Type:
    return INT if left == right == INT else ANY


def _range(_left: Type, _right: Type) -> Type:
    return list_of(INT)


def _text_pair(left: Any, right: Any) -> tuple[str, str]:
    if not isinstance(left, str) or not isinstance(right, str):
        other = left if not isinstance(left, str) else right
        raise values.ValueProblem(f"a text is needed, not {values.kind_of(other)}")
    return left, right


def _contains(left: Any, right: Any) -> bool:
    whole, piece = _text_pair(left, right)
    return piece in whole


def _starts(left: Any, right: Any) -> bool:
    whole, piece = _text_pair(left, right)
    return whole.startswith(piece)


def _ends(left: Any, right: Any) -> bool:
    whole, piece = _text_pair(left, right)
    return whole.endswith(piece)


OPERATORS: Final[dict[str, Operator]] = {
    "+": Operator(values.add, (_NUMBERS, (Kind.TEXT,)), _sum, lambda a, b: a + b),
    "-": Operator(values.subtract, (_NUMBERS,), wider, lambda a, b: a - b),
    "*": Operator(values.multiply, (_NUMBERS,), wider, lambda a, b: a * b),
    "/": Operator(values.divide, (_NUMBERS,), _float),
    "**": Operator(values.power, (_NUMBERS,), _float),
    "%": Operator(values.remainder, ((Kind.INT,),), _int),
    "<": Operator(values.less, (_NUMBERS, (Kind.TEXT,)), _bool, lambda a, b: a < b),
    ">": Operator(
        lambda a, b: values.less(b, a), (_NUMBERS, (Kind.TEXT,)), _bool, lambda a, b: a > b
    ),
    "<=": Operator(values.at_most, (_NUMBERS, (Kind.TEXT,)), _bool, lambda a, b: a <= b),
    ">=": Operator(
        lambda a, b: values.at_most(b, a), (_NUMBERS, (Kind.TEXT,)), _bool, lambda a, b: a >= b
    ),
    "..": Operator(values.span, ((Kind.INT,),), _range),
    "contains": Operator(_contains, ((Kind.TEXT,),), _bool),
    "startsWith": Operator(_starts, ((Kind.TEXT,),), _bool),
    "endsWith": Operator(_ends, ((Kind.TEXT,),), _bool),
}
"""Operators that evaluate both operands; ``and or ?? in == !=`` are compiled on their own."""


def accepts(operator: Operator, left: Type, right: Type) -> bool:
    """Whether the operator can work on operands of these types."""
    return any(left.may_be(*kinds) and right.may_be(*kinds) for kinds in operator.operands)
