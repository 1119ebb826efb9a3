"""The shop's metrics over HTTP: exposition text, JSON, and a very small Prometheus."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from typing import Final

from aiohttp import web

from autoscaler.demo.objects import JsonObject, encode
from autoscaler.demo.shop import Shop
from autoscaler.runtime.clock import Clock

Labels = tuple[tuple[str, str], ...]
Series = Mapping[tuple[str, Labels], float]

HELP: Final[Mapping[str, tuple[str, str]]] = {
    "shop_requests_per_second": ("gauge", "Requests served per second."),
    "shop_requests_in_flight": ("gauge", "Requests under way."),
    "shop_orders_per_second": ("gauge", "Orders placed per second."),
    "shop_orders_produced_total": ("counter", "Orders placed."),
    "shop_orders_processed_total": ("counter", "Orders done."),
    "shop_orders_queued": ("gauge", "Orders waiting in the list."),
    "shop_orders_in_flight": ("gauge", "Orders a worker holds."),
}
_SELECTOR: Final = re.compile(r"([a-z_]+)\s*(?:\{([^{}]*)\})?")
_MATCHER: Final = re.compile(r'\s*([a-z_]+)\s*(=|!=)\s*"([^"]*)"\s*')
_SUM: Final = re.compile(r"\s*sum\s*\(\s*(.*?)\s*\)\s*")


class QueryError(Exception):
    """A query this small server does not understand."""


def series_of(shop: Shop) -> Series:
    """Return the shop's series now."""
    load, counts = shop.load, shop.counts()
    web_app, api_app = (("app", "web"),), (("app", "api"),)
    return {
        ("shop_requests_per_second", web_app): load.requests,
        ("shop_requests_per_second", api_app): load.api_calls,
        ("shop_requests_in_flight", api_app): load.api_in_flight,
        ("shop_orders_per_second", ()): load.orders,
        ("shop_orders_produced_total", ()): float(counts.produced),
        ("shop_orders_processed_total", ()): float(counts.processed),
        ("shop_orders_queued", ()): float(counts.queued),
        ("shop_orders_in_flight", ()): float(counts.in_flight),
    }


def exposition(series: Series) -> str:
    """Return series in Prometheus text format."""
    lines = []
    for name, (kind, text) in HELP.items():
        lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        for (found, labels), value in series.items():
            if found == name:
                shown = ",".join(f'{label}="{text}"' for label, text in labels)
                lines.append(f"{name}{{{shown}}} {value}" if shown else f"{name} {value}")
    return "\n".join(lines) + "\n"


def select(query: str, series: Series) -> list[tuple[JsonObject, float]]:
    """Answer ``name``, ``name{label="value"}`` or ``sum(...)`` of them; raises QueryError."""
    summed = _SUM.fullmatch(query)
    if summed:
        found = select(summed[1], series)
        return [({}, sum(value for _, value in found))] if found else []
    selector = _SELECTOR.fullmatch(query.strip())
    if selector is None:
        raise QueryError(f"this small server only knows name{{label=...}} and sum(): {query!r}")
    name, matchers = selector[1], selector[2] or ""
    wanted = []
    for part in filter(str.strip, matchers.split(",")):
        matcher = _MATCHER.fullmatch(part)
        if matcher is None:
            raise QueryError(f'only label="value" and label!="value" are understood: {part!r}')
        wanted.append((matcher[1], matcher[2] == "=", matcher[3]))
    return [
        ({"__name__": found, **dict(labels)}, value)
        for (found, labels), value in series.items()
        if found == name
        and all((dict(labels).get(label, "") == text) is equal for label, equal, text in wanted)
    ]


class ShopPages:
    """Handlers of ``/metrics``, ``/stats.json`` and ``/api/v1/query``."""

    def __init__(self, shop: Shop, clock: Clock) -> None:
        self._shop = shop
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/metrics", self.metrics),
            web.get("/stats.json", self.stats),
            web.get("/api/v1/query", self.query),
            web.post("/api/v1/query", self.query),
        ]

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer the exposition text."""
        return web.Response(
            text=exposition(series_of(self._shop)),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def stats(self, _request: web.Request) -> web.Response:
        """Answer the numbers as one JSON document."""
        load, counts = self._shop.load, self._shop.counts()
        return _json(
            {
                "web": {"requests_per_second": round(load.requests, 3)},
                "api": {
                    "requests_per_second": round(load.api_calls, 3),
                    "in_flight": round(load.api_in_flight, 3),
                },
                "orders": {"queued": counts.queued, "in_flight": counts.in_flight},
            }
        )

    async def query(self, request: web.Request) -> web.Response:
        """Answer an instant query as Prometheus does."""
        form = await request.post() if request.method == "POST" else request.query
        text = form.get("query", "")
        try:
            found = select(text if isinstance(text, str) else "", series_of(self._shop))
        except QueryError as exc:
            error = {"status": "error", "errorType": "bad_data", "error": str(exc)}
            return _json(error, code=400)
        at = self._clock.now()
        result = [{"metric": labels, "value": [at, str(value)]} for labels, value in found]
        return _json({"status": "success", "data": {"resultType": "vector", "result": result}})


@contextlib.asynccontextmanager
async def shop_pages(shop: Shop, clock: Clock) -> AsyncIterator[str]:
    """Serve the shop's metrics on a free loopback port while open; yields the address."""
    app = web.Application()
    app.add_routes(ShopPages(shop, clock).routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def _json(body: JsonObject, code: int = 200) -> web.Response:
    return web.Response(status=code, body=encode(body), content_type="application/json")
