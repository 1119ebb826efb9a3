"""Which host an address leads to, read so that the client that connects cannot read another."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from typing_extensions import override
from yarl import URL

AddressForm = Literal["url", "host"]
"""How a parameter says where to connect to: an http(s) address, or ``host``, ``host:port``."""

NAME_MAX: Final = 253
LABEL_MAX: Final = 63
"""Characters of a name and of what is between its dots (RFC 1035)."""
PORT_MAX: Final = 65_535

_BARE: Final = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([0-9]{1,5}))?")
_LABEL: Final = re.compile(r"[\w-]+")
_ILLEGAL_IN_URL: Final = re.compile(r"[^!-~]")


class HostPort(NamedTuple):
    """A host, and a port if one was given; its text form is an address again."""

    host: str
    port: int | None = None

    @override
    def __str__(self) -> str:
        """Return ``host:port``, with an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


class Destination(NamedTuple):
    """Where a trigger connects to.

    Attributes:
        written: What the trigger says.
        host: Which host that is; empty when it cannot be told for certain.
    """

    written: str
    host: str


def destination(written: str, form: AddressForm) -> Destination:
    """Return where an address leads to."""
    if form == "url":
        return Destination(written, host_of_url(written))
    try:
        return Destination(written, host_port(written).host)
    except ValueError:
        return Destination(written, "")


def legal_url(url: str) -> str:
    """Return an address with blanks and other characters no URL may hold percent-encoded."""
    return _ILLEGAL_IN_URL.sub(lambda found: quote(found.group()), url)


def host_of_url(url: str) -> str:
    """Return the host of an http(s) address; empty when there is none.

    Read by the library that also connects to it, so that both see the same host.
    """
    try:
        parts = URL(legal_url(url), encoded=True)
    except ValueError:
        return ""
    host = parts.raw_host or ""
    # A percent sign ends an address for some readers and belongs to a name for others.
    return host if parts.scheme in ("http", "https") and "%" not in host else ""


def host_port(text: str) -> HostPort:
    """Read ``name``, ``name:port``, an IPv4 address likewise, or ``[IPv6 address]:port``.

    Nothing else may stand beside them: what one client takes for a path or a user is a part of the
    name for another.

    Raises:
        ValueError: It is none of these; the message says what is wrong.
    """
    found = _BARE.fullmatch(text)
    if found is None:
        raise ValueError("must be host:port, with an IPv6 address in brackets")
    bracketed, name, port = found.groups()
    if port is not None and not 0 < int(port) <= PORT_MAX:
        raise ValueError(f"has the port {port}, must be 1 to {PORT_MAX}")
    if bracketed is not None:
        try:
            # A zone would name an interface of whichever machine connects.
            host = str(ipaddress.IPv6Address(bracketed)) if "%" not in bracketed else ""
        except ValueError:
            host = ""
        if not host:
            raise ValueError("has no IPv6 address in its brackets")
    else:
        _check_name(name)
        host = name
    return HostPort(host, int(port) if port is not None else None)


def _check_name(name: str) -> None:
    labels = name.removesuffix(".").split(".")
    if not all(map(_LABEL.fullmatch, labels)):
        raise ValueError("has a host with an empty part or with characters no name may have")
    try:
        lengths = [
            len(label.encode("idna" if not label.isascii() else "ascii")) for label in labels
        ]
    except UnicodeError:
        raise ValueError("has a host that is no name") from None
    if max(lengths) > LABEL_MAX or sum(lengths) + len(lengths) - 1 > NAME_MAX:
        raise ValueError("has a host that is too long for a name")
