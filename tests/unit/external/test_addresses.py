"""The allow-list of hosts."""

from __future__ import annotations

import pytest

from autoscaler.errors import ConfigError, TriggerConfigError
from autoscaler.external.addresses import AllowedHosts, host_of
from autoscaler.sdk.config import TriggerConfig


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("http://a.example:80/x?y#z", "a.example"),
        ("HTTPS://A.Example./", "a.example"),
        ("a.example:9092", "a.example"),
        ("a.example", "a.example"),
        ("[::1]:80", "::1"),
        ("http://user:password@a.example/", "a.example"),
        ("http://a.example@b.example/", "b.example"),
        ("http://[bad/", ""),
        (":80", ""),
        ("", ""),
    ],
)
def test_the_host_is_the_one_that_is_connected_to(endpoint: str, host: str):
    """Users, ports, paths and upper case do not hide it."""
    assert host_of(endpoint) == host


@pytest.mark.parametrize(
    ("endpoint", "is_allowed"),
    [
        ("http://prometheus.example/", True),
        ("http://xprometheus.example/", False),
        ("http://a.internal.example:1/", True),
        ("http://internal.example/", False),
        ("http://evilinternal.example/", False),
        ("10.1.2.3:6379", True),
        ("11.1.2.3:6379", False),
        ("http://[::ffff:10.1.2.3]/", True),
        ("http://[fd00::1]/", True),
        ("http://[fe80::1]/", False),
        ("http://167837955/", False),
    ],
)
def test_names_suffixes_addresses_and_networks(endpoint: str, is_allowed: bool):
    """Each kind of pattern lets in what it names and nothing beside it."""
    hosts = AllowedHosts(["Prometheus.example.", "*.internal.example", "10.0.0.0/8", "fd00::1"])
    assert hosts.allows(endpoint) is is_allowed


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
