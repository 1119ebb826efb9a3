"""From a pydantic model to a Kubernetes structural schema.

A kube-apiserver refuses plain JSON Schema: no references, no titles, a type everywhere, logic only
in a few places. Fields that may be absent are simply not required; they are not nullable, so the
API server drops a null instead of storing it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from autoscaler.core.model import INT32_MAX

_KEPT: Final = (
    "description",
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "minimum",
    "maximum",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
)
_TYPE_OF: Final[Mapping[type, str]] = {str: "string", int: "integer", bool: "boolean"}


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the structural schema of a model, by wire names."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    return _convert(schema, schema.get("$defs", {}))


def _convert(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    schema = _resolve(schema, definitions)
    result: dict[str, Any] = {key: schema[key] for key in _KEPT if key in schema}
    if "description" in result:
        result["description"] = result["description"].replace("``", "`")
    if schema.get("x-kubernetes-int-or-string"):
        result["anyOf"] = schema["anyOf"]
        return result
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if "exclusiveMinimum" in schema:
        result["minimum"] = schema["exclusiveMinimum"]
        result["exclusiveMinimum"] = True
    if "enum" in result and "type" not in result:
        result["type"] = _TYPE_OF[type(result["enum"][0])]
    if result.get("type") == "integer":
        _mark_int32(result)
    return {**result, **_convert_inside(schema, definitions)}


def _convert_inside(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    inside: dict[str, Any] = {}
    if "properties" in schema:
        inside["properties"] = {
            name: _convert(value, definitions) for name, value in schema["properties"].items()
        }
    if schema.get("required"):
        inside["required"] = sorted(schema["required"])
    if isinstance(schema.get("additionalProperties"), Mapping):
        inside["additionalProperties"] = _convert(schema["additionalProperties"], definitions)
    if "items" in schema:
        inside["items"] = _convert(schema["items"], definitions)
    return inside


def _resolve(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Follow a reference or the one non-null alternative; the outer description wins."""
    outer = dict(schema)
    while "$ref" in outer or ("anyOf" in outer and "x-kubernetes-int-or-string" not in outer):
        if "$ref" in outer:
            inner = definitions[outer.pop("$ref").rpartition("/")[2]]
        else:
            present = [item for item in outer.pop("anyOf") if item.get("type") != "null"]
            assert len(present) == 1, "a field has one type"
            inner = present[0]
        outer = {**inner, **outer}
    return outer


def _mark_int32(result: dict[str, Any]) -> None:
    if result.get("maximum") == INT32_MAX:
        result["format"] = "int32"
        del result["maximum"]
    if result.get("minimum") == -INT32_MAX - 1:
        del result["minimum"]
