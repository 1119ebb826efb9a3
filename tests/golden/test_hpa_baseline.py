"""The benchmark's HPA, the very object, lives the recorded lives of the real one.

Three ways in, from the widest to the fastest: observations (what ``decide()`` takes), the view of
the exact replay, and the view of the sweep kernel. The narrower ones know fewer features;
:func:`beyond_view` and :func:`beyond_lanes` say which, and the counts of what is left are asserted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from autoscaler.core.model import Memory
from autoscaler.core.quantity import to_milli
from simulations.engine.view import LaneView, Measured, View
from simulations.policies.decided import DecidedAutoscaler
from simulations.policies.decided_lanes import DecidedLanes
from simulations.policies.hpa import hpa_autoscaler
from simulations.policies.vectorised.parameters import unsupported
from tests.golden.hpa_observation import settings_of
from tests.golden.hpa_trajectories import observation_of
from tests.golden.replay import load, vector_files

VECTORS = Path(__file__).parents[1] / "data" / "vectors" / "hpa"
SYNC_MS = 15_000

TRAJECTORIES = [path for path in vector_files(VECTORS) if "trajectories" in path.name]


def cases() -> Iterator[Mapping[str, Any]]:
    """Yield every recorded life."""
    for path in TRAJECTORIES:
        yield from load(path)["cases"]


def steps_of(case: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the syncs of a life as dictionaries."""
    for values in case["steps"]:
        yield dict(zip(case["step_columns"], values, strict=True))


def actions_of(step: Mapping[str, Any]) -> set[str]:
    """Return what outsiders did before a sync."""
    return {action["action"] for action in step["before_step"] or ()}


def baseline(
    case: Mapping[str, Any], spec: Mapping[str, Any] | None = None, memory: Memory | None = None
) -> DecidedAutoscaler:
    """Return the benchmark's HPA with a recorded spec."""
    spec = spec or case["hpa_spec"]
    signals = [f"m{index}" for index in range(len(spec.get("metrics") or ["cpu"]))]
    return hpa_autoscaler(spec, settings_of(case["controller_config"]), signals, memory=memory)


def befallen(
    autoscaler: DecidedAutoscaler, case: Mapping[str, Any], step: Mapping[str, Any]
) -> DecidedAutoscaler:
    """Return the autoscaler after what happened to its HPA or controller."""
    for action in step["before_step"] or ():
        memory, spec = autoscaler.memory, None
        match action["action"]:
            case "controller_restarted":
                memory = replace(memory, recommendations=(), scale_ups=(), scale_downs=())
            case "hpa_deleted_seen_by_controller_then_recreated":
                memory = Memory()
            case "hpa_spec_replaced":
                spec = action["hpa_spec"]
            case _:
                continue
        autoscaler = revived(autoscaler, case, spec, memory)
    return autoscaler


def revived(
    autoscaler: DecidedAutoscaler,
    case: Mapping[str, Any],
    spec: Mapping[str, Any] | None,
    memory: Memory,
) -> DecidedAutoscaler:
    """Return an autoscaler with another spec or other memories."""
    if spec is not None:
        return baseline(case, spec, memory)
    return DecidedAutoscaler(
        autoscaler.policy,
        [watched for _, watched in autoscaler.metrics],
        tick_seconds=autoscaler.tick_seconds,
        memory=memory,
    )


def test_baseline_lives_every_recorded_life():
    """All 570 lives, fed as observations: the replicas after each sync are the recorded ones."""
    lives = syncs = 0
    for case in cases():
        autoscaler = baseline(case)
        for step in steps_of(case):
            autoscaler = befallen(autoscaler, case, step)
            actions = actions_of(step)
            seen = observation_of(
                autoscaler.policy,
                step,
                case.get("pod_columns", ()),
                is_readable="get_scale_fails_in_this_step" not in actions,
            )
            decision = autoscaler.follow(seen)
            succeeded = "update_scale_fails_in_this_step" not in actions
            after = step["spec_replicas"]
            if decision.is_rescale:
                autoscaler.applied(seen.at, succeeded=succeeded)
                after = decision.desired_replicas if succeeded else after
            assert after == step["spec_replicas_after"], (case["name"], step["t_ms"], decision)
            syncs += 1
        lives += 1
    assert (lives, syncs > 20_000) == (570, True)


PODS = "samples of single pods: a view has the mean over the serving ones"
STATUS = "status.replicas behind spec.replicas: a simulated scale has one count"
UNREADABLE = "an unreadable scale: a simulated one can always be read"
OFF_TICK = "syncs off the tick: the kernel's windows count ticks"
EDITED = "an HPA edited or made anew, a restart, a failed write: lanes have none of these"
AT_ZERO = "a bare HPA at zero"

BEYOND_VIEW = {"": 409, STATUS: 67, PODS: 60, UNREADABLE: 34}
BEYOND_LANES = {
    "": 207,
    STATUS: 67,
    PODS: 60,
    UNREADABLE: 34,
    OFF_TICK: 114,
    AT_ZERO: 61,
    EDITED: 27,
}


def beyond_view(case: Mapping[str, Any]) -> str:
    """Say why a life cannot be shown in the simulation's view; empty = it can."""
    for step in steps_of(case):
        if "from_pods" in step["metric_values"]:
            return PODS
        if step["status_replicas"] != step["spec_replicas"]:
            return STATUS
        if "get_scale_fails_in_this_step" in actions_of(step):
            return UNREADABLE
    return ""


def value_of(answer: Any) -> float:
    """Return the value of a metric as a signal, NaN when it failed; no thousandth may get lost."""
    if isinstance(answer, dict):
        if "error" in answer:
            return math.nan
        answer = answer["values"]
    if not answer:
        return math.nan
    milli = sum(to_milli(value) for value in answer)
    value = milli / 1000
    return value if int(value * 1000) >= milli else math.nextafter(value, math.inf)


def test_baseline_lives_lives_seen_through_the_view_of_exact_replay():
    """Lives a view can show give the recorded replicas; which cannot, and why, is counted."""
    beyond: Counter[str] = Counter()
    for case in cases():
        reason = beyond_view(case)
        beyond[reason] += 1
        if reason:
            continue
        autoscaler = baseline(case)
        for step in steps_of(case):
            autoscaler = befallen(autoscaler, case, step)
            after = _through_view(autoscaler, step)
            assert after == step["spec_replicas_after"], (case["name"], step["t_ms"])
    assert beyond == BEYOND_VIEW


def _through_view(autoscaler: DecidedAutoscaler, step: Mapping[str, Any]) -> int:
    at_ms, before = step["t_ms"], step["spec_replicas"]
    signals = {}
    for index, answer in enumerate(step["metric_values"]):
        value = value_of(answer)
        signals[f"m{index}"] = Measured(None if math.isnan(value) else value, at_ms)
    wanted = autoscaler.decide(
        View(
            at_ms=at_ms,
            at=at_ms / 1000,
            replicas=before,
            serving=step["pods_running_and_ready"],
            signals=signals,
        )
    )
    if wanted == before:
        return before
    succeeded = "update_scale_fails_in_this_step" not in actions_of(step)
    autoscaler.applied(at_ms / 1000, succeeded=succeeded)
    return wanted if succeeded else before


def beyond_lanes(case: Mapping[str, Any]) -> str:
    """Say why the kernel cannot live a life that a view can show; empty = it can."""
    reason = beyond_view(case) or unsupported(baseline(case))
    if reason:
        return reason
    for step in steps_of(case):
        if actions_of(step) - {"target_scaled_by_someone_else"}:
            return EDITED
        if step["t_ms"] % SYNC_MS:
            return OFF_TICK
    return ""


def test_baseline_lives_lives_seen_through_the_view_of_the_kernel():
    """The vectorised baseline gives the recorded replicas in every life it can be shown."""
    beyond: Counter[str] = Counter()
    for case in cases():
        reason = beyond_lanes(case)
        beyond[reason] += 1
        if reason:
            continue
        lanes = DecidedLanes(baseline(case))
        lanes.start(1)
        for step in steps_of(case):
            at_ms = step["t_ms"]
            signals = {
                f"m{index}": np.array([value_of(answer)])
                for index, answer in enumerate(step["metric_values"])
            }
            view = LaneView(
                at_ms,
                at_ms / 1000,
                np.array([float(step["spec_replicas"])]),
                np.array([float(step["pods_running_and_ready"])]),
                signals,
                dict.fromkeys(signals, at_ms),
            )
            after = int(lanes.decide(view)[0])
            assert after == step["spec_replicas_after"], (case["name"], at_ms)
    assert beyond == BEYOND_LANES
