"""The read-only JSON API: objects, and why each has the replicas it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
from aiohttp import web

OBJECTS_MAX = 1000
"""Objects in one answer; ``continue`` names the first of the next one."""


class ServiceView(Protocol):
    """What is shown of a running service."""

    @property
    def loop_lag_seconds(self) -> float:
        """How late the event loop ran its last timer."""
        ...

    def unready_reasons(self) -> Sequence[str]:
        """Return what keeps the service from working."""
        ...

    def objects(self) -> Sequence[Mapping[str, Any]]:
        """Return a line about every object, by namespace and name."""
        ...

    def explain(
        self, namespace: str, name: str, kind: str | None = None
    ) -> Mapping[str, Any] | None:
        """Return everything about an object's decisions, None when it is unknown.

        Args:
            namespace: Of the object.
            name: Of the object.
            kind: ``ScaledObject`` or ``ScaledJob``; None = whichever exists, in this order.
        """
        ...

    def explain_text(self, namespace: str, name: str, kind: str | None = None) -> str | None:
        """Return the same for people."""
        ...

    def exposition(self) -> bytes:
        """Return all series in Prometheus text format."""
        ...


def json_response(body: object, status: int = 200) -> web.Response:
    """Return a JSON answer that nothing on the way may keep."""
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


class Api:
    """Handlers of ``/api/v1``."""

    def __init__(self, view: ServiceView) -> None:
        self._view = view

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        one = "/api/v1/objects/{namespace}/{name}"
        return [
            web.get("/api/v1/objects", self.objects),
            web.get(one, self.explain),
            web.get(f"{one}/explain", self.explain),
        ]

    async def objects(self, request: web.Request) -> web.Response:
        """List objects, at most :data:`OBJECTS_MAX`, from ``?continue=namespace/name`` on."""
        start = request.query.get("continue", "")
        wanted = request.query.get("namespace")
        matching = [
            item
            for item in self._view.objects()
            if _key(item) >= start and wanted in {None, item["namespace"]}
        ]
        more = _key(matching[OBJECTS_MAX]) if len(matching) > OBJECTS_MAX else None
        return json_response({"items": matching[:OBJECTS_MAX], "continue": more})

    async def explain(self, request: web.Request) -> web.Response:
        """Explain one object, as JSON or (``Accept: text/plain`` or ``?format=text``) as text.

        ``?kind=ScaledJob`` means that one where a ScaledObject has the same name.
        """
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        kind = request.query.get("kind")
        as_text = request.query.get("format") == "text" or (
            "text/plain" in request.headers.get("Accept", "")
        )
        if as_text:
            text = self._view.explain_text(namespace, name, kind)
            if text is not None:
                return web.Response(text=text, headers={"Cache-Control": "no-store"})
        else:
            shown = self._view.explain(namespace, name, kind)
            if shown is not None:
                return json_response(shown)
        return json_response(
            {"error": f"no {kind or 'scaling object'} {namespace}/{name} is known"}, status=404
        )


def _key(item: Mapping[str, Any]) -> str:
    return f"{item['namespace']}/{item['name']}"
