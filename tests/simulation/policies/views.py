"""Views for autoscalers under test."""

from __future__ import annotations

import numpy as np

from simulations.engine.view import LaneView


def view_of(at, replicas, *, serving=None, start_at=0.0, **signals):
    """Return a view; counts and signals of the plant as lists, signals of the load as numbers."""
    replicas = np.array(replicas, dtype=float)
    serving = replicas.copy() if serving is None else np.array(serving, dtype=float)
    values = {
        name: value if isinstance(value, float) else np.array(value, dtype=float)
        for name, value in signals.items()
    }
    at_ms = round((at - start_at) * 1000)
    return LaneView(at_ms, float(at), replicas, serving, values, dict.fromkeys(values, at_ms))
