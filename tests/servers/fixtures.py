"""Fixtures and the ``real(...)`` marker: a missing server skips the test and is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import pytest

from tests.servers import (
    GoExternalScaler,
    KafkaServer,
    PrometheusServer,
    RedisServer,
    Server,
    ServerMissing,
)

AnyServer = TypeVar("AnyServer", bound=Server)

KINDS: dict[str, type[Server]] = {
    server.name: server for server in (RedisServer, PrometheusServer, KafkaServer, GoExternalScaler)
}


MISSING: dict[str, str] = {}
"""Why a server cannot be had, by name; empty text = it can. Found out once per run."""


def missing(name: str) -> str:
    """Return why this machine has no such server, empty when it has."""
    if name not in MISSING:
        try:
            KINDS[name].check_available()
            MISSING[name] = ""
        except ServerMissing as problem:
            MISSING[name] = str(problem)
    return MISSING[name]


def wanted(item: pytest.Item) -> Iterator[str]:
    """Yield the servers a test is marked with."""
    for marker in item.iter_markers("real"):
        for name in marker.args:
            if name not in KINDS:
                raise pytest.UsageError(
                    f"{item.nodeid}: real({name!r}), but there is only {', '.join(sorted(KINDS))}"
                )
            yield name


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch what has to be downloaded before the clock of the first test runs."""
    if not session.config.getoption("collectonly"):
        for name in {name for item in session.items for name in wanted(item)}:
            missing(name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked ``real("<server>")`` when this machine has no such server."""
    for name in wanted(item):
        if why := missing(name):
            pytest.skip(why)


def _running(build: type[AnyServer]) -> Iterator[AnyServer]:
    if why := missing(build.name):
        pytest.skip(why)
    with build() as server:
        yield server


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One Redis for the whole session; use ``redis_server``, which empties it."""
    yield from _running(RedisServer)


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    """An empty, running Redis."""
    if not shared_redis.is_running:
        shared_redis.start()
    shared_redis.flush()
    return shared_redis


@pytest.fixture(scope="session")
def shared_prometheus() -> Iterator[PrometheusServer]:
    """One Prometheus for the whole session; use ``prometheus_server``."""
    yield from _running(PrometheusServer)


@pytest.fixture
def prometheus_server(shared_prometheus: PrometheusServer) -> Iterator[PrometheusServer]:
    """A running Prometheus that scrapes nothing until told to; samples of earlier tests remain."""
    if not shared_prometheus.is_running:
        shared_prometheus.start()
    yield shared_prometheus
    shared_prometheus.scrape(())


@pytest.fixture(scope="session")
def shared_kafka() -> Iterator[KafkaServer]:
    """One Kafka broker for the whole session; use ``kafka_server``."""
    yield from _running(KafkaServer)


@pytest.fixture
def kafka_server(shared_kafka: KafkaServer) -> KafkaServer:
    """A running Kafka broker; topics of earlier tests remain, so name yours after the test."""
    if not shared_kafka.is_running:
        shared_kafka.start()
    return shared_kafka
