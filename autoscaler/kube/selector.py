"""Label selectors: the textual form of the API, and matching labels against it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, assert_never

import msgspec

from autoscaler.errors import ConfigError, shorten
from autoscaler.kube.codec import LabelRequirement, LabelSelector

Operator = Literal["in", "notin", "exists", "!"]

_TOKEN: Final = re.compile(r"\s*(?:(?P<symbol>==|!=|[=!,()])|(?P<word>[^\s=!,()<>]+))\s*")
_OPERATORS: Final[dict[str, Operator]] = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
}


class Requirement(msgspec.Struct, frozen=True):
    """One requirement on a label; ``=`` and ``!=`` are ``in`` and ``notin`` with one value.

    ``notin`` holds for an absent label, as in Kubernetes.
    """

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether the requirement holds."""
        match self.operator:
            case "in":
                return self.key in labels and labels[self.key] in self.values
            case "notin":
                return self.key not in labels or labels[self.key] not in self.values
            case "exists":
                return self.key in labels
            case "!":
                return self.key not in labels
            case _:
                assert_never(self.operator)

    @property
    def text(self) -> str:
        """The textual form."""
        match self.operator:
            case "in" | "notin" if len(self.values) == 1:
                return f"{self.key}{'=' if self.operator == 'in' else '!='}{self.values[0]}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case _:
                assert_never(self.operator)


class Selector(msgspec.Struct, frozen=True):
    """All requirements have to hold; none at all matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an object with these labels is selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def text(self) -> str:
        """The textual form, empty when everything matches."""
        return ",".join(requirement.text for requirement in self.requirements)


EVERYTHING: Final = Selector()


def parse_selector(text: str) -> Selector:
    """Parse ``a=b,c!=d,e in (f,g),h,!i``; empty text selects everything.

    Raises:
        ConfigError: The text is no selector; names the position.
    """
    parser = _Parser(text)
    requirements: list[Requirement] = []
    while not parser.at_end:
        if requirements:
            parser.expect(",")
        requirements.append(parser.requirement())
    return Selector(tuple(requirements))


def select_the_same(one: str, other: str) -> bool:
    """Whether two textual selectors are the same but for the order of what they require.

    The API server sorts requirements and values, a workload's ``spec.selector`` need not be.
    """
    if one == other:
        return True
    try:
        return _in_order(parse_selector(one)) == _in_order(parse_selector(other))
    except ConfigError:
        return False


def _in_order(selector: Selector) -> list[tuple[str, str, list[str]]]:
    return sorted((r.key, r.operator, sorted(r.values)) for r in selector.requirements)


def selector_of(wire: LabelSelector) -> Selector:
    """Return a workload's ``spec.selector``; raises ConfigError for an unknown operator."""
    labels = (Requirement(key, "in", (value,)) for key, value in sorted(wire.match_labels.items()))
    return Selector((*labels, *(_of_expression(e) for e in wire.match_expressions)))


def selector_text(wire: LabelSelector) -> str:
    """Return a workload's ``spec.selector`` in textual form; raises ConfigError."""
    return selector_of(wire).text


def _of_expression(wire: LabelRequirement) -> Requirement:
    operator = _OPERATORS.get(wire.operator)
    if operator is None:
        raise ConfigError(
            f"selector on label {wire.key!r}: operator {wire.operator!r} is none of "
            f"{', '.join(_OPERATORS)}",
            field="spec.selector.matchExpressions",
        )
    return Requirement(wire.key, operator, tuple(sorted(wire.values)))


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, bool, int]] = []
        position = 0
        stripped = text.rstrip()
        while position < len(stripped):
            found = _TOKEN.match(stripped, position)
            if found is None:
                raise self._error("an unexpected character", position)
            self._tokens.append((found[0].strip(), found["word"] is not None, position))
            position = found.end()
        self._next = 0

    @property
    def at_end(self) -> bool:
        return self._next >= len(self._tokens)

    def requirement(self) -> Requirement:
        if self._accept("!"):
            return Requirement(self._word("a label"), "!")
        key = self._word("a label")
        if self._accept("=", "=="):
            return Requirement(key, "in", (self._value(),))
        if self._accept("!="):
            return Requirement(key, "notin", (self._value(),))
        if self._accept("in"):
            return Requirement(key, "in", self._values())
        if self._accept("notin"):
            return Requirement(key, "notin", self._values())
        return Requirement(key, "exists")

    def expect(self, symbol: str) -> None:
        if not self._accept(symbol):
            raise self._error(f"{symbol!r} is missing")

    def _values(self) -> tuple[str, ...]:
        self.expect("(")
        values = [self._value()]
        while self._accept(","):
            values.append(self._value())
        self.expect(")")
        return tuple(values)

    def _value(self) -> str:
        # An empty value is legal: "a=" and "a in (,b)".
        is_word = not self.at_end and self._tokens[self._next][1]
        return self._word("a value") if is_word else ""

    def _word(self, what: str) -> str:
        if self.at_end or not self._tokens[self._next][1]:
            raise self._error(f"{what} is missing")
        word = self._tokens[self._next][0]
        self._next += 1
        return word

    def _accept(self, *texts: str) -> bool:
        if self.at_end or self._tokens[self._next][0] not in texts:
            return False
        self._next += 1
        return True

    def _error(self, problem: str, position: int | None = None) -> ConfigError:
        if position is None:
            position = len(self._text) if self.at_end else self._tokens[self._next][2]
        return ConfigError(
            f"label selector {shorten(self._text)!r}: {problem} at position {position + 1}; "
            "write for example app=web,tier in (front,back)"
        )
