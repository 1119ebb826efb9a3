"""Source text to syntax tree, by operator precedence (a Pratt parser)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from autoscaler.core.formula.lexer import Token, TokenKind, tokenize
from autoscaler.core.formula.measure import check_size
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
from autoscaler.errors import FormulaError

SOURCE_LIMIT: Final = 4096
DEPTH_LIMIT: Final = 100

_PIPE: Final = 0
_COALESCE: Final = 500
_BINARY: Final = {
    "|": _PIPE,
    **dict.fromkeys(("or", "||"), 10),
    **dict.fromkeys(("and", "&&"), 15),
    **dict.fromkeys(("==", "!=", "<", ">", "<=", ">="), 20),
    **dict.fromkeys(("in", "contains", "startsWith", "endsWith", "matches"), 20),
    "..": 25,
    **dict.fromkeys(("+", "-"), 30),
    **dict.fromkeys(("*", "/", "%"), 60),
    **dict.fromkeys(("**", "^"), 100),
    "??": _COALESCE,
}
_UNARY: Final = {"not": 50, "!": 50, "-": 90, "+": 90}
_RIGHT_ASSOCIATIVE: Final = frozenset(("**", "^"))
_NEGATABLE: Final = frozenset(("in", "contains", "startsWith", "endsWith", "matches"))
_ORDER: Final = frozenset(("<", ">", "<=", ">="))
_SAME: Final = {"&&": "and", "||": "or", "^": "**", "!": "not"}
_WORDS: Final = {"true": True, "false": False, "nil": None}
_INTEGER_LIMIT: Final = 2**63
_PREDICATE_PLACE: Final = 2
_T = TypeVar("_T")

PREDICATE_FUNCTIONS: Final = frozenset(
    (
        *("all", "none", "any", "one", "filter", "map", "count", "sum", "find", "findIndex"),
        *("findLast", "findLastIndex", "sortBy", "reduce"),
    )
)
"""Functions whose second argument is a predicate."""


def parse(source: str) -> Node:
    """Return the syntax tree of ``source``.

    Raises:
        FormulaError: The text is no formula, too long, too large or nested too deeply.
    """
    if len(source) > SOURCE_LIMIT:
        raise FormulaError(f"the formula is longer than {SOURCE_LIMIT} characters")
    root = _Parser(source).parse()
    check_size(root, source)
    return root


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = tuple(tokenize(source))
        self._at = 0
        self._depth = 0
        self._predicates = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def parse(self) -> Node:
        node = self._expression(0)
        if self._token.kind is not TokenKind.END:
            raise self._unexpected()
        return node

    def _unexpected(self) -> FormulaError:
        return self._error(f"unexpected {self._token.shown()}", self._token)

    def _error(self, message: str, token: Token) -> FormulaError:
        return FormulaError(message, position=token.position, source=self._source)

    def _next(self) -> Token:
        token = self._token
        if token.kind is not TokenKind.END:
            self._at += 1
        return token

    def _is(self, *operators: str) -> bool:
        token = self._token
        return token.kind is TokenKind.OPERATOR and token.text in operators

    def _take(self, operator: str) -> bool:
        if self._is(operator):
            self._at += 1
            return True
        return False

    def _expect(self, operator: str) -> None:
        if not self._take(operator):
            token = self._token
            raise self._error(f"expected “{operator}”, found {token.shown()}", token)

    def _expect_name(self) -> Token:
        if self._token.kind is not TokenKind.NAME:
            raise self._unexpected()
        return self._next()

    def _expression(self, lowest: int) -> Node:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise self._error(
                f"the formula is nested more than {DEPTH_LIMIT} levels deep", self._token
            )
        node = self._statement() if lowest == 0 else None
        if node is None:
            node = self._binary(lowest)
            while lowest == 0 and self._is("?"):
                node = self._ternary(node)
        self._depth -= 1
        return node

    def _statement(self) -> Node | None:
        token = self._token
        if self._take("let"):
            name = self._expect_name()
            self._expect("=")
            value = self._expression(0)
            self._expect(";")
            return Let(name.text, value, self._expression(0), name.position)
        if self._take("if"):
            return self._if(token)
        return None

    def _if(self, token: Token) -> Node:
        condition = self._expression(0)
        then = self._block()
        self._expect("else")
        follow = self._token
        otherwise = self._if(follow) if self._take("if") else self._block()
        return Conditional(condition, then, otherwise, token.position)

    def _block(self) -> Node:
        self._expect("{")
        node = self._expression(0)
        self._expect("}")
        return node

    def _ternary(self, condition: Node) -> Node:
        token = self._next()
        if self._take(":"):
            return Conditional(condition, condition, self._expression(0), token.position)
        then = self._expression(0)
        self._expect(":")
        return Conditional(condition, then, self._expression(0), token.position)

    def _binary(self, lowest: int) -> Node:
        left = self._unary()
        previous = ""
        while self._token.kind is TokenKind.OPERATOR:
            token = self._token
            is_negated = token.text == "not" and self._tokens[self._at + 1].text in _NEGATABLE
            operator = self._tokens[self._at + 1].text if is_negated else token.text
            precedence = _BINARY.get(operator)
            if precedence is None or precedence < lowest:
                break
            if previous == "??" and operator not in ("??", "|"):
                raise self._error(f"“??” and “{operator}” need parentheses to be combined", token)
            self._at += 2 if is_negated else 1
            left = self._operation(left, operator, precedence, token)
            if is_negated:
                left = Unary("not", left, token.position)
            previous = operator
        return left

    def _operation(self, left: Node, operator: str, precedence: int, token: Token) -> Node:
        if operator == "|":
            return self._call(self._expect_name(), (left,))
        if operator in _ORDER:
            return self._comparison(left, operator, precedence, token)
        binding = precedence if operator in _RIGHT_ASSOCIATIVE else precedence + 1
        right = self._expression(binding)
        return Binary(_SAME.get(operator, operator), left, right, token.position)

    def _comparison(self, left: Node, operator: str, precedence: int, token: Token) -> Node:
        """Parse ``a < b`` and chains: ``a < b < c`` means ``a < b and b < c``."""
        right = self._expression(precedence + 1)
        node: Node = Binary(operator, left, right, token.position)
        while self._is(*_ORDER):
            token = self._next()
            following = self._expression(precedence + 1)
            link = Binary(token.text, right, following, token.position)
            node = Binary("and", node, link, token.position)
            right = following
        return node

    def _unary(self) -> Node:
        token = self._token
        if token.kind is TokenKind.OPERATOR and token.text in _UNARY:
            self._at += 1
            operand = self._expression(_UNARY[token.text])
            return Unary(_SAME.get(token.text, token.text), operand, token.position)
        return self._postfix(self._primary())

    def _primary(self) -> Node:
        token = self._next()
        match token.kind:
            case TokenKind.NUMBER:
                return Constant(self._number(token), token.position)
            case TokenKind.STRING:
                return Constant(token.text, token.position)
            case TokenKind.NAME:
                if token.text in _WORDS:
                    return Constant(_WORDS[token.text], token.position)
                if self._is("("):
                    return self._call(token, ())
                return Name(token.text, token.position)
            case _:
                return self._bracketed(token)

    def _bracketed(self, token: Token) -> Node:
        match token.text:
            case "(":
                node = self._expression(0)
                self._expect(")")
                return node
            case "[":
                return Items(self._list("]", lambda: self._expression(0)), token.position)
            case "{":
                pairs = self._list("}", self._pair)
                keys, values = tuple(k for k, _ in pairs), tuple(v for _, v in pairs)
                return Entries(keys, values, token.position)
            case "#" if self._predicates:
                name = self._next().text if self._token.kind is TokenKind.NAME else ""
                return Pointer(name, token.position)
            case "#":
                raise self._error("“#” means an element and only works in a predicate", token)
            case _:
                raise self._error(f"unexpected {token.shown()}", token)

    def _number(self, token: Token) -> float:
        text = token.text.replace("_", "").lower()
        if text[:2] not in ("0x", "0b", "0o") and any(c in text for c in ".e"):
            value = float(text)
            if value == float("inf"):
                raise self._error("the number is too large", token)
            return value
        try:
            number = int(text, 0) if text[:2] in ("0x", "0b", "0o") else int(text)
        except ValueError:
            raise self._error(f"“{token.text}” is no number", token) from None
        if number >= _INTEGER_LIMIT:
            raise self._error("the integer is too large", token)
        return number

    def _list(self, closing: str, item: Callable[[], _T]) -> tuple[_T, ...]:
        """Parse items up to ``closing``; a comma after the last one is allowed."""
        items: list[_T] = []
        while not self._take(closing):
            if items:
                self._expect(",")
                if self._take(closing):
                    break
            items.append(item())
        return tuple(items)

    def _pair(self) -> tuple[str, Node]:
        token = self._next()
        if token.kind not in (TokenKind.NAME, TokenKind.STRING, TokenKind.NUMBER):
            raise self._error("a map key must be a name, a text or a number", token)
        self._expect(":")
        return token.text, self._expression(0)

    def _postfix(self, node: Node) -> Node:
        while True:
            token = self._token
            if self._take("."):
                key = self._next()
                if key.kind is not TokenKind.NAME:
                    raise self._error(f"expected a name after “.”, found {key.shown()}", key)
                node = Index(node, Constant(key.text, key.position), token.position)
            elif self._take("["):
                node = self._subscript(node, token)
            else:
                return node

    def _subscript(self, node: Node, token: Token) -> Node:
        start = None if self._is(":") else self._expression(0)
        if self._take(":"):
            stop = None if self._is("]") else self._expression(0)
            self._expect("]")
            return Slice(node, start, stop, token.position)
        self._expect("]")
        assert start is not None
        return Index(node, start, token.position)

    def _call(self, function: Token, given: tuple[Node, ...]) -> Node:
        """Parse the arguments of a call; ``given`` is what a pipe passes as the first one."""
        self._expect("(")
        count = len(given)

        def argument() -> Node:
            nonlocal count
            count += 1
            is_predicate = count == _PREDICATE_PLACE and function.text in PREDICATE_FUNCTIONS
            return self._predicate() if is_predicate else self._expression(0)

        return Call(function.text, given + self._list(")", argument), function.position)

    def _predicate(self) -> Node:
        token = self._token
        has_braces = self._take("{")
        self._predicates += 1
        body = self._expression(0)
        self._predicates -= 1
        if has_braces:
            self._expect("}")
        return Predicate(body, token.position)
