"""ScaledJobs with a real Redis on the embedded cluster: exact counts, and never a job too many."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from autoscaler.api.annotations import ADOPT, JOB_EXCLUDED_LABELS, PAUSED
from autoscaler.controller.objects import WatchKeda
from autoscaler.demo.apierrors import ApiError
from autoscaler.demo.cluster import EmbeddedCluster
from autoscaler.demo.faults import FaultRates
from autoscaler.kube.jobs import GENERATION, NAME_LABEL
from tests.integration.queue_work import NAME, Jobs, template
from tests.integration.test_lifecycle import told
from tests.integration.world import QUICK, running
from tests.servers import RedisServer

pytestmark = pytest.mark.real("redis-server")

RATES = FaultRates(
    too_many_requests=0.05,
    server_errors=0.1,
    lost_replies=0.2,
    expired=0.05,
    dropped_watches=0.5,
    expired_watches=0.2,
    watch_seconds=2.0,
)


@pytest.mark.parametrize(
    ("strategy", "takes", "run_seconds"),
    [("default", "end", 1.5), ("accurate", "begin", 600.0)],
)
async def test_each_item_gets_one_job(
    redis_server: RedisServer, strategy: str, takes: str, run_seconds: float
) -> None:
    """20 items are taken by exactly 20 jobs, by the strategy made for how the queue shrinks."""
    async with running() as world:
        jobs = Jobs(world, redis_server, takes)
        jobs.push(20)
        jobs.define(run_seconds=run_seconds, scalingStrategy={"strategy": strategy})
        await world.until(lambda: jobs.left() == 0, 20)
        await jobs.polls()
        assert len(jobs.created) == 20
        assert ("KEDAJobsCreated", "Created 20 jobs") in world.events(NAME)
        if takes == "end":
            await world.until(lambda: len(jobs.finished()) == 20)
            await world.until(lambda: jobs.condition("Active")[0] == "False")


@pytest.mark.parametrize(
    ("strategy", "created"),
    [
        # Five items are covered by five jobs, whatever these do.
        ({"strategy": "default"}, 5),
        # Jobs that have begun have taken theirs; what is still there needs more, up to the ceiling.
        ({"strategy": "accurate"}, 10),
        # As many as allowed, as long as there is work.
        ({"strategy": "eager"}, 10),
        # 4, then 5 - 1 - half of the running ones: 2, 1, 1, 0.
        (
            {
                "strategy": "custom",
                "customScalingQueueLengthDeduction": 1,
                "customScalingRunningJobPercentage": "0.5",
            },
            8,
        ),
    ],
    ids=["default", "accurate", "eager", "custom"],
)
async def test_strategies_end_at_their_exact_counts(
    redis_server: RedisServer, strategy: dict[str, Any], created: int
) -> None:
    """With a queue that nobody takes from, each strategy stops where its rule says."""
    async with running() as world:
        jobs = Jobs(world, redis_server)
        jobs.push(5)
        jobs.define(scalingStrategy=strategy, maxReplicaCount=10)
        await world.until(lambda: len(jobs.begun()) == created, 20)
        await jobs.polls()
        assert len(jobs.created) == created
        await world.until(lambda: jobs.status().get("desiredReplicas") == created)


async def test_bounds_hold_and_warm_jobs_are_replaced(redis_server: RedisServer) -> None:
    """The minimum always runs; with work the ceiling is the maximum, warm jobs included."""
    async with running() as world:
        jobs = Jobs(world, redis_server)
        jobs.define(minReplicaCount=2, maxReplicaCount=5)
        await world.until(lambda: len(jobs.begun()) == 2)
        world.delete("Job", jobs.created[0], api="batch/v1")
        await world.until(lambda: len(jobs.created) == 3)
        jobs.push(20)
        await world.until(lambda: len(jobs.unfinished()) == 5)
        await jobs.polls()
        assert len(jobs.created) == 6


async def test_restart_in_the_middle_creates_no_further_job(redis_server: RedisServer) -> None:
    """A service that takes over while jobs start counts them as its predecessor did."""
    async with EmbeddedCluster() as cluster:
        async with running(cluster=cluster) as world:
            jobs = Jobs(world, redis_server, "begin")
            jobs.push(20)
            jobs.define(start_seconds=2.0, scalingStrategy={"strategy": "accurate"})
            # Stopped while it creates: what it asked for last may not have been answered.
            await world.until(lambda: len(jobs.created) >= 5)
        for _ in range(3):
            async with running(cluster=cluster) as world:
                jobs.world = world
                await world.until(lambda: len(jobs.created) == 20)
                await asyncio.sleep(0.7)
        async with running(cluster=cluster) as world:
            jobs.world = world
            await world.until(lambda: jobs.left() == 0, 20)
            await world.until(lambda: len(world.service.objects()) == 1)
            await jobs.polls()
            assert len(jobs.created) == 20


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_faults_of_the_api_server_create_no_job_too_many(
    redis_server: RedisServer, seed: int
) -> None:
    """Lost answers, refusals and broken watches: 20 items are worth 20 jobs, not one more or less."""
    async with (
        EmbeddedCluster(seed=seed, rates=RATES) as cluster,
        running(cluster=cluster) as world,
    ):
        jobs = Jobs(world, redis_server, "end")
        jobs.push(20)
        jobs.define(run_seconds=3.0, successfulJobsHistoryLimit=3)
        await world.until(lambda: jobs.left() == 0, 60)
        await jobs.polls()
        assert len(jobs.created) == 20
        await world.until(lambda: len(jobs.finished()) == 3, 30)


async def test_jobs_that_cannot_be_listed_stop_creation(redis_server: RedisServer) -> None:
    """Without the right to list jobs none is created and Ready says why; with it they are."""
    async with EmbeddedCluster() as cluster:
        cluster.faults.deny("list", "jobs")
        async with running(cluster=cluster) as world:
            jobs = Jobs(world, redis_server)
            jobs.push(20)
            jobs.define()
            await world.until(lambda: jobs.condition("Ready")[0] == "False")
            assert "jobs" in jobs.condition("Ready")[2]
            assert jobs.created == []
            cluster.faults.permit("list", "jobs")
            await world.until(lambda: len(jobs.created) == 20, 30)
            await world.until(lambda: jobs.condition("Ready")[0] == "True")


async def test_a_failed_list_later_on_holds_creation(redis_server: RedisServer) -> None:
    """While the watch is broken and lists fail, new work waits; afterwards it gets its jobs."""
    broken = FaultRates(dropped_watches=1.0, watch_seconds=1.0)
    async with EmbeddedCluster(rates=broken) as cluster, running(cluster=cluster) as world:
        jobs = Jobs(world, redis_server)
        jobs.push(2)
        jobs.define()
        await world.until(lambda: len(jobs.created) == 2)
        for verb in ("list", "watch"):
            cluster.faults.deny(verb, "jobs")
        await world.until(lambda: "cannot be listed" in jobs.explained()["why"])
        await world.until(lambda: "cannot list" in jobs.condition("Ready")[2])
        jobs.push(5)
        await jobs.polls()
        assert len(jobs.created) == 2
        cluster.faults.rates = FaultRates()
        for verb in ("list", "watch"):
            cluster.faults.permit(verb, "jobs")
        await world.until(lambda: len(jobs.created) == 7, 40)
        await world.until(lambda: jobs.condition("Ready")[0] == "True")


async def test_a_refused_creation_is_told_and_tried_again(redis_server: RedisServer) -> None:
    """Events count what was really created, each cause of failure once; Ready says it, too."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        jobs = Jobs(world, redis_server)
        cluster.faults.deny("create", "jobs")
        jobs.push(3)
        jobs.define()
        await world.until(lambda: "KEDAJobCreateFailed" in jobs.reasons())
        assert "KEDAJobsCreated" not in jobs.reasons()
        await world.until(lambda: jobs.condition("Ready")[0] == "False")
        assert "cannot be created" in jobs.condition("Ready")[2]
        cluster.faults.permit("create", "jobs")
        await world.until(lambda: len(jobs.created) == 3)
        await world.until(lambda: ("KEDAJobsCreated", "Created 3 jobs") in world.events(NAME))
        await world.until(lambda: jobs.condition("Ready")[0] == "True")


async def test_the_event_counts_only_jobs_that_exist(redis_server: RedisServer) -> None:
    """Of five jobs one is refused: four are reported, and the fifth after the next reading."""
    async with EmbeddedCluster() as cluster, running(cluster=cluster) as world:
        jobs = Jobs(world, redis_server)
        quota = ApiError(403, "Forbidden", "exceeded quota: jobs")
        cluster.faults.fail_next("create", "jobs", quota)
        jobs.push(5)
        jobs.define()
        await world.until(lambda: len(jobs.created) == 5)
        await jobs.polls(1)
        told = [text for reason, text in world.events(NAME) if reason == "KEDAJobsCreated"]
        assert sum(int(text.split()[1]) for text in told) == 5
        assert any(
            text.startswith("Failed to create 1 of 5 jobs") and "quota" in text
            for reason, text in world.events(NAME)
            if reason == "KEDAJobCreateFailed"
        )


@pytest.mark.parametrize("rollout", [None, "immediate"])
async def test_rollout_leaves_running_jobs_unless_told(
    redis_server: RedisServer, rollout: str | None
) -> None:
    """A changed spec leaves the jobs of the old one; only ``immediate`` deletes them."""
    async with running() as world:
        jobs = Jobs(world, redis_server)
        jobs.push(3)
        jobs.define(**({"rollout": {"strategy": rollout}} if rollout else {}))
        await world.until(lambda: len(jobs.begun()) == 3)
        old = set(jobs.created)
        jobs.edit(jobTargetRef={"template": template(), "backoffLimit": 1})
        if rollout:
            await world.until(lambda: set(jobs.deleted) == old)
            await world.until(lambda: len(jobs.begun()) == 3)
            assert len(jobs.created) == 6
            assert {"ScaledJobRolloutCleanupStarted", "ScaledJobRolloutCleanupCompleted"} <= set(
                jobs.reasons()
            )
        else:
            await jobs.polls()
            assert (jobs.deleted, set(jobs.created)) == ([], old)
            jobs.push(1)
            await world.until(lambda: len(jobs.created) == 4)
        new = [job for job in jobs.all() if job["metadata"]["name"] not in old]
        assert {job["metadata"]["annotations"][GENERATION] for job in new} == {"2"}


async def test_history_limits_delete_the_oldest(redis_server: RedisServer) -> None:
    """Only so many finished jobs stay, the latest ones; running jobs are never among the deleted."""
    async with running() as world:
        jobs = Jobs(world, redis_server, "end")
        jobs.push(2)
        jobs.define(run_seconds=0.3, successfulJobsHistoryLimit=2)
        await world.until(lambda: len(jobs.finished()) == 2)
        first = set(jobs.created)
        await asyncio.sleep(1.1)
        jobs.push(2)
        await world.until(lambda: set(jobs.deleted) == first, 20)
        assert len(jobs.finished()) == 2


async def test_pause_neither_creates_nor_deletes(redis_server: RedisServer) -> None:
    """A paused ScaledJob leaves everything as it is, and goes on afterwards."""
    async with running() as world:
        jobs = Jobs(world, redis_server)
        jobs.push(1)
        jobs.define(metadata={"annotations": {PAUSED: "true"}})
        await world.until(lambda: jobs.condition("Paused")[:2] == ("True", "ScaledJobPaused"))
        await jobs.polls(2)
        assert jobs.created == []
        jobs.annotate(PAUSED, None)
        await world.until(lambda: len(jobs.created) == 1)
        await world.until(lambda: jobs.condition("Paused")[:2] == ("False", "ScaledJobUnpaused"))
        # Events are written after the status, by a task of their own.
        told = {"ScaledJobPaused", "ScaledJobUnpaused"}
        await world.until(lambda: told <= set(jobs.reasons()))


@pytest.mark.parametrize("phase_seconds", [600.0, 0.0])
async def test_pending_pod_conditions_decide_what_is_pending(
    redis_server: RedisServer, phase_seconds: float
) -> None:
    """A job counts as begun when a pod has all wanted conditions, however long it has been running."""
    async with running() as world:
        jobs = Jobs(world, redis_server)
        jobs.push(2)
        strategy = {"strategy": "accurate", "pendingPodConditions": ["Ready", "PodScheduled"]}
        spec = template()
        spec["metadata"]["annotations"]["demo.flyball.dev/ready-seconds"] = str(phase_seconds)
        jobs.define(jobTargetRef={"template": spec}, scalingStrategy=strategy, maxReplicaCount=6)
        created = 2 if phase_seconds else 6
        await world.until(lambda: len(jobs.created) == created, 20)
        await jobs.polls()
        assert len(jobs.created) == created


async def test_status_and_job_carry_what_users_look_for(redis_server: RedisServer) -> None:
    """Conditions, activity and counts in the status; labels, owner and restart policy on the job."""
    async with running() as world:
        jobs = Jobs(world, redis_server, "begin")
        labels = {"team": "media", "secret": "no", NAME_LABEL: "elsewhere"}
        annotations = {JOB_EXCLUDED_LABELS: "secret, other"}
        jobs.push(2)
        jobs.define(
            metadata={"labels": labels, "annotations": annotations},
            scalingStrategy={"strategy": "accurate"},
        )
        await world.until(lambda: len(jobs.begun()) == 2)
        await world.until(lambda: jobs.condition("Active")[0] == "False")
        await world.until(lambda: "lastDecision" in jobs.status())
        job = jobs.all()[0]
        assert job["metadata"]["labels"] == {
            "app.kubernetes.io/name": NAME,
            "app.kubernetes.io/part-of": NAME,
            "app.kubernetes.io/managed-by": "flyball",
            "app.kubernetes.io/version": job["metadata"]["labels"]["app.kubernetes.io/version"],
            "team": "media",
            NAME_LABEL: NAME,
        }
        assert job["metadata"]["generateName"] == f"{NAME}-"
        owner = job["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("ScaledJob", NAME, True)
        assert owner["uid"] == world.get("ScaledJob", NAME)["metadata"]["uid"]
        assert job["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
        status = jobs.status()
        assert status["observedGeneration"] == 1
        assert status["externalMetricNames"] == ["s0-redis-videos"]
        assert status["triggersTypes"] == "redis"
        assert status["lastDecision"]["desiredReplicas"] == 2
        assert "lastActiveTime" in status
        assert jobs.condition("Ready")[:2] == ("True", "ScaledJobReady")
        assert jobs.condition("Active")[:2] == ("False", "ScalerNotActive")


async def test_deleted_scaled_job_takes_its_jobs_along(redis_server: RedisServer) -> None:
    """The garbage collector removes the jobs; the service forgets the object and its series."""
    async with running() as world:
        jobs = Jobs(world, redis_server)
        jobs.push(2)
        jobs.define()
        await world.until(lambda: len(jobs.begun()) == 2)
        assert b'flyball_jobs_created_total{name="convert",namespace="default"} 2.0' in (
            world.service.exposition()
        )
        world.delete("ScaledJob", NAME)
        await world.until(lambda: not jobs.all())
        await world.until(lambda: not world.service.objects())
        assert b'name="convert"' not in world.service.exposition()


async def test_namesakes_of_two_kinds_do_not_meet(redis_server: RedisServer) -> None:
    """A ScaledObject and a ScaledJob of the same name are read, decided and explained apart."""
    async with running() as world:
        jobs = Jobs(world, redis_server)
        jobs.push(3)
        jobs.define()
        world.deploy(NAME, 0)
        world.scale_on(NAME, jobs.trigger())
        await world.until(lambda: world.replicas(NAME) == 3)
        await world.until(lambda: len(jobs.created) == 3)
        await world.until(lambda: jobs.explained()["history"])
        kinds = [one["kind"] for one in world.service.objects()]
        assert kinds == ["ScaledJob", "ScaledObject"]
        assert "decision" in (world.service.explain("default", NAME) or {})
        assert (world.service.explain("default", NAME) or {})["kind"] == "ScaledObject"
        assert jobs.explained()["kind"] == "ScaledJob"
        assert "creating 3 jobs" in (world.service.explain_text("default", NAME, "ScaledJob") or "")
        world.delete("ScaledObject", NAME)
        await world.until(lambda: len(world.service.objects()) == 1)
        assert b'flyball_jobs_running{name="convert",namespace="default"} 3.0' in (
            world.service.exposition()
        )


async def test_an_invalid_template_is_named(redis_server: RedisServer) -> None:
    """Everything wrong with a ScaledJob is in its Ready condition, and nothing is created."""
    async with running() as world:
        jobs = Jobs(world, redis_server)
        jobs.push(1)
        spec = {"metadata": {"labels": "none"}, "spec": {"containers": [{"name": "main"}]}}
        jobs.define(jobTargetRef={"template": spec})
        await world.until(lambda: jobs.condition("Ready")[1] == "ScaledJobCheckFailed")
        assert "spec.jobTargetRef.template" in jobs.condition("Ready")[2]
        jobs.edit(jobTargetRef={"template": template()})
        await world.until(lambda: len(jobs.created) == 1)
        await world.until(lambda: jobs.status().get("observedGeneration") == 2)


async def test_a_repaired_object_is_told_to_be_ready_again(redis_server: RedisServer) -> None:
    """An edit that cannot work and its correction are events, each."""
    async with running() as world:
        jobs = Jobs(world, redis_server)
        jobs.define()
        await world.until(lambda: "ScaledJobReady" in jobs.reasons())
        jobs.edit(triggers=[{"type": "redis", "metadata": {"listName": "x"}}])
        await world.until(lambda: jobs.condition("Ready")[0] == "False")
        jobs.edit(triggers=[jobs.trigger()])
        await world.until(lambda: jobs.condition("Ready")[0] == "True")
        await world.until(lambda: told(world, NAME, "ScaledJobReady") == 2)


@pytest.mark.parametrize("is_adopted", [True, False])
async def test_scaled_jobs_of_keda_are_adopted_where_that_is_wished(
    redis_server: RedisServer, *, is_adopted: bool
) -> None:
    """Adopted objects get their jobs and keep KEDA's rollout; others are KEDA's alone."""
    settings = msgspec.structs.replace(QUICK, watch_keda=WatchKeda.ANNOTATED)
    async with running(settings) as world:
        jobs = Jobs(world, redis_server)
        jobs.push(2)
        annotations = {ADOPT: "true"} if is_adopted else {}
        jobs.define(api="keda.sh/v1alpha1", metadata={"annotations": annotations})
        if not is_adopted:
            await asyncio.sleep(2.0)
            assert (jobs.created, world.service.objects()) == ([], [])
            return
        await world.until(lambda: len(jobs.begun()) == 2)
        old = set(jobs.created)
        assert jobs.all()[0]["metadata"]["ownerReferences"][0]["apiVersion"] == "keda.sh/v1alpha1"

        def change(value: dict[str, Any]) -> None:
            value["spec"]["maxReplicaCount"] = 50

        world.edit("ScaledJob", NAME, change, api="keda.sh/v1alpha1")
        await world.until(lambda: set(jobs.deleted) == old)
        await world.until(lambda: len(jobs.begun()) == 2)
        assert jobs.explained()["apiVersion"] == "keda.sh/v1alpha1"


async def test_jobs_of_a_namesake_count_but_are_not_deleted(redis_server: RedisServer) -> None:
    """While KEDA's object of the same name has jobs on the same queue, no further ones are made."""
    async with running() as world:
        jobs = Jobs(world, redis_server)
        world.create("ScaledJob", NAME, api="keda.sh/v1alpha1", spec={})
        theirs = world.get("ScaledJob", NAME, api="keda.sh/v1alpha1")["metadata"]["uid"]
        owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob", "name": NAME}
        pods = template()
        pods["spec"]["restartPolicy"] = "Never"
        for number in range(3):
            world.create(
                "Job",
                f"theirs-{number}",
                api="batch/v1",
                metadata={
                    "labels": {NAME_LABEL: NAME},
                    "annotations": {GENERATION: "7"},
                    "ownerReferences": [{**owner, "uid": theirs, "controller": True}],
                },
                spec={"template": pods},
            )
        jobs.push(3)
        jobs.define(rollout={"strategy": "immediate"})
        await world.until(lambda: len(jobs.begun()) == 3)
        await world.until(lambda: bool(world.service.objects()))
        await jobs.polls()
        assert (len(jobs.created), jobs.deleted) == (3, [])
