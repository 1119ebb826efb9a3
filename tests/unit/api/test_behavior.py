"""Behavior blocks: defaults and conversion (validation is covered by the golden vectors)."""

from __future__ import annotations

import pytest

from autoscaler.api.behavior import default_behavior, to_behavior, validate_behavior
from autoscaler.api.problems import Path
from autoscaler.core.model import PolicyType, ScalingPolicy, SelectPolicy
from autoscaler.errors import QuantityError


def test_no_block_stays_no_behavior() -> None:
    """An absent block is not an empty one."""
    assert to_behavior(None) is None


def test_an_empty_block_gets_both_directions() -> None:
    """An empty block means the API server's default rules."""
    behavior = to_behavior({})
    assert behavior is not None
    percent = ScalingPolicy(type=PolicyType.PERCENT, value=100, period_seconds=15)
    pods = ScalingPolicy(type=PolicyType.PODS, value=4, period_seconds=15)
    assert behavior.scale_up.policies == (pods, percent)
    assert behavior.scale_up.stabilization_window_seconds == 0
    assert behavior.scale_down.policies == (percent,)
    assert behavior.scale_down.stabilization_window_seconds is None
    assert behavior.scale_down.select_policy is SelectPolicy.MAX


def test_given_fields_replace_single_defaults() -> None:
    """Each field is defaulted on its own, and null counts as absent."""
    behavior = to_behavior(
        {
            "scaleUp": {"selectPolicy": "Disabled", "policies": None},
            "scaleDown": {"tolerance": "0.069"},
        }
    )
    assert behavior is not None
    assert behavior.scale_up.select_policy is SelectPolicy.DISABLED
    assert len(behavior.scale_up.policies) == 2
    assert behavior.scale_down.tolerance == 69 * 0.001


def test_defaults_do_not_share_state() -> None:
    """Changing one defaulted block leaves the next one alone."""
    first = default_behavior({})
    first["scaleDown"]["policies"][0]["value"] = 1
    assert default_behavior({})["scaleDown"]["policies"][0]["value"] == 100


def test_a_tolerance_must_be_a_quantity() -> None:
    """Text that is no quantity is a problem, and an error when converted anyway."""
    raw = {"scaleUp": {"tolerance": "some"}}
    (problem,) = validate_behavior(raw, Path(("behavior",)))
    assert problem.field == "behavior.scaleUp.tolerance"
    with pytest.raises(QuantityError):
        to_behavior(raw)
