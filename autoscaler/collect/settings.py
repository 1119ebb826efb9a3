"""Bounds of the collector."""

from __future__ import annotations

import msgspec

from autoscaler.collect.breaker import BreakerSettings


class CollectorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How sources are read.

    Attributes:
        deadline_seconds: Longest time one read of a source may take (real seconds).
        coalesce_seconds: Requests for an immediate read are gathered this long, and regular reads
            due within this time of each other go together (real seconds).
        asked_gap_seconds: Shortest time between two immediate reads of a source (real seconds);
            bounds what a chatty push source can cause.
        concurrent_sources: How many sources are read at the same time; at most half of these are
            sources that did not answer in time when they were read last.
        close_seconds: How long closing a source may take.
        breaker: When a failing source is left alone.
    """

    deadline_seconds: float = 10.0
    coalesce_seconds: float = 0.02
    asked_gap_seconds: float = 0.1
    concurrent_sources: int = 64
    close_seconds: float = 3.0
    breaker: BreakerSettings = BreakerSettings()
