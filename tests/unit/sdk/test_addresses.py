"""Addresses: the host that is read is the one that is connected to."""

from __future__ import annotations

import pytest

from autoscaler.sdk.addresses import HostPort, destination, host_of_url, host_port


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.example:80/x?y#z", "a.example"),
        ("HTTPS://A.Example./", "A.Example."),
        ("http://user:password@a.example/", "a.example"),
        ("http://a.example@b.example/", "b.example"),
        ("http://a.example/?query=sum by (x) ü", "a.example"),
        ("http://[::1]:80/", "::1"),
        ("http://[bad/", ""),
        ("http://a.example%2f.b.example/", ""),
        ("http://10.0.0.1%25.b.example/", ""),
        ("http://[fe80::1%25eth0]/", ""),
        ("http://a.example\\@b.example/", ""),
        ("http://a.example\t.b.example/", ""),
        ("http:a.example", ""),
        ("//a.example/", ""),
        ("ftp://a.example/", ""),
        ("a.example:80", ""),
        ("", ""),
    ],
)
def test_the_host_of_a_url_is_the_one_that_is_connected_to(url: str, host: str):
    """Users, ports, paths and upper case do not hide it; what may be read in two ways has none."""
    assert host_of_url(url) == host


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("a.example:9092", "a.example", 9092),
        ("a.example.", "a.example.", None),
        ("redis_1", "redis_1", None),
        ("münchen.example:1", "münchen.example", 1),
        ("10.0.0.1:6379", "10.0.0.1", 6379),
        ("[::1]:80", "::1", 80),
        ("[fd00::0:1]", "fd00::1", None),
    ],
)
def test_a_name_or_address_may_have_a_port(text: str, host: str, port: int | None):
    """And is written again as it was, an IPv6 address in its shortest form."""
    assert host_port(text) == (host, port)
    assert host_port(str(HostPort(host, port))) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "a.example:",
        "a.example:0",
        "a.example:65536",
        "a.example:http",
        "a.example:80:90",
        "a.example:.b.example:80",
        "a.example/.b.example:80",
        "a.example?.b.example:80",
        "a.example#.b.example:80",
        "a.example\\.b.example:80",
        "user@a.example:80",
        "a.example,b.example:80",
        "a.example%.b.example:80",
        "a.example .b.example:80",
        "a.example\0.b.example:80",
        "a.example\n:80",
        "a..example:80",
        ".a.example:80",
        f"{'a' * 64}.example:80",
        f"{'ü' * 70}:80",
        f"{'a.' * 127}a:80",
        "::1:80",
        "[::1%eth0]:80",
        "[10.0.0.1]:80",
        "[a.example]:80",
        "[::1]a.example:80",
        "http://a.example:80",
        "dns:///a.example:80",
        "unix:/run/socket",
    ],
)
def test_anything_beside_host_and_port_is_refused(text: str):
    """One client's path or user is another one's part of the name."""
    with pytest.raises(ValueError, match=r"^(must|has) "):
        host_port(text)
    assert destination(text, "host") == (text, "")
