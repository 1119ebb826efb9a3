"""Tokens of the formula language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from autoscaler.errors import FormulaError


class TokenKind(Enum):
    """What a token is."""

    NUMBER = "number"
    STRING = "string"
    NAME = "name"
    OPERATOR = "operator"
    END = "end of formula"


class Token(NamedTuple):
    """A piece of the source.

    Attributes:
        text: As written; a string's content for strings.
        position: 0-based offset in the source.
    """

    kind: TokenKind
    text: str
    position: int

    def shown(self) -> str:
        """Return the token for a message."""
        return self.kind.value if self.kind is TokenKind.END else f"“{self.text}”"


WORD_OPERATORS: Final = frozenset(
    ("and", "or", "not", "in", "matches", "contains", "startsWith", "endsWith", "let", "if", "else")
)

_PATTERN: Final = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<number>0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+
      |(?:[0-9][0-9_]*)?\.(?!\.)[0-9][0-9_]*(?:[eE][+-]?[0-9]+)?
      |[0-9][0-9_]*(?:[eE][+-]?[0-9]+)?)
  | (?P<name>[^\W\d]\w*|\$\w+)
  | (?P<operator>\*\*|&&|\|\||==|!=|<=|>=|\?\?|\?\.|\.\.|::|[-+*/%^<>!?:;,.=|\#()\[\]{}])
  | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


def tokenize(source: str) -> Iterator[Token]:
    """Yield the tokens of ``source`` and one END token.

    Raises:
        FormulaError: A character that begins no token, or an open string or comment.
    """
    position = 0
    while position < len(source):
        match = _PATTERN.match(source, position)
        if match is None:
            raise _unreadable(source, position)
        text = match.group()
        match match.lastgroup:
            case "number":
                yield Token(TokenKind.NUMBER, text, position)
            case "name":
                kind = TokenKind.OPERATOR if text in WORD_OPERATORS else TokenKind.NAME
                yield Token(kind, text, position)
            case "operator":
                if source.startswith("/*", position):
                    raise FormulaError("a comment is not closed", position=position, source=source)
                yield Token(TokenKind.OPERATOR, text, position)
            case "string":
                yield Token(TokenKind.STRING, _unquote(text), position)
            case _:
                pass
        position = match.end()
    yield Token(TokenKind.END, "", len(source))


def _unreadable(source: str, position: int) -> FormulaError:
    character = source[position]
    what = "a string is not closed" if character in "\"'`" else f"unexpected {character!r}"
    return FormulaError(what, position=position, source=source)


def _unquote(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), text[1:-1], flags=re.DOTALL)
