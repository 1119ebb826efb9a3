"""Reading raw objects into models: every shape problem at once, and fields nobody knows."""

from __future__ import annotations

import copy
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from autoscaler.api.fields import without_nulls
from autoscaler.api.problems import (
    Path,
    Problem,
    ProblemReason,
    did_you_mean,
    invalid,
    not_supported,
    required,
    shown,
)

ModelT = TypeVar("ModelT", bound=BaseModel)

_QUOTED: Final = re.compile(r"'([^']*)'")
_MISSING: Final = {"missing": "is required", "string_too_short": "must not be empty"}
_KINDS_OF_VALUE: Final = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_LIMITS: Final = {
    "greater_than_equal": ("must be at least", "ge"),
    "greater_than": ("must be more than", "gt"),
    "less_than_equal": ("must be at most", "le"),
    "less_than": ("must be less than", "lt"),
}
_PLACEHOLDERS: Final[Mapping[type, object]] = {str: "x", int: 1, float: 1.0, bool: False, list: []}


def read_model(model: type[ModelT], raw: Mapping[str, Any]) -> tuple[ModelT | None, list[Problem]]:
    """Return the object and what is wrong with its shape.

    With problems the object is only good for finding more of them: wrong values are left out and
    missing ones filled in. It is None when not even that works.
    """
    cleaned = without_nulls(dict(raw))
    try:
        return model.model_validate(cleaned), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    problems = [_to_problem(detail) for detail in details]
    try:
        return model.model_validate(_without_errors(model, cleaned, details)), problems
    except ValidationError:
        return None, problems


def unknown_fields(model: type[BaseModel], raw: object, path: Path) -> Iterator[Problem]:
    """Yield the fields of ``raw`` that the API server would silently drop.

    Args:
        model: What ``raw`` is meant to be.
        raw: Anything; what is no mapping is not looked into.
        path: Of ``raw``.
    """
    if not isinstance(raw, Mapping):
        return
    known = _fields_by_alias(model)
    for key, value in raw.items():
        field = known.get(key)
        if field is None:
            hint = did_you_mean(str(key), known) if isinstance(key, str) else ""
            text = f"unknown field, it would have no effect{hint}"
            yield Problem(str(path / str(key)), text, ProblemReason.UNKNOWN)
            continue
        inner = _unwrap(field.annotation)
        if _is_model(inner):
            yield from unknown_fields(inner, value, path / key)
        elif get_origin(inner) is list and isinstance(value, list):
            item = _unwrap(get_args(inner)[0])
            for index, element in enumerate(value):
                if _is_model(item):
                    yield from unknown_fields(item, element, path / key / index)


def _to_problem(detail: ErrorDetails) -> Problem:
    path, value, kind = Path(detail["loc"]), detail["input"], detail["type"]
    context = detail.get("ctx", {})
    if kind in _MISSING:
        return required(path, _MISSING[kind])
    if kind == "literal_error":
        return not_supported(path, value, filter(None, _QUOTED.findall(context["expected"])))
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        text = f"{words} {context[limit]}"
    elif kind == "value_error":
        text = str(context["error"])
    else:
        text = f"must be {_KINDS_OF_VALUE[kind]}" if kind in _KINDS_OF_VALUE else detail["msg"]
    problem = invalid(path, text, value)
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        quoted = f"{problem.message}; write it in quotes: {shown(_as_text(value), path)}"
        return Problem(problem.field, quoted)
    return problem


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _without_errors(
    model: type[BaseModel], raw: Mapping[str, Any], details: Sequence[ErrorDetails]
) -> Any:
    """Return a copy in which each offending value is left out or replaced by a harmless one."""
    repaired: Any = copy.deepcopy(raw)
    for detail in details:
        *parents, last = detail["loc"]
        holder: Any = repaired
        for step in parents:
            holder = holder[step]
        field = _field_at(model, detail["loc"])
        optional = field is None or not field.is_required()
        if isinstance(holder, dict) and optional:
            holder.pop(last, None)
        else:
            holder[last] = _placeholder(field.annotation if field else Any)
    return repaired


def _field_at(model: type[BaseModel], location: Sequence[str | int]) -> FieldInfo | None:
    """Return the model field at a location; None below plain mappings."""
    current: Any = model
    field: FieldInfo | None = None
    for step in location:
        if _is_model(current):
            field = _fields_by_alias(current).get(str(step))
            current = _unwrap(field.annotation) if field else Any
        else:
            field = None
            arguments = get_args(current)
            current = _unwrap(arguments[-1]) if arguments else Any
            if isinstance(step, int):
                field = FieldInfo(annotation=current, default=PydanticUndefined)
    return field


def _placeholder(annotation: Any) -> Any:
    inner = _unwrap(annotation)
    if _is_model(inner):
        return {
            alias: _placeholder(field.annotation)
            for alias, field in _fields_by_alias(inner).items()
            if field.is_required()
        }
    if get_origin(inner) is Literal:
        return get_args(inner)[0]
    return _PLACEHOLDERS.get(get_origin(inner) or inner, {})


def _fields_by_alias(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _unwrap(annotation: Any) -> Any:
    """Strip ``Annotated`` and ``| None``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _unwrap(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        present = [item for item in get_args(annotation) if item is not types.NoneType]
        return _unwrap(present[0])
    return annotation


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
