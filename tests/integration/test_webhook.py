"""``flyball run --webhook-listen`` as a process."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import ssl
import sys
from asyncio.subprocess import PIPE
from typing import Any

import aiohttp

from autoscaler.demo.cluster import EmbeddedCluster
from tests.webhook_cases import autoscaler, scaled_object

STARTED_SECONDS = 30
SECRET = "flyball-webhook-certificate"


async def test_the_service_reviews_objects_with_a_certificate_of_its_own() -> None:
    """It makes a certificate, refuses what is wrong and what clashes, counts, and stops cleanly."""
    async with EmbeddedCluster(workloads=False) as cluster:
        body = autoscaler()
        body["metadata"]["namespace"] = "default"
        cluster.create(body)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "autoscaler", "run", "--server", cluster.url),
            *("--listen", "127.0.0.1:0", "--webhook-listen", "127.0.0.1:0"),
            *("--log-format", "json"),
            stderr=PIPE,
            env={**os.environ, "FLYBALL_WEBHOOK__NAMES": '["127.0.0.1"]'},
        )
        assert process.stderr
        try:
            async with asyncio.timeout(STARTED_SECONDS):
                ports = await _ports(process.stderr)
                resource = cluster.registry.resource("v1", "Secret")
                secret = cluster.registry.get(resource, "default", SECRET).value["data"]
                authority = base64.b64decode(secret["ca.crt"]).decode()
                await _reviews(ports["webhook_listening"], authority)
                counted = await _metrics(ports["listening"])
        finally:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(STARTED_SECONDS):
                await process.communicate()
    assert process.returncode == 0
    series = 'flyball_webhook_validations_total{action="create",kind="ScaledObject",outcome='
    assert f'{series}"rejected"}} 2.0' in counted
    assert f'{series}"allowed"}}' in counted


async def _ports(log: asyncio.StreamReader) -> dict[str, int]:
    """Return the ports of the service and of its webhook."""
    ports: dict[str, int] = {}
    async for line in log:
        entry = json.loads(line)
        if entry["event"] in {"listening", "webhook_listening"}:
            ports[entry["event"]] = entry["port"]
        if len(ports) == 2:
            return ports
    raise AssertionError("the service ended before it listened")


async def _reviews(port: int, authority: str) -> None:
    """Ask until the webhook knows the cluster, then for objects that must be refused."""
    context = ssl.create_default_context(cadata=authority)
    url = f"https://127.0.0.1:{port}/validate"
    async with aiohttp.ClientSession() as session:

        async def ask(**spec: Any) -> dict[str, Any]:
            raw = scaled_object(**spec)
            raw["metadata"]["namespace"] = "default"
            request = {
                "uid": "1",
                "kind": {"kind": "ScaledObject"},
                "operation": "CREATE",
                "namespace": "default",
                "object": raw,
            }
            review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
            async with session.post(url, json={**review, "request": request}, ssl=context) as reply:
                answer = await reply.json()
            response: dict[str, Any] = answer["response"]
            return response

        # Another process is asked: there is no event to wait for.
        while "warnings" in await ask(name="free"):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        refused = await ask(triggers=[], target="free")
        assert refused["status"]["details"]["causes"][0]["field"] == "spec.triggers"
        refused = await ask()
        assert 'HorizontalPodAutoscaler "worker"' in refused["status"]["message"]


async def _metrics(port: int) -> str:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        return await answer.text()
