"""How large a formula is once it runs: depth, and size with everything said once but used twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, get_args

from autoscaler.core.formula.syntax import Node
from autoscaler.errors import FormulaError

TREE_DEPTH_LIMIT: Final = 200
"""Evaluation takes some frames of Python's stack for each level."""
TREE_SIZE_LIMIT: Final = 10_000
"""Shorthands such as ``a ?: b`` and ``a < b < c`` use an operand twice; nested, they multiply."""

_NODES: Final = get_args(Node)


def check_size(root: Node, source: str) -> None:
    """Refuse a formula that could not be run, or not in reasonable time.

    Raises:
        FormulaError: It is too deep, or too large.
    """
    measured: dict[int, tuple[int, int]] = {}
    waiting: list[tuple[Node, bool]] = [(root, False)]
    while waiting:
        node, is_open = waiting.pop()
        if id(node) in measured:
            continue
        children = tuple(_children(node))
        if not is_open:
            waiting.append((node, True))
            waiting += [(child, False) for child in children]
            continue
        parts = [measured[id(child)] for child in children]
        depth = 1 + max((part[0] for part in parts), default=0)
        size = 1 + sum(part[1] for part in parts)
        if depth > TREE_DEPTH_LIMIT:
            what = f"the formula is more than {TREE_DEPTH_LIMIT} operations deep"
            raise FormulaError(what, position=node.position, source=source)
        if size > TREE_SIZE_LIMIT:
            what = f"the formula takes more than {TREE_SIZE_LIMIT} operations"
            raise FormulaError(what, position=node.position, source=source)
        measured[id(node)] = (depth, size)


def _children(node: Node) -> Iterator[Node]:
    for field in node:
        if isinstance(field, _NODES):
            yield field
        elif isinstance(field, tuple):
            yield from (part for part in field if isinstance(part, _NODES))
