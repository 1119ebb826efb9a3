"""What makes a ScaledObject invalid, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.api.annotations import TRANSFER_HPA_OWNERSHIP
from autoscaler.api.parse import check_object, parse_object
from autoscaler.api.problems import InvalidObject
from autoscaler.api.scaledobject import ScaledObject
from tests.unit.api.objects import CPU, FLYBALL, KEDA, REDIS, problems_of, scaled_object


def _trigger(**fields: Any) -> dict[str, Any]:
    return scaled_object({"triggers": [{**REDIS, **fields}]})


def _modifiers(triggers: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    chosen = triggers or [{**REDIS, "name": "a"}, {**REDIS, "name": "b"}]
    return scaled_object({"triggers": chosen, "advanced": {"scalingModifiers": fields}})


def _behavior(**block: Any) -> dict[str, Any]:
    return scaled_object({"advanced": {"horizontalPodAutoscalerConfig": {"behavior": block}}})


@pytest.mark.parametrize("api_version", [FLYBALL, KEDA])
def test_both_groups_are_read_alike(api_version: str) -> None:
    """A manifest is the same object under either group."""
    obj = parse_object(scaled_object(api_version=api_version))
    assert isinstance(obj, ScaledObject)
    assert obj.is_keda is (api_version == KEDA)
    assert obj.polling_interval_seconds == 30.0
    assert obj.metadata.key == "shop/worker"


@pytest.mark.parametrize(
    ("raw", "field", "message"),
    [
        (scaled_object({"minReplicaCount": 3, "maxReplicaCount": 2}), "spec.minReplicaCount", "at most maxReplicaCount (2)"),
        (scaled_object({"minReplicaCount": 101}), "spec.minReplicaCount", "(100, the default)"),
        (scaled_object({"minReplicaCount": -1}), "spec.minReplicaCount", "at least 0, got -1"),
        (scaled_object({"maxReplicaCount": 0}), "spec.maxReplicaCount", "at least 1, got 0"),
        (scaled_object({"minReplicaCount": 2, "idleReplicaCount": 2}), "spec.idleReplicaCount", "less than minReplicaCount (2)"),
        (scaled_object({"idleReplicaCount": 0}), "spec.idleReplicaCount", "less than minReplicaCount (0)"),
        (scaled_object({"pollingInterval": 0}), "spec.pollingInterval", "at least 1, got 0"),
        (scaled_object({"cooldownPeriod": "300"}), "spec.cooldownPeriod", 'a whole number, got "300"'),
        (scaled_object({"initialCooldownPeriod": 1.5}), "spec.initialCooldownPeriod", "a whole number, got 1.5"),
        (scaled_object({"maxReplicaCount": 2**31}), "spec.maxReplicaCount", "at most 2147483647"),
        (scaled_object({"scaleTargetRef": {"kind": "Deployment"}}), "spec.scaleTargetRef.name", "is required"),
        (scaled_object({"scaleTargetRef": {"name": ""}}), "spec.scaleTargetRef.name", "must not be empty"),
        (scaled_object({"mode": "dry-run"}), "spec.mode", "must be one of active, shadow"),
        (scaled_object({"triggers": []}), "spec.triggers", "at least one trigger"),
        (scaled_object({"triggers": None}), "spec.triggers", "is required"),
        (scaled_object({"triggers": {"type": "redis"}}), "spec.triggers", "a list"),
        (scaled_object({"triggers": ["redis"]}), "spec.triggers[0]", "a mapping"),
        (scaled_object(name="x" * 64), "metadata.name", "at most 63 characters, has 64"),
        (scaled_object(name="x" * 55, api_version=KEDA), "spec.advanced.horizontalPodAutoscalerConfig.name", "would have more than 63"),
        (_trigger(type=""), "spec.triggers[0].type", "must not be empty"),
        (_trigger(metadata={"listLength": 5}), "spec.triggers[0].metadata.listLength", 'write it in quotes: "5"'),
        (_trigger(metadata={"enableTLS": True}), "spec.triggers[0].metadata.enableTLS", 'write it in quotes: "true"'),
        (_trigger(metricType="Average"), "spec.triggers[0].metricType", 'did you mean "AverageValue"?'),
        (_trigger(metricType="Utilization"), "spec.triggers[0].metricType", "cpu and memory triggers only"),
        (_trigger(authenticationRef={}), "spec.triggers[0].authenticationRef.name", "is required"),
        (_trigger(authenticationRef={"name": "a", "kind": "Secret"}), "spec.triggers[0].authenticationRef.kind", "must be one of"),
        (_trigger(type="cron", useCachedMetrics=True), "spec.triggers[0].useCachedMetrics", "not supported for cron"),
        (_trigger(freshness="soon"), "spec.triggers[0].freshness", 'such as "90s"'),
        (_trigger(smoothing={"type": "mean"}), "spec.triggers[0].smoothing.type", "must be one of ewma, median"),
        (_trigger(smoothing={"type": "ewma"}), "spec.triggers[0].smoothing.halfLifeSeconds", "is required with type ewma"),
        (_trigger(smoothing={"type": "median"}), "spec.triggers[0].smoothing.samples", "is required with type median"),
        (_trigger(smoothing={"type": "median", "samples": 500}), "spec.triggers[0].smoothing.samples", "at most 101"),
        (_trigger(smoothing={"type": "median", "samples": 3, "halfLifeSeconds": 1}), "spec.triggers[0].smoothing.halfLifeSeconds", "means nothing with type median"),
        (_trigger(smoothing={"type": "ewma", "halfLifeSeconds": 0}), "spec.triggers[0].smoothing.halfLifeSeconds", "more than 0"),
        (scaled_object({"triggers": [{**CPU, "smoothing": {"type": "median", "samples": 3}}], "minReplicaCount": 1}), "spec.triggers[0].smoothing", "not available for cpu"),
        (scaled_object({"triggers": [{**REDIS, "name": "a"}, {**REDIS, "name": "a"}]}), "spec.triggers[1].name", "already the name of spec.triggers[0]"),
        (scaled_object({"triggers": [CPU]}), "spec.minReplicaCount", "cpu and memory triggers only"),
        (scaled_object({"triggers": [CPU], "minReplicaCount": 0}), "spec.minReplicaCount", "at least 1"),
        (scaled_object({"fallback": {"failureThreshold": 1, "replicas": -2}}), "spec.fallback.replicas", "at least 0, got -2"),
        (scaled_object({"fallback": {"replicas": 2}}), "spec.fallback.failureThreshold", "is required"),
        (scaled_object({"fallback": {"failureThreshold": 1, "replicas": 1, "behavior": "Static"}}), "spec.fallback.behavior", 'did you mean "static"?'),
        (scaled_object({"fallback": {"failureThreshold": 1, "replicas": 1, "behavior": "scalingModifiers"}}), "spec.fallback.behavior", "needs a formula"),
        (scaled_object({"triggers": [CPU], "minReplicaCount": 1, "fallback": {"failureThreshold": 1, "replicas": 1}}), "spec.fallback", "other than cpu and memory"),
        (_modifiers(target="2"), "spec.advanced.scalingModifiers.formula", "is required"),
        (_modifiers(formula="a + b"), "spec.advanced.scalingModifiers.target", "is required"),
        (_modifiers(formula="a + b", target="0"), "spec.advanced.scalingModifiers.target", "at least 0.001"),
        (_modifiers(formula="a + b", target="nan"), "spec.advanced.scalingModifiers.target", 'got "nan"'),
        (_modifiers(formula="a + b", target="1_0"), "spec.advanced.scalingModifiers.target", "must be a number"),
        (_modifiers(formula="a + b", target=2), "spec.advanced.scalingModifiers.target", 'write it in quotes: "2"'),
        (_modifiers(formula="a + b", target="1", activationTarget="few"), "spec.advanced.scalingModifiers.activationTarget", "must be a number"),
        (_modifiers(formula="a + b", target="1", metricType="Utilization"), "spec.advanced.scalingModifiers.metricType", "must be one of AverageValue, Value"),
        (_modifiers(formula="a + c", target="1"), "spec.advanced.scalingModifiers.formula", "c"),
        (_modifiers(formula="a +", target="1"), "spec.advanced.scalingModifiers.formula", "position"),
        (_modifiers([{**REDIS, "name": "a"}, REDIS], formula="a", target="1"), "spec.triggers[1].name", "is required with scaling modifiers"),
        (_modifiers([{**REDIS, "name": "a"}, {**CPU, "name": "c"}], formula="a + c", target="1"), "spec.advanced.scalingModifiers.formula", "c"),
        (_behavior(scaleDown={"stabilizationWindowSeconds": 3601}), "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilizationWindowSeconds", "0 to 3600 seconds, got 3601"),
        (_behavior(scaleUp={"policies": []}), "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.policies", "at least one policy"),
        (_behavior(scaleUp={"tolerance": "-0.1"}), "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.tolerance", "at least 0"),
        (_behavior(scaleUp={"policies": [{"type": "Pods", "value": 1}]}), "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.policies[0].periodSeconds", "is required"),
        (scaled_object({"advanced": {"horizontalPodAutoscalerConfig": {"name": "h" * 64}}}), "spec.advanced.horizontalPodAutoscalerConfig.name", "at most 63"),
        (scaled_object(annotations={TRANSFER_HPA_OWNERSHIP: "true"}), "spec.advanced.horizontalPodAutoscalerConfig.name", "must name the autoscaler"),
        (scaled_object(annotations={"autoscaling.keda.sh/paused-replicas": "-3"}), "metadata.annotations[autoscaling.keda.sh/paused-replicas]", 'got "-3"'),
    ],
)  # fmt: skip
def test_each_rule_names_field_value_and_form(
    raw: dict[str, Any], field: str, message: str
) -> None:
    """One broken rule gives exactly one problem, at the field that has to change."""
    problems = problems_of(raw)
    assert list(problems) == [field]
    assert message in problems[field]


@pytest.mark.parametrize(
    "raw",
    [
        scaled_object({"minReplicaCount": 2, "idleReplicaCount": 0, "maxReplicaCount": 2}),
        scaled_object({"triggers": [CPU], "minReplicaCount": 1}),
        scaled_object({"triggers": [CPU, REDIS]}),
        scaled_object({"triggers": [{"type": "cron", "metadata": None}], "fallback": None}),
        scaled_object({"triggers": [{**REDIS, "name": ""}, {**REDIS, "name": ""}]}),
        scaled_object({"unknownField": 1}),
        _trigger(metricType="", authenticationRef={"name": "a", "kind": ""}),
        _trigger(freshness=90, smoothing={"type": "median", "samples": 5}),
        _modifiers([{**REDIS, "name": "a"}, CPU], formula="a * 2", target="2.5"),
        _modifiers(formula="a + b", target="1e1", activationTarget="-1", metricType="Value"),
        _behavior(),
        _behavior(scaleUp={"tolerance": 1}),
        {
            **_modifiers(formula="a ?? b ?? 3", target="1"),
            "status": {"conditions": "garbled by somebody"},
        },
        scaled_object(
            {"advanced": {"horizontalPodAutoscalerConfig": {"name": "web"}}},
            annotations={TRANSFER_HPA_OWNERSHIP: "true"},
        ),
        scaled_object(
            generateName="w-", managedFields=[{}], creationTimestamp="2026-01-31T12:00:00Z"
        ),
    ],
)
def test_what_keda_accepts_is_accepted(raw: dict[str, Any]) -> None:
    """Unusual but sensible objects have no problem under either group."""
    assert problems_of(raw) == {}
    assert problems_of({**raw, "apiVersion": KEDA}) == {}


def test_every_problem_is_reported_at_once() -> None:
    """Wrong shapes do not hide broken rules elsewhere, nor the other way round."""
    raw = scaled_object(
        {
            "scaleTargetRef": {},
            "minReplicaCount": "five",
            "maxReplicaCount": 3,
            "idleReplicaCount": 9,
            "triggers": [
                {"metadata": {"listLength": 5}},
                {"type": "cron", "name": "a", "useCachedMetrics": True},
                {"type": "prometheus", "name": "a", "smoothing": {"type": "ewm"}},
                7,
            ],
            "fallback": {"failureThreshold": "3"},
            "advanced": {"scalingModifiers": {"formula": "a", "target": "0"}},
        }
    )
    assert list(problems_of(raw)) == [
        "spec.advanced.scalingModifiers.target",
        "spec.fallback.failureThreshold",
        "spec.fallback.replicas",
        "spec.minReplicaCount",
        "spec.scaleTargetRef.name",
        "spec.triggers[0].metadata.listLength",
        "spec.triggers[0].name",
        "spec.triggers[0].type",
        "spec.triggers[1].useCachedMetrics",
        "spec.triggers[2].name",
        "spec.triggers[2].smoothing.type",
        "spec.triggers[3]",
    ]


def test_problems_are_listed_in_natural_order() -> None:
    """The third trigger comes before the eleventh."""
    raw = scaled_object({"triggers": [{**REDIS, "metricType": "x"} for _ in range(11)]})
    fields = list(problems_of(raw))
    assert fields.index("spec.triggers[2].metricType") < fields.index(
        "spec.triggers[10].metricType"
    )


def test_only_keda_makes_an_autoscaler_whose_name_could_be_too_long() -> None:
    """A long name is fine where no autoscaler is named after it, or where one is named."""
    assert problems_of(scaled_object(name="x" * 63)) == {}
    assert problems_of(scaled_object(name="x" * 54, api_version=KEDA)) == {}
    named = {"advanced": {"horizontalPodAutoscalerConfig": {"name": "web"}}}
    assert problems_of(scaled_object(named, name="x" * 63, api_version=KEDA)) == {}


def test_a_polling_interval_that_only_cpu_and_memory_would_use_is_mentioned() -> None:
    """Usage is read at least every 15 seconds, so only a shorter interval means anything."""
    for interval, fields in ((60, ["spec.pollingInterval"]), (5, [])):
        measured = {"triggers": [CPU], "minReplicaCount": 1, "pollingInterval": interval}
        _, problems = check_object(scaled_object(measured))
        assert [p.field for p in problems] == fields
        assert all(p.is_warning for p in problems)
        _, problems = check_object(scaled_object({**measured, "triggers": [CPU, REDIS]}))
        assert problems == []


def test_warnings_do_not_invalidate() -> None:
    """A cooldown that cannot matter is mentioned, and the object works."""
    raw = scaled_object({"minReplicaCount": 1, "cooldownPeriod": 60})
    obj, problems = check_object(raw)
    assert obj is not None
    assert [(p.field, p.is_warning) for p in problems] == [("spec.cooldownPeriod", True)]
    assert parse_object(raw) == obj


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"apiVersion": "flyball.dev/v2"}, ["apiVersion"]),
        ({"kind": "ScaledObjct"}, ["kind"]),
        ({"kind": None, "apiVersion": None}, ["apiVersion", "kind"]),
        ({"spec": None}, ["spec"]),
        ({"spec": []}, ["spec"]),
        ({"metadata": {"annotations": {"a": 1}}}, ["metadata.annotations.a"]),
    ],
)
def test_other_objects_are_refused(change: dict[str, Any], fields: list[str]) -> None:
    """An object of another kind or version, or without a spec, cannot be read."""
    assert list(problems_of({**scaled_object(), **change})) == fields


def test_the_error_names_the_object() -> None:
    """The text begins with kind, namespace and name."""
    with pytest.raises(InvalidObject, match=r"^ScaledObject shop/worker: spec\.mode: must be"):
        parse_object(scaled_object({"mode": "off"}))


def test_status_is_read_when_it_makes_sense() -> None:
    """A stored status of KEDA's shape is available on the model."""
    status = {
        "scaleTargetGVKR": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "health": {"s0-redis-jobs": {"numberOfFailures": 2, "status": "Failing"}},
        "triggersActivity": {"s0-redis-jobs": {"isActive": True}},
        "lastActiveTime": "2026-01-31T12:00:00Z",
        "hpaActive": "something newer",
    }
    obj = parse_object({**scaled_object(), "status": status})
    assert isinstance(obj, ScaledObject)
    assert obj.status is not None
    assert obj.status.scale_target_gvkr is not None
    assert obj.status.scale_target_gvkr.kind == "Deployment"
    assert obj.status.health is not None
    assert obj.status.health["s0-redis-jobs"].number_of_failures == 2
