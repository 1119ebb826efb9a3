"""The HTTP-based trigger types pass the scaler contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from autoscaler.sdk.testing import HttpScalerContract
from scalers.metrics_api import MetricsApiScaler
from scalers.prometheus import PrometheusScaler


class TestPrometheusScaler(HttpScalerContract):
    scaler_type = PrometheusScaler
    metadata: ClassVar[Mapping[str, str]] = {
        "serverAddress": "{{SERVER}}",
        "query": "sum(jobs_waiting)",
        "threshold": "10",
        "authModes": "bearer",
    }
    auth: ClassVar[Mapping[str, str]] = {"bearerToken": "first-token-of-the-contract"}
    other_auth: ClassVar[Mapping[str, str]] = {"bearerToken": "second-token-of-the-contract"}

    def answer(self, value: str) -> bytes:
        return json.dumps(
            {
                "status": "success",
                "data": {
                    "resultType": "vector",
                    "result": [{"metric": {}, "value": [1700000000, value]}],
                },
            }
        ).encode()


class TestMetricsApiJson(HttpScalerContract):
    scaler_type = MetricsApiScaler
    metadata: ClassVar[Mapping[str, str]] = {
        "url": "{{SERVER}}/stats",
        "valueLocation": "queue.length",
        "targetValue": "5",
        "authMode": "apiKey",
        "method": "query",
    }
    auth: ClassVar[Mapping[str, str]] = {"apiKey": "first-key-of-the-contract"}
    other_auth: ClassVar[Mapping[str, str]] = {"apiKey": "second-key-of-the-contract"}

    def answer(self, value: str) -> bytes:
        return f'{{"queue": {{"length": {value.removeprefix("+")}}}}}'.encode()


class TestMetricsApiText(TestMetricsApiJson):
    """As the JSON kind, with the number as a string, which may be any quantity."""

    def answer(self, value: str) -> bytes:
        return f'{{"queue": {{"length": "{value}"}}}}'.encode()


class TestMetricsApiYaml(TestMetricsApiJson):
    metadata: ClassVar[Mapping[str, str]] = TestMetricsApiJson.metadata | {"format": "yaml"}

    def answer(self, value: str) -> bytes:
        return f"queue:\n  length: {value}\n".encode()


class TestMetricsApiXml(TestMetricsApiJson):
    metadata: ClassVar[Mapping[str, str]] = TestMetricsApiJson.metadata | {
        "format": "xml",
        "valueLocation": "stats.queue.length",
    }

    def answer(self, value: str) -> bytes:
        return f"<stats><queue><length>{value}</length></queue></stats>".encode()


class TestMetricsApiPrometheus(TestMetricsApiJson):
    metadata: ClassVar[Mapping[str, str]] = TestMetricsApiJson.metadata | {
        "format": "prometheus",
        "valueLocation": 'queue_length{queue="a"}',
        "authMode": "basic",
    }
    auth: ClassVar[Mapping[str, str]] = {
        "username": "someone",
        "password": "first-password-of-the-contract",
    }
    other_auth: ClassVar[Mapping[str, str]] = {"username": "someone", "password": "second-password"}

    def answer(self, value: str) -> bytes:
        return f'other 1\nqueue_length{{queue="b"}} 1\nqueue_length{{queue="a"}} {value}\n'.encode()
