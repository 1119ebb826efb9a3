"""Kubernetes label selectors in their text form: checking and matching."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from autoscaler.errors import shorten

_NAME: Final = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)"
_DOMAIN: Final = r"(?:[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*)"
_KEY: Final = re.compile(rf"(?:{_DOMAIN}/)?{_NAME}\Z")
_VALUE: Final = re.compile(rf"{_NAME}?\Z")
_DOMAIN_LIMIT: Final = 253
_SET: Final = re.compile(r"\s*(?P<key>\S+)\s+(?P<word>in|notin)\s*\((?P<values>[^()]*)\)\s*\Z")
_COMPARISON: Final = re.compile(
    r"\s*(?P<key>[^\s!=<>]+)\s*(?P<sign>==|=|!=|<|>)\s*(?P<value>[^\s!=<>()]*)\s*\Z"
)
_EXISTENCE: Final = re.compile(r"\s*(?P<no>!?)\s*(?P<key>[^\s!=<>()]+)\s*\Z")
_OUTSIDE_PARENTHESES: Final = re.compile(r",(?![^()]*\))")


class Requirement(msgspec.Struct, frozen=True):
    """One condition of a selector; ``operator`` is one of ``= == != in notin exists ! < >``."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels fulfil the condition."""
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "=" | "==" | "in":
                return value in self.values
            case "!=" | "notin":
                return value not in self.values
            case _:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        if value is None or not re.match(r"-?[0-9]+\Z", value):
            return False
        limit = int(self.values[0])
        return int(value) > limit if self.operator == ">" else int(value) < limit


def parse_selector(text: str) -> tuple[Requirement, ...]:
    """Return the conditions of a selector such as ``app=web,tier in (a, b),!canary``.

    Raises:
        ValueError: The text is no selector; the message names the faulty part.
    """
    if not text.strip():
        return ()
    return tuple(_requirement(part) for part in _OUTSIDE_PARENTHESES.split(text))


def matches(selector: tuple[Requirement, ...], labels: Mapping[str, str]) -> bool:
    """Whether labels fulfil every condition."""
    return all(requirement.matches(labels) for requirement in selector)


def _requirement(part: str) -> Requirement:
    if found := _SET.match(part):
        values = tuple(value.strip() for value in found["values"].split(","))
        requirement = Requirement(found["key"], found["word"], values)
    elif found := _COMPARISON.match(part):
        requirement = Requirement(found["key"], found["sign"], (found["value"],))
    elif found := _EXISTENCE.match(part):
        requirement = Requirement(found["key"], "!" if found["no"] else "exists")
    else:
        raise ValueError(f'"{shorten(part, 80)}" is no selector requirement')
    _check(requirement)
    return requirement


def _check(requirement: Requirement) -> None:
    if not _KEY.match(requirement.key) or requirement.key.find("/") > _DOMAIN_LIMIT:
        raise ValueError(f'"{shorten(requirement.key, 80)}" is no label key')
    for value in requirement.values:
        if requirement.operator in "<>" and not re.match(r"-?[0-9]+\Z", value):
            raise ValueError(f'"{shorten(value, 80)}" is no whole number')
        if not _VALUE.match(value):
            raise ValueError(f'"{shorten(value, 80)}" is no label value')
