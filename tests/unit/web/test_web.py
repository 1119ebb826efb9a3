"""The HTTP endpoints over a scripted view of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from autoscaler.errors import ConfigError
from autoscaler.web.api import OBJECTS_MAX
from autoscaler.web.app import listening


class View:
    """What a service would show."""

    def __init__(self) -> None:
        self.loop_lag_seconds = 0.01
        self.reasons: list[str] = []
        self.items: list[dict[str, Any]] = []

    def unready_reasons(self) -> list[str]:
        return self.reasons

    def objects(self) -> list[dict[str, Any]]:
        return self.items

    def explain(self, namespace: str, name: str, kind: str | None = None) -> dict[str, Any] | None:
        return {"why": kind or "because"} if name == "web" else None

    def explain_text(self, namespace: str, name: str, kind: str | None = None) -> str | None:
        return "because\n" if name == "web" else None

    def exposition(self) -> bytes:
        return b"flyball_up 1\n"


@asynccontextmanager
async def served(view: View) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve a view and yield a client."""
    async with (
        listening(view, "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


async def test_liveness_follows_the_event_loop() -> None:
    """A loop that runs timers far too late is not alive."""
    view = View()
    async with served(view) as session:
        assert (await session.get("/livez")).status == 200
        view.loop_lag_seconds = 6.0
        assert (await session.get("/livez")).status == 503


async def test_readiness_names_what_is_missing() -> None:
    """Each reason is a line of the answer."""
    view = View()
    async with served(view) as session:
        assert (await session.get("/readyz")).status == 200
        view.reasons = ["one is missing", "two is missing"]
        response = await session.get("/readyz")
        assert (response.status, await response.text()) == (503, "one is missing\ntwo is missing\n")


async def test_objects_come_in_bounded_pages() -> None:
    """A long list is cut, and continued from the name given."""
    view = View()
    view.items = [{"namespace": "shop", "name": f"o{i:05}"} for i in range(OBJECTS_MAX + 1)]
    view.items.append({"namespace": "yard", "name": "x"})
    async with served(view) as session:
        first = await (await session.get("/api/v1/objects")).json()
        assert len(first["items"]) == OBJECTS_MAX
        assert first["continue"] == f"shop/o{OBJECTS_MAX:05}"
        rest = await (
            await session.get("/api/v1/objects", params={"continue": first["continue"]})
        ).json()
        assert [item["name"] for item in rest["items"]] == [f"o{OBJECTS_MAX:05}", "x"]
        assert rest["continue"] is None
        yard = await (await session.get("/api/v1/objects", params={"namespace": "yard"})).json()
        assert [item["name"] for item in yard["items"]] == ["x"]


async def test_explanations_come_as_json_and_text() -> None:
    """The format follows the query or the Accept header; unknown objects are 404."""
    async with served(View()) as session:
        path = "/api/v1/objects/shop/web/explain"
        assert await (await session.get(path)).json() == {"why": "because"}
        assert await (await session.get(f"{path}?format=text")).text() == "because\n"
        of_kind = await session.get(f"{path}?kind=ScaledJob")
        assert await of_kind.json() == {"why": "ScaledJob"}
        as_text = await session.get(path, headers={"Accept": "text/plain"})
        assert await as_text.text() == "because\n"
        for query in ("", "?format=text"):
            missing = await session.get(f"/api/v1/objects/shop/none/explain{query}")
            assert missing.status == 404
            assert "shop/none" in await missing.text()


async def test_metrics_have_the_exposition_content_type() -> None:
    """Prometheus gets its text format."""
    async with served(View()) as session:
        response = await session.get("/metrics")
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        assert await response.read() == b"flyball_up 1\n"


async def test_nothing_can_be_changed() -> None:
    """Only reading is offered."""
    async with served(View()) as session:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert (await session.request(method, "/api/v1/objects")).status == 405


async def test_taken_address_is_a_clear_error() -> None:
    """Two services cannot listen on one port; the second one says how to choose another."""
    view = View()
    async with listening(view, "127.0.0.1", 0) as port:
        with pytest.raises(ConfigError, match=rf"cannot listen on 127.0.0.1:{port}.*--listen"):
            async with listening(view, "127.0.0.1", port):
                pass
