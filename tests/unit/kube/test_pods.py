"""Pods and other objects as read from JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from autoscaler.kube.codec import (
    decode_config_map,
    decode_custom,
    decode_secret,
    decode_workload,
)
from autoscaler.kube.pods import decode_pod


def pod(**spec: Any) -> dict[str, Any]:
    """Return a running pod."""
    return {
        "metadata": {
            "name": "web-1",
            "namespace": "shop",
            "resourceVersion": "7",
            "labels": {"app": "web"},
            "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
        },
        "spec": {"nodeName": "node-1", "containers": [], **spec},
        "status": {
            "phase": "Running",
            "startTime": "2026-11-01T10:00:00Z",
            "conditions": [
                {"type": "Initialized", "status": "True"},
                {
                    "type": "Ready",
                    "status": "True",
                    "lastTransitionTime": "2026-11-01T10:00:30Z",
                },
            ],
        },
    }


def decoded(value: Any) -> Any:
    """Decode a pod."""
    return decode_pod(json.dumps(value).encode())


def test_a_running_pod() -> None:
    """Phase, readiness with its time, start and node are taken over."""
    view = decoded(pod())
    assert view.metadata.labels == {"app": "web"}
    assert view.node == "node-1"
    assert view.is_ready
    assert (view.pod.name, view.pod.phase, view.pod.ready) == ("web-1", "Running", "True")
    assert view.pod.ready_changed_at - view.pod.started_at == 30.0
    assert view.pod.started_at == 1793527200.0
    assert not view.pod.is_terminating
    assert view.pod.requests_milli is None


def test_a_pod_just_created_has_no_condition_and_no_start() -> None:
    """What is absent stays absent instead of becoming a default."""
    bare = {"metadata": {"name": "web-2", "deletionTimestamp": "2026-11-01T10:00:00Z"}}
    view = decoded(bare)
    assert (view.pod.ready, view.pod.started_at, view.pod.ready_changed_at) == (None, None, None)
    assert view.pod.phase == ""
    assert view.pod.is_terminating
    assert not view.is_ready


def test_requests_of_containers_sidecars_and_init_containers() -> None:
    """Requests come in thousandths; restartable init containers are sidecars."""
    view = decoded(
        pod(
            containers=[
                {"name": "main", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}},
                {"name": "bare"},
            ],
            initContainers=[
                {"name": "setup", "resources": {"requests": {"cpu": 1}}},
                {
                    "name": "proxy",
                    "restartPolicy": "Always",
                    "resources": {"requests": {"cpu": "100m", "example.com/gpu": "1"}},
                },
            ],
        )
    )
    found = {c.name: (dict(c.requests_milli), c.is_sidecar, c.is_init) for c in view.pod.containers}
    assert found == {
        "main": ({"cpu": 250, "memory": 64 * 2**20 * 1000}, False, False),
        "bare": ({}, False, False),
        "setup": ({"cpu": 1000}, False, True),
        "proxy": ({"cpu": 100}, True, False),
    }


def test_pod_level_requests_count_only_for_their_resources() -> None:
    """cpu, memory and huge pages make pod-level requests; anything else does not."""
    view = decoded(pod(resources={"requests": {"cpu": "2", "hugepages-2Mi": "4Mi"}}))
    assert view.pod.requests_milli == {"cpu": 2000, "hugepages-2Mi": 4 * 2**20 * 1000}
    view = decoded(pod(resources={"requests": {"example.com/gpu": "1"}}))
    assert view.pod.requests_milli is None


def test_an_impossible_quantity_is_left_out() -> None:
    """A request nobody could have stored does not cost the pod."""
    view = decoded(pod(containers=[{"name": "main", "resources": {"requests": {"cpu": "many"}}}]))
    assert view.pod.containers[0].requests_milli == {}


@pytest.mark.parametrize("data", [b"", b"{", b'{"metadata": 5}', b"[]"])
def test_what_is_no_pod_is_refused(data: bytes) -> None:
    """Nonsense raises the codec's error and nothing else."""
    with pytest.raises(msgspec.MsgspecError):
        decode_pod(data)


def test_a_workload_with_its_environment() -> None:
    """Replicas, selector and every way to set a variable are read."""
    workload = decode_workload(
        json.dumps(
            {
                "metadata": {"name": "web", "namespace": "shop", "generation": 3},
                "spec": {
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": {
                        "spec": {
                            "containers": [
                                {
                                    "name": "main",
                                    "env": [
                                        {"name": "PLAIN", "value": "x"},
                                        {
                                            "name": "SECRET",
                                            "valueFrom": {
                                                "secretKeyRef": {"name": "db", "key": "password"}
                                            },
                                        },
                                        {
                                            "name": "FIELD",
                                            "valueFrom": {"fieldRef": {"fieldPath": "x"}},
                                        },
                                    ],
                                    "envFrom": [
                                        {"prefix": "P_", "configMapRef": {"name": "conf"}},
                                        {"secretRef": {"name": "db", "optional": True}},
                                    ],
                                }
                            ]
                        }
                    },
                },
            }
        ).encode()
    )
    assert workload.spec.replicas == 1
    main = workload.spec.template.spec.containers[0]
    assert main.env[0].value == "x"
    assert main.env[1].value_from is not None
    assert main.env[1].value_from.secret_key_ref is not None
    assert main.env[1].value_from.secret_key_ref.key == "password"
    assert main.env[2].value_from is not None
    assert main.env[2].value_from.secret_key_ref is None
    assert main.env_from[0].prefix == "P_"
    assert main.env_from[1].secret_ref is not None
    assert main.env_from[1].secret_ref.optional


def test_a_secret_comes_decoded() -> None:
    """Base64 is undone; a Secret without data is an empty one."""
    secret = decode_secret(b'{"metadata": {"name": "db"}, "data": {"password": "c2VjcmV0"}}')
    assert secret.data == {"password": b"secret"}
    assert decode_secret(b'{"metadata": {"name": "db"}}').data == {}


def test_a_config_map_keeps_text_and_bytes_apart() -> None:
    """``data`` is text, ``binaryData`` bytes."""
    found = decode_config_map(
        b'{"metadata": {"name": "c"}, "data": {"a": "1"}, "binaryData": {"b": "AQI="}}'
    )
    assert (found.data, found.binary_data) == ({"a": "1"}, {"b": b"\x01\x02"})


def test_a_custom_object_keeps_everything_but_bookkeeping() -> None:
    """The raw object is complete but for second copies, and its status is never None."""
    found = decode_custom(
        b'{"apiVersion": "flyball.dev/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "w",'
        b' "namespace": "shop", "generation": 2, "managedFields": [{}], "annotations": {"a": "1",'
        b' "kubectl.kubernetes.io/last-applied-configuration": "{}"}}, "spec": {"x": [1]}}'
    )
    assert found.metadata.annotations == {"a": "1"}
    assert found.metadata.key == "shop/w"
    assert found.metadata.generation == 2
    assert found.raw["spec"] == {"x": [1]}
    assert "managedFields" not in found.raw["metadata"]
    assert found.status == {}


@pytest.mark.parametrize(
    "data", [b"{}", b"[]", b'{"metadata": null}', b'{"metadata": {"name": 1}}']
)
def test_an_object_without_metadata_is_refused(data: bytes) -> None:
    """Nothing enters a store without a name that can be read."""
    with pytest.raises(msgspec.MsgspecError):
        decode_custom(data)
