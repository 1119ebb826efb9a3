"""Field types and the base of all API models.

Models are strict: the API server does not turn ``"5"`` into 5 either. Unknown fields are ignored
here, as the API server prunes them; ``validate`` reports them. A field set to null counts as
absent (:func:`without_nulls`).
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel

from autoscaler.core.model import INT32_MAX
from autoscaler.core.quantity import to_milli
from autoscaler.errors import QuantityError

QUANTITY_PATTERN: Final = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)

_INT_OR_STRING: Final = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "x-kubernetes-int-or-string": True,
}
_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+")
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class ApiModel(BaseModel):
    """A part of an API object: camelCase on the wire, snake_case here, immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        strict=True,
        frozen=True,
        use_attribute_docstrings=True,
    )


def parse_duration(value: object) -> float:
    """Return seconds from a whole number of seconds or a text such as ``90s`` or ``1m30s``.

    Raises:
        ValueError: It is neither, or not greater than zero.
    """
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    seconds = math.nan
    if text.isascii() and text.isdigit():
        seconds = float(text)
    elif _DURATION.fullmatch(text):
        seconds = sum(float(n) * _UNIT_SECONDS[unit] for n, unit in _DURATION_PART.findall(text))
    if not 0 < seconds < math.inf:
        raise ValueError('must be seconds or a duration such as "90s" or "1m30s", more than 0')
    return seconds


def parse_timestamp(text: str) -> float:
    """Return epoch seconds of an RFC 3339 time; without an offset it is UTC.

    Raises:
        ValueError: The text is no such time.
    """
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def without_nulls(value: Any) -> Any:
    """Return a JSON value without the object fields that are null, at any depth."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _check_quantity(value: object) -> str:
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        try:
            to_milli(str(value))
        except QuantityError:
            pass
        else:
            return str(value)
    raise ValueError('must be a quantity such as "0.05", "50m" or "2Gi"; write fractions as text')


def _check_timestamp(value: object) -> str:
    if isinstance(value, str):
        try:
            parse_timestamp(value)
        except ValueError:
            pass
        else:
            return value
    raise ValueError("must be an RFC 3339 time such as 2026-01-31T12:00:00Z")


Count = Annotated[int, Field(ge=0, le=INT32_MAX)]
"""A whole number from 0."""

PositiveCount = Annotated[int, Field(ge=1, le=INT32_MAX)]
"""A whole number from 1."""

Int32 = Annotated[int, Field(ge=-INT32_MAX - 1, le=INT32_MAX)]
"""A whole number whose bounds another check explains better."""

Quantity = Annotated[
    str,
    BeforeValidator(_check_quantity),
    WithJsonSchema({**_INT_OR_STRING, "pattern": QUANTITY_PATTERN}),
]
"""A Kubernetes quantity, as text."""

Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(_INT_OR_STRING)]
"""Seconds (whole number), or a text such as ``90s``."""

Timestamp = Annotated[
    str,
    BeforeValidator(_check_timestamp),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An RFC 3339 time, as text."""

FreeForm = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]
"""An object that is handed on as it is."""
