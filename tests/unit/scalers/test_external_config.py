"""Addresses of external scalers: read once, for gRPC and for the look at a certificate alike."""

from __future__ import annotations

import pytest

from autoscaler.errors import TriggerConfigError
from autoscaler.sdk.scaler import TriggerContext
from scalers.external.config import Endpoint, ExternalConfig

UNSAFE = {"enableTLS": "true", "unsafeSsl": "true"}


def endpoint(address: str, **metadata: str) -> Endpoint:
    """Return the server of a trigger."""
    given = {"scalerAddress": address, **metadata}
    return ExternalConfig.parse(given, {}, {}, TriggerContext()).endpoint()


@pytest.mark.parametrize(
    ("address", "server", "target"),
    [
        ("scaler.keda:9090", ("scaler.keda", 9090), "dns:///scaler.keda:9090"),
        ("dns:///scaler.keda:9090", ("scaler.keda", 9090), "dns:///scaler.keda:9090"),
        ("scaler.keda", ("scaler.keda", 443), "dns:///scaler.keda:443"),
        ("[::1]:9090", ("::1", 9090), "dns:///[::1]:9090"),
        ("dns:80", ("dns", 80), "dns:///dns:80"),
    ],
)
def test_host_and_port_are_read_once(address: str, server: tuple[str, int], target: str):
    """With or without ``dns:///``, with or without TLS; the port is gRPC's own if there is none."""
    for tls in ({}, {"enableTLS": "true"}, UNSAFE):
        found = endpoint(address, **tls)
        assert (found.address, found.server, found.target) == (address, server, target)


@pytest.mark.parametrize(
    "address", ["unix:/run/scaler.sock", "ipv4:10.0.0.1:80,10.0.0.2:80", "dns://10.0.0.1/a:80"]
)
def test_other_targets_are_left_to_grpc(address: str):
    """Except where the certificate has to be looked at beforehand."""
    assert endpoint(address).target == address
    assert endpoint(address, enableTLS="true").target == address
    with pytest.raises(TriggerConfigError, match="must be host:port with unsafeSsl"):
        endpoint(address, **UNSAFE)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://scaler.keda:9090", "must be host:port, without a scheme"),
        ("scaler.keda:99999999", "must be host:port"),
        ("scaler.keda:99999", "has the port 99999, must be 1 to 65535"),
        ("a..b:80", "an empty part"),
        ("scaler\0:80", "characters no name may have"),
        ("unix:/run/\0", "must be host:port"),
        (f"{'ü' * 70}:80", "has a host that is no name"),
        (f"{'a' * 64}:80", "too long for a name"),
    ],
)
@pytest.mark.parametrize("tls", [{}, UNSAFE])
def test_an_address_nobody_can_connect_to_is_an_error_of_the_trigger(
    address: str, why: str, tls: dict[str, str]
):
    """Named with the parameter, before anything is read."""
    with pytest.raises(TriggerConfigError, match=why) as refused:
        endpoint(address, **tls)
    assert [name for name, _ in refused.value.problems] == ["scalerAddress"]
