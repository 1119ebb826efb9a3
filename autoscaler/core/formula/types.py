"""Static types of formula parts, known before any value is."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """What values an expression can have; the value is the word used in messages."""

    ANY = "anything"
    NIL = "nil"
    INT = "integer"
    FLOAT = "number"
    BOOL = "truth value"
    TEXT = "text"
    LIST = "list"
    MAP = "map"

    @property
    def with_article(self) -> str:
        """The word as it stands in a sentence."""
        if self in (Kind.ANY, Kind.NIL):
            return self.value
        return f"an {self.value}" if self is Kind.INT else f"a {self.value}"


class Type(NamedTuple):
    """A kind, and for lists the type of the elements."""

    kind: Kind
    element: Type | None = None

    @property
    def is_number(self) -> bool:
        """Whether values are certainly integers or floats."""
        return self.kind in (Kind.INT, Kind.FLOAT)

    @property
    def is_scalar(self) -> bool:
        """Whether values are certainly no lists and no maps."""
        return self.kind in (Kind.INT, Kind.FLOAT, Kind.BOOL, Kind.TEXT, Kind.NIL)

    @property
    def is_open(self) -> bool:
        """Whether only the value itself will tell."""
        return self.kind in (Kind.ANY, Kind.NIL)

    def may_be(self, *kinds: Kind) -> bool:
        """Whether values can be of one of ``kinds``."""
        return self.kind is Kind.ANY or self.kind in kinds


ANY: Final = Type(Kind.ANY)
NIL: Final = Type(Kind.NIL)
INT: Final = Type(Kind.INT)
FLOAT: Final = Type(Kind.FLOAT)
BOOL: Final = Type(Kind.BOOL)
TEXT: Final = Type(Kind.TEXT)
MAP: Final = Type(Kind.MAP)


def list_of(element: Type) -> Type:
    """Return the type of a list."""
    return Type(Kind.LIST, element)


def element_of(collection: Type) -> Type:
    """Return the type of a list's elements, as far as it is known."""
    return collection.element or ANY


def joined(first: Type, second: Type) -> Type:
    """Return the type of a value that comes from either of two expressions."""
    if first == second or second.kind is Kind.NIL:
        return first
    return second if first.kind is Kind.NIL else ANY


def wider(first: Type, second: Type) -> Type:
    """Return the type of arithmetic on two operands: integers stay integers."""
    if first == second == INT:
        return INT
    return FLOAT if first.is_number and second.is_number else ANY
