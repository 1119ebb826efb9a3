"""Deployments, StatefulSets and Jobs become pods that start, get ready, drain and go."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.demo.objects import JsonObject
from autoscaler.demo.pods import COST, is_ready, is_terminating, node_of
from tests.unit.demo.conftest import LABELS, StillCluster


def test_deployment_becomes_ready_pods_after_their_start(cluster: StillCluster) -> None:
    """Pods run after the start time, are ready after the ready time, and the status follows."""
    cluster.deploy(3)
    cluster.pass_time(1.5)
    assert [pod["status"]["phase"] for pod in cluster.pods()] == ["Pending"] * 3
    cluster.pass_time(1.0)
    assert [pod["status"]["phase"] for pod in cluster.pods()] == ["Running"] * 3
    assert cluster.ready() == 0
    cluster.pass_time(1.0)
    assert cluster.ready() == 3
    status = cluster.get("Deployment", "web")["status"]
    assert (status["replicas"], status["readyReplicas"], status["availableReplicas"]) == (3, 3, 3)
    assert status["observedGeneration"] == 1
    assert {one["type"]: one["status"] for one in status["conditions"]}["Available"] == "True"


def test_counts_of_zero_are_left_out_of_a_status(cluster: StillCluster) -> None:
    """As the Go types do, an empty Deployment shows no counts."""
    cluster.deploy(0)
    cluster.pass_time(1)
    status = cluster.get("Deployment", "web")["status"]
    assert "replicas" not in status
    assert "readyReplicas" not in status


def test_scale_in_gives_up_the_cheapest_pods(cluster: StillCluster) -> None:
    """Unready before ready, low deletion cost before high."""
    cluster.deploy(3)
    cluster.pass_time(5)
    dear = cluster.active()[:2]
    pods = cluster.registry.resource("v1", "Pod")

    def priced(value: JsonObject) -> JsonObject:
        value["metadata"].setdefault("annotations", {})[COST] = "100"
        return value

    for name in dear:
        cluster.registry.modify(pods, "default", name, priced)
    cluster.change("Deployment", "web", replicas=4)
    cluster.pass_time(1)
    cluster.change("Deployment", "web", replicas=2)
    cluster.pass_time(5)
    assert sorted(cluster.active()) == sorted(dear)


def test_terminating_pod_takes_its_stop_time(cluster: StillCluster) -> None:
    """A pod that is scaled away stays, marked, until it has stopped."""
    cluster.deploy(1)
    cluster.pass_time(5)
    cluster.change("Deployment", "web", replicas=0)
    cluster.pass_time(0.5)
    assert [is_terminating(pod) for pod in cluster.pods()] == [True]
    cluster.pass_time(1)
    assert cluster.pods() == []


@pytest.mark.parametrize(("drained_after", "gone_after"), [(4, 4), (1_000, 10)])
def test_drain_lasts_until_done_or_the_grace_is_over(
    cluster: StillCluster, drained_after: float, gone_after: float
) -> None:
    """A pod with work left goes on, but no longer than its grace period."""
    cluster.deploy(1, terminationGracePeriodSeconds=10)
    cluster.pass_time(5)
    began_at = cluster.manual.now()
    cluster.kubelet.is_drained = lambda _key: cluster.manual.now() - began_at >= drained_after
    cluster.change("Deployment", "web", replicas=0)
    cluster.pass_time(gone_after - 0.5)
    assert len(cluster.pods()) == 1
    cluster.pass_time(1.5)
    assert cluster.pods() == []


def test_deleted_pod_is_replaced(cluster: StillCluster) -> None:
    """The count is kept whatever happens to single pods."""
    cluster.deploy(2)
    cluster.pass_time(5)
    victim = cluster.active()[0]
    cluster.delete("Pod", victim, "v1")
    cluster.pass_time(6)
    assert len(cluster.active()) == 2
    assert victim not in cluster.active()


def test_deleted_deployment_takes_its_pods_along(cluster: StillCluster) -> None:
    """ReplicaSets and pods are garbage without their owner."""
    cluster.deploy(2)
    cluster.pass_time(5)
    cluster.delete("Deployment", "web")
    cluster.pass_time(3)
    assert cluster.pods() == []
    assert cluster.store.items("replicasets.apps") == []


def test_new_template_rolls_out_without_an_outage(cluster: StillCluster) -> None:
    """During a rollout no fewer pods are ready than maxUnavailable allows."""
    cluster.deploy(4)
    cluster.pass_time(5)
    template = cluster.get("Deployment", "web")["spec"]["template"]
    container = {**template["spec"]["containers"][0], "image": "example.test/app:2"}
    changed = {**template, "spec": {**template["spec"], "containers": [container]}}
    cluster.change("Deployment", "web", template=changed)
    fewest = 4
    for _ in range(80):
        cluster.pass_time(0.5)
        fewest = min(fewest, cluster.ready())
    assert fewest >= 3
    images = {pod["spec"]["containers"][0]["image"] for pod in cluster.pods()}
    assert images == {"example.test/app:2"}
    assert cluster.get("Deployment", "web")["status"]["updatedReplicas"] == 4


def test_stateful_set_starts_in_order_and_stops_in_reverse(cluster: StillCluster) -> None:
    """Ordinals come one after the other, each ready first, and the highest goes first."""
    cluster.deploy(3, kind="StatefulSet")
    seen = []
    for _ in range(30):
        cluster.pass_time(0.5)
        seen.append((len(cluster.active()), cluster.ready()))
    assert all(count - ready <= 1 for count, ready in seen)
    assert cluster.active() == ["web-0", "web-1", "web-2"]
    cluster.change("StatefulSet", "web", replicas=1)
    cluster.pass_time(0.5)
    assert cluster.active() == ["web-0", "web-1"]
    cluster.pass_time(5)
    assert cluster.active() == ["web-0"]


def test_parallel_stateful_set_starts_at_once(cluster: StillCluster) -> None:
    """Parallel pod management does not wait."""
    cluster.deploy(0, kind="StatefulSet")
    cluster.change("StatefulSet", "web", podManagementPolicy="Parallel", replicas=3)
    cluster.pass_time(0.5)
    assert cluster.active() == ["web-0", "web-1", "web-2"]


def job(**spec: Any) -> JsonObject:
    """Return a Job whose pods run for five seconds."""
    template = {
        "metadata": {"labels": LABELS, "annotations": {"demo.flyball.dev/run-seconds": "5"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x:1"}]},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "batch"},
        "spec": {"template": template, **spec},
    }


def test_job_runs_to_completion(cluster: StillCluster) -> None:
    """Parallel pods run until enough have succeeded, then the Job is Complete."""
    cluster.create(job(parallelism=2, completions=3))
    cluster.pass_time(3)
    assert cluster.get("Job", "batch", "batch/v1")["status"]["active"] == 2
    cluster.pass_time(20)
    status = cluster.get("Job", "batch", "batch/v1")["status"]
    assert status["succeeded"] == 3
    assert "active" not in status
    assert [one["type"] for one in status["conditions"]] == ["Complete"]
    assert [pod["status"]["phase"] for pod in cluster.pods()] == ["Succeeded"] * 3


def test_finished_job_goes_after_its_time_to_live(cluster: StillCluster) -> None:
    """Its pods go with it."""
    cluster.create(job(ttlSecondsAfterFinished=10))
    cluster.pass_time(25)
    assert cluster.store.items("jobs.batch") == []
    assert cluster.pods() == []


def test_suspended_job_starts_nothing(cluster: StillCluster) -> None:
    """Suspend holds all pods back."""
    cluster.create(job(suspend=True))
    cluster.pass_time(3)
    assert cluster.pods() == []


def test_pods_spread_over_nodes_that_fit(cluster: StillCluster) -> None:
    """The least loaded node takes the next pod."""
    cluster.deploy(4)
    cluster.pass_time(1)
    placed = [node_of(pod) for pod in cluster.pods()]
    assert sorted(placed) == ["general-0", "general-0", "general-1", "general-1"]


def test_pod_without_room_waits_and_says_why(cluster: StillCluster) -> None:
    """What does not fit stays Pending until a node comes, and then starts."""
    cluster.deploy(17)
    cluster.pass_time(5)
    waiting = [pod for pod in cluster.pods() if not node_of(pod)]
    assert len(waiting) == 1
    condition = waiting[0]["status"]["conditions"][0]
    assert condition["reason"] == "Unschedulable"
    assert condition["message"] == "0/2 nodes are available: insufficient cpu."
    cluster.add_pool("extra", 1, cpu="8", memory="32Gi")
    cluster.pass_time(5)
    assert cluster.ready() == 17


def test_freed_room_is_used(cluster: StillCluster) -> None:
    """A waiting pod starts when another one goes."""
    cluster.deploy(17)
    cluster.pass_time(5)
    bound = next(pod for pod in cluster.pods() if node_of(pod))
    cluster.change("Deployment", "web", replicas=18)
    cluster.delete("Pod", bound["metadata"]["name"], "v1")
    cluster.pass_time(10)
    assert cluster.ready() == 16


def test_taint_keeps_pods_off_unless_tolerated(cluster: StillCluster) -> None:
    """Only pods with the toleration and the selector reach a tainted pool."""
    cluster.add_pool("compute", 1, cpu="32", memory="64Gi", taint="compute")
    cluster.deploy(17)
    cluster.pass_time(5)
    assert {node_of(pod) for pod in cluster.pods()} == {"general-0", "general-1", ""}
    toleration = {"key": "pool", "value": "compute", "effect": "NoSchedule"}
    cluster.delete("Deployment", "web")
    cluster.pass_time(5)
    cluster.deploy(2, nodeSelector={"pool": "compute"}, tolerations=[toleration])
    cluster.pass_time(5)
    assert {node_of(pod) for pod in cluster.pods()} == {"compute-0"}
    assert all(map(is_ready, cluster.pods()))


def test_same_seed_gives_the_same_cluster() -> None:
    """Names, uids, versions and times are all reproducible."""

    def run(seed: int) -> list[bytes]:
        cluster = StillCluster(seed=seed)
        cluster.add_pool("general", 2, cpu="8", memory="32Gi")
        cluster.deploy(5)
        cluster.pass_time(5)
        cluster.change("Deployment", "web", replicas=2)
        cluster.pass_time(1)
        return [item.encoded for item in cluster.store.items("pods")]

    assert run(3) == run(3)
    assert run(3) != run(4)
