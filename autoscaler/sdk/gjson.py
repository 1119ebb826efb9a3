r"""Values in a JSON document by a path in gjson's notation, the one KEDA's ``valueLocation`` uses.

Supported: names and array positions joined by ``.`` or ``|``, ``\`` before a special character,
wildcards ``*`` and ``?`` in names, ``#`` (count, or one value per element), ``#(name>5)`` (first
match) and ``#(name>5)#`` (all matches) with ``== != < <= > >= % !%``, and the modifiers ``@this``,
``@reverse``, ``@values``, ``@keys`` and ``@flatten``. A path that leads nowhere gives ``MISSING``.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

MISSING: Final = object()
PATH_LIMIT: Final = 1024
"""Longest path; longer ones are refused so that a path cannot exhaust the stack."""

_QUERY: Final = re.compile(
    r"#\(\s*(?P<path>[^=!<>%]*?)\s*(?:(?P<sign>==|!=|<=|>=|!%|=|<|>|%)\s*(?P<value>.*?))?\s*\)"
    r"(?P<all>#?)\Z"
)


def get(document: Any, path: str) -> Any:
    """Return what a path leads to, or ``MISSING``.

    Args:
        document: As a JSON decoder returns it.
        path: In gjson's notation.

    Raises:
        ValueError: The path uses notation that is not supported.
    """
    if len(path) > PATH_LIMIT:
        raise ValueError(f"the path is longer than {PATH_LIMIT} characters")
    if path.startswith(".."):
        # The document taken for the only line of a JSON-lines text.
        document, path = [document], path[2:]
    return _walk(document, _split(path))


def _split(path: str) -> list[tuple[str, str]]:
    """Return ``(part, separator before it)``; separators in parentheses and quotes do not count."""
    parts: list[tuple[str, str]] = []
    part, before, depth, position, quoted = "", "", 0, 0, False
    while position < len(path):
        character = path[position]
        if character == "\\" and position + 1 < len(path):
            part += path[position : position + 2]
            position += 2
            continue
        if depth and character == '"':
            quoted = not quoted
        elif not quoted and character == "(" and (depth or part.endswith("#")):
            depth += 1
        elif not quoted and character == ")" and depth:
            depth -= 1
        if character in ".|" and not depth:
            parts.append((part, before))
            part, before = "", character
        else:
            part += character
        position += 1
    if depth:
        raise ValueError(f'"{path}" has an open parenthesis')
    parts.append((part, before))
    return parts


def _walk(value: Any, parts: list[tuple[str, str]]) -> Any:
    for position, (part, _) in enumerate(parts):
        rest = parts[position + 1 :]
        if part.startswith("@"):
            value = _modified(value, part)
        elif part.startswith(("{", "[", "!")):
            raise ValueError(f'"{part}" is not supported in a path')
        elif isinstance(value, list) and part.startswith("#"):
            found = _elements(value, part)
            # A dot after a list of matches asks each of them; a bar asks the list itself.
            if isinstance(found, list) and rest and rest[0][1] == ".":
                answers = (_walk(element, rest) for element in found)
                return [answer for answer in answers if answer is not MISSING]
            value = len(found) if part == "#" else found
        else:
            value = _step(value, part)
        if value is MISSING:
            return MISSING
    return value


def _step(value: Any, part: str) -> Any:
    if isinstance(value, list):
        index = int(part) if re.match(r"[0-9]{1,9}\Z", part) else len(value)
        return value[index] if index < len(value) else MISSING
    if not isinstance(value, Mapping):
        return MISSING
    if not re.search(r"(?<!\\)[*?]", part):
        return value.get(_unescaped(part), MISSING)
    pattern = re.sub(r"\\(.)", r"[\1]", part.replace("[", "[[]"))
    return next((v for name, v in value.items() if fnmatch.fnmatchcase(name, pattern)), MISSING)


def _elements(value: list[Any], part: str) -> Any:
    """Return the elements ``#``, ``#(…)`` or ``#(…)#`` stands for: a list, one, or MISSING."""
    if part == "#":
        return value
    query = _QUERY.match(part)
    if query is None:
        raise ValueError(f'"{part}" is no query')
    found = [element for element in value if _fulfils(element, query)]
    if query["all"]:
        return found
    return found[0] if found else MISSING


def _fulfils(element: Any, query: re.Match[str]) -> bool:
    value = get(element, query["path"]) if query["path"] else element
    if value is MISSING:
        return False
    if query["sign"] is None:
        return True
    wanted = _literal(query["value"])
    if isinstance(value, list | dict) or value is None:
        return False
    sign = query["sign"]
    if sign.endswith("%"):
        both_text = isinstance(value, str) and isinstance(wanted, str)
        return both_text and fnmatch.fnmatchcase(value, wanted) != sign.startswith("!")
    if type(value) is type(wanted) or (_is_number(value) and _is_number(wanted)):
        return _COMPARE[sign](value, wanted)
    return bool(sign == "!=")


_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _literal(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text.strip('"')


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _modified(value: Any, part: str) -> Any:
    match part:
        case "@this" | "@ugly" | "@pretty" | "@valid":
            return value
        case "@reverse":
            if isinstance(value, Mapping):
                return dict(reversed(list(value.items())))
            return list(reversed(value)) if isinstance(value, list) else value
        case "@values":
            return list(value.values()) if isinstance(value, Mapping) else value
        case "@keys":
            return list(value) if isinstance(value, Mapping) else value
        case "@flatten" if isinstance(value, list):
            return [i for item in value for i in (item if isinstance(item, list) else [item])]
    raise ValueError(f'"{part}" is not supported in a path')


def _unescaped(part: str) -> str:
    return re.sub(r"\\(.)", r"\1", part)
