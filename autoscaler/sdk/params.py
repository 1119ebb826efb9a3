"""One trigger parameter: where it is looked up, how its text is read, how it is described."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum, StrEnum
from typing import Any, Final, Literal, NewType, Union, get_args, get_origin

import msgspec
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from autoscaler.errors import shorten
from autoscaler.sdk import conversion
from autoscaler.sdk.addresses import AddressForm

Seconds = NewType("Seconds", float)
"""A duration in seconds; written ``30s``, ``1m30s`` or as bare milliseconds."""

Problem = tuple[str, str]
"""Parameter name (may be empty) and message."""

SHOWN_VALUE_LIMIT = 80
ABSENT: Final = object()
"""What :func:`read` returns for an optional parameter nobody gave."""


class ParamSource(StrEnum):
    """Where a parameter's text may come from."""

    METADATA = "metadata"
    """``metadata`` of the trigger."""
    ENV = "env"
    """An environment variable of the scale target, named by ``<name>FromEnv`` in the metadata."""
    AUTH = "auth"
    """A parameter of the TriggerAuthentication."""


METADATA: Final = ParamSource.METADATA
ENV: Final = ParamSource.ENV
AUTH: Final = ParamSource.AUTH


class Param:
    """How one field of a :class:`TriggerConfig` is found and read.

    Attributes:
        names: KEDA's parameter name, then other accepted spellings.
        order: Sources in the order they are asked.
        doc: One sentence for the reference: meaning, unit.
        separator: Between the elements of a list or map.
        range_separator: In a list of whole numbers, ``-`` allows ``1-5``; empty = no ranges.
        url_encoded: A map written ``a=b&c=d``.
        endpoint: The text says where to connect to, in this form; None = it does not.
        removed: Giving the parameter is an error; this text says what to write instead.
        deprecated: Giving the parameter works but is announced with this text.
    """

    def __init__(
        self,
        *names: str,
        order: tuple[ParamSource, ...] = (METADATA,),
        doc: str = "",
        separator: str = ",",
        range_separator: str = "",
        url_encoded: bool = False,
        endpoint: AddressForm | None = None,
        removed: str = "",
        deprecated: str = "",
    ) -> None:
        assert names
        assert order
        self.names = names
        self.order = order
        self.doc = doc
        self.separator = separator
        self.range_separator = range_separator
        self.url_encoded = url_encoded
        self.endpoint = endpoint
        self.removed = removed
        self.deprecated = deprecated

    def find(self, given: TriggerInput) -> str | None:
        """Return the first text that is not blank, stripped, or None."""
        for source in self.order:
            for name in self.names:
                if text := given.text(source, name).strip():
                    return text
        return None

    def where(self) -> str:
        """Return the places the parameter can be given, for a message."""
        name = self.names[0]
        places = {
            METADATA: f"metadata.{name}",
            ENV: f"metadata.{name}FromEnv",
            AUTH: f"authentication parameter {name}",
        }
        return " or ".join(places[source] for source in self.order)


class TriggerInput(msgspec.Struct, frozen=True):
    """What a trigger gives its scaler, all plain text."""

    metadata: Mapping[str, str]
    auth: Mapping[str, str] = {}
    env: Mapping[str, str] = {}

    def text(self, source: ParamSource, name: str) -> str:
        """Return what a source says for a name, empty when nothing."""
        match source:
            case ParamSource.METADATA:
                return self.metadata.get(name, "")
            case ParamSource.ENV:
                return self.env.get(self.metadata.get(f"{name}FromEnv", ""), "")
            case ParamSource.AUTH:
                return self.auth.get(name, "")


class ParameterDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter as the command line and the reference page show it.

    Attributes:
        type: ``text``, ``number``, ``duration``, …
        default: As text, empty when there is none.
        accepted: Allowed words, or bounds.
        sources: ``metadata``, ``env``, ``auth`` in lookup order.
        removed: Why the parameter must not be given any more, empty = it may.
        deprecated: What to use instead, empty = it is current.
    """

    name: str
    aliases: tuple[str, ...] = ()
    type: str = "text"
    required: bool = False
    default: str = ""
    accepted: str = ""
    sources: tuple[str, ...] = ()
    secret: bool = False
    removed: str = ""
    deprecated: str = ""
    doc: str = ""


def param_of(field: FieldInfo) -> Param | None:
    """Return how a field is looked up, None for a field that is no parameter."""
    return next((m for m in field.metadata if isinstance(m, Param)), None)


def bare_type(annotation: Any) -> Any:
    """Return the annotation without ``| None``."""
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [a for a in get_args(annotation) if a is not type(None)]
        assert len(kinds) == 1, f"a parameter has one type, not {annotation}"
        return kinds[0]
    return annotation


def read(field: FieldInfo, param: Param, given: TriggerInput) -> object:
    """Find, convert and check one parameter.

    Returns:
        The value, or ``ABSENT`` when an optional parameter was not given.

    Raises:
        ValueError: With a message fit to follow the parameter's name.
    """
    text = param.find(given)
    if text is None:
        if field.is_required():
            raise ValueError(f"is required; give {param.where()}")
        return ABSENT
    if param.removed:
        raise ValueError(f"is not accepted any more: {param.removed}")
    kind = bare_type(field.annotation)
    shown = "the secret value" if kind is SecretStr else f'"{shorten(text, SHOWN_VALUE_LIMIT)}"'
    try:
        value = _convert(text, kind, param)
    except ValueError as error:
        raise ValueError(f"{shown} is not {error}") from None
    broken = [
        f"{operator} {limit:g}"
        for operator, limit, holds in _bounds(field)
        if isinstance(value, int | float) and not holds(value)
    ]
    if broken:
        raise ValueError(f"{shown} must be {' and '.join(broken)}")
    return value


_SIMPLE: Final[Mapping[Any, Callable[[str], object]]] = {
    str: str,
    SecretStr: SecretStr,
    bool: conversion.to_bool,
    int: conversion.to_int,
    float: conversion.to_float,
    Seconds: conversion.to_seconds,
}


def _convert(text: str, kind: Any, param: Param) -> object:
    if kind in _SIMPLE:
        return _SIMPLE[kind](text)
    if words := _words(kind):
        if text not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return kind(text) if isinstance(kind, type) else text
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is dict:
        if param.url_encoded:
            return conversion.to_url_map(text)
        return conversion.to_map(text, param.separator)
    assert origin is tuple, f"no way to read {kind} from text"
    if arguments[0] is int and param.range_separator:
        parts = param.separator.join(part.strip() for part in text.split(param.separator))
        return conversion.to_int_list(
            parts, range_separator=param.range_separator, separator=param.separator
        )
    return conversion.to_list(
        text, lambda part: _convert(part, arguments[0], param), param.separator
    )


def _words(kind: Any) -> tuple[str, ...]:
    """Return the allowed words of a ``Literal`` or ``StrEnum``, empty for other types."""
    if get_origin(kind) is Literal:
        return tuple(str(a) for a in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(str(member.value) for member in kind)
    return ()


def _bounds(field: FieldInfo) -> Iterator[tuple[str, float, Any]]:
    """Yield ``(operator, limit, predicate)`` of the numeric bounds given with ``Field``."""
    for constraint in field.metadata:
        for name, operator, holds in (
            ("gt", ">", lambda v, m: v > m),
            ("ge", ">=", lambda v, m: v >= m),
            ("lt", "<", lambda v, m: v < m),
            ("le", "<=", lambda v, m: v <= m),
        ):
            limit = getattr(constraint, name, None)
            if limit is not None:
                yield operator, limit, lambda v, h=holds, m=limit: h(v, m)


def describe(field: FieldInfo, param: Param) -> ParameterDescription:
    """Return a parameter as the command line and the reference page show it."""
    kind = bare_type(field.annotation)
    default = "" if field.is_required() or field.default is None else _text(field.default)
    if kind is Seconds and default:
        default += "s"
    element = get_args(kind)[0] if get_origin(kind) is tuple else kind
    accepted = " | ".join(_words(element)) or ", ".join(f"{o} {m:g}" for o, m, _ in _bounds(field))
    return ParameterDescription(
        name=param.names[0],
        aliases=param.names[1:],
        type=_type_name(kind),
        required=field.is_required(),
        default=default,
        accepted=accepted,
        sources=tuple(str(source) for source in param.order),
        secret=kind is SecretStr,
        removed=param.removed,
        deprecated=param.deprecated,
        doc=param.doc,
    )


def _type_name(kind: Any) -> str:
    plain: dict[Any, str] = {
        bool: "boolean",
        int: "whole number",
        float: "number",
        Seconds: "duration",
        dict: "map",
        tuple: "list",
    }
    return plain.get(get_origin(kind) or kind, "text")


def _text(default: object) -> str:
    match default:
        case bool():
            return str(default).lower()
        case float():
            return f"{default:g}"
        case tuple():
            return ",".join(str(item) for item in default)
        case dict():
            return ""
        case _:
            return str(default)
