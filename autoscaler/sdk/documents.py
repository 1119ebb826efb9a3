"""One number out of a source's answer: JSON, YAML, XML or the Prometheus text format.

A body is decoded once, whatever number of triggers look into it; :meth:`Document.number` finds a
number or a string that is a Kubernetes quantity. Whatever else a location leads to is an error.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import yaml
from prometheus_client.parser import text_string_to_metric_families

from autoscaler.errors import MetricMalformed, shorten
from autoscaler.sdk import gjson
from autoscaler.sdk.metrics import parse_quantity

Format = Literal["json", "yaml", "xml", "prometheus"]

SLOW_FORMAT_LIMIT: Final = 256 * 1024
"""Largest YAML or XML body in bytes: decoding holds up everything else in the process."""

_SERIES: Final = re.compile(
    r"\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(?:\{(?P<labels>.*)\})?\s*\Z"
)
_OTHER_LINE: Final = re.compile(r"[^a-zA-Z_:#]")
_LABEL: Final = re.compile(
    r'\s*(?P<name>[a-zA-Z_][a-zA-Z0-9_]*)\s*(?P<sign>=|!=)\s*"(?P<value>(?:\\.|[^"\\])*)"\s*(?:,|\Z)'
)


_ENDS_NAME: Final = ("{", " ", "\t")


class Document:
    """A decoded answer.

    Args:
        body: As received.
        format: How to read it.

    Raises:
        MetricMalformed: The body is not of that format.
    """

    def __init__(self, body: bytes, format: Format) -> None:  # noqa: A002 - the parameter's name
        self._format = format
        self._content: Any = _DECODE[format](body)

    def number(self, location: str) -> float:
        """Return the number at a location.

        Args:
            location: A gjson path (JSON), names and positions joined by dots (YAML, XML), or a
                series such as ``name{label="value"}`` (Prometheus).

        Raises:
            MetricMalformed: Nothing is there, or it is neither a number nor a quantity.
        """
        match self._format:
            case "json":
                found = _at_gjson(self._content, location)
            case "prometheus":
                return _sample(self._content, location)
            case _:
                found = value_by_path(self._content, location)
        return _number(found, location)


def value_by_path(document: Any, path: str) -> Any:
    """Return the value at names and list positions joined by dots.

    Raises:
        MetricMalformed: A name or position does not exist, or the path ends at a list or map.
    """
    value = document
    for part in path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and re.match(r"[0-9]{1,9}\Z", part) and int(part) < len(value):
            value = value[int(part)]
        else:
            raise MetricMalformed(f'"{shorten(path, 80)}": there is no "{shorten(part, 80)}"')
    if isinstance(value, Mapping | list):
        raise MetricMalformed(f'"{shorten(path, 80)}" leads to a list or map, not to a value')
    return value


def _at_gjson(document: Any, location: str) -> Any:
    try:
        found = gjson.get(document, location)
    except ValueError as error:
        raise MetricMalformed(f"valueLocation {shorten(str(error))}") from None
    if found is gjson.MISSING:
        raise MetricMalformed(f'valueLocation "{shorten(location, 80)}" leads to nothing')
    return found


def _number(found: Any, location: str) -> float:
    if isinstance(found, int | float) and not isinstance(found, bool):
        try:
            return float(found)
        except OverflowError:
            raise MetricMalformed(f'the number at "{shorten(location, 80)}" is too large') from None
    if isinstance(found, str):
        return parse_quantity(found)
    raise MetricMalformed(
        f'valueLocation "{shorten(location, 80)}" leads to {_KINDS.get(type(found), "no value")}, '
        "not to a number or quantity"
    )


_KINDS: Final[Mapping[type, str]] = {
    bool: "a boolean",
    type(None): "null",
    list: "a list",
    dict: "an object",
}


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MetricMalformed(f"the answer is no JSON: {shorten(str(error))}") from None


class _YamlLoader(yaml.CSafeLoader):
    """PyYAML's safe loader, with octal numbers as YAML 1.2 writes them too."""


_YamlLoader.add_implicit_resolver("!octal", re.compile(r"0o[0-7]+\Z"), ["0"])
_YamlLoader.add_constructor("!octal", lambda _, node: int(str(node.value), 8))


def _yaml(body: bytes) -> Any:
    _check_size(body, "YAML")
    try:
        # A safe loader: its base class builds plain values only.
        return yaml.load(body, Loader=_YamlLoader)  # noqa: S506 - derived from CSafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise MetricMalformed(f"the answer is no YAML: {shorten(str(error))}") from None


def _xml(body: bytes) -> Any:
    """Return the XML as nested maps under the root's name; repeated elements become lists."""
    _check_size(body, "XML")
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise MetricMalformed("the answer is XML with a document type, which is refused")
    try:
        root = ET.fromstring(body)  # noqa: S314 - no document type, hence no entities
    except (ET.ParseError, ValueError, LookupError) as error:
        raise MetricMalformed(f"the answer is no XML: {shorten(str(error))}") from None
    return {root.tag: _element(root)}


def _element(element: ET.Element) -> Any:
    children: dict[str, Any] = {f"#attr.{k}": v for k, v in element.attrib.items()}
    for child in element:
        value = _element(child)
        if child.tag not in children:
            children[child.tag] = value
        elif isinstance(children[child.tag], list):
            children[child.tag].append(value)
        else:
            children[child.tag] = [children[child.tag], value]
    text = (element.text or "").strip()
    return children if len(element) else text


def _check_size(body: bytes, name: str) -> None:
    if len(body) > SLOW_FORMAT_LIMIT:
        raise MetricMalformed(f"the answer is larger than {SLOW_FORMAT_LIMIT} bytes of {name}")


def _exposition(body: bytes) -> list[str]:
    try:
        lines = [line.strip() for line in body.decode().splitlines()]
    except UnicodeDecodeError:
        raise MetricMalformed("the answer is no text") from None
    for line in lines:
        if _OTHER_LINE.match(line):
            raise MetricMalformed(f'the answer is no Prometheus text: "{shorten(line, 80)}"')
    return lines


def _sample(lines: list[str], location: str) -> float:
    """Return the first sample of the named series that fits the labels."""
    series = _SERIES.match(location)
    if series is None:
        raise MetricMalformed(f'valueLocation "{shorten(location, 80)}" is no series')
    labels = _labels(series["labels"] or "", location)
    names = [value for label, equal, value in labels if label == "__name__" and equal]
    name = series["name"] or "".join(names[:1])
    labels = [condition for condition in labels if condition[0] != "__name__"]
    if not name:
        raise MetricMalformed(f'valueLocation "{shorten(location, 80)}" names no series')
    # Only lines of this series are parsed: a whole exposition would take seconds.
    own = [line for line in lines if line.startswith(name) and line[len(name) :][:1] in _ENDS_NAME]
    try:
        for family in text_string_to_metric_families("\n".join(own) + "\n"):
            for sample in family.samples:
                given = sample.labels
                if all((given.get(n) == v) == equal for n, equal, v in labels):
                    return float(sample.value)
    except (ValueError, KeyError, IndexError) as error:
        raise MetricMalformed(f"the answer is no Prometheus text: {shorten(str(error))}") from None
    raise MetricMalformed(f'there is no series "{shorten(location, 80)}"')


def _labels(text: str, location: str) -> list[tuple[str, bool, str]]:
    """Return ``(name, must equal, value)`` for each condition."""
    labels, position = [], 0
    while position < len(text.rstrip()):
        found = _LABEL.match(text, position)
        if found is None:
            raise MetricMalformed(
                f'valueLocation "{shorten(location, 80)}": labels are written name="value" or '
                'name!="value", separated by commas'
            )
        value = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], found["value"])
        labels.append((found["name"], found["sign"] == "=", value))
        position = found.end()
    return labels


_DECODE: Final = {"json": _json, "yaml": _yaml, "xml": _xml, "prometheus": _exposition}
