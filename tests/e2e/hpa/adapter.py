"""The metrics both sides read: to the HPA the metrics APIs, to us numbers over HTTP.

One server in this process, behind the API server's aggregation layer for ``external.metrics.k8s.io``
and ``metrics.k8s.io``, asked directly for the numbers of ``metrics-api`` triggers. Every answer
comes from the same :class:`Course` at the moment of the question.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.e2e.hpa.cases import Case
from tests.e2e.hpa.manifests import GROUPS, metric_name
from tests.e2e.hpa.series import Course
from tests.servers.certificates import Certificates

USAGE_WINDOW = "1s"
_RESOURCES = {
    "external.metrics.k8s.io": [],
    "metrics.k8s.io": [
        {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics",
         "verbs": ["get", "list"]},
    ],
}  # fmt: skip


class Adapter:
    """Answers from the courses of the cases.

    Args:
        cases: Whose metrics are served.
        courses: By number of the case.
        pods: Names by namespace and label ``app``, for usage.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        courses: Mapping[int, Course],
        pods: Mapping[tuple[str, str], Collection[str]],
    ) -> None:
        self._pods = pods
        self._courses = courses
        self._by_number = {case.number: case for case in cases}
        self._by_metric = {
            metric_name(case, index): (case, index)
            for case in cases
            for index in range(len(case.metrics))
        }
        self._by_label = {
            name: (case, name == case.theirs) for case in cases for name in (case.theirs, case.ours)
        }
        self.port = 0

    @property
    def url(self) -> str:
        """Where our triggers read."""
        return f"https://localhost:{self.port}"

    @asynccontextmanager
    async def serving(self, folder: Path) -> AsyncIterator[None]:
        """Listen on a free port, with a certificate nobody has to trust."""
        certificates = Certificates(folder)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificates.server, certificates.server_key)
        app = web.Application()
        for group, version in GROUPS.items():
            app.router.add_get(f"/apis/{group}/{version}", self._discovery)
        external, usage = (f"/apis/{group}/{version}" for group, version in GROUPS.items())
        app.router.add_get(external + "/namespaces/{namespace}/{metric}", self._external)
        app.router.add_get(usage + "/namespaces/{namespace}/pods", self._usage)
        app.router.add_get("/series/{case}/{index}", self._number)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            self.port = runner.addresses[0][1]
            yield
        finally:
            await runner.cleanup()

    async def _discovery(self, request: web.Request) -> web.Response:
        group, version = request.path.split("/")[2:4]
        return web.json_response(
            {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": f"{group}/{version}",
                "resources": _RESOURCES[group],
            }
        )

    async def _external(self, request: web.Request) -> web.Response:
        name = request.match_info["metric"]
        case, index = self._by_metric[name]
        amount = self._amount_milli(case, index, is_look=True)
        if amount is None:
            return _failure()
        item = {
            "metricName": name,
            "metricLabels": {},
            "timestamp": _now(),
            "value": f"{amount}m",
        }
        return _list("ExternalMetricValueList", "external.metrics.k8s.io", [item])

    async def _usage(self, request: web.Request) -> web.Response:
        label = request.query["labelSelector"].removeprefix("app=")
        case, is_look = self._by_label[label]
        amount = self._amount_milli(case, 0, is_look=is_look)
        if amount is None:
            return _failure()
        namespace = request.match_info["namespace"]
        usage = [{"name": "main", "usage": {"cpu": f"{amount}m"}}]
        sampled = {"timestamp": _now(), "window": USAGE_WINDOW, "containers": usage}
        items = [
            {"metadata": {"name": name, "namespace": namespace}, **sampled}
            for name in self._pods[namespace, label]
        ]
        return _list("PodMetricsList", "metrics.k8s.io", items)

    async def _number(self, request: web.Request) -> web.Response:
        case = self._by_number[int(request.match_info["case"])]
        amount = self._amount_milli(case, int(request.match_info["index"]))
        return _failure() if amount is None else web.json_response({"value": amount / 1000})

    def _amount_milli(self, case: Case, index: int, *, is_look: bool = False) -> int | None:
        """Return what a metric is now; None when its source fails."""
        course = self._courses[case.number]
        ratio = course.values[index]
        if is_look and index == 0:
            course.looked()
        return None if ratio is None else case.metrics[index].amount_milli(ratio)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _failure() -> web.Response:
    return web.json_response(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "message": "the source is away",
            "code": 500,
        },
        status=500,
    )


def _list(kind: str, group: str, items: Sequence[dict[str, Any]]) -> web.Response:
    version = f"{group}/{GROUPS[group]}"
    return web.json_response({"kind": kind, "apiVersion": version, "metadata": {}, "items": items})
