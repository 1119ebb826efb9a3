"""Label selectors: the textual form of the API, and matching labels against it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from autoscaler.kube.codec import LabelSelector


class Requirement(msgspec.Struct, frozen=True):
    """One requirement: ``=``, ``!=``, ``in``, ``notin``, ``exists`` or ``!``."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class Selector(msgspec.Struct, frozen=True):
    """All requirements have to hold; none at all matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether an object with these labels is selected."""
        raise NotImplementedError


def parse_selector(text: str) -> Selector:
    """Parse ``a=b,c!=d,e in (f,g),!h``; raises ConfigError naming the position."""
    raise NotImplementedError


def selector_text(selector: LabelSelector) -> str:
    """Return the textual form of a workload's ``spec.selector``."""
    raise NotImplementedError
