"""The formula's syntax tree; every node knows its position in the source."""

from __future__ import annotations

from typing import NamedTuple


class Constant(NamedTuple):
    """A number, text, ``true``, ``false`` or ``nil``."""

    value: float | str | bool | None
    position: int


class Name(NamedTuple):
    """A trigger, or a variable made by ``let``."""

    name: str
    position: int


class Pointer(NamedTuple):
    """``#`` (the element), ``#acc`` or ``#index`` inside a predicate."""

    name: str
    position: int


class Unary(NamedTuple):
    """``-x``, ``+x`` or ``not x``."""

    operator: str
    operand: Node
    position: int


class Binary(NamedTuple):
    """``left operator right``."""

    operator: str
    left: Node
    right: Node
    position: int


class Conditional(NamedTuple):
    """``condition ? then : otherwise``."""

    condition: Node
    then: Node
    otherwise: Node
    position: int


class Let(NamedTuple):
    """``let name = value; body``."""

    name: str
    value: Node
    body: Node
    position: int


class Items(NamedTuple):
    """A list ``[a, b]``."""

    items: tuple[Node, ...]
    position: int


class Entries(NamedTuple):
    """A map ``{key: value}``; keys are texts."""

    keys: tuple[str, ...]
    values: tuple[Node, ...]
    position: int


class Index(NamedTuple):
    """``container[key]`` or ``container.key``."""

    container: Node
    key: Node
    position: int


class Slice(NamedTuple):
    """``container[start:stop]``."""

    container: Node
    start: Node | None
    stop: Node | None
    position: int


class Call(NamedTuple):
    """``function(arguments)``."""

    function: str
    arguments: tuple[Node, ...]
    position: int


class Predicate(NamedTuple):
    """``{# > 1}``: evaluated once per element."""

    body: Node
    position: int


Node = (
    Constant
    | Name
    | Pointer
    | Unary
    | Binary
    | Conditional
    | Let
    | Items
    | Entries
    | Index
    | Slice
    | Call
    | Predicate
)
