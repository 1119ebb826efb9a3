"""Syntax tree to a function of the trigger values, types checked on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, Final, NamedTuple, TypeAlias

from autoscaler.core.formula import values
from autoscaler.core.formula.functions import FUNCTIONS, MANY, TIME_FUNCTIONS
from autoscaler.core.formula.operators import OPERATORS, Operator, accepts
from autoscaler.core.formula.predicates import PREDICATES, PredicateFunction
from autoscaler.core.formula.syntax import (
    Binary,
    Call,
    Conditional,
    Constant,
    Entries,
    Index,
    Items,
    Let,
    Name,
    Node,
    Pointer,
    Predicate,
    Slice,
    Unary,
)
from autoscaler.core.formula.types import (
    ANY,
    BOOL,
    FLOAT,
    INT,
    MAP,
    NIL,
    TEXT,
    Kind,
    Type,
    element_of,
    joined,
    list_of,
)
from autoscaler.core.formula.values import ValueProblem
from autoscaler.errors import FormulaError

Frame: TypeAlias = dict[str, Any]
"""Trigger values by name; variables and elements under keys no trigger can have."""
Run: TypeAlias = Callable[[Frame], Any]

BUDGET: Final = "#budget"
"""Frame key of the predicate evaluations still allowed."""
BUDGET_TOTAL: Final = 100_000
_ENVIRONMENT: Final = "$env"
_TYPES: Final = {bool: BOOL, int: INT, float: FLOAT, str: TEXT, type(None): NIL}
_NIL_MESSAGE: Final = "a trigger without a value (nil) cannot be calculated with; use “??”"


class Part(NamedTuple):
    """A compiled expression."""

    type: Type
    run: Run


class Compiler:
    """Compiles one formula.

    Attributes:
        needs_frame: Whether evaluation writes to its frame (``let`` and predicates do).
        keeps_nil: Whether the formula contains ``??`` and may therefore yield nil.
    """

    def __init__(self, source: str, names: Sequence[str]) -> None:
        self._source = source
        self._names = frozenset(names)
        self._variables: dict[str, tuple[str, Type]] = {}
        self._loops: list[dict[str, tuple[str, Type]]] = []
        self._keys = 0
        self.needs_frame = False
        self.keeps_nil = False
        self._by_kind: dict[type, Callable[[Any], Part]] = {
            Constant: self._constant,
            Name: self._name,
            Pointer: self._pointer,
            Unary: self._unary,
            Binary: self._binary,
            Conditional: self._conditional,
            Let: self._let,
            Items: self._items,
            Entries: self._entries,
            Index: self._index,
            Slice: self._slice,
            Call: self._call,
            Predicate: self._predicate,
        }

    def compile(self, node: Node) -> Part:
        """Return the compiled expression; raises FormulaError on a type that cannot work."""
        return self._by_kind[type(node)](node)

    def error(self, message: str, position: int) -> FormulaError:
        """Return an error at a place in the source."""
        return FormulaError(message, position=position, source=self._source)

    def _guarded(self, position: int, run: Callable[..., Any], *parts: Part) -> Run:
        """Return a function that evaluates ``parts``, then ``run``; problems get the position."""
        if len(parts) == 1:
            only = parts[0].run
            return self._positioned(position, lambda frame: run(only(frame)))
        runs = tuple(part.run for part in parts)
        return self._positioned(position, lambda frame: run(*[each(frame) for each in runs]))

    def _positioned(self, position: int, run: Run) -> Run:
        """Return ``run`` with the position given to problems with its values."""

        def positioned(frame: Frame) -> Any:
            try:
                return run(frame)
            except ValueProblem as problem:
                raise self.error(str(problem), position) from None

        return positioned

    def _new_key(self) -> str:
        self.needs_frame = True
        self._keys += 1
        return f"#{self._keys}"

    def _read(self, key: str, of: Type) -> Part:
        return Part(of, lambda frame: frame[key])

    def _constant(self, node: Constant) -> Part:
        value = node.value
        return Part(_TYPES[type(value)], lambda _: value)

    def _predicate(self, node: Predicate) -> Part:
        return self.compile(node.body)

    def _name(self, node: Name) -> Part:
        if node.name in self._variables:
            return self._read(*self._variables[node.name])
        if node.name in self._names:
            return self._read(node.name, FLOAT)
        if node.name == _ENVIRONMENT:
            raise self.error('“$env” needs a name: $env["trigger"]', node.position)
        raise self._unknown(node.name, "trigger", self._names, node.position)

    def _unknown(self, name: str, what: str, known: frozenset[str], position: int) -> FormulaError:
        close = get_close_matches(name, sorted(known), 1)
        hint = f", did you mean “{close[0]}”?" if close else ""
        listed = f" (known: {', '.join(sorted(known))})" if what == "trigger" and known else ""
        return self.error(f"unknown {what} “{name}”{hint}{listed}", position)

    def _pointer(self, node: Pointer) -> Part:
        pointers = self._loops[-1]
        if node.name not in pointers:
            raise self.error(f"unknown pointer “#{node.name}”", node.position)
        return self._read(*pointers[node.name])

    def _unary(self, node: Unary) -> Part:
        operand = self.compile(node.operand)
        if node.operator == "not":
            self._require(operand, (Kind.BOOL,), node)
            return Part(BOOL, self._guarded(node.position, lambda v: not values.truth(v), operand))
        self._require(operand, (Kind.INT, Kind.FLOAT), node)
        if node.operator == "+":
            return Part(operand.type, self._guarded(node.position, values.number, operand))
        negate = self._guarded(node.position, lambda v: values.bounded(-values.number(v)), operand)
        return Part(operand.type, negate)

    def _require(self, part: Part, kinds: tuple[Kind, ...], node: Unary) -> None:
        if not part.type.may_be(*kinds):
            message = f"“{node.operator}” does not work on {part.type.kind.with_article}"
            raise self.error(message, node.position)

    def _binary(self, node: Binary) -> Part:
        left, right = self.compile(node.left), self.compile(node.right)
        match node.operator:
            case "and" | "or":
                return self._logical(node, left, right)
            case "??":
                return self._coalesce(left, right)
            case "==" | "!=":
                return self._equality(node, left, right)
            case "in":
                return self._membership(node, left, right)
            case name if name in OPERATORS:
                return self._operation(OPERATORS[name], node, left, right)
            case name:
                raise self.error(f"“{name}” is not available", node.position)

    def _mismatch(self, node: Binary, left: Part, right: Part) -> FormulaError:
        kinds = f"{left.type.kind.with_article} and {right.type.kind.with_article}"
        return self.error(f"“{node.operator}” does not work on {kinds}", node.position)

    def _operation(self, operator: Operator, node: Binary, left: Part, right: Part) -> Part:
        if not accepts(operator, left.type, right.type):
            raise self._mismatch(node, left, right)
        result = operator.result(left.type, right.type)
        are_numbers = left.type.is_number and right.type.is_number
        if operator.fast is None or not are_numbers or result == INT:
            return Part(result, self._guarded(node.position, operator.run, left, right))
        return Part(result, self._fast(operator.fast, node.position, left.run, right.run))

    def _fast(self, run: Callable[[Any, Any], Any], position: int, left: Run, right: Run) -> Run:
        def fast(frame: Frame) -> Any:
            try:
                return run(left(frame), right(frame))
            except TypeError:
                raise self.error(_NIL_MESSAGE, position) from None

        return fast

    def _logical(self, node: Binary, left: Part, right: Part) -> Part:
        if not left.type.may_be(Kind.BOOL) or not right.type.may_be(Kind.BOOL):
            raise self._mismatch(node, left, right)
        first = self._guarded(node.position, values.truth, left)
        second = self._guarded(node.position, values.truth, right)
        if node.operator == "and":
            return Part(BOOL, lambda frame: first(frame) and second(frame))
        return Part(BOOL, lambda frame: first(frame) or second(frame))

    def _coalesce(self, left: Part, right: Part) -> Part:
        self.keeps_nil = True
        first, second = left.run, right.run

        def coalesce(frame: Frame) -> Any:
            value = first(frame)
            return second(frame) if value is None else value

        return Part(joined(left.type, right.type), coalesce)

    def _equality(self, node: Binary, left: Part, right: Part) -> Part:
        comparable = (
            left.type.is_open
            or right.type.is_open
            or left.type.kind is right.type.kind
            or (left.type.is_number and right.type.is_number)
        )
        if not comparable:
            raise self._mismatch(node, left, right)
        first, second = left.run, right.run
        if node.operator == "==":
            return Part(BOOL, lambda frame: values.equal(first(frame), second(frame)))
        return Part(BOOL, lambda frame: not values.equal(first(frame), second(frame)))

    def _membership(self, node: Binary, left: Part, right: Part) -> Part:
        if not right.type.may_be(Kind.LIST, Kind.MAP):
            raise self._mismatch(node, left, right)
        run = self._guarded(node.position, lambda v, c: values.contains(c, v), left, right)
        return Part(BOOL, run)

    def _conditional(self, node: Conditional) -> Part:
        condition = self.compile(node.condition)
        then, otherwise = self.compile(node.then), self.compile(node.otherwise)
        if not condition.type.may_be(Kind.BOOL):
            kind = condition.type.kind
            raise self.error(
                f"a condition must be true or false, not {kind.with_article}", node.position
            )
        test = self._guarded(node.position, values.truth, condition)
        first, second = then.run, otherwise.run
        return Part(
            joined(then.type, otherwise.type),
            lambda frame: first(frame) if test(frame) else second(frame),
        )

    def _let(self, node: Let) -> Part:
        taken = node.name in self._names or node.name in self._variables
        if taken or node.name in FUNCTIONS or node.name in PREDICATES or node.name == _ENVIRONMENT:
            raise self.error(f"“{node.name}” already has a meaning", node.position)
        value, key = self.compile(node.value), self._new_key()
        self._variables[node.name] = (key, value.type)
        body = self.compile(node.body)
        del self._variables[node.name]

        def let(frame: Frame) -> Any:
            frame[key] = value.run(frame)
            return body.run(frame)

        return Part(body.type, let)

    def _items(self, node: Items) -> Part:
        parts = tuple(map(self.compile, node.items))
        types = {part.type for part in parts}
        element = types.pop() if len(types) == 1 else ANY
        if element.is_scalar:
            runs = tuple(part.run for part in parts)
            return Part(list_of(element), lambda frame: tuple([run(frame) for run in runs]))
        checked = self._guarded(
            node.position, lambda *found: tuple(map(values.plain, found)), *parts
        )
        return Part(list_of(element), checked)

    def _entries(self, node: Entries) -> Part:
        parts = tuple(map(self.compile, node.values))
        run = self._guarded(
            node.position,
            lambda *found: dict(zip(node.keys, map(values.plain, found), strict=True)),
            *parts,
        )
        return Part(MAP, run)

    def _index(self, node: Index) -> Part:
        if isinstance(node.container, Name) and node.container.name == _ENVIRONMENT:
            return self._environment(node)
        container, key = self.compile(node.container), self.compile(node.key)
        listed = container.type.may_be(Kind.LIST) and key.type.may_be(Kind.INT)
        mapped = container.type.may_be(Kind.MAP) and key.type.may_be(Kind.TEXT)
        if not listed and not mapped:
            holder, index = container.type.kind.with_article, key.type.kind.with_article
            raise self.error(f"{holder} has no element under {index}", node.position)
        run = self._guarded(node.position, values.element, container, key)
        return Part(element_of(container.type), run)

    def _environment(self, node: Index) -> Part:
        if not isinstance(node.key, Constant) or not isinstance(node.key.value, str):
            raise self.error('“$env” needs a name: $env["trigger"]', node.position)
        return self.compile(Name(node.key.value, node.key.position))

    def _slice(self, node: Slice) -> Part:
        container = self.compile(node.container)
        if not container.type.may_be(Kind.LIST, Kind.TEXT):
            raise self.error(f"{container.type.kind.with_article} has no parts", node.position)
        ends = [
            self.compile(end or Constant(None, node.position)) for end in (node.start, node.stop)
        ]
        if not all(end.type.is_open or end.type == INT for end in ends):
            raise self.error("the ends of a part must be integers", node.position)
        return Part(container.type, self._guarded(node.position, values.part, container, *ends))

    def _call(self, node: Call) -> Part:
        name, count = node.function, len(node.arguments)
        if name == "reduce":
            return self._reduce(node)
        if name in PREDICATES:
            return self._predicate_call(PREDICATES[name], node)
        function = FUNCTIONS.get(name)
        if function is None:
            raise self._unknown_function(node)
        self._check_count(node, function.least, function.most)
        parts = tuple(map(self.compile, node.arguments))
        for place, part in enumerate(parts):
            kinds = function.accepts[min(place, len(function.accepts) - 1)]
            if not part.type.may_be(*kinds):
                accepted = " or ".join(kind.with_article for kind in kinds)
                message = f"“{name}” takes {accepted} as argument {place + 1} of {count}"
                raise self.error(f"{message}, not {part.type.kind.with_article}", node.position)
        result = function.result([part.type for part in parts])
        return Part(result, self._guarded(node.position, function.run, *parts))

    def _unknown_function(self, node: Call) -> FormulaError:
        if node.function in TIME_FUNCTIONS:
            message = f"“{node.function}” is not available: a formula depends on triggers only"
            return self.error(message, node.position)
        known = frozenset((*FUNCTIONS, *PREDICATES, "reduce"))
        return self._unknown(node.function, "function", known, node.position)

    def _check_count(self, node: Call, least: int, most: int) -> None:
        count = len(node.arguments)
        if not least <= count <= most:
            wanted = f"at least {least}" if most >= MANY else f"{least} to {most}"
            wanted = str(least) if least == most else wanted
            noun = "argument" if wanted.endswith("1") else "arguments"
            message = f"“{node.function}” takes {wanted} {noun}, not {count}"
            raise self.error(message, node.position)

    def _listed(self, node: Call) -> Part:
        listed = self.compile(node.arguments[0])
        if not listed.type.may_be(Kind.LIST):
            message = f"“{node.function}” works on a list, not on {listed.type.kind.with_article}"
            raise self.error(message, node.position)
        return listed

    def _loop(self, node: Call, body: Node, pointers: dict[str, tuple[str, Type]]) -> Part:
        """Compile a predicate and charge its evaluations to the budget."""
        self._loops.append(pointers)
        part = self.compile(body)
        self._loops.pop()

        def charged(frame: Frame) -> Any:
            left = frame.get(BUDGET, BUDGET_TOTAL) - 1
            if left < 0:
                message = f"the formula evaluates predicates more than {BUDGET_TOTAL} times"
                raise self.error(message, node.position)
            frame[BUDGET] = left
            return part.run(frame)

        return Part(part.type, charged)

    def _predicate_call(self, function: PredicateFunction, node: Call) -> Part:
        self._check_count(node, 1 if function.optional else 2, function.most)
        listed, key = self._listed(node), self._new_key()
        element = element_of(listed.type)
        has_body = len(node.arguments) > 1
        pointer = {"": (key, element)}
        body = (
            self._loop(node, node.arguments[1], pointer) if has_body else self._read(key, element)
        )
        outcome = body.type
        if not outcome.may_be(*function.predicate):
            accepted = " or ".join(kind.with_article for kind in function.predicate)
            message = (
                f"“{node.function}” needs {accepted} per element, not {outcome.kind.with_article}"
            )
            raise self.error(message, node.position)
        further = tuple(map(self.compile, node.arguments[2:]))

        def run(frame: Frame) -> Any:
            def evaluate(item: Any) -> Any:
                frame[key] = item
                return body.run(frame)

            items = values.items(listed.run(frame))
            rest = (part.run(frame) for part in further)
            return function.run(items, evaluate if has_body else None, *rest)

        result = function.result(listed.type, outcome)
        return Part(result, self._positioned(node.position, run))

    def _reduce(self, node: Call) -> Part:
        self._check_count(node, 2, 3)
        listed = self._listed(node)
        item_key, total_key, place_key = self._new_key(), self._new_key(), self._new_key()
        pointers = {
            "": (item_key, element_of(listed.type)),
            "acc": (total_key, ANY),
            "index": (place_key, INT),
        }
        body = self._loop(node, node.arguments[1], pointers)
        start = self.compile(node.arguments[2]) if len(node.arguments) > 2 else None  # noqa: PLR2004 - the third is the start

        def run(frame: Frame) -> Any:
            items = values.items(listed.run(frame))
            first = 0 if start else 1
            if not items and start is None:
                raise ValueProblem("reduce of an empty list needs a start value")
            total = start.run(frame) if start else items[0]
            for place in range(first, len(items)):
                frame[item_key], frame[total_key], frame[place_key] = items[place], total, place
                total = body.run(frame)
            return total

        return Part(ANY, self._positioned(node.position, run))
