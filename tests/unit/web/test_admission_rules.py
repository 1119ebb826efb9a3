"""Which objects the webhook refuses, over scripted facts about the cluster."""

from __future__ import annotations

import asyncio
import copy
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from autoscaler.api.conflicts import Autoscaler, Claimant, Target, Template
from autoscaler.errors import KubeError, NotFound, Unreachable
from autoscaler.plugins import ScalerRegistry
from autoscaler.web.admission_review import AdmissionRequest, GroupVersionKind
from autoscaler.web.admission_rules import Reviewer, Verdict
from autoscaler.web.admission_views import (
    decode_autoscaler,
    decode_claim,
    decode_container_defaults,
    decode_template,
)
from tests.webhook_cases import (
    ACCEPTED,
    ALONE,
    BESIDE,
    KEDA,
    KEDA_ALONE,
    NAMESPACE,
    REDIS,
    UTILIZED,
    Case,
    Manifest,
    autoscaler,
    limit_range,
    scaled_job,
    scaled_object,
    workload,
)

FOLDER = Path(__file__).parents[3] / "deploy" / "examples"
EXAMPLES = [
    pytest.param(manifest, id=f"{path.stem}-{manifest['kind']}")
    for path in sorted(FOLDER.rglob("*.yaml"))
    for manifest in yaml.safe_load_all(path.read_text())
]


class Facts:
    """A namespace of manifests."""

    def __init__(self, *others: Manifest, error: KubeError | None = None) -> None:
        self._others = [copy.deepcopy(other) for other in others]
        for other in self._others:
            other["metadata"].setdefault("namespace", NAMESPACE)
        self._error = error
        self.missing: list[str] = []
        self.reads = 0

    def _of(self, *kinds: str) -> list[bytes]:
        return [msgspec.json.encode(one) for one in self._others if one["kind"] in kinds]

    def unsynced(self) -> list[str]:
        return self.missing

    def claimants(self, namespace: str, target: Target, autoscaler: str) -> list[Claimant]:
        assert namespace == NAMESPACE
        found = [decode_claim(raw).claimant for raw in self._of("ScaledObject")]
        return [c for c in found if c and (c.target == target or c.autoscaler == autoscaler)]

    def autoscalers(self, namespace: str, target: Target) -> list[Autoscaler]:
        assert namespace == NAMESPACE
        found = [decode_autoscaler(raw).autoscaler for raw in self._of("HorizontalPodAutoscaler")]
        return [one for one in found if one.target == target]

    async def template(self, namespace: str, target: Target) -> Template | None:
        self.reads += 1
        if self._error:
            raise self._error
        if target.kind not in {"Deployment", "StatefulSet"}:
            return None
        for raw in self._of(target.kind):
            return decode_template(raw)
        raise NotFound(f'{target.kind} "{namespace}/{target.name}" does not exist', status=404)

    async def container_defaults(self, namespace: str) -> frozenset[str]:
        self.reads += 1
        ranges = [msgspec.Raw(raw) for raw in self._of("LimitRange")]
        return decode_container_defaults(msgspec.json.encode({"items": ranges}))


def asked(
    manifest: Manifest, *, operation: str = "CREATE", old: Manifest | None = None, **fields: Any
) -> AdmissionRequest:
    """Return the request the API server would make."""
    raw = copy.deepcopy(manifest)
    if not raw["kind"].startswith("Cluster"):
        raw["metadata"].setdefault("namespace", NAMESPACE)
    return AdmissionRequest(
        uid="1",
        kind=GroupVersionKind(kind=raw["kind"]),
        operation=operation,
        namespace=raw["metadata"].get("namespace", ""),
        object=raw,
        old_object=copy.deepcopy(old),
        **fields,
    )


async def verdict_on(manifest: Manifest, *others: Manifest, **request: Any) -> Verdict:
    """Return what the webhook thinks of an object beside others."""
    reviewer = Reviewer(ScalerRegistry(), Facts(*others))
    return await reviewer.review(asked(manifest, **request))


def errors(verdict: Verdict) -> dict[str, str]:
    """Return the messages of what refuses an object, by field."""
    return {p.field: p.message for p in verdict.problems if not p.is_warning}


@pytest.mark.parametrize("case", [*ALONE, *KEDA_ALONE, *BESIDE], ids=lambda case: case.rule)
async def test_what_keda_refuses_is_refused_and_the_field_named(case: Case) -> None:
    """Each rule of KEDA's webhook holds, and nothing but its field is blamed."""
    verdict = await verdict_on(case.manifest, *case.others)
    assert not verdict.is_allowed
    assert set(errors(verdict)) == {case.field}


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.rule)
async def test_what_is_no_conflict_is_accepted(case: Case) -> None:
    """Neighbours that do not clash refuse nothing."""
    verdict = await verdict_on(case.manifest, *case.others)
    assert verdict.was_examined
    assert errors(verdict) == {}


@pytest.mark.parametrize("manifest", EXAMPLES)
async def test_examples_are_accepted(manifest: Manifest) -> None:
    """Every object of every shipped example passes, before its target exists."""
    verdict = await verdict_on(manifest)
    assert verdict.was_examined
    assert errors(verdict) == {}


async def test_a_message_names_object_value_and_form() -> None:
    """The author reads what clashes with what."""
    found = errors(await verdict_on(scaled_object(), autoscaler()))
    text = found["spec.scaleTargetRef"]
    assert 'Deployment "worker" is scaled by HorizontalPodAutoscaler "worker"' in text
    assert "transfer-hpa-ownership" in text
    found = errors(await verdict_on(UTILIZED, workload(sidecar={})))
    text = found["spec.triggers[0].metricType"]
    assert "cpu request" in text
    assert "main, sidecar" in text


async def test_problems_of_an_object_and_beside_it_come_together() -> None:
    """One round is enough to mend an object."""
    bad = scaled_object(minReplicaCount=5, maxReplicaCount=2)
    found = errors(await verdict_on(bad, scaled_object("other", target="worker")))
    assert set(found) == {"spec.minReplicaCount", "spec.scaleTargetRef"}


async def test_an_object_does_not_clash_with_itself() -> None:
    """An update finds its own stored state and its own autoscaler of KEDA's, and is fine."""
    stored = scaled_object(api=KEDA, maxReplicaCount=3)
    hpa = autoscaler("keda-hpa-worker")
    hpa["metadata"]["ownerReferences"] = [
        {"apiVersion": KEDA, "kind": "ScaledObject", "name": "worker"}
    ]
    update = scaled_object(api=KEDA, maxReplicaCount=4)
    verdict = await verdict_on(update, stored, hpa, operation="UPDATE", old=stored)
    assert verdict == Verdict()
    ours = await verdict_on(scaled_object(), hpa)
    assert set(errors(ours)) == {"spec.scaleTargetRef"}


async def test_a_hand_over_between_groups_is_only_mentioned() -> None:
    """A flyball.dev object may be created before its keda.sh twin is deleted."""
    verdict = await verdict_on(scaled_object(), scaled_object(api=KEDA))
    assert verdict.is_allowed
    assert [p.field for p in verdict.problems] == ["spec.scaleTargetRef"]


async def test_an_object_being_deleted_claims_nothing() -> None:
    """Its successor can be created while finalizers hold it."""
    going = scaled_object("other", target="worker")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert await verdict_on(scaled_object(), going) == Verdict()


async def test_what_does_not_exist_yet_refuses_nothing() -> None:
    """Objects are applied in any order; a target that is missing is mentioned."""
    verdict = await verdict_on(UTILIZED)
    assert verdict.is_allowed
    (warning,) = verdict.problems
    assert warning.field == "spec.scaleTargetRef.name"
    assert "does not exist" in warning.message


async def test_requests_are_not_looked_at_in_a_dry_run() -> None:
    """The target of a dry run was perhaps dry-run as well."""
    assert await verdict_on(UTILIZED, workload(), dry_run=True) == Verdict()
    clash = await verdict_on(scaled_object(), autoscaler(), dry_run=True)
    assert not clash.is_allowed


async def test_targets_of_other_kinds_are_not_looked_into() -> None:
    """Only Deployments and StatefulSets have a template of known shape."""
    ref = {"apiVersion": "example.com/v1", "kind": "Fleet", "name": "worker"}
    assert await verdict_on({**UTILIZED, "spec": {**UTILIZED["spec"], "scaleTargetRef": ref}}) == (
        Verdict()
    )


@pytest.mark.parametrize(
    "template",
    [
        {"resources": {"requests": {"cpu": "1"}}, "containers": [{"name": "main"}]},
        {
            "resources": {"requests": {"memory": "1Gi"}},
            "containers": [{"name": "main"}, {"name": "b", "resources": {"limits": {"cpu": "1"}}}],
        },
    ],
)
async def test_requests_at_pod_level_count(template: Manifest) -> None:
    """With pod-level resources it is enough that pod or some container requests cpu."""
    target = workload()
    target["spec"]["template"]["spec"] = template
    assert await verdict_on(UTILIZED, target) == Verdict()


async def test_only_what_runs_all_the_time_has_to_request() -> None:
    """An init container needs no request, a sidecar among them does."""
    target = workload(resources={"requests": {"cpu": "1"}})
    pod = target["spec"]["template"]["spec"]
    pod["initContainers"] = [{"name": "prepare"}]
    assert await verdict_on(UTILIZED, target) == Verdict()
    pod["initContainers"].append({"name": "proxy", "restartPolicy": "Always"})
    assert "proxy" in errors(await verdict_on(UTILIZED, target))["spec.triggers[0].metricType"]


async def test_a_limit_range_for_pods_gives_containers_nothing() -> None:
    """Only limits of type Container have defaults."""
    ranged = limit_range(default={"cpu": "1"})
    ranged["spec"]["limits"][0]["type"] = "Pod"
    assert not (await verdict_on(UTILIZED, workload(), ranged)).is_allowed


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Unreachable("GET /apis: no answer"), "no answer"),
        (KubeError("GET /apis: 500"), "500"),
    ],
)
async def test_an_api_server_that_does_not_answer_refuses_nothing(
    error: KubeError, text: str
) -> None:
    """What cannot be checked is let through, and said."""
    reviewer = Reviewer(ScalerRegistry(), Facts(workload(), error=error))
    verdict = await reviewer.review(asked(UTILIZED))
    assert verdict.is_allowed
    assert [text in p.message for p in verdict.problems] == [True]


async def test_before_the_first_list_nothing_is_refused_for_others() -> None:
    """A webhook that has just started knows no others; it says so, and checks the rest."""
    facts = Facts(autoscaler(), workload())
    facts.missing = ["horizontalpodautoscalers"]
    reviewer = Reviewer(ScalerRegistry(), facts)
    verdict = await reviewer.review(asked(UTILIZED))
    assert verdict.is_allowed
    assert ["horizontalpodautoscalers" in p.message for p in verdict.problems] == [True]
    bad = await reviewer.review(asked(scaled_object(triggers=[])))
    assert set(errors(bad)) == {"spec.triggers"}


async def test_targets_are_read_only_for_utilization() -> None:
    """An ordinary object costs no request."""
    facts = Facts(workload())
    reviewer = Reviewer(ScalerRegistry(), facts)
    await reviewer.review(asked(scaled_object()))
    assert facts.reads == 0


@pytest.mark.parametrize(
    "change",
    [
        {"finalizers": ["flyball.dev/restore"]},
        {"labels": {"team": "shop"}},
        {"annotations": {"flyball.dev/taken-over-autoscaler": "{}"}},
        {"managedFields": [{"manager": "kubectl"}], "resourceVersion": "8"},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_updates_of_bookkeeping_are_not_examined(change: Manifest) -> None:
    """An object that became invalid can still lose its finalizers and change its labels."""
    bad = scaled_object(triggers=[])
    changed = copy.deepcopy(bad)
    changed["metadata"].update(change)
    for new, old in ((changed, bad), (bad, changed)):
        verdict = await verdict_on(new, operation="UPDATE", old=old)
        assert verdict == Verdict(was_examined=False)


async def test_updates_of_what_rules_look_at_are_examined() -> None:
    """Spec and known annotations count."""
    good = scaled_object()
    verdict = await verdict_on(scaled_object(triggers=[]), operation="UPDATE", old=good)
    assert not verdict.is_allowed
    paused = scaled_object(annotations={"autoscaling.keda.sh/paused-replicas": "-1"})
    verdict = await verdict_on(paused, operation="UPDATE", old=good)
    assert set(errors(verdict)) == {"metadata.annotations[autoscaling.keda.sh/paused-replicas]"}


async def test_deletion_is_never_in_the_way() -> None:
    """Deletes, subresources and objects already marked for deletion pass unseen."""
    bad = scaled_object(triggers=[])
    nothing = Verdict(was_examined=False)
    assert await verdict_on(bad, sub_resource="status", operation="UPDATE") == nothing
    assert await verdict_on(bad, operation="DELETE") == nothing
    gone = AdmissionRequest(uid="1", operation="DELETE", old_object=bad)
    assert await Reviewer(ScalerRegistry(), Facts()).review(gone) == nothing
    going = copy.deepcopy(bad)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    going["spec"]["maxReplicaCount"] = 5
    assert await verdict_on(going, operation="UPDATE", old=bad) == nothing


async def test_objects_of_others_are_not_examined() -> None:
    """Kinds that are not ours, and objects the service does not act on, pass unseen."""
    nothing = Verdict(was_examined=False)
    assert await verdict_on(workload()) == nothing
    reviewer = Reviewer(ScalerRegistry(), Facts(), is_ours=lambda raw: raw["apiVersion"] != KEDA)
    assert await reviewer.review(asked(scaled_object(api=KEDA, triggers=[]))) == nothing
    assert not (await reviewer.review(asked(scaled_object(triggers=[])))).is_allowed


async def test_fields_nobody_knows_are_mentioned() -> None:
    """A definition newer than the service has fields it cannot judge."""
    verdict = await verdict_on(scaled_object(burst={"seconds": 5}))
    assert verdict.is_allowed
    assert [(p.field, p.is_warning) for p in verdict.problems] == [("spec.burst", True)]


async def test_settings_without_effect_are_mentioned() -> None:
    """A cooldown that cannot matter, and a misspelt parameter, are warnings."""
    misspelt = {**REDIS, "metadata": {**REDIS["metadata"], "listlength": "5"}}
    verdict = await verdict_on(
        scaled_object(minReplicaCount=1, cooldownPeriod=60, triggers=[misspelt])
    )
    assert verdict.is_allowed
    assert [p.field for p in verdict.problems] == [
        "spec.cooldownPeriod",
        "spec.triggers[0].metadata",
    ]


async def test_large_objects_are_checked_off_the_loop() -> None:
    """The verdict is the same."""
    reviewer = Reviewer(ScalerRegistry(), Facts())
    for _ in range(2):
        verdict = await reviewer.review(asked(scaled_object(triggers=[])), is_large=True)
        assert set(errors(verdict)) == {"spec.triggers"}


@pytest.mark.parametrize("spec", [None, [], "x", {"triggers": "x"}, {"triggers": [1, None]}, {}])
async def test_objects_of_any_shape_get_a_verdict(spec: Any) -> None:
    """Nothing that is no object crashes a review."""
    manifest = {**scaled_object(), "spec": spec}
    assert not (await verdict_on(manifest)).is_allowed
    assert not (await verdict_on(manifest, operation="UPDATE", old=scaled_object())).is_allowed


async def test_objects_nested_beyond_reason_are_refused() -> None:
    """A thousand levels are a problem of the object, not of the service."""
    template: Manifest = {}
    for _ in range(900):
        template = {"a": template}
    job = scaled_job(jobTargetRef={"template": template})
    for is_large in (False, True):
        reviewer = Reviewer(ScalerRegistry(), Facts())
        verdict = await reviewer.review(deep(job, job), is_large=is_large)
        assert [p.message for p in verdict.problems] == ["is nested too deeply"]


def deep(new: Manifest, old: Manifest) -> AdmissionRequest:
    """Return an update without copying anything."""
    other = {**old, "spec": {**old["spec"], "maxReplicaCount": 3}}
    return AdmissionRequest(uid="1", operation="UPDATE", object=new, old_object=other)


async def test_reviews_that_are_given_up_keep_their_thread_until_it_is_free() -> None:
    """However many are abandoned, no more than two threads check, and later ones still work."""
    running, most = 0, 0
    both_run, may_end = threading.Event(), threading.Event()
    registry = ScalerRegistry()

    class Slow(ScalerRegistry):
        """Takes its time."""

        def get(self, trigger_type: str) -> Any:
            nonlocal running, most
            running += 1
            most = max(most, running)
            if running == 2:
                both_run.set()
            may_end.wait(10)
            running -= 1
            return registry.get(trigger_type)

    reviewer = Reviewer(Slow(), Facts())
    given_up = [
        asyncio.ensure_future(reviewer.review(asked(scaled_object()), is_large=True))
        for _ in range(5)
    ]
    await asyncio.to_thread(both_run.wait, 10)
    for task in given_up:
        task.cancel()
    await asyncio.wait(given_up)
    waiting = asyncio.ensure_future(reviewer.review(asked(scaled_object()), is_large=True))
    may_end.set()
    assert await waiting == Verdict()
    assert most == 2
