"""Where triggers that strangers write may connect to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from yarl import URL

from autoscaler.errors import ConfigError, TriggerConfigError, shorten
from autoscaler.sdk.config import TriggerConfig

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AllowedHosts:
    """An allow-list: whatever is not on it is refused.

    Names are compared as written, never resolved: who controls an allowed name is trusted. An
    address in an unusual notation (``0x7f.1``) is a name and thus refused unless listed so.

    Args:
        patterns: ``name``, ``*.suffix``, an address or a network; empty = everything is allowed.

    Raises:
        ConfigError: A pattern is none of these.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._is_open = not patterns
        self._names: set[str] = set()
        self._suffixes: list[str] = []
        self._networks: list[Network] = []
        for pattern in patterns:
            self._add(pattern.strip().lower().rstrip("."))

    def check(self, trigger_type: str, config: TriggerConfig) -> None:
        """Refuse a trigger that would connect to somewhere else.

        Raises:
            TriggerConfigError: It would, or it does not say where it connects to.
        """
        if self._is_open or config.connects_nowhere:
            return
        endpoints = config.endpoints()
        if not endpoints:
            what = (
                f'type "{trigger_type}" does not say where it connects to, which is required here'
            )
            raise TriggerConfigError([("", f"{what} (external.allowed_hosts is set)")])
        problems = [
            ("", f'"{shorten(endpoint, 80)}" is not among the allowed hosts of this server')
            for endpoint in endpoints
            if not self.allows(endpoint)
        ]
        if problems:
            raise TriggerConfigError(problems)

    def allows(self, endpoint: str) -> bool:
        """Whether a URL, ``host`` or ``host:port`` is on the list."""
        if self._is_open:
            return True
        host = host_of(endpoint)
        if not host:
            return False
        if host in self._names or any(host.endswith(suffix) for suffix in self._suffixes):
            return True
        return _is_within(host, self._networks)

    def _add(self, pattern: str) -> None:
        if pattern.startswith("*.") and "*" not in pattern[2:] and len(pattern) > len("*."):
            self._suffixes.append(pattern[1:])
            return
        try:
            self._networks.append(ipaddress.ip_network(pattern))
        except ValueError:
            if not pattern or not all(c.isalnum() or c in "-._" for c in pattern):
                raise ConfigError(
                    f'"{shorten(pattern, 80)}" must be a name, *.suffix, an address or a network '
                    "such as 10.0.0.0/8",
                    field="external.allowed_hosts",
                ) from None
            self._names.add(pattern)


def host_of(endpoint: str) -> str:
    """Return the host an endpoint names, in lower case; empty when there is none.

    URLs are read by the library that also connects to them, so that both see the same host.
    """
    try:
        url = URL(endpoint if "://" in endpoint else f"//{endpoint}")
        return (url.host or "").lower().rstrip(".")
    except ValueError:
        return ""


def _is_within(host: str, networks: Iterable[Network]) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
