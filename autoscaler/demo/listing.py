"""LIST: selection, consistent paging by continue tokens, and versions asked for."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from autoscaler.demo.apierrors import (
    ApiError,
    FieldProblem,
    bad_request,
    expired,
    invalid,
    too_large_version,
)
from autoscaler.demo.objects import JsonObject, Key, encode, key_of
from autoscaler.demo.resources import Resource
from autoscaler.demo.selectors import everything, parse
from autoscaler.demo.store import Compacted, Item, Store

MATCHES: Final = frozenset({"Exact", "NotOlderThan"})
PAGES_GONE: Final = (
    "The provided continue parameter is too old to display a consistent list result. You must "
    "start a new list without the continue parameter."
)


class Continue(msgspec.Struct, frozen=True):
    """What a continue token says: the version of the first page, and the last key given out."""

    v: int
    after: Key


def read_version(text: str) -> int | None:
    """Return a ``resourceVersion`` parameter as a number, None when empty; raises ApiError 400."""
    if not text:
        return None
    if not text.isdigit():
        raise bad_request(f"invalid resource version {text!r}: a decimal number is expected")
    return int(text)


def read_limit(text: str) -> int:
    """Return a ``limit`` parameter, 0 for no limit; raises ApiError 400."""
    if not text:
        return 0
    try:
        return max(0, int(text))
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def check_list_options(query: Mapping[str, str]) -> None:
    """Raise ApiError 422 when the version parameters of a list contradict each other."""
    match, version = query.get("resourceVersionMatch", ""), query.get("resourceVersion", "")
    if query.get("sendInitialEvents"):
        raise forbidden_option("sendInitialEvents", "sendInitialEvents is forbidden for list")
    if not match:
        return
    if not version:
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        raise forbidden_option("resourceVersionMatch", why)
    if match not in MATCHES:
        problem = FieldProblem(
            "resourceVersionMatch",
            f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""',
            "FieldValueNotSupported",
        )
        raise invalid("ListOptions", "meta.k8s.io", "", [problem])
    if match == "Exact" and version == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        raise forbidden_option("resourceVersionMatch", why)


def forbidden_option(field: str, why: str) -> ApiError:
    """422: a parameter of a list or watch may not be used like this."""
    problem = FieldProblem(field, f"Forbidden: {why}", "FieldValueForbidden")
    return invalid("ListOptions", "meta.k8s.io", "", [problem])


def list_body(
    store: Store,
    resource: Resource,
    namespace: str | None,
    query: Mapping[str, str],
    encoded: Callable[[Item], bytes],
) -> bytes:
    """Return the JSON of a list; raises ApiError 400, 410, 422 or 504.

    Args:
        store: Where the objects are.
        resource: What is listed.
        namespace: None for all namespaces.
        query: The request's parameters.
        encoded: Gives the JSON of one element.
    """
    check_list_options(query)
    matches = parse(query, resource)
    limit = read_limit(query.get("limit", ""))
    version, start = _snapshot(store, query)
    try:
        if version is None:
            items: Sequence[Item] = store.items(resource.storage, namespace)
        else:
            items = store.items_at(resource.storage, version, namespace)
    except Compacted as exc:
        raise expired(PAGES_GONE if start else str(exc)) from exc
    if start is not None:
        items = [item for item in items if key_of(item.value) > start]
    if matches is not everything:
        items = [item for item in items if matches(item.value)]
    metadata: JsonObject = {"resourceVersion": str(store.version if version is None else version)}
    if limit and len(items) > limit:
        if matches is everything:
            metadata["remainingItemCount"] = len(items) - limit
        items = items[:limit]
        token = Continue(int(metadata["resourceVersion"]), key_of(items[-1].value))
        metadata["continue"] = base64.urlsafe_b64encode(encode(token)).decode()
    head = encode(
        {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata}
    )
    return head[:-1] + b',"items":[' + b",".join(map(encoded, items)) + b"]}"


def _snapshot(store: Store, query: Mapping[str, str]) -> tuple[int | None, Key | None]:
    """Return the version to read (None = the current one) and the key to go on after."""
    token = query.get("continue", "")
    asked = read_version(query.get("resourceVersion", ""))
    if token:
        if asked:
            raise bad_request("specifying resource version is not allowed when using continue")
        try:
            page = msgspec.json.decode(base64.urlsafe_b64decode(token), type=Continue)
        except (binascii.Error, ValueError, msgspec.DecodeError) as exc:
            raise bad_request("continue key is not valid") from exc
        return page.v, page.after
    if asked is not None and asked > store.version:
        raise too_large_version(asked, store.version)
    if query.get("resourceVersionMatch") == "Exact":
        return asked, None
    return None, None
