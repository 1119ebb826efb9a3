"""The composite metric of scaling modifiers, as :mod:`autoscaler.core.modifiers` computes it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from autoscaler.core.model import MetricPolicy, MetricSpec, Modifiers
from autoscaler.core.modifiers import COMPOSITE_METRIC, LARGEST_VALUE
from simulations.engine.view import LaneView
from simulations.policies.decided import Watched
from simulations.policies.vectorised.formulas import LaneFormula
from simulations.policies.vectorised.metrics import LaneMetric, Mask


class LaneComposite(LaneMetric):
    """The only external metric of policies with modifiers.

    Args:
        modifiers: Of each lane; formulas of one form.
        parts: The external metrics of the policies, by trigger name.
    """

    def __init__(self, modifiers: Sequence[Modifiers], parts: dict[str, LaneMetric]) -> None:
        metrics = [
            MetricPolicy(
                spec=MetricSpec(
                    name=COMPOSITE_METRIC,
                    target_type=item.metric_type,
                    target_milli=item.target_milli,
                    activation_value=item.activation_target,
                )
            )
            for item in modifiers
        ]
        super().__init__(metrics, [Watched(metric=COMPOSITE_METRIC)] * len(metrics))
        self._parts = parts
        self._formula = LaneFormula([item.formula for item in modifiers])
        self._is_above: Mask = np.zeros(len(metrics), dtype=bool)

    @override
    def read(self, view: LaneView) -> Mask | bool:
        missing: Mask | bool = False
        for part in self._parts.values():
            absent = part.read(view)
            if absent is True:
                return True
            if absent is not False:
                missing = absent | missing
        self._usage[:] = self._formula.evaluate(
            {name: part.total() for name, part in self._parts.items()}
        )
        # NaN is not below anything.
        unusable = ~(np.abs(self._usage) <= LARGEST_VALUE)
        if unusable.any():
            missing = unusable | missing
        np.copyto(self._usage, 0.0, where=missing)
        self._is_above = np.trunc(self._usage * 1000.0) / 1000.0 > self._activation
        np.maximum(self._usage, 0.0, out=self._usage)
        return missing

    @override
    def is_active(self) -> Mask | bool:
        return self._is_above
