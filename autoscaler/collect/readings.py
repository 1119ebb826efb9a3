"""The table where polling leaves what it read and reconciling picks it up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from autoscaler.core.model import Reading

NO_READINGS: Mapping[str, Reading] = MappingProxyType({})


class ReadingTable:
    """Last reading of every metric of every registered object.

    Bounded by construction: rows exist only between :meth:`open` and :meth:`drop`, columns only
    for the metrics named in :meth:`open`. A failed read replaces the value before it; nobody can
    take an old value for a new one.
    """

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Reading]] = {}
        self._columns: dict[str, frozenset[str]] = {}

    def open(self, key: str, metrics: Iterable[str]) -> None:
        """Accept readings of ``metrics`` for ``key``; readings of other metrics are forgotten."""
        columns = frozenset(metrics)
        kept = self._rows.get(key, {})
        self._columns[key] = columns
        self._rows[key] = {name: reading for name, reading in kept.items() if name in columns}

    def drop(self, key: str) -> None:
        """Forget an object."""
        self._rows.pop(key, None)
        self._columns.pop(key, None)

    def put(self, key: str, reading: Reading) -> bool:
        """Store a reading unless it is unknown or older than the stored one; say if it was."""
        if reading.metric not in self._columns.get(key, frozenset()):
            return False
        row = self._rows[key]
        stored = row.get(reading.metric)
        if stored is not None and stored.sampled_at > reading.sampled_at:
            return False
        row[reading.metric] = reading
        return True

    def forget(self, key: str, metrics: Iterable[str]) -> None:
        """Drop readings whose metric now means something else (the trigger was edited)."""
        row = self._rows.get(key, {})
        for metric in metrics:
            row.pop(metric, None)

    def of(self, key: str) -> Mapping[str, Reading]:
        """Return a snapshot: metric name to its last reading."""
        row = self._rows.get(key)
        return dict(row) if row else NO_READINGS

    def __len__(self) -> int:
        return len(self._rows)
