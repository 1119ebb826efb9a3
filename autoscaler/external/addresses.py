"""Where triggers that strangers write may connect to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from autoscaler.errors import ConfigError, TriggerConfigError, shorten
from autoscaler.sdk.addresses import Destination
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
        destinations = config.destinations()
        if not destinations:
            what = (
                f'type "{trigger_type}" does not say where it connects to, which is required here'
            )
            raise TriggerConfigError([("", f"{what} (external.allowed_hosts is set)")])
        problems = [
            ("", _refusal(destination))
            for destination in destinations
            if not self.allows(destination.host)
        ]
        if problems:
            raise TriggerConfigError(problems)

    def allows(self, host: str) -> bool:
        """Whether a name or address is on the list."""
        if self._is_open:
            return True
        host = host.lower().removesuffix(".")
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


def _refusal(destination: Destination) -> str:
    what = f'"{shorten(destination.written, 80)}"'
    if destination.host:
        return f"{what} is not among the allowed hosts of this server"
    return (
        f"{what} is no plain http(s) address or host:port, so it cannot be compared with the "
        "allowed hosts of this server"
    )


def _is_within(host: str, networks: Iterable[Network]) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
