"""YAML manifests read the way the Kubernetes tools read them, with line numbers.

Documents are split before they are parsed, so that a broken one does not hide the others. Sizes
are bounded first: a few lines of aliases can stand for billions of values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import yaml
from yaml.constructor import SafeConstructor

from autoscaler.api.problems import Path, Problem, duplicate, shown
from autoscaler.errors import shorten

MANIFEST_BYTES_MAX: Final = 4 * 1024 * 1024
DOCUMENTS_MAX: Final = 2000
VALUES_MAX: Final = 100_000
"""Values per document, aliases counted as often as they are used."""

NODES_PER_VALUE: Final = 2
"""A value of a mapping is written with its key."""

DEPTH_MAX: Final = 64

_SEPARATOR: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_EMPTY_LINE: Final = re.compile(r"\s*(?:#.*|%.*|---\s*(?:#.*)?|\.\.\.\s*)?")
_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = _TAG + "merge"
_SCALARS: Final = frozenset(_TAG + kind for kind in ("null", "bool", "int", "float", "str"))


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One YAML document.

    Attributes:
        index: Position in the manifest, from 1; empty documents are not counted.
        line: Line it begins on, from 1.
        value: Content as JSON-like values; None when it could not be read.
        lines: Line of each field, by path.
        problems: What is wrong with the YAML itself.
    """

    index: int
    line: int
    value: Any = None
    lines: dict[str, int] = {}
    problems: tuple[Problem, ...] = ()

    def line_of(self, field: str) -> int:
        """Return the line of a field, or of the nearest field around it that is there."""
        while field:
            if field in self.lines:
                return self.lines[field]
            field = field[: max(field.rfind("."), field.rfind("["), 0)]
        return self.line


class _Refused(Exception):
    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


def read_documents(
    text: str, *, documents_max: int = DOCUMENTS_MAX, values_max: int = VALUES_MAX
) -> list[Document]:
    """Return the documents of a manifest; empty ones are left out.

    Args:
        text: YAML.
        documents_max: Documents beyond these are not read; one more tells that there are.
        values_max: Per document, aliases counted as often as they are used.
    """
    if len(text.encode("utf-8", "replace")) > MANIFEST_BYTES_MAX:
        what = f"the file is larger than {MANIFEST_BYTES_MAX // 1024 // 1024} MiB"
        return [Document(index=1, line=1, problems=(Problem("", what),))]
    documents: list[Document] = []
    for line, part in _split(text):
        if len(documents) == documents_max:
            what = f"the file has more than {documents_max} documents; the rest is not looked at"
            documents.append(
                Document(index=len(documents) + 1, line=line, problems=(Problem("", what),))
            )
            break
        documents.append(_read(part, len(documents) + 1, line, values_max))
    return documents


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Yield first line and text of each document that has content."""
    starts = [0, *(match.start() for match in _SEPARATOR.finditer(text) if match.start())]
    line = 1
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        part = text[start:end]
        content = [n for n, row in enumerate(part.split("\n")) if not _EMPTY_LINE.fullmatch(row)]
        if content:
            yield line, part
        line += part.count("\n")


def _read(text: str, index: int, line: int, values_max: int) -> Document:
    """Read one document whose first line is ``line`` of the manifest."""
    builder = _Builder(line, values_max)
    try:
        _bound(text, values_max)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        value = builder.build(node, Path(), 0) if node is not None else None
    except (yaml.YAMLError, _Refused) as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        # An unclosed bracket is noticed after the last line; people look for it on that line.
        last = line + text.rstrip().count("\n")
        at = min(line + mark.line, last) if mark else getattr(error, "line", 0) or line
        reason = getattr(error, "problem", None) or str(error)
        problem = Problem("", f"cannot be read as YAML: {shorten(str(reason))}")
        return Document(index=index, line=at, problems=(problem,))
    first = line + (node.start_mark.line if node is not None else 0)
    return Document(
        index=index,
        line=first,
        value=value,
        lines=builder.lines,
        problems=tuple(builder.problems),
    )


def _bound(text: str, values_max: int) -> None:
    """Refuse what is too long or nested too deep, before anything recurses over it."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        nodes += isinstance(event, yaml.NodeEvent)
        if nodes > NODES_PER_VALUE * values_max:
            raise _Refused(f"more than {values_max} values")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MAX:
                raise _Refused(f"nested deeper than {DEPTH_MAX} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Builder:
    """Turns YAML nodes into plain values, noting lines and duplicate keys."""

    def __init__(self, first_line: int, values_max: int) -> None:
        self.first_line = first_line
        self.values_max = values_max
        self.lines: dict[str, int] = {}
        self.problems: list[Problem] = []
        self._constructor = SafeConstructor()
        self._values = 0

    def build(self, node: yaml.Node, path: Path, depth: int) -> Any:
        """Return the value of a node at a path."""
        self._values += 1
        if self._values > self.values_max or depth > DEPTH_MAX:
            limits = f"{self.values_max} values or {DEPTH_MAX} levels"
            raise _Refused(f"more than {limits} once aliases are followed", self._line(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.lines.setdefault(str(path / index), self._line(item))
            return [self.build(item, path / n, depth + 1) for n, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _line(self, node: yaml.Node) -> int:
        return int(self.first_line + node.start_mark.line)

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        inherited: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _Refused("keys must be plain text", self._line(key_node))
            if key_node.tag == _MERGE:
                inherited = {**self._merged(value_node, path, depth), **inherited}
                continue
            key = key_node.value
            where = path / key
            if key in value:
                first = self.lines[str(where)]
                what = f"{shown(key)} is given twice, first on line {first}; only one would count"
                self.problems.append(duplicate(where, what))
            self.lines[str(where)] = self._line(key_node)
            value[key] = self.build(value_node, where, depth + 1)
        return {**inherited, **value}

    def _merged(self, node: yaml.Node, path: Path, depth: int) -> dict[str, Any]:
        """Return what a ``<<`` key brings in; of several mappings the first wins."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise _Refused("'<<' takes a mapping", self._line(node))
            merged = {**self.build(source, path, depth + 1), **merged}
        return merged

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        # Kubernetes knows neither YAML's dates nor its numbers to the base of 60.
        if node.tag == _TAG + "timestamp" or (node.tag in _SCALARS and ":" in node.value):
            return node.value
        if node.tag not in _SCALARS:
            text = f"has the YAML tag {node.tag}, which manifests cannot use"
            self.problems.append(Problem(str(path), text))
            return node.value
        return self._constructor.construct_object(node)
