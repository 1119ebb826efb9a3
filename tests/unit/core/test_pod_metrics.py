"""Per-pod metrics: which pods count, what they request, and the corrected ratio."""

from __future__ import annotations

import pytest

from autoscaler.core.model import (
    Container,
    HpaSettings,
    MetricSource,
    MetricSpec,
    Pod,
    PodSample,
    TargetType,
)
from autoscaler.core.pod_metrics import PodProposal, Unusable, replicas
from autoscaler.core.readiness import group_pods, is_cpu_unready
from autoscaler.core.requests import MissingRequest, request_milli

AT = 10_000.0
SETTINGS = HpaSettings()
APP = Container(name="app", requests_milli={"cpu": 1000, "memory": 4000})


def pod(name: str, **fields: object) -> Pod:
    """Return a pod that has been running and ready for long."""
    known: dict[str, object] = {
        "ready_changed_at": 100.0, "started_at": 50.0, "containers": (APP,), **fields,
    }  # fmt: skip
    return Pod(name=name, **known)  # type: ignore[arg-type]


def sample(name: str, value: int, at: float = AT) -> PodSample:
    """Return a fresh sample."""
    return PodSample(pod=name, value_milli=value, sampled_at=at)


def cpu(target: int = 50, container: str | None = None) -> MetricSpec:
    """Return a CPU utilization metric."""
    source = MetricSource.CONTAINER_RESOURCE if container else MetricSource.RESOURCE
    return MetricSpec(
        name="cpu",
        source=source,
        resource="cpu",
        container=container,
        target_type=TargetType.UTILIZATION,
        target_milli=target,
    )


PER_POD = MetricSpec(name="m", source=MetricSource.PODS, target_milli=10_000)


def ask(
    spec: MetricSpec, pods: list[Pod], samples: list[PodSample], current: int = 3
) -> PodProposal:
    """Return the proposal under the default settings."""
    return replicas(
        spec,
        samples,
        pods=pods,
        at=AT,
        current=current,
        settings=SETTINGS,
        tolerance=(0.9, 1.1),
    )


def test_every_pod_is_in_one_group() -> None:
    """Terminating and failed pods are ignored, pending ones unready, silent ones missing."""
    pods = [
        pod("gone", is_terminating=True),
        pod("failed", phase="Failed"),
        pod("pending", phase="Pending"),
        pod("silent"),
        pod("young", ready="False", ready_changed_at=60.0),
        pod("good"),
    ]
    samples = {p.name: sample(p.name, 1) for p in pods if p.name != "silent"}
    groups = group_pods(pods, samples, is_cpu=True, at=AT, settings=SETTINGS)
    assert groups.ignored == {"gone", "failed"}
    assert groups.unready == {"pending", "young"}
    assert groups.missing == {"silent"}
    assert groups.counted == 1


@pytest.mark.parametrize(
    ("fields", "sampled_at", "unready"),
    [
        ({"ready": None}, AT, True),
        ({"started_at": None}, AT, True),
        ({"started_at": AT - 100, "ready": "False"}, AT, True),
        ({"started_at": AT - 100, "ready_changed_at": AT - 90}, AT - 31, True),
        ({"started_at": AT - 100, "ready_changed_at": AT - 90}, AT - 30, False),
        ({"started_at": AT - 100, "ready_changed_at": None}, AT, False),
        ({"ready": "False", "ready_changed_at": 79.0}, AT, True),
        ({"ready": "False", "ready_changed_at": 80.0}, AT, False),
        ({"ready": "Unknown"}, AT, False),
    ],
)
def test_cpu_of_starting_pods_is_not_trusted(
    fields: dict[str, object], sampled_at: float, unready: bool
) -> None:
    """A young pod needs a window after it became ready, an old one only ever to have been."""
    found = is_cpu_unready(pod("p", **fields), sample("p", 1, sampled_at), at=AT, settings=SETTINGS)
    assert found is unready


def test_utilization_is_a_whole_percentage() -> None:
    """89.99 % counts as 89 %: three pods at 89.9 % of a target of 50 % need six."""
    pods = [pod(name) for name in "abc"]
    asked = ask(cpu(), pods, [sample(name, 899) for name in "abc"])
    assert asked == PodProposal(6, 899, 89)


def test_samples_of_unknown_pods_do_not_add_to_utilization() -> None:
    """A pod that is not (any more) the target's has no request to compare with."""
    asked = ask(cpu(), [pod("a")], [sample("a", 500), sample("stranger", 9_000)])
    assert asked.utilization == 50
    assert asked.average_milli == 500


def test_missing_pods_damp_both_directions() -> None:
    """Pods without a sample are taken as on target going down and as idle going up."""
    pods = [pod(name) for name in "abc"]
    down = ask(PER_POD, pods, [sample("a", 1000), sample("b", 1000)])
    assert down.replicas == 2
    up = ask(PER_POD, pods, [sample("a", 30_000), sample("b", 30_000)])
    assert up.replicas == 6


def test_a_correction_that_reverses_the_direction_changes_nothing() -> None:
    """When invented samples turn the ratio round, the count stays."""
    pods = [pod("a"), pod("b"), pod("c")]
    assert ask(PER_POD, pods, [sample("a", 12_000)]).replicas == 3
    assert ask(PER_POD, pods, [sample("a", 10_000)]).replicas == 3


def test_a_corrected_count_never_moves_against_its_ratio() -> None:
    """With fewer pods than replicas, a high ratio must not scale down, nor a low one up."""
    pods = [pod("a"), pod("b")]
    assert ask(PER_POD, pods, [sample("a", 30_000)], current=9).replicas == 9
    crowd = [pod(str(index)) for index in range(8)]
    few = [sample(str(index), 5_000) for index in range(7)]
    assert ask(PER_POD, crowd, few, current=2).replicas == 2


def test_unready_pods_count_as_idle_when_scaling_up() -> None:
    """Starting pods will take load, so they damp scaling up; scaling down leaves them out."""
    pods = [pod("a"), pod("b", phase="Pending")]
    assert ask(PER_POD, pods, [sample("a", 30_000)], current=2).replicas == 3
    assert ask(PER_POD, pods, [sample("a", 4_000)], current=2).replicas == 1


def test_negative_averages_truncate_toward_zero() -> None:
    """Integer averages lose their fraction in both directions."""
    asked = ask(PER_POD, [pod("a"), pod("b")], [sample("a", -3), sample("b", 0)], current=1)
    assert asked.average_milli == -1


@pytest.mark.parametrize(
    ("spec", "pods", "samples", "words"),
    [
        (PER_POD, [pod("a")], [], "no samples for m"),
        (PER_POD, [], [sample("a", 1)], "matches no pods"),
        (PER_POD, [pod("a", phase="Pending")], [sample("a", 1)], "no pod has a sample"),
        (cpu(), [pod("a")], [sample("b", 1)], "belongs to a pod"),
        (cpu(), [pod("a", containers=(Container(name="app", requests_milli={}),))],
         [sample("a", 1)], "requests no cpu"),
    ],
)  # fmt: skip
def test_nothing_usable_is_an_error(
    spec: MetricSpec, pods: list[Pod], samples: list[PodSample], words: str
) -> None:
    """Without pods, samples or requests there is no number, and the text says which."""
    with pytest.raises(Unusable, match=words):
        ask(spec, pods, samples)


SIDECAR = Container(name="proxy", requests_milli={"cpu": 100}, is_sidecar=True)
INIT = Container(name="init", requests_milli={"cpu": 5000}, is_init=True)


def test_requests_add_containers_and_sidecars() -> None:
    """Plain init containers do not count toward utilization."""
    assert request_milli(pod("p", containers=(APP, SIDECAR, INIT)), "cpu", None) == 1100


def test_requests_of_one_container() -> None:
    """A named container counts alone; init containers cannot be named."""
    whole = pod("p", containers=(APP, SIDECAR, INIT))
    assert request_milli(whole, "cpu", "proxy") == 100
    for name, resource, words in (
        ("init", "cpu", "has no container init"),
        ("ghost", "cpu", "has no container ghost"),
        ("proxy", "memory", "requests no memory"),
    ):
        with pytest.raises(MissingRequest, match=words):
            request_milli(whole, resource, name)


def test_pod_level_requests_come_first() -> None:
    """A pod-level request counts; without one for the resource, what the scheduler reserves."""
    fields = {"requests_milli": {"memory": 9000}, "containers": (INIT, APP, SIDECAR)}
    whole = pod("p", **fields)
    assert request_milli(whole, "memory", None) == 9000
    assert request_milli(whole, "cpu", None) == 5000
    late = pod("p", requests_milli={"memory": 1}, containers=(SIDECAR, INIT, APP))
    assert request_milli(late, "cpu", None) == 5100
    with pytest.raises(MissingRequest, match="at pod level or below"):
        request_milli(whole, "hugepages-2Mi", None)
