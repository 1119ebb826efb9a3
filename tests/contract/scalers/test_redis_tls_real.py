"""The redis trigger against a real Redis that speaks TLS and wants client certificates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from autoscaler.errors import MetricError, MetricUnavailable
from autoscaler.runtime.clock import ManualClock
from autoscaler.sdk.http import HttpClient
from autoscaler.sdk.scaler import Reading, SourceContext, TriggerContext
from scalers.redis_lists import RedisListConfig, RedisListScaler
from tests.servers import RedisServer, ServerMissing, free_port
from tests.servers.certificates import Certificates

pytestmark = pytest.mark.real("redis-server")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, a server and a client."""
    try:
        return Certificates(tmp_path_factory.mktemp("certificates"))
    except ServerMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def tls_address(certificates: Certificates) -> Iterator[str]:
    """A Redis with TLS that holds a list of three."""
    port = free_port()
    arguments = {
        "--tls-port": str(port),
        "--tls-cert-file": str(certificates.server),
        "--tls-key-file": str(certificates.server_key),
        "--tls-ca-cert-file": str(certificates.ca),
        "--tls-auth-clients": "yes",
    }
    with RedisServer(arguments=[word for pair in arguments.items() for word in pair]) as server:
        server.send("RPUSH", "jobs", "a", "b", "c")
        yield f"127.0.0.1:{port}"


async def read(address: str, auth: Mapping[str, str], **given: str) -> Reading:
    """Return one reading with these authentication parameters."""
    context = TriggerContext()
    metadata = {"listName": "jobs", "address": address, **given}
    scaler = RedisListScaler.create(RedisListConfig.parse(metadata, auth, {}, context), context)
    (spec,) = scaler.metric_specs()
    query = scaler.query(spec.name)
    async with HttpClient() as http:
        source = scaler.open_source(SourceContext(http=http, clock=ManualClock()))
        try:
            answer = (await source.fetch([query], 0.0))[query]
        finally:
            await source.close()
    if isinstance(answer, MetricError):
        raise answer
    return scaler.reading(spec.name, answer, 0.0)


def client(certificates: Certificates) -> dict[str, str]:
    """Return the parameters that carry the client certificate."""
    return {
        "tls": "enable",
        "cert": certificates.client.read_text(),
        "key": certificates.client_key.read_text(),
    }


def authority(certificates: Certificates) -> dict[str, str]:
    """Return the parameter that makes the server trusted."""
    return {"ca": Path(certificates.ca).read_text()}


async def test_both_sides_show_their_certificates(
    tls_address: str, certificates: Certificates
) -> None:
    """With the authority and a client certificate the list is read."""
    auth = {**client(certificates), **authority(certificates)}
    assert (await read(tls_address, auth)).value == 3.0


async def test_an_unknown_authority_is_refused(
    tls_address: str, certificates: Certificates
) -> None:
    """Without the authority the server's certificate proves nothing."""
    with pytest.raises(MetricUnavailable, match=r"(?i)certificate verify failed"):
        await read(tls_address, client(certificates))


async def test_verification_can_be_turned_off(tls_address: str, certificates: Certificates) -> None:
    """``unsafeSsl`` reads on, also together with a client certificate."""
    assert (await read(tls_address, client(certificates), unsafeSsl="true")).value == 3.0


async def test_the_server_wants_a_client_certificate(
    tls_address: str, certificates: Certificates
) -> None:
    """Without one there is an error, not a value."""
    with pytest.raises(MetricError):
        await read(tls_address, authority(certificates), enableTLS="true")


async def test_plain_text_to_a_tls_port_is_an_error(tls_address: str) -> None:
    """Forgetting TLS does not hang and gives no value."""
    with pytest.raises(MetricError):
        await read(tls_address, {})
