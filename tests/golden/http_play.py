"""Recorded HTTP answers played by a real server, and the requests it saw."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

from aiohttp import web

Rule = Mapping[str, Any]


class PlayedServer:
    """Answers by an ordered list of rules; 404 when none fits.

    Args:
        rules: As in the vectors: ``method host path queryHas bodyHas headerHas times`` decide,
            ``status headers body`` answer.
        hosts: Loopback addresses to listen on, all with the same port.
    """

    def __init__(self, rules: Sequence[Rule], hosts: Sequence[str] = ("127.0.0.1",)) -> None:
        self._rules = [dict(rule) for rule in rules]
        self._hosts = hosts
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.0)
        self.port = 0
        self.requests: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        for host in self._hosts:
            site = web.TCPSite(self._runner, host, self.port)
            await site.start()
            self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        body = (await request.read()).decode("utf-8", "replace")
        path, _, query = request.raw_path.partition("?")
        rule = next((r for r in self._rules if _fits(r, request, path, query, body)), {})
        if "times" in rule:
            rule["times"] -= 1
        status = rule.get("status", 200 if rule else 404)
        self.requests.append(
            {
                "method": request.method,
                "host": request.host,
                "path": path,
                "query": query,
                "headers": dict(request.headers),
                "responseStatus": status,
            }
        )
        text = rule.get("body", "" if rule else "no such page")
        return web.Response(status=status, text=text, headers=rule.get("headers"))


def _fits(rule: Rule, request: web.BaseRequest, path: str, query: str, body: str) -> bool:
    wanted = rule.get("path", "*")
    headers = "\n".join(f"{k}: {v}" for k, v in request.headers.items())
    return (
        rule.get("method", request.method) == request.method
        and request.host.startswith(rule.get("host", ""))
        and (path.startswith(wanted[:-1]) if wanted.endswith("*") else path == wanted)
        and rule.get("queryHas", "") in query
        and rule.get("bodyHas", "") in body
        and rule.get("headerHas", "") in headers
        and rule.get("times", 1) > 0
    )


def filled(value: Any, ports: Sequence[int]) -> Any:
    """Return a recorded value with the placeholders of the servers' addresses filled in."""
    match value:
        case str():
            for index, port in enumerate(ports):
                suffix = str(index) if index else ""
                value = (
                    value.replace(f"{{{{SERVER{suffix}}}}}", f"http://127.0.0.1:{port}")
                    .replace(f"{{{{HOSTPORT{suffix}}}}}", f"127.0.0.1:{port}")
                    .replace(f"{{{{PORT{suffix}}}}}", str(port))
                )
            return value
        case dict():
            return {k: filled(v, ports) for k, v in value.items()}
        case list():
            return [filled(v, ports) for v in value]
    return value


async def start_all(
    stack: AsyncExitStack, servers: Iterable[Sequence[Rule]], hosts: Sequence[str]
) -> list[PlayedServer]:
    """Start one server per rule list; answers may name the servers' own addresses."""
    return [await stack.enter_async_context(PlayedServer(rules, hosts)) for rules in servers]


def differing_requests(
    seen: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return what differs between the requests seen and the recorded ones."""
    ours, theirs = sorted(seen, key=_order), sorted(expected, key=_order)
    if len(ours) != len(theirs):
        return [f"{len(ours)} requests, expected {len(theirs)}"]
    problems: list[str] = []
    for got, wanted in zip(ours, theirs, strict=True):
        problems += [
            f"{name} {got[name]}, expected {wanted[name]}"
            for name in ("method", "path", "host")
            if got[name] != wanted[name]
        ]
        query = re.sub(r"\btime=[^&]*", "time={{NOW}}", got["query"])
        if query != wanted.get("query", ""):
            problems.append(f"query {query}, expected {wanted.get('query', '')}")
        headers = {name.lower(): value for name, value in got["headers"].items()}
        recorded = {name.lower(): value for name, value in wanted["headers"].items()}
        problems += [
            f"header {name} is {headers.get(name)!r}, expected {value!r}"
            for name, value in recorded.items()
            if headers.get(name) != value
        ]
        if "authorization" in headers and "authorization" not in recorded:
            problems.append("an Authorization header nobody asked for")
    return problems


def _order(request: Mapping[str, Any]) -> tuple[str, str, str]:
    return (request["host"], request["path"], request.get("query", ""))


def run(play: Any) -> Any:
    """Run one case on a loop of its own, so that nothing of it is left."""
    return asyncio.run(play)
