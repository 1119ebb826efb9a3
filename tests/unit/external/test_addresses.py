"""The allow-list of hosts."""

from __future__ import annotations

import pytest

from autoscaler.errors import ConfigError, TriggerConfigError
from autoscaler.external.addresses import AllowedHosts
from autoscaler.plugins import ScalerRegistry
from autoscaler.sdk.config import TriggerConfig
from autoscaler.sdk.scaler import TriggerContext


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("prometheus.example", True),
        ("PROMETHEUS.example.", True),
        ("xprometheus.example", False),
        ("prometheus.example..", False),
        ("a.internal.example", True),
        ("internal.example", False),
        ("evilinternal.example", False),
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("10.1.2.3%.evil.example", False),
        ("::ffff:10.1.2.3", True),
        ("fd00::1", True),
        ("fe80::1", False),
        ("167837955", False),
        ("", False),
    ],
)
def test_names_suffixes_addresses_and_networks(host: str, is_allowed: bool):
    """Each kind of pattern lets in what it names and nothing beside it."""
    hosts = AllowedHosts(["Prometheus.example.", "*.internal.example", "10.0.0.0/8", "fd00::1"])
    assert hosts.allows(host) is is_allowed


def test_an_empty_list_allows_everything():
    """The default, for clusters whose users are trusted."""
    assert AllowedHosts([]).allows("anything")


@pytest.mark.parametrize("pattern", ["", "*", "*.", "a b", "http://a/", "10.0.0.1/8", "*.a.*"])
def test_patterns_that_mean_nothing_are_refused(pattern: str):
    """At the start, with the setting's name."""
    with pytest.raises(ConfigError) as refused:
        AllowedHosts([pattern])
    assert refused.value.field == "external.allowed_hosts"


def test_a_trigger_that_does_not_say_where_it_connects_to_is_refused():
    """A scaler of somebody else's cannot slip past the list."""

    class Silent(TriggerConfig):
        pass

    class Clock(TriggerConfig):
        connects_nowhere = True

    hosts = AllowedHosts(["a.example"])
    hosts.check("clock", Clock())
    with pytest.raises(TriggerConfigError, match="does not say where it connects to"):
        hosts.check("silent", Silent())
    AllowedHosts([]).check("silent", Silent())


ALLOWED = ("allowed.example", "10.0.0.0/8")


def allowed(kind: str, metadata: dict[str, str], auth: dict[str, str] | None = None) -> bool:
    """Whether a trigger may be built; raises if it is refused for anything but the list."""
    registry = ScalerRegistry(check=AllowedHosts(ALLOWED).check)
    try:
        registry.create(kind, metadata, auth or {}, {}, TriggerContext())
    except TriggerConfigError as error:
        if "allowed hosts" not in str(error):
            raise
        return False
    return True


def passes(kind: str, metadata: dict[str, str], auth: dict[str, str] | None = None) -> bool:
    """Whether a trigger may be built, for whatever reason it may not."""
    registry = ScalerRegistry(check=AllowedHosts(ALLOWED).check)
    try:
        registry.create(kind, metadata, auth or {}, {}, TriggerContext())
    except TriggerConfigError:
        return False
    return True


KAFKA = {"consumerGroup": "g", "topic": "t"}
BARE = [
    ("redis", "address", {"listName": "jobs"}),
    ("redis-streams", "address", {"stream": "jobs", "streamLength": "5"}),
    ("kafka", "bootstrapServers", KAFKA),
    ("external", "scalerAddress", {}),
    ("external-push", "scalerAddress", {}),
]
HOSTILE = [
    "allowed.example/.evil.example:6379",
    "allowed.example?.evil.example:6379",
    "allowed.example#.evil.example:6379",
    "allowed.example\\.evil.example:6379",
    "allowed.example@evil.example:6379",
    "evil.example@allowed.example:6379",
    "allowed.example:6379@evil.example:6379",
    "allowed.example:.evil.example:6379",
    "10.0.0.1%.evil.example:6379",
    "10.0.0.1/.evil.example:6379",
    "http://allowed.example/.evil.example:6379",
    "redis://allowed.example/.evil.example:6379",
    "user:password@allowed.example/.evil.example:6379",
    "[allowed.example]:6379",
    "[::ffff:10.0.0.1%.evil.example]:6379",
    "allowed.example .evil.example:6379",
    "allowed.example:6379,evil.example:6379",
    "evil.example:6379,allowed.example:6379",
]


@pytest.mark.parametrize(("kind", "key", "others"), BARE)
def test_an_address_with_anything_but_a_host_and_a_port_does_not_pass(
    kind: str, key: str, others: dict[str, str]
):
    """Whatever a client makes of it: a name of its own, a path, a second server."""
    assert allowed(kind, {key: "allowed.example:6379", **others})
    assert allowed(kind, {key: "10.0.0.1:6379", **others})
    assert not allowed(kind, {key: "evil.example:6379", **others})
    for address in HOSTILE:
        assert not passes(kind, {key: address, **others}), address


@pytest.mark.parametrize(
    ("host", "port", "is_allowed"),
    [
        ("allowed.example", "6379", True),
        ("allowed.example", ".evil.example:6379", False),
        ("allowed.example/.evil.example", "6379", False),
        ("allowed.example:6379@evil.example", "6379", False),
        ("allowed.example,evil.example", "6379,6379", False),
        ("::ffff:10.0.0.1", "6379", True),
        ("[::ffff:10.0.0.1]", "6379", True),
        ("fd00::1", "6379", False),
    ],
)
def test_a_host_and_a_port_given_apart_are_looked_at_together(
    host: str, port: str, is_allowed: bool
):
    """A client cuts them where it likes."""
    metadata = {"host": host, "port": port, "listName": "jobs"}
    assert allowed("redis", metadata) is is_allowed
    metadata = {"hosts": host, "ports": port, "stream": "jobs", "streamLength": "5"}
    assert allowed("redis-streams", metadata) is is_allowed


@pytest.mark.parametrize(
    ("address", "is_allowed"),
    [
        ("dns:///allowed.example:9090", True),
        ("dns:///10.0.0.1:9090", True),
        ("allowed.example", True),
        ("dns:///evil.example:9090", False),
        ("dns://allowed.example/evil.example:9090", False),
        ("dns://10.0.0.1:53/evil.example:9090", False),
        ("dns:allowed.example:9090", False),
        ("xds:///allowed.example", False),
        ("xds://allowed.example/evil.example", False),
        ("ipv4:10.0.0.1:9090", False),
        ("ipv4:10.0.0.1:9090,192.0.2.1:9090", False),
        ("ipv6:[::1]:9090", False),
        ("unix:/run/containerd/containerd.sock", False),
        ("unix:///run/containerd/containerd.sock", False),
        ("unix-abstract:allowed.example", False),
        ("vsock:2:9090", False),
    ],
)
@pytest.mark.parametrize("kind", ["external", "external-push"])
def test_of_grpc_targets_only_a_plain_server_passes(kind: str, address: str, is_allowed: bool):
    """An authority is a server that is asked about names; other schemes lead anywhere."""
    assert allowed(kind, {"scalerAddress": address}) is is_allowed


URLS = [
    ("prometheus", "serverAddress", {"query": "up", "threshold": "1"}),
    ("metrics-api", "url", {"valueLocation": "v", "targetValue": "1"}),
]


@pytest.mark.parametrize(("kind", "key", "others"), URLS)
def test_a_url_passes_by_the_host_it_leads_to(kind: str, key: str, others: dict[str, str]):
    """Users, ports and queries aside; a host that can be read in two ways is none."""
    assert passes(kind, {key: "http://user:password@allowed.example:80/a?b=c d#e", **others})
    for url in (
        "http://allowed.example@evil.example/",
        "http://evil.example/@allowed.example/",
        "http://evil.example?@allowed.example/",
        "http://evil.example#@allowed.example/",
        "http://evil.example\\@allowed.example/",
        "http://allowed.example\\.evil.example/",
        "http://allowed.example%2f.evil.example/",
        "http://allowed.example%00.evil.example/",
        "http://allowed.example\t.evil.example/",
        "http://10.0.0.1%2f.evil.example/",
        "http://10.0.0.1%.evil.example/",
        "http://[::ffff:10.0.0.1%25.evil.example]/",
        "http://allowed.example:80@evil.example:80/",
        "http://allowed.example,evil.example/",
        "http:/allowed.example/",
        "allowed.example:80",
        "//allowed.example/",
        "ws://allowed.example/",
    ):
        assert not passes(kind, {key: url, **others}), url


def test_where_tokens_are_from_is_looked_at_as_well():
    """Credentials would be sent there."""
    api = {"url": "http://allowed.example/", "valueLocation": "v", "targetValue": "1"}
    oauth = {"clientID": "a", "clientSecret": "b"}
    sasl = {"username": "a", "password": "b", "sasl": "oauthbearer"}
    kafka = {"bootstrapServers": "allowed.example:9092", **KAFKA}
    for host, is_allowed in (("allowed.example", True), ("evil.example", False)):
        url = f"http://{host}/token"
        given = oauth | {"oauthTokenURI": url, "authModes": "oauth"}
        assert allowed("metrics-api", api | {"authModes": "oauth"}, given) is is_allowed
        assert allowed("kafka", kafka, sasl | {"oauthTokenEndpointUri": url}) is is_allowed
