"""Scaling-modifier formulas of many policies at once, equal to the core's to the last bit.

Policies are evaluated together whose formulas differ in their numbers only. What is the same in all
lanes (the rate of requests is) is calculated once, by the core's own operations; the rest in
arrays, with operations whose results IEEE 754 fixes. Other formulas are left to exact replay.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from autoscaler.core.formula import Formula, values
from autoscaler.core.formula.parser import parse
from autoscaler.core.formula.syntax import Binary, Call, Constant, Index, Name, Node, Unary

Values = NDArray[np.float64]
Value = Values | float
"""A number per lane, or one that is the same in all."""
Inputs = Mapping[str, Value]
Run = Callable[[Inputs], Value]

WHOLE_MAX: Final = 2**31
"""Larger integers are left to exact replay, where arithmetic on them stays integer."""


class _Unsupported(Exception):
    """A formula that lanes cannot do."""


def form_of(formula: Formula) -> Hashable | None:
    """Return what formulas must share to be evaluated together; None = exact replay has to."""
    try:
        return _form(_parsed(formula.source))
    except _Unsupported:
        return None


class LaneFormula:
    """A formula per lane, all of one form.

    Args:
        formulas: See :func:`form_of`.
    """

    def __init__(self, formulas: Sequence[Formula]) -> None:
        self._run = _compiled([_parsed(formula.source) for formula in formulas])

    def evaluate(self, inputs: Inputs) -> Value:
        """Return the values of the formulas; infinite or NaN where there is none."""
        with np.errstate(all="ignore"):
            return self._run(inputs)


@functools.lru_cache(maxsize=65_536)
def _parsed(source: str) -> Node:
    return parse(source)


def _form(node: Node) -> Hashable:
    match node:
        case Constant(value=bool() | str() | None):
            raise _Unsupported
        case Constant(value=value):
            if isinstance(value, int) and abs(value) > WHOLE_MAX:
                raise _Unsupported
            return "number"
        case Name() | Index():
            return _trigger(node)
        case Unary(operator="-" | "+"):
            return node.operator, _may_be_whole(node.operand), _form(node.operand)
        case Binary(operator="+" | "-" | "*"):
            if _may_be_whole(node.left) and _may_be_whole(node.right):
                raise _Unsupported
            return node.operator, _form(node.left), _form(node.right)
        case Binary(operator="/" | "**"):
            return node.operator, _form(node.left), _form(node.right)
        case Call(function="max" | "min"):
            return node.function, *map(_form, node.arguments)
        case _:
            raise _Unsupported


def _may_be_whole(node: Node) -> bool:
    match node:
        case Constant(value=value):
            return isinstance(value, int)
        case Unary(operand=operand):
            return _may_be_whole(operand)
        case Binary(operator="+" | "-" | "*"):
            return _may_be_whole(node.left) and _may_be_whole(node.right)
        case Call(arguments=arguments):
            return any(map(_may_be_whole, arguments))
        case _:
            return False


def _trigger(node: Name | Index) -> str:
    match node:
        case Name(name=name):
            return name
        case Index(container=Name(name="$env"), key=Constant(value=str() as name)):
            return name
        case _:
            raise _Unsupported


def _compiled(nodes: Sequence[Node]) -> Run:
    """Return one function for nodes of one form, one node per lane."""
    first = nodes[0]
    match first:
        case Constant():
            return _constant([float(node.value) for node in nodes])  # type: ignore[union-attr,arg-type]
        case Name() | Index():
            name = _trigger(first)
            return lambda inputs: inputs[name]
        case Unary():
            return _signed(first, _compiled([node.operand for node in nodes]))  # type: ignore[union-attr]
        case Binary(operator=operator):
            left = _compiled([node.left for node in nodes])  # type: ignore[union-attr]
            right = _compiled([node.right for node in nodes])  # type: ignore[union-attr]
            run = _OPERATIONS[operator]
            return lambda inputs: run(left(inputs), right(inputs))
        case Call(function=function):
            columns = zip(*(node.arguments for node in nodes), strict=True)  # type: ignore[union-attr]
            arguments = [_compiled(column) for column in columns]
            beats = np.greater if function == "max" else np.less
            return lambda inputs: _extreme(beats, [one(inputs) for one in arguments])
        case _:
            raise AssertionError(f"{type(first).__name__} has no form")


def _signed(node: Unary, operand: Run) -> Run:
    if node.operator == "+":
        return operand
    if _may_be_whole(node.operand):
        # An integer zero has no sign.
        return lambda inputs: 0.0 - operand(inputs)
    return lambda inputs: -operand(inputs)


def _constant(numbers: list[float]) -> Run:
    same = len(set(numbers)) == 1
    value: Value = numbers[0] if same else np.array(numbers)
    return lambda _: value


def _extreme(beats: np.ufunc, found: Sequence[Value]) -> Value:
    """Return the largest or smallest as Python finds it: NaN beats nothing and is not beaten."""
    best = found[0]
    for value in found[1:]:
        if isinstance(best, float) and isinstance(value, float):
            best = value if beats(value, best) else best
        else:
            best = np.where(beats(value, best), value, best)
    return best


def _divided(left: Value, right: Value) -> Value:
    if isinstance(left, float) and isinstance(right, float):
        return values.divide(left, right)
    return np.divide(left, right)


def _power(left: Value, right: Value) -> Value:
    """Return powers by the core's operation, as those of NumPy may differ in the last bit."""
    if isinstance(left, float) and isinstance(right, float):
        return values.power(left, right)
    pairs = zip(*(item.tolist() for item in np.broadcast_arrays(left, right)), strict=True)
    return np.array([values.power(base, exponent) for base, exponent in pairs])


_OPERATIONS: Final[dict[str, Callable[[Value, Value], Value]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divided,
    "**": _power,
}
