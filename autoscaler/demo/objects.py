"""JSON objects as the embedded API server holds them: shared, therefore never changed in place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

JsonObject = dict[str, Any]
Key = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""

encode = msgspec.json.Encoder().encode
_DECODER = msgspec.json.Decoder()


def decode_object(body: bytes) -> JsonObject:
    """Return the JSON object in ``body``; raises ValueError for anything else."""
    try:
        value = _DECODER.decode(body)
    except msgspec.DecodeError as exc:
        raise ValueError(str(exc)) from exc
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object is expected, not {type(value).__name__}")  # noqa: TRY004 - one error type for a bad body
    return value


def copy_of(value: Mapping[str, Any]) -> JsonObject:
    """Return a deep copy; a JSON round trip is several times faster than ``copy.deepcopy``."""
    copied = _DECODER.decode(encode(value))
    assert isinstance(copied, dict)
    return copied


def at_path(value: Mapping[str, Any], *path: str) -> Any:
    """Return what stands at ``path``, None where any part of it is missing."""
    found: Any = value
    for part in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


def labels_of(value: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the object's labels, empty when it has none."""
    labels = at_path(value, "metadata", "labels")
    return labels if isinstance(labels, Mapping) else {}


def key_of(value: Mapping[str, Any]) -> Key:
    """Return namespace and name."""
    metadata = value["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def timestamp(at: float) -> str:
    """Return ``at`` (epoch seconds) as Kubernetes writes instants: UTC, whole seconds."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def epoch(text: str) -> float:
    """Return the epoch seconds of a Kubernetes instant."""
    return datetime.fromisoformat(text).timestamp()
