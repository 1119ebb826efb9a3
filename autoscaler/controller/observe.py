"""The observation: everything a decision may look at, put together from what is already known."""

from __future__ import annotations

from collections.abc import Mapping

from autoscaler.controller.binding import Binding
from autoscaler.controller.target_pods import TargetPods
from autoscaler.core.conditions import SELECTOR_REQUIRED
from autoscaler.core.model import Observation, Reading
from autoscaler.kube.scale import ScaleView
from autoscaler.kube.selector import select_the_same


def observe(
    binding: Binding,
    view: ScaleView,
    readings: Mapping[str, Reading],
    pods: TargetPods | None,
    at: float,
) -> Observation:
    """Build the observation of an object.

    Args:
        binding: Of the object.
        view: Of its scale target.
        readings: By metric name.
        pods: The target's pods; None when no metric needs them.
        at: Now, epoch seconds.
    """
    if not binding.needs_pods:
        return Observation(
            at=at,
            spec_replicas=view.spec_replicas,
            status_replicas=view.status_replicas,
            readings=readings,
        )
    error = None if pods is None else pods.error
    seen = [] if pods is None or error is not None else list(pods.store)
    missing = (SELECTOR_REQUIRED, f"{binding.target.text} has no pod selector in its scale")
    return Observation(
        at=at,
        spec_replicas=view.spec_replicas,
        status_replicas=view.status_replicas,
        readings=readings,
        ready_pods=sum(pod.is_ready for pod in seen),
        total_pods=len(seen),
        pods=tuple(pod.pod for pod in seen),
        pods_error=error,
        selector_error=None if view.selector else missing,
    )


def selects_others(binding: Binding, view: ScaleView) -> bool:
    """Whether the target's pods matter and are not those the binding was made for.

    The controller of a custom kind may fill in the selector of its scale after we have looked.
    """
    return binding.needs_pods and not select_the_same(binding.pod_selector, view.selector)


def unread_metrics(binding: Binding, readings: Mapping[str, Reading]) -> list[str]:
    """Return the metrics that have not been read yet, not even in vain."""
    return [m.spec.name for m in binding.policy.metrics if m.spec.name not in readings]


def unreadable(
    last_replicas: int, readings: Mapping[str, Reading], at: float, error: str
) -> Observation:
    """Return the observation of an object whose scale target could not be read.

    Args:
        last_replicas: What the target was last seen with.
        readings: By metric name.
        at: Now, epoch seconds.
        error: Why it could not be read.
    """
    return Observation(
        at=at,
        spec_replicas=last_replicas,
        status_replicas=last_replicas,
        readings=readings,
        scale_error=error,
    )
